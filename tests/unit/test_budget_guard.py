"""What is asked of the ledger, and when: with a clock of its own, and a ledger that answers when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from decimal import Decimal
from functools import wraps
from typing import Any

import pytest

from openai_proxy.access.budget import Budget, Scope
from openai_proxy.budgets.book import Exceeded
from openai_proxy.budgets.guard import BudgetGuard, Held, Unknown
from openai_proxy.budgets.spend_view import SpendUnknownError
from openai_proxy.ports import Spend, SpendQuestion
from openai_proxy.settings import Settings

ADA = Budget(Scope("user", "ada"), Decimal(10), "month")
GRACE = Budget(Scope("user", "grace"), Decimal(10), "month")
TEAM = Budget(Scope("team", "research"), Decimal(100), "month")
SETTINGS = Settings(budget_refresh_seconds=0.05)


class Ledger:
    """Answers `spent` of every scope, or fails; may be held up."""

    def __init__(self, **spent: str) -> None:
        self.spent = spent
        self.broken = False
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[list[str]] = []

    async def ask(self, questions: Sequence[SpendQuestion], *, seconds: float) -> Spend:
        self.asked.append(sorted(question.scope_name for question in questions))
        async with asyncio.timeout(seconds):
            await self.open.wait()
        if self.broken:
            raise SpendUnknownError("it was told to fail")
        return Spend(
            amounts=tuple(Decimal(self.spent.get(question.scope_name, "0")) for question in questions),
            other_instances=0,
        )


def looped(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*arguments: object, **named: object) -> None:
        asyncio.run(test(*arguments, **named))

    return run


async def held(answer: Awaitable[Held | Exceeded | Unknown]) -> Held:
    found = await asyncio.wait_for(answer, 20)
    assert isinstance(found, Held), found
    return found


async def turns() -> None:
    """Let all that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


@looped
async def test_many_that_wait_for_several_budgets_share_one_question() -> None:
    ledger = Ledger()
    guard = BudgetGuard(ledger.ask, SETTINGS)

    await asyncio.gather(*(held(guard.hold((budget, TEAM), Decimal(1))) for budget in (ADA, GRACE) for _ in range(5)))
    guard.close()

    assert ledger.asked == [["ada", "grace", "research"]]


@looped
async def test_while_a_question_is_on_its_way_no_other_is_asked() -> None:
    ledger = Ledger()
    ledger.open.clear()
    guard = BudgetGuard(ledger.ask, SETTINGS)

    first = asyncio.create_task(held(guard.hold((ADA,), Decimal(1))))
    await turns()
    others = [asyncio.create_task(held(guard.hold((budget,), Decimal(1)))) for budget in (GRACE, TEAM)]
    await turns()
    assert ledger.asked == [["ada"]]
    ledger.open.set()
    await asyncio.gather(first, *others)
    guard.close()

    assert ledger.asked == [["ada"], ["grace", "research"]]


@looped
async def test_what_fits_is_held_and_what_does_not_is_refused_until_something_is_settled() -> None:
    ledger = Ledger(ada="4")
    guard = BudgetGuard(ledger.ask, SETTINGS)
    one = await held(guard.hold((ADA,), Decimal(6)))

    assert isinstance(await guard.hold((ADA,), Decimal("0.01")), Exceeded)
    guard.settle(one, Decimal(1))

    assert (await held(guard.hold((ADA,), Decimal(5)))).state == "checked"
    guard.close()


@looped
async def test_a_small_request_does_not_overtake_a_large_one_that_waits() -> None:
    ledger = Ledger(ada="9")
    guard = BudgetGuard(ledger.ask, SETTINGS)
    await held(guard.hold((ADA,), Decimal("0.5")))
    ledger.open.clear()
    large = asyncio.create_task(guard.hold((ADA,), Decimal(1)))
    await turns()
    small = asyncio.create_task(guard.hold((ADA,), Decimal("0.1")))
    await turns()

    assert not small.done()
    ledger.open.set()
    assert isinstance(await large, Exceeded)
    assert isinstance(await small, Held)
    guard.close()


@looped
async def test_one_users_wait_is_not_anothers() -> None:
    ledger = Ledger(ada="9")
    guard = BudgetGuard(ledger.ask, SETTINGS)
    await held(guard.hold((ADA,), Decimal(1)))
    await held(guard.hold((GRACE,), Decimal(1)))
    ledger.open.clear()
    waiting = asyncio.create_task(guard.hold((ADA,), Decimal(1)))
    await turns()

    await held(guard.hold((GRACE,), Decimal(1)))
    ledger.open.set()
    await waiting
    guard.close()


@looped
async def test_who_stops_waiting_holds_nothing_and_lets_the_next_one_in() -> None:
    ledger = Ledger()
    ledger.open.clear()
    guard = BudgetGuard(ledger.ask, SETTINGS)
    leaves = asyncio.create_task(guard.hold((ADA,), Decimal(10)))
    await turns()
    stays = asyncio.create_task(held(guard.hold((ADA,), Decimal(10))))
    await turns()

    leaves.cancel()
    ledger.open.set()

    assert (await stays).reservation.amount == 10
    guard.close()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@looped
async def test_without_a_ledger_what_fits_is_let_in_and_marked_and_one_line_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ledger = Ledger()
    ledger.broken = True
    guard = BudgetGuard(ledger.ask, SETTINGS)

    assert [(await held(guard.hold((ADA,), Decimal(3)))).state for _ in range(3)] == ["unreachable"] * 3
    assert isinstance(await guard.hold((ADA,), Decimal(3)), Exceeded)  # by what it knows itself
    ledger.broken = False
    while (await held(guard.hold((ADA,), Decimal(0)))).state != "checked":  # noqa: ASYNC110 - it asks again by itself
        await asyncio.sleep(0.01)
    guard.close()

    told = [line["message"] for line in lines(capsys)]
    assert told == [
        "the ledger cannot be asked what was spent",
        "a request is refused: it may cost more than its budget has left",
        "the ledger tells again what was spent",
    ]


@looped
async def test_without_a_ledger_for_too_long_nobody_is_let_in_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    ledger, clock = Ledger(), [1000.0]
    guard = BudgetGuard(ledger.ask, Settings(budget_refresh_seconds=100), clock=lambda: clock[0])
    await held(guard.hold((ADA,), Decimal(1)))
    ledger.broken = True
    clock[0] += 300
    budget = (GRACE,)
    assert (await held(guard.hold(budget, Decimal(1)))).state == "unreachable"
    clock[0] += 301

    assert [type(await guard.hold(budget, Decimal(1))) for _ in range(3)] == [Unknown] * 3
    guard.close()

    assert [line["message"] for line in lines(capsys)] == [
        "the ledger cannot be asked what was spent",
        "requests with budgets are refused: the ledger cannot be asked",
    ]


@looped
async def test_an_owner_may_have_it_refuse_at_once() -> None:
    ledger = Ledger()
    ledger.broken = True
    guard = BudgetGuard(ledger.ask, Settings(budget_unreachable="refuse"))

    assert isinstance(await guard.hold((ADA,), Decimal(1)), Unknown)
    guard.close()


@looped
async def test_refusals_of_one_budget_are_told_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    ledger, clock = Ledger(ada="10"), [0.0]

    async def ask(questions: Sequence[SpendQuestion], *, seconds: float) -> Spend:
        return await ledger.ask(questions, seconds=seconds)

    guard = BudgetGuard(ask, Settings(budget_refresh_seconds=0.05), clock=lambda: clock[0])
    for _ in range(3):
        clock[0] += 25
        assert isinstance(await guard.hold((ADA,), Decimal(1)), Exceeded)
    clock[0] += 25
    assert isinstance(await guard.hold((ADA,), Decimal(1)), Exceeded)
    guard.close()

    (first, second) = (line for line in lines(capsys) if "threshold" not in line)
    assert first == second
    assert (first["scope"], first["budget"], first["period"], first["committed"]) == ("user ada", "10", "month", "10")
