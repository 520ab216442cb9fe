from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from made_usage import usage_record
from openai_proxy.adapters.sqlite_ledger import SqliteLedger
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.events import UsageEvent
from openai_proxy.period import Period
from openai_proxy.ports import Selection, StoreError
from openai_proxy.pricing.priced import Priced, priced
from openai_proxy.pricing.reprice import Price, RepricedModel, Repricing, reprice, revision
from openai_proxy.records import ListCost, TokenCounts, UsageRecord, UsedUnit

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=3)
DAY = Period(NOON - timedelta(hours=12), NOON + timedelta(hours=12))
ALL = Selection(period=DAY)
NO_PRICE = ListCost(list_cost=None, priced=False, unpriced_reason="no price is known for this model")


def at(cost: str | None, version: str = "new", reason: str = "still none") -> Price:
    """A price table at which every request has 1,000 input tokens, and costs so much or nothing that is known."""
    amount = None if cost is None else Decimal(cost)
    unit = UsedUnit(unit="input_tokens", quantity=Decimal(1000), usage_source="reported", list_cost=amount)
    known = ListCost(list_cost=amount, priced=True, price_version=version)
    unknown = ListCost(list_cost=None, priced=False, unpriced_reason=reason)
    return lambda _: Priced(
        tokens=TokenCounts(input_tokens=1000), units=(unit,), cost=unknown if amount is None else known
    )


def record(event_id: str, price: Price, **event: Any) -> UsageRecord:
    made = usage_record(event_id, NOON, "ada")
    asked = replace(made.event, **event)
    found = price(asked)
    return replace(made, event=asked, tokens=found.tokens, units=found.units, cost=found.cost)


@dataclass(frozen=True, slots=True)
class Ledger:
    store: SqliteStore
    reader: SqliteLedger

    def reprice(self, price: Price, *, period: Period = DAY, write: bool = True, **options: Any) -> Repricing:
        store = self.store if write else None
        return reprice(self.reader, store, period, price=price, clock=lambda: LATER, **options)

    def costs(self) -> dict[str, list[tuple[int, Decimal | None]]]:
        """All versions of each record."""
        return {
            row["event_id"]: [
                (one["price_revision"], one["list_cost"]) for one in self.reader.revisions(row["event_id"], DAY)
            ]
            for row in self.reader.records(ALL, limit=None)
        }


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    path = tmp_path / "ledger.db"
    with closing(SqliteStore(path)) as store:
        yield Ledger(store, SqliteLedger(path))


def test_a_record_without_a_price_gets_one_and_what_it_was_is_kept(ledger: Ledger) -> None:
    ledger.store.add([record("e1", at(None))])

    ledger.reprice(at("0.5"))

    before, after = ledger.reader.revisions("e1", DAY)
    assert (before["list_cost"], before["unpriced_reason"]) == (None, "still none")
    assert (after["list_cost"], after["priced"], after["unpriced_reason"]) == (Decimal("0.5"), True, None)
    assert (after["price_revision"], after["price_version"], after["stored_time"]) == (1, "new", LATER)
    assert {name for name in before if before[name] != after[name]} == {
        "list_cost",
        "priced",
        "unpriced_reason",
        "price_version",
        "price_revision",
        "stored_time",
        "units",
    }


def test_a_price_that_was_wrong_is_put_right_and_one_that_is_withdrawn_leaves_a_reason(ledger: Ledger) -> None:
    ledger.store.add([record("e1", at("0.1"))])

    ledger.reprice(at("0.3"))
    ledger.reprice(at(None))

    assert ledger.costs() == {"e1": [(0, Decimal("0.1")), (1, Decimal("0.3")), (2, None)]}


def test_another_price_version_alone_writes_nothing(ledger: Ledger) -> None:
    ledger.store.add([record("e1", at("0.1", "old")), record("e2", at(None))])

    done = ledger.reprice(lambda event: at("0.10" if event.event_id == "e1" else None, "newer")(event))

    assert [one.revised for one in done.models] == [0]
    assert ledger.costs() == {"e1": [(0, Decimal("0.1"))], "e2": [(0, None)]}


def test_another_reason_is_a_change(ledger: Ledger) -> None:
    ledger.store.add([record("e1", at(None))])

    ledger.reprice(at(None, reason="no price is known for this tier"))

    assert [row["unpriced_reason"] for row in ledger.reader.revisions("e1", DAY)] == [
        "still none",
        "no price is known for this tier",
    ]


def test_a_second_run_finds_nothing_to_do(ledger: Ledger) -> None:
    ledger.store.add([record("e1", at(None))])

    assert [ledger.reprice(at("0.5")).models[0].revised for _ in range(2)] == [1, 0]


def test_a_record_from_before_units_were_kept_gets_them(ledger: Ledger) -> None:
    ledger.store.add([replace(record("e1", at("0.1")), units=())])

    ledger.reprice(at("0.1"))

    assert [len(row["units"]) for row in ledger.reader.revisions("e1", DAY)] == [0, 1]


def test_units_are_the_same_in_whatever_order_and_different_by_any_amount() -> None:
    one = record("e1", at("0.1"))
    unit = one.units[0]
    other = replace(unit, unit="output_tokens")

    def comes_to(*units: UsedUnit) -> UsageRecord | None:
        return revision(replace(one, units=(unit, other)), LATER, lambda event: replace(at("0.1")(event), units=units))

    assert comes_to(other, replace(unit, sku_price_id="another", list_unit_price=Decimal("1.0"))) is None
    for changed in ({"quantity": Decimal(2)}, {"charged_quantity": Decimal(0)}, {"list_cost": Decimal(2)}):
        assert comes_to(other, replace(unit, **changed)) is not None  # type: ignore[arg-type] # three amounts
    assert comes_to(unit) is not None


def test_open_records_are_left_alone(ledger: Ledger) -> None:
    ledger.store.add([record("e1", at(None), event_type="started", usage_source="unknown", usage=None)])

    done = ledger.reprice(at("0.5"))

    assert done == Repricing([], {})
    assert ledger.costs() == {"e1": [(0, None)]}


def test_only_the_period_and_the_model_asked_for_are_priced(ledger: Ledger) -> None:
    ledger.store.add([record("e1", at(None)), record("e2", at(None), response_model="o-new")])
    ledger.store.add([record("e3", at(None), response_model=None, request_model="o-new")])
    ledger.store.add([record("e4", at(None), response_model="o-new", event_time=NOON - timedelta(hours=1))])

    done = ledger.reprice(at("0.5"), period=Period(NOON, DAY.until), model="o-new")

    assert [(one.model, one.records) for one in done.models] == [("o-new", 2)]
    assert {name for name, versions in ledger.costs().items() if len(versions) == 2} == {"e2", "e3"}


def test_without_a_store_it_is_only_told(ledger: Ledger) -> None:
    ledger.store.add([record("e1", at(None))])

    done = ledger.reprice(at("0.5"), write=False)

    assert (done.models[0].revised, done.models[0].new_list_cost) == (1, Decimal("0.5"))
    assert ledger.costs() == {"e1": [(0, None)]}


def test_what_it_came_to_is_told_by_model(ledger: Ledger) -> None:
    ledger.store.add([record("e1", at("0.1")), record("e2", at(None)), record("e3", at("0.4"))])
    ledger.store.add([record("e4", at(None), response_model=None, request_model=None)])

    done = ledger.reprice(lambda event: at("0.4" if event.response_model else None)(event))

    assert done.models == [
        RepricedModel(model=None, records=1, revised=0, old_list_cost=Decimal(0), new_list_cost=Decimal(0), unpriced=1),
        RepricedModel(
            model="gpt-4.1",
            records=3,
            revised=2,
            old_list_cost=Decimal("0.5"),
            new_list_cost=Decimal("1.2"),
            unpriced=0,
        ),
    ]


def test_many_records_are_written_in_batches_and_it_is_told_how_far_it_is(ledger: Ledger) -> None:
    told: list[tuple[int, int]] = []
    ledger.store.add([record(f"e{number}", at(None if number % 2 else "0.5")) for number in range(10_001)])

    done = ledger.reprice(at("0.5"), tell=lambda records, revised: told.append((records, revised)))

    assert (done.models[0].records, done.models[0].revised) == (10_001, 5_000)
    assert told == [(10_000, 5_000)]
    assert ledger.reader.totals(ALL, by=[])[0].list_cost == "5000.5"


class RefusingStore:
    def __init__(self, *, broken_after: int = 1000) -> None:
        self.calls = 0
        self._broken_after = broken_after

    def add(self, records: Sequence[UsageRecord]) -> Mapping[str, str]:
        self.calls += 1
        if self.calls > self._broken_after:
            raise StoreError("full")
        return {one.event.event_id: "too large" for one in records if one.event.event_id.endswith("7")}

    def check(self) -> None:
        """Nothing is wrong with it."""

    def close(self) -> None:
        """Nothing is open."""


def test_what_the_store_refuses_is_told(ledger: Ledger) -> None:
    ledger.store.add([record(f"e{number}", at(None)) for number in range(10)])

    done = reprice(ledger.reader, RefusingStore(), DAY, price=at("0.5"))

    assert done.refused == {"e7": "too large"}


def test_a_store_that_breaks_in_between_breaks_it_off(ledger: Ledger) -> None:
    ledger.store.add([record(f"e{number}", at(None)) for number in range(1_200)])
    store = RefusingStore(broken_after=1)

    with pytest.raises(StoreError, match="full"):
        reprice(ledger.reader, store, DAY, price=at("0.5"))

    assert store.calls == 2


USAGES: Sequence[dict[str, Any]] = [
    {"usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}},
    {
        "usage": {
            "prompt_tokens": 2412,
            "completion_tokens": 391,
            "total_tokens": 2803,
            "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0},
        }
    },
    {"usage": {"prompt_tokens": 3, "total_tokens": 3}, "response_model": "text-embedding-3-small"},
    {"usage": {"prompt_tokens": -3}},
    {"usage": {"prompt_tokens": 7, "completion_tokens": 7}, "response_model": "no-such-model"},
    {"usage": None, "usage_source": "unknown"},
    {"usage": None, "usage_source": "none", "http_status_code": 429},
]


@pytest.mark.parametrize("event", USAGES)
def test_what_the_ledger_keeps_of_a_request_is_enough_to_price_it_the_same_again(
    ledger: Ledger, event: dict[str, Any]
) -> None:
    ledger.store.add([record("e1", priced, **event)])

    done = reprice(ledger.reader, ledger.store, DAY)

    assert [one.revised for one in done.models] == [0]


def test_the_event_that_is_priced_is_the_one_that_came(ledger: Ledger) -> None:
    came = record("e1", at(None), tool_calls={"web_searches": 2}, tool_usage={"a": {"b": 1}}, service_tier="flex")
    ledger.store.add([came])
    seen: list[UsageEvent] = []

    def price(event: UsageEvent) -> Priced:
        seen.append(event)
        return at(None)(event)

    ledger.reprice(price)

    assert seen == [came.event]
