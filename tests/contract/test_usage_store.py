"""What every engine of the ledger must do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger_engines import NOON, UNITS, Engine, finished, revised, started
from openai_proxy.period import Period
from openai_proxy.ports import GroupBy, Selection, Tag, TagValues, UnpricedUsage, UsageTotal
from openai_proxy.records import UsageRecord, schema

DAY = Period(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC))
ALL = Selection(period=DAY)


def rows(engine: Engine, period: Period = DAY, user_id: str | None = None, limit: int | None = None) -> list[Any]:
    return list(engine.ledger.records(Selection(period=period, user_id=user_id), limit=limit))


def test_a_record_comes_back_as_it_was_added(engine: Engine) -> None:
    assert engine.store.add([finished()]) == {}

    assert rows(engine) == [finished().row()]


def test_the_columns_are_those_of_the_schema_in_its_order(engine: Engine) -> None:
    engine.store.add([finished()])

    assert list(rows(engine)[0]) == [column["name"] for column in schema()]


def test_what_is_not_known_stays_not_known(engine: Engine) -> None:
    engine.store.add([started()])

    row = rows(engine)[0]
    assert (row["input_tokens"], row["list_cost"], row["usage"], row["response_model"]) == (None, None, None, None)


def test_the_same_record_twice_is_one_record(engine: Engine) -> None:
    engine.store.add([finished(), finished()])
    engine.store.add([finished()])

    assert rows(engine) == [finished().row()]


def test_finished_takes_the_place_of_started(engine: Engine) -> None:
    engine.store.add([started()])
    engine.store.add([finished()])

    assert rows(engine) == [finished().row()]


def test_a_started_that_comes_after_finished_changes_nothing(engine: Engine) -> None:
    engine.store.add([finished()])
    engine.store.add([started()])

    assert rows(engine) == [finished().row()]


def test_both_in_one_call_are_one_record_in_either_order(engine: Engine) -> None:
    engine.store.add([started("e1"), finished("e1"), finished("e2"), started("e2")])

    assert {row["event_type"] for row in rows(engine)} == {"finished"}
    assert len(rows(engine)) == 2


def test_the_first_finished_stays(engine: Engine) -> None:
    engine.store.add([finished(cost="0.1")])
    engine.store.add([replace(finished(cost="0.2"), stored_time=NOON + timedelta(seconds=2))])

    assert rows(engine)[0]["list_cost"] == Decimal("0.1")


def test_units_come_back_in_order_to_the_last_digit(engine: Engine) -> None:
    engine.store.add([finished()])

    found = rows(engine)[0]["units"]
    assert found == [unit.cell() for unit in UNITS]
    assert list(found[0]) == list(UNITS[0].cell())
    assert {type(unit["quantity"]) for unit in found} == {Decimal}


def test_a_record_without_units_has_an_empty_list(engine: Engine) -> None:
    engine.store.add([started()])

    assert rows(engine)[0]["units"] == []


@pytest.mark.parametrize("wrong", [Decimal("1E-10"), Decimal("1E+29"), Decimal("NaN")])
def test_a_unit_that_the_ledger_cannot_hold_is_refused_and_the_others_are_kept(engine: Engine, wrong: Decimal) -> None:
    unit = replace(UNITS[0], quantity=wrong)

    refused = engine.store.add([finished("fine"), replace(finished("wrong"), units=(unit,))])

    assert refused == {"wrong": "units.quantity must be a multiple of 1e-9, below 1e29"}
    assert [row["event_id"] for row in rows(engine)] == ["fine"]


def test_a_row_is_read_back_as_the_record_that_it_was(engine: Engine) -> None:
    engine.store.add([finished("e1"), started("e2")])

    assert [UsageRecord.from_row(row) for row in rows(engine)] == [started("e2"), finished("e1")]


# Priced again


def costs(engine: Engine, event_id: str = "e1") -> list[tuple[int, Decimal | None]]:
    return [(row["price_revision"], row["list_cost"]) for row in engine.ledger.revisions(event_id, DAY)]


def final_cost(engine: Engine) -> Decimal | None:
    (row,) = rows(engine)
    cost: Decimal | None = row["list_cost"]
    assert engine.ledger.totals(ALL, by=[])[0].list_cost == format(cost or Decimal(0), "f")
    return cost


def test_a_record_that_is_priced_again_has_the_new_cost_and_keeps_the_old_one(engine: Engine) -> None:
    engine.store.add([finished(cost=None)])
    engine.store.add([revised(1, "0.3")])

    assert rows(engine) == [revised(1, "0.3").row()]
    assert engine.ledger.revisions("e1", DAY) == [finished(cost=None).row(), revised(1, "0.3").row()]


def test_a_redelivery_before_or_after_changes_nothing_of_a_record_that_was_priced_again(engine: Engine) -> None:
    late = replace(finished(cost="0.1"), stored_time=NOON + timedelta(days=1))
    engine.store.add([finished(cost="0.1")])
    engine.store.add([late, started()])
    engine.store.add([revised(1, "0.3")])
    engine.store.add([late, started(), finished(cost="0.1")])

    assert final_cost(engine) == Decimal("0.3")
    assert costs(engine) == [(0, Decimal("0.1")), (1, Decimal("0.3"))]


def test_the_last_of_several_revisions_stands_whatever_comes_again(engine: Engine) -> None:
    for record in (finished(cost="0.1"), revised(1, "0.3"), revised(2, "0.2"), revised(1, "0.3")):
        engine.store.add([record])

    assert final_cost(engine) == Decimal("0.2")
    assert costs(engine) == [(0, Decimal("0.1")), (1, Decimal("0.3")), (2, Decimal("0.2"))]


def test_revisions_that_come_in_one_call_are_all_kept(engine: Engine) -> None:
    engine.store.add([finished(cost="0.1"), revised(1, "0.3"), revised(2, "0.2")])

    assert final_cost(engine) == Decimal("0.2")
    assert costs(engine) == [(0, Decimal("0.1")), (1, Decimal("0.3")), (2, Decimal("0.2"))]


def test_of_two_that_price_at_the_same_time_the_first_stands(engine: Engine) -> None:
    engine.store.add([finished(cost="0.1")])
    engine.store.add([revised(1, "0.3")])
    engine.store.add([replace(revised(1, "0.4"), stored_time=NOON + timedelta(hours=1))])

    assert final_cost(engine) == Decimal("0.3")
    assert costs(engine) == [(0, Decimal("0.1")), (1, Decimal("0.3"))]


def test_deliveries_and_revisions_at_the_same_time_leave_the_last_revision(engine: Engine) -> None:
    names = [f"e{number}" for number in range(10)]
    engine.store.add([finished(name, "0.1") for name in names])

    def write(number: int) -> None:
        for name in names:
            engine.store.add([revised(number, "0.3", name) if number else finished(name, "0.1"), started(name)])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, (0, 1, 1, 0)))

    assert {(row["price_revision"], row["list_cost"]) for row in rows(engine)} == {(1, Decimal("0.3"))}
    assert [costs(engine, name) for name in names] == [[(0, Decimal("0.1")), (1, Decimal("0.3"))]] * len(names)


def test_a_started_record_is_no_version_of_a_finished_one(engine: Engine) -> None:
    engine.store.add([started()])
    assert engine.ledger.revisions("e1", DAY) == [started().row()]

    engine.store.add([revised(1, "0.3")])
    assert engine.ledger.revisions("e1", DAY) == rows(engine) == [revised(1, "0.3").row()]


def test_a_record_that_was_never_priced_again_has_one_version_and_one_that_is_not_there_none(engine: Engine) -> None:
    assert engine.ledger.revisions("e1", DAY) == []
    engine.store.add([finished(), finished("e2")])

    assert engine.ledger.revisions("e1", DAY) == [finished().row()]
    assert engine.ledger.revisions("nobody", DAY) == []
    assert engine.ledger.revisions("e1", Period(DAY.until, DAY.until + timedelta(days=1))) == []


def test_what_has_no_price_is_told_by_model_tier_and_reason_the_most_frequent_first(engine: Engine) -> None:
    hour = timedelta(hours=1)
    other = {"response_model": None, "request_model": "o-new", "usage_source": "unknown"}
    engine.store.add([finished("priced"), started("open"), finished("outside", None, event_time=DAY.until)])
    engine.store.add([finished("now-priced", None), revised(1, "0.3", "now-priced")])
    engine.store.add([finished("e1", None, **other)])
    engine.store.add([finished(f"e{hours}", None, event_time=NOON + hours * hour) for hours in (4, 2, 3)])
    engine.store.add([finished("e5", None, service_tier="ultrafast")])

    found = engine.ledger.unpriced(DAY)

    assert found == [
        unpriced("gpt-4o-2024-08-06", 3, NOON + 2 * hour, NOON + 4 * hour, last_event_id="e4"),
        unpriced("gpt-4o-2024-08-06", 1, NOON, NOON, last_event_id="e5", service_tier="ultrafast"),
        unpriced("o-new", 1, NOON, NOON, last_event_id="e1", usage_source="unknown"),
    ]


def unpriced(model: str, requests: int, first: datetime, last: datetime, **fields: Any) -> UnpricedUsage:
    return UnpricedUsage(
        model=model,
        requests=requests,
        first_time=first,
        last_time=last,
        **({"service_tier": None, "usage_source": "reported", "unpriced_reason": "no price"} | fields),
    )


def test_a_request_that_never_ended_is_open(engine: Engine) -> None:
    engine.store.add([started()])

    total = engine.ledger.totals(ALL, by=[])[0]
    assert (total.requests, total.open, total.unpriced, total.list_cost) == (1, 1, 1, "0")


HOSTILE = [
    "'); DROP TABLE usage_records; --",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "\x00\x1f\x7f\u202e\ufeff",
    "😀" * 200,
    "%s {0} \\u0000 \\",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_as_it_was_and_does_nothing(engine: Engine, text: str) -> None:
    record = finished(request_model=text, response_model=text, error_type=text, usage={text: text})

    assert engine.store.add([record]) == {}

    assert rows(engine) == [record.row()]
    assert engine.ledger.totals(Selection(period=DAY, user_id=text), by=["user"]) == []
    assert engine.ledger.totals(ALL, by=["model"])[0].group == (text,)


def test_text_that_utf8_cannot_hold_does_not_lose_the_record(engine: Engine) -> None:
    assert engine.store.add([finished(request_model="gpt-\ud800", usage={"a": "\udfff"})]) == {}

    assert rows(engine)[0]["request_model"] == "gpt-?"
    assert rows(engine)[0]["usage"] in ({"a": "\udfff"}, {"a": "?"})  # SQLite keeps it, BigQuery cannot


def test_sums_are_exact_to_a_billionth(engine: Engine) -> None:
    engine.store.add([finished(f"e{number}", "0.000000001") for number in range(999)])
    engine.store.add([finished("large", "123456.789012345"), finished("unpriced", None)])

    assert engine.ledger.totals(ALL, by=[])[0].list_cost == "123456.789013344"


def test_an_amount_that_the_ledger_cannot_hold_is_refused_and_the_others_are_kept(engine: Engine) -> None:
    refused = engine.store.add([finished("fine"), finished("too-fine", "0.0000000001")])

    assert list(refused) == ["too-fine"]
    assert "list_cost" in refused["too-fine"]
    assert [row["event_id"] for row in rows(engine)] == ["fine"]


def test_a_period_includes_its_beginning_and_excludes_its_end(engine: Engine) -> None:
    millisecond = timedelta(milliseconds=1)
    engine.store.add([finished("before", event_time=DAY.since - millisecond), finished("first", event_time=DAY.since)])
    engine.store.add([finished("last", event_time=DAY.until - millisecond), finished("after", event_time=DAY.until)])

    assert [row["event_id"] for row in rows(engine)] == ["last", "first"]
    assert engine.ledger.totals(ALL, by=[])[0].requests == 2


def test_one_user_sees_one_user(engine: Engine) -> None:
    engine.store.add([finished("e1"), finished("e2", user_id="grace"), finished("e3")])

    assert {row["user_id"] for row in rows(engine, user_id="grace")} == {"grace"}
    assert engine.ledger.totals(Selection(period=DAY, user_id="grace"), by=["user"])[0].requests == 1
    assert rows(engine, user_id="nobody") == []


def test_records_come_newest_first_and_no_more_than_asked_for(engine: Engine) -> None:
    engine.store.add([finished(f"e{hour}", event_time=DAY.since + timedelta(hours=hour)) for hour in (3, 1, 4, 2)])

    assert [row["event_id"] for row in rows(engine)] == ["e4", "e3", "e2", "e1"]
    assert [row["event_id"] for row in rows(engine, limit=2)] == ["e4", "e3"]
    assert rows(engine, limit=0) == []


def test_a_total_counts_and_sums_everything(engine: Engine) -> None:
    engine.store.add([finished("e1"), finished("e2", usage_source="estimated"), finished("e3", None), started("e4")])
    engine.store.add([finished("e5", "0", usage_source="none", http_status_code=429, error_type="rate_limit")])

    assert engine.ledger.totals(ALL, by=[]) == [
        UsageTotal(
            group=(),
            requests=5,
            input_tokens=40,
            cache_read_input_tokens=16,
            output_tokens=20,
            reasoning_output_tokens=8,
            list_cost="0.005",
            unpriced=2,
            estimated=1,
            open=1,
            errors=1,
        )
    ]


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (["user"], [("ada",), ("grace",)]),
        (["team"], [(None,), ("research",)]),
        (["key"], [("key_1",), ("key_2",)]),
        (["model"], [("gpt-4o-2024-08-06",), ("gpt-5",)]),
        (["operation"], [("chat",), ("responses",)]),
        (["day"], [("2026-11-23",), ("2026-11-24",)]),
        (["day", "user"], [("2026-11-23", "ada"), ("2026-11-24", "grace")]),
        (["user", "day"], [("ada", "2026-11-23"), ("grace", "2026-11-24")]),
        (["end_user"], [("ida",), ("joan",)]),
        ([TagValues("project")], [("apollo",), ("gemini",)]),
        (["user", TagValues("project")], [("ada", "gemini"), ("grace", "apollo")]),
    ],
)
def test_totals_are_grouped_and_ordered_by_what_is_named(
    engine: Engine, by: list[GroupBy], groups: list[tuple[str | None, ...]]
) -> None:
    other: dict[str, Any] = {
        "user_id": "grace",
        "team_id": None,
        "key_id": "key_2",
        "request_model": "gpt-5",
        "response_model": None,
        "operation_name": "responses",
        "tags": {"project": "apollo", "stage": "test"},
        "end_user_id": "ida",
    }
    engine.store.add([finished("e1", event_time=DAY.until, **other), finished("e2", event_time=DAY.until, **other)])
    late = DAY.until - timedelta(milliseconds=1)
    engine.store.add([finished("e3", event_time=late, tags={"project": "gemini"}, end_user_id="joan")])

    totals = engine.ledger.totals(Selection(period=Period(DAY.since, DAY.until + timedelta(days=1))), by=by)

    assert [total.group for total in totals] == groups
    assert sorted(total.requests for total in totals) == [1, 2]
    assert {total.list_cost for total in totals} == {"0.0025", "0.005"}


def test_a_group_whose_name_is_not_known_comes_first(engine: Engine) -> None:
    engine.store.add([finished("e1", request_model=None, response_model=None), finished("e2")])

    totals = engine.ledger.totals(ALL, by=["model"])

    assert [total.group for total in totals] == [(None,), ("gpt-4o-2024-08-06",)]


def test_what_has_no_tag_is_a_group_and_comes_first(engine: Engine) -> None:
    engine.store.add(
        [finished("e1"), finished("e2", tags={"stage": "test"}), finished("e3", tags={"project": "apollo"})]
    )

    totals = engine.ledger.totals(ALL, by=[TagValues("project")])

    assert [(total.group, total.requests) for total in totals] == [((None,), 2), (("apollo",), 1)]


def test_only_what_bears_a_tag_is_listed_and_summed(engine: Engine) -> None:
    tag = Tag("cost_centre_1", "4711 / a.b:c@d+e-f_G")
    borne = {tag.name: tag.value, "stage": "test"}
    engine.store.add([finished("e1"), finished("e2", tags=borne), finished("e3", tags=borne, user_id="grace")])
    engine.store.add([finished("e4", tags={tag.name: "4711"}), finished("e5", tags={"stage": tag.value})])

    found = engine.ledger.records(Selection(period=DAY, tag=tag), limit=None)
    assert [row["event_id"] for row in found] == ["e3", "e2"]
    found = engine.ledger.records(Selection(period=DAY, user_id="ada", tag=tag), limit=1)
    assert [row["event_id"] for row in found] == ["e2"]
    assert engine.ledger.totals(Selection(period=DAY, tag=tag), by=[])[0].requests == 2
    by_user = engine.ledger.totals(Selection(period=DAY, user_id="ada", tag=tag), by=["user", TagValues("stage")])
    assert [(total.group, total.requests) for total in by_user] == [(("ada", "test"), 1)]


def test_a_day_before_1970_is_a_day_as_well(engine: Engine) -> None:
    time = datetime(1969, 12, 31, 23, 59, tzinfo=UTC)
    engine.store.add([finished(event_time=time)])

    period = Period(time, DAY.until)
    assert engine.ledger.totals(Selection(period=period), by=["day"])[0].group == ("1969-12-31",)
    assert rows(engine, period)[0]["event_time"] == time


def test_an_empty_ledger_has_no_records_and_one_total_of_nothing(engine: Engine) -> None:
    nothing = UsageTotal(
        group=(),
        requests=0,
        input_tokens=0,
        cache_read_input_tokens=0,
        output_tokens=0,
        reasoning_output_tokens=0,
        list_cost="0",
        unpriced=0,
        estimated=0,
        open=0,
        errors=0,
    )

    for _ in range(2):
        engine.ledger.check()
        assert rows(engine) == []
        assert engine.ledger.totals(ALL, by=["user"]) == []
        assert engine.ledger.unpriced(DAY) == []
        assert engine.ledger.totals(ALL, by=[]) == [nothing]
        engine.store.check()  # from here on there is a ledger, and it is as empty


def test_nothing_to_add_is_nothing_refused(engine: Engine) -> None:
    assert engine.store.add([]) == {}
