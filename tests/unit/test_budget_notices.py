from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from openai_proxy.access.budget import Budget, Scope
from openai_proxy.budgets.notices import BudgetNotices
from openai_proxy.ports import ClaimError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ADA = Budget(Scope("user", "ada"), Decimal(20), "month")
TEAM = Budget(Scope("team", "research"), Decimal(100), "day")
ALL = Budget(Scope("organization", ""), Decimal(1000), "total")

Step = tuple[Budget, str, datetime, bool]


@dataclass
class Claimed:
    """Claims in memory, shared by the instances of a test."""

    names: set[str] = field(default_factory=set)
    broken: bool = False

    def claim(self, name: str) -> bool:
        if self.broken:
            raise ClaimError("it was told to fail")
        is_first = name not in self.names
        self.names.add(name)
        return is_first


def step(spent: str, budget: Budget = ADA, now: datetime = NOON, *, is_refused: bool = False) -> Step:
    return budget, spent, now, is_refused


def told(
    capsys: pytest.CaptureFixture[str], *steps: Step, claims: Claimed | None = None, instances: int = 1
) -> tuple[list[dict[str, Any]], list[str]]:
    """What is logged and sent when all instances notice the same, one after the other."""
    sent: list[str] = []

    async def send(text: str) -> None:
        sent.append(text)

    async def run() -> None:
        several = [BudgetNotices(claims, send) for _ in range(instances)]
        for budget, spent, now, is_refused in steps:
            for one in several:
                one.look(budget, Decimal(spent), now, is_refused=is_refused)
            while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(tasks)

    asyncio.run(run())
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()], sent


def thresholds(lines: list[dict[str, Any]]) -> list[int]:
    return [line["threshold"] for line in lines]


def test_each_threshold_is_told_when_it_is_reached_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines, sent = told(capsys, *map(step, ("9.99", "10", "10.5", "15.99", "16", "19.999", "20", "20.5")))

    assert [(line["threshold"], line["severity"], line["message"]) for line in lines] == [
        (50, "INFO", "a budget is nearly used up"),
        (80, "WARNING", "a budget is nearly used up"),
        (100, "ERROR", "a budget is used up"),
    ]
    assert lines[1] | {"threshold": 80, "user_id": "ada", "budget": "20", "spent": "16", "period": "month"} == lines[1]
    assert lines[1]["since"] == "2026-11-01T00:00:00+00:00"
    assert sent[1] == (
        "80 % of the budget of user ada, 20.00 USD a month, is used: 16.00 USD. It begins anew at 2026-12-01T00:00:00Z."
    )


def test_several_that_are_passed_at_once_are_all_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert thresholds(told(capsys, step("17"))[0]) == [50, 80]


def test_a_team_and_all_together_are_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    (team, everybody), _ = told(capsys, step("50", TEAM), step("500", ALL))

    assert (team["team_id"], "user_id" in team) == ("research", False)
    assert not {"team_id", "user_id", "organization_id"} & everybody.keys()


def test_a_new_period_is_told_anew(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = told(
        capsys, step("16"), step("1", now=NOON + timedelta(days=8)), step("10", now=NOON + timedelta(days=9))
    )

    assert thresholds(lines) == [50, 80, 50]


def test_of_many_instances_one_tells(capsys: pytest.CaptureFixture[str]) -> None:
    lines, sent = told(capsys, step("10"), step("20"), claims=Claimed(), instances=4)

    assert thresholds(lines) == [50, 80, 100]
    assert len(sent) == 3


def test_an_instance_that_comes_later_tells_nothing_again_but_another_amount_is_another_budget(
    capsys: pytest.CaptureFixture[str],
) -> None:
    claims = Claimed()
    told(capsys, step("16"), claims=claims)

    assert told(capsys, step("16.5"), claims=claims)[0] == []
    raised = Budget(ADA.scope, Decimal(30), "month")
    assert thresholds(told(capsys, step("17", raised), claims=claims)[0]) == [50]


def test_names_that_differ_in_case_alone_are_two_claims(capsys: pytest.CaptureFixture[str]) -> None:
    claims = Claimed()
    told(capsys, step("10", ADA), step("10", Budget(Scope("user", "Ada"), Decimal(20), "month")), claims=claims)

    assert len({name.lower() for name in claims.names}) == 2


def test_where_nobody_knows_who_was_first_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = told(capsys, step("10"), claims=Claimed(broken=True))

    assert [line["message"] for line in lines] == [
        "whether a notice was told already is not known; it is told",
        "a budget is nearly used up",
    ]


def test_a_refusal_uses_a_budget_up_of_which_little_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = told(capsys, step("17.99", is_refused=True), step("18", is_refused=True))

    assert thresholds(lines) == [50, 80, 100]
    assert lines[-1]["spent"] == "18"


def test_a_budget_of_nothing_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, step("0", Budget(ADA.scope, Decimal(0), "day"), is_refused=True)) == ([], [])
