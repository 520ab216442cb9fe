"""What every engine of the ledger tells the proxy before it lets requests in under a budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from ledger_engines import NOON, Engine, finished, revised, started
from openai_proxy.ports import Spend, SpendQuestion

MIDNIGHT = NOON - timedelta(hours=12)
ME, OTHER = "instance-1", "instance-2"


def asked(
    kind: Literal["user", "team", "organization"] = "user",
    name: str = "ada",
    *,
    since: datetime = MIDNIGHT,
    own_since: datetime = NOON,
) -> SpendQuestion:
    return SpendQuestion(scope_kind=kind, scope_name=name, since=since, own_since=own_since)


def spent(engine: Engine, *questions: SpendQuestion, active_since: datetime = MIDNIGHT) -> Spend:
    return engine.ledger.spend(questions or [asked()], instance_id=ME, active_since=active_since)


def amounts(engine: Engine, *questions: SpendQuestion) -> list[str]:
    return [format(amount.normalize(), "f") for amount in spent(engine, *questions).amounts]


def test_an_empty_ledger_has_spent_nothing(engine: Engine) -> None:
    for _ in range(2):
        assert spent(engine, asked(), asked("organization", "")) == Spend(
            amounts=(Decimal(0), Decimal(0)), other_instances=0
        )
        engine.store.check()


def test_each_scope_is_summed_up_by_itself_in_the_order_of_the_questions(engine: Engine) -> None:
    engine.store.add([finished("e1", "1"), finished("e2", "0.25")])
    engine.store.add([finished("e3", "10", user_id="grace"), finished("e4", "100", user_id="linus", team_id=None)])

    questions = [asked("organization", ""), asked("user", "nobody"), asked("user", "ada"), asked("team", "research")]

    assert amounts(engine, *questions) == ["111.25", "0", "1.25", "11.25"]


def test_each_question_has_its_own_period(engine: Engine) -> None:
    engine.store.add([finished("e1", "1"), finished("e2", "2", event_time=NOON - timedelta(microseconds=1))])
    engine.store.add([finished("e3", "4", event_time=NOON - timedelta(days=40))])

    questions = [
        asked(since=NOON),
        asked(since=MIDNIGHT),
        asked(since=datetime.min.replace(year=1970, tzinfo=NOON.tzinfo)),
    ]

    assert amounts(engine, *questions) == ["1", "3", "7"]


def test_what_has_no_cost_counts_as_it_was_reserved_and_else_as_nothing(engine: Engine) -> None:
    engine.store.add([started("open", reserved_cost=Decimal("0.5"))])
    engine.store.add([finished("unknown", None, reserved_cost=Decimal("0.25"), usage_source="unknown")])
    engine.store.add([finished("settled", "0.125", reserved_cost=Decimal(8))])
    engine.store.add([started("without-a-budget"), finished("unpriced", None)])

    assert amounts(engine) == ["0.875"]


def test_a_request_counts_once_as_it_ended_and_as_it_was_priced_last(engine: Engine) -> None:
    engine.store.add([started("e1", reserved_cost=Decimal(8)), finished("e1", "1", reserved_cost=Decimal(8))])
    engine.store.add([finished("e1", "1", reserved_cost=Decimal(8)), started("e1", reserved_cost=Decimal(8))])
    engine.store.add([finished("e2", None), revised(1, "2", "e2")])

    assert amounts(engine) == ["3"]


def test_what_the_instance_knows_itself_is_left_out_and_what_it_did_before_is_not(engine: Engine) -> None:
    before = NOON - timedelta(milliseconds=1)
    engine.store.add([finished("e1", "1", instance_id=ME), finished("e2", "2", instance_id=ME, event_time=before)])
    engine.store.add([finished("e3", "4", instance_id=OTHER), finished("e4", "8")])

    questions = [asked(), asked(own_since=NOON + timedelta(seconds=1)), asked(own_since=MIDNIGHT)]

    assert amounts(engine, *questions) == ["14", "15", "12"]


def test_other_instances_are_counted_that_were_active_lately(engine: Engine) -> None:
    old = NOON - timedelta(minutes=20)
    engine.store.add([finished("e1", instance_id=ME), finished("e2", instance_id=OTHER), finished("e3")])
    engine.store.add([started("e4", instance_id=OTHER), finished("e5", instance_id="old", event_time=old)])
    engine.store.add([replace(finished("e6"), event=finished("e6", user_id="grace", instance_id="third").event)])

    assert spent(engine, active_since=NOON - timedelta(minutes=15)).other_instances == 2


def test_no_question_is_no_answer(engine: Engine) -> None:
    engine.store.add([finished()])

    assert engine.ledger.spend([], instance_id=ME, active_since=MIDNIGHT).amounts == ()
