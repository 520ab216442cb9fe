"""What every engine of the ledger answers to the questions of the pages: selections, orders, groups, latencies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain, combinations
from typing import Any

import pytest

from ledger_engines import NOON, Engine, finished, started
from openai_proxy.period import Period
from openai_proxy.ports import GroupBy, Latency, Order, Selection, Tag, TagValues, UsageTotal
from openai_proxy.records import TokenCounts, UsageRecord

DAY = Period(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC))
ALL = Selection(period=DAY)
MINUTE = timedelta(minutes=1)
OTHERS: dict[str, Any] = {"user_id": "grace", "team_id": "sales", "key_id": "key_2", "operation_name": "responses"}
RECORDS = {
    "plain": finished("plain"),
    "others": finished("others", response_model="gpt-5", tags={"stage": "test"}, **OTHERS),
    "no-team": finished("no-team", team_id=None, response_model=None, request_model="gpt-5"),
    "failed": finished("failed", None, http_status_code=500, response_model=None, tags={"stage": "live"}),
    "broken-off": finished("broken-off", error_type="upstream_disconnected", usage_source="estimated"),
    "not-found": finished("not-found", "0", http_status_code=404, usage_source="none"),
    "estimated": finished("estimated", usage_source="estimated", http_status_code=399, **OTHERS),
    "unpriced": finished("unpriced", None, http_status_code=None),
    "both": finished("both", None, usage_source="estimated", tags={"stage": "test"}),
    "open": started("open", tags={"stage": "test"}),
}
CHOSEN: dict[str, tuple[Any, set[str]]] = {
    "user_id": ("grace", {"others", "estimated"}),
    "team_id": ("research", RECORDS.keys() - {"others", "estimated", "no-team"}),
    "key_id": ("key_1", RECORDS.keys() - {"others", "estimated"}),
    "model": ("gpt-5", {"others", "no-team"}),
    "operation": ("responses", {"others", "estimated"}),
    "tag": (Tag("stage", "test"), {"others", "both", "open"}),
}
STATUSES: dict[Any, set[str]] = {
    "ok": {"plain", "others", "no-team", "estimated", "unpriced", "both"},
    "error": {"failed", "broken-off", "not-found"},
    "open": {"open"},
    "unpriced": {"failed", "unpriced", "both", "open"},
    "estimated": {"broken-off", "estimated", "both"},
}


def choose(**fields: Any) -> Selection:
    return replace(ALL, **fields)


def found(engine: Engine, selection: Selection, **page: Any) -> list[str]:
    return [row["event_id"] for row in engine.ledger.records(selection, **({"limit": None} | page))]


def test_a_selection_has_what_it_names_by_each_field_alone_and_by_any_together(engine: Engine) -> None:
    engine.store.add([*RECORDS.values()])
    subsets = chain.from_iterable(combinations(CHOSEN, size) for size in (1, 2, len(CHOSEN)))

    for names in subsets:
        selection = choose(**{name: CHOSEN[name][0] for name in names})
        expected = set.intersection(*(set(CHOSEN[name][1]) for name in names))
        assert set(found(engine, selection)) == expected, names
        assert engine.ledger.totals(selection, by=[])[0].requests == len(expected), names


def test_a_status_has_what_its_name_says_alone_and_with_other_fields(engine: Engine) -> None:
    engine.store.add([*RECORDS.values()])

    for status, expected in STATUSES.items():
        assert set(found(engine, choose(status=status))) == expected, status
        (total,) = engine.ledger.totals(choose(status=status), by=[])
        counts = (total.requests, total.unpriced, total.estimated, total.open, total.errors)
        of = [len(expected & STATUSES[name]) for name in ("unpriced", "estimated", "open", "error")]
        assert counts == (len(expected), *of), status
        tagged = choose(status=status, tag=CHOSEN["tag"][0], key_id="key_1")
        assert set(found(engine, tagged)) == expected & CHOSEN["tag"][1] & CHOSEN["key_id"][1], status


def test_totals_by_status_tell_what_ended_well_what_did_not_and_what_is_open(engine: Engine) -> None:
    engine.store.add([*RECORDS.values()])

    totals = engine.ledger.totals(ALL, by=["status"])

    assert [(total.group, total.requests) for total in totals] == [(("error",), 3), (("ok",), 6), (("open",), 1)]


@pytest.mark.parametrize("name", ["user_id", "team_id", "key_id", "model", "operation"])
def test_what_a_selection_names_is_never_read_as_sql(engine: Engine, name: str) -> None:
    engine.store.add([finished()])

    assert found(engine, choose(**{name: "x' OR '1' = '1"})) == []
    assert engine.ledger.latencies(choose(**{name: "' OR 1 --"}), by=["user"]) == []


def measured(event_id: str, number: int | None, cost: str | None, minutes: int) -> UsageRecord:
    record = finished(event_id, cost, event_time=NOON + minutes * MINUTE, duration_ms=number)
    return replace(record, tokens=TokenCounts(input_tokens=number, output_tokens=number))


@pytest.mark.parametrize("by", ["list_cost", "input_tokens", "output_tokens", "duration_ms"])
def test_records_come_in_the_order_asked_for_what_is_not_known_last_and_of_equals_the_newest_first(
    engine: Engine, by: Any
) -> None:
    engine.store.add([measured("low", 1, "0.1", 0), measured("high", 3, "0.3", 1), measured("unknown", None, None, 9)])
    engine.store.add([measured("old", 2, "0.2", 2), measured("new", 2, "0.2", 5)])
    engine.store.add([measured("b", 2, "0.2", 3), measured("a", 2, "0.2", 3)])

    assert found(engine, ALL, order=Order(by)) == ["high", "new", "b", "a", "old", "low", "unknown"]
    ascending = Order(by, is_descending=False)
    assert found(engine, ALL, order=ascending) == ["low", "new", "b", "a", "old", "high", "unknown"]


def test_the_oldest_may_come_first_as_well(engine: Engine) -> None:
    engine.store.add([measured(name, 1, "0.1", minutes) for name, minutes in (("b", 2), ("a", 1), ("c", 3))])

    assert found(engine, ALL, order=Order("event_time", is_descending=False)) == ["a", "b", "c"]


def test_pages_follow_on_each_other_without_a_gap_or_a_repetition(engine: Engine) -> None:
    engine.store.add([measured(f"e{number}", 1, "0.1", number // 2) for number in range(7)])

    for order in (Order(), Order("duration_ms", is_descending=False)):
        pages = [found(engine, ALL, limit=3, offset=offset, order=order) for offset in (0, 3, 6, 9)]
        assert pages == [["e6", "e5", "e4"], ["e3", "e2", "e1"], ["e0"], []]
    assert found(engine, ALL, offset=5) == ["e1", "e0"]


def test_one_record_is_found_by_its_id_in_its_period(engine: Engine) -> None:
    assert engine.ledger.record("e1", DAY) is None
    engine.store.add([started("e1"), finished("e1"), finished("e2")])

    assert engine.ledger.record("e1", DAY) == finished("e1").row()
    assert engine.ledger.record("e3", DAY) is None
    assert engine.ledger.record("e1", Period(DAY.until, DAY.until + MINUTE)) is None


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (["hour"], [("2026-11-23T00",), ("2026-11-30T23",), ("2026-12-01T00",)]),
        (["day"], [("2026-11-23",), ("2026-11-30",), ("2026-12-01",)]),
        (["month"], [("2026-11",), ("2026-12",)]),
        (["month", "user", "status"], [("2026-11", "ada", "ok"), ("2026-12", "ada", "ok")]),
        (["status", "hour"], [("ok", "2026-11-23T00"), ("ok", "2026-11-30T23"), ("ok", "2026-12-01T00")]),
    ],
)
def test_hours_days_and_months_are_those_of_utc(
    engine: Engine, by: list[GroupBy], groups: list[tuple[str | None, ...]]
) -> None:
    december = datetime(2026, 12, 1, tzinfo=UTC)
    times = [DAY.since, december - timedelta(microseconds=1), december]
    engine.store.add([finished(f"e{number}", event_time=time) for number, time in enumerate(times)])

    selection = Selection(period=Period(DAY.since, december + timedelta(days=1)))
    assert [total.group for total in engine.ledger.totals(selection, by=by)] == groups
    assert [latency.group for latency in engine.ledger.latencies(selection, by=by)] == groups


def test_an_hour_and_a_month_before_1970_are_so_as_well(engine: Engine) -> None:
    time = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    engine.store.add([finished(event_time=time)])

    for by, name in {"hour": "1969-12-31T23", "month": "1969-12"}.items():
        groups: list[GroupBy] = [by]  # type: ignore[list-item] # a key of the dict above
        totals = engine.ledger.totals(Selection(period=Period(time, DAY.until)), by=groups)
        assert [total.group for total in totals] == [(name,)]


def took(*durations: int | None, **fields: Any) -> list[UsageRecord]:
    return [
        finished(f"{fields.get('user_id')}-{number}", duration_ms=duration, **fields)
        for number, duration in enumerate(durations)
    ]


def test_latencies_are_the_nearest_ranks_of_what_ended_well(engine: Engine) -> None:
    engine.store.add(took(*range(1, 101)))
    engine.store.add(took(10, 20, 30, user_id="grace"))
    engine.store.add(took(7, None, user_id="alone"))
    engine.store.add(took(99_999, http_status_code=500, user_id="failed"))
    engine.store.add([*took(None, user_id="not-measured"), started("open", user_id="open")])

    assert engine.ledger.latencies(ALL, by=["user"]) == [
        Latency(group=("ada",), requests=100, p50_ms=50, p95_ms=95),
        Latency(group=("alone",), requests=1, p50_ms=7, p95_ms=7),
        Latency(group=("grace",), requests=3, p50_ms=20, p95_ms=30),
    ]
    assert engine.ledger.latencies(ALL, by=[]) == [Latency(group=(), requests=104, p50_ms=48, p95_ms=95)]
    assert engine.ledger.latencies(choose(user_id="grace"), by=["day", "user"]) == [
        Latency(group=("2026-11-23", "grace"), requests=3, p50_ms=20, p95_ms=30)
    ]


def test_latencies_of_nothing_are_none(engine: Engine) -> None:
    for _ in range(2):
        assert engine.ledger.latencies(ALL, by=[]) == []
        assert engine.ledger.latencies(ALL, by=["hour"]) == []
        engine.store.check()  # from here on there is a ledger, and it is as empty
    engine.store.add([*RECORDS.values()])
    assert engine.ledger.latencies(choose(status="error"), by=[TagValues("stage")]) == []


def test_the_sums_of_parts_of_days_are_those_of_their_records(engine: Engine) -> None:
    """Four days, of which a selection cuts the first and the last."""
    times = [DAY.since + timedelta(hours=6 * number) for number in range(16)]
    engine.store.add([finished(f"e{number}", event_time=time) for number, time in enumerate(times)])
    engine.store.add([started("open", event_time=times[6]), finished("failed", error_type="x", event_time=times[7])])

    for since, until in ((0, 15), (1, 15), (3, 4), (4, 8), (1, 3), (2, 13), (4, 5)):
        selection = Selection(period=Period(times[since] + MINUTE, times[until] + MINUTE))
        rows = [*engine.ledger.records(selection, limit=None)]
        (total,) = engine.ledger.totals(selection, by=[])
        assert total == _summed(rows), (since, until)
        by_day = engine.ledger.totals(selection, by=["day"])
        assert [one.group[0] for one in by_day] == sorted({f"{row['event_time']:%Y-%m-%d}" for row in rows})
        assert sum(one.requests for one in by_day) == len(rows)


def _summed(rows: list[Any]) -> UsageTotal:
    names = ("input_tokens", "cache_read_input_tokens", "output_tokens", "reasoning_output_tokens")
    return UsageTotal(
        group=(),
        requests=len(rows),
        list_cost=format(sum((row["list_cost"] or Decimal(0) for row in rows), start=Decimal(0)).normalize(), "f"),
        unpriced=sum(not row["priced"] for row in rows),
        estimated=sum(row["usage_source"] == "estimated" for row in rows),
        open=sum(row["event_type"] == "started" for row in rows),
        errors=sum(row["error_type"] is not None for row in rows),
        **{name: sum(row[name] or 0 for row in rows) for name in names},
    )
