"""docs/reporting.md, run: every query and every view on known rows, with the answers worked out by hand."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery as google_bigquery

from emulators import PROJECT, BigQueryEmulator, CloudLedger, cloud_ledger
from made_usage import usage_record
from openai_proxy.access.events import AccessEvent
from openai_proxy.adapters.bigquery_access_log import BigQueryAccessLog
from openai_proxy.adapters.bigquery_store import BigQueryStore
from openai_proxy.records import ListCost, TokenCounts, UsageRecord, UsedUnit

pytestmark = pytest.mark.cloud

PAGE = (Path(__file__).parents[2] / "docs" / "reporting.md").read_text()
QUERIES = {
    int(number): text.replace("openai_proxy.usage", "usage")
    for number, text in re.findall(r"^### (\d+)\. .*?```sql\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
}
NO_PRICE = ListCost(list_cost=None, priced=False, unpriced_reason="model not in the price table")


def _request(event_id: str, day: str, user_id: str, model: str, cost: str | None, **event: Any) -> UsageRecord:
    """1,000 input tokens, 200 of them cached, and 100 output tokens, at noon; those cached are a fifth of the cost."""
    record = usage_record(event_id, datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC), user_id, model)
    price = ListCost(list_cost=Decimal(cost), priced=True, sku_price_id=f"{model}@1") if cost else NO_PRICE
    shares = {"input_tokens": Decimal("0.5"), "cache_read_tokens": Decimal("0.2"), "output_tokens": Decimal("0.3")}
    units = tuple(_unit(unit, shares[unit.unit] * Decimal(cost) if cost else None) for unit in record.units)
    return replace(record, event=replace(record.event, **event), cost=price, units=units)


def _unit(unit: UsedUnit, cost: Decimal | None) -> UsedUnit:
    return replace(unit, list_cost=cost, charged_quantity=None if cost is None else unit.quantity)


def _open(record: UsageRecord) -> UsageRecord:
    """The same request as it began."""
    event = replace(record.event, event_type="started", usage_source="unknown", usage=None, response_model=None)
    event = replace(event, http_status_code=None, duration_ms=None)
    return replace(record, event=event, tokens=TokenCounts(), cost=NO_PRICE, units=())


def _searched(record: UsageRecord, searches: int, cost: str) -> UsageRecord:
    """The same request, of whose cost so much is for web searches; they are an estimate."""
    unit = UsedUnit(
        unit="web_searches",
        quantity=Decimal(searches),
        usage_source="estimated",
        charged_quantity=Decimal(searches),
        list_unit_price=Decimal(10),
        pricing_block_size=1000,
        list_cost=Decimal(cost),
    )
    total = (record.cost.list_cost or Decimal(0)) + Decimal(cost)
    return replace(record, cost=replace(record.cost, list_cost=total), units=(*record.units, unit))


ADA, GRACE, LINUS = {"team_id": "research"}, {"team_id": "sales"}, {"team_id": None}
APOLLO = {"project": "apollo", "stage": "test"}
LEFT: dict[str, Any] = {"usage_source": "estimated", "client_disconnected": True}
LATE = timedelta(minutes=5)
ROWS = [
    _request("october", "2026-10-02", "ada", "gpt-4.1", "1.00", **ADA),
    _request("large", "2026-11-02", "ada", "gpt-4.1", "1.50", **ADA, tags=APOLLO),
    _request("left", "2026-11-02", "ada", "gpt-4.1", "0.50", **ADA, **LEFT, tags={"project": "gemini"}),
    _searched(
        _request("grace", "2026-11-03", "grace", "gpt-5", "1.50", **GRACE, tags=APOLLO, end_user_id="ida"), 50, "0.50"
    ),
    _request("new", "2026-11-03", "grace", "o-new", None, **GRACE, operation_name="responses", end_user_id="joan"),
    replace(
        _request("limited", "2026-11-03", "ada", "gpt-4.1", "0", **ADA, usage_source="none", response_model=None),
        tokens=TokenCounts(),
        units=(),
    ),
    _open(_request("silent", "2026-11-04", "linus", "gpt-5", None, **LINUS)),
    _request("december", "2026-12-01", "ada", "gpt-4.1", "7.00", **ADA),
]
ROWS[5] = replace(ROWS[5], event=replace(ROWS[5].event, http_status_code=429, error_type="rate_limit_exceeded"))
# What comes twice, late and in the wrong order must not show: a stale start, a redelivery, a second end; nor must what
# a later price revision took the place of
ROWS += [
    replace(_open(ROWS[1]), stored_time=ROWS[1].stored_time + LATE),
    replace(ROWS[1], stored_time=ROWS[1].stored_time + LATE, message_id="again"),
    replace(ROWS[3], stored_time=ROWS[3].stored_time + LATE, cost=replace(ROWS[3].cost, list_cost=Decimal(9))),
    _open(ROWS[3]),
    replace(ROWS[1], price_revision=1, stored_time=ROWS[1].stored_time + 2 * LATE),
]
ROWS[1] = replace(ROWS[1], cost=NO_PRICE, units=())

ANSWERS: dict[int, list[tuple[Any, ...]]] = {
    1: [
        ("2026-10", "research", 1, Decimal("1.00")),
        ("2026-11", "research", 3, Decimal("2.00")),
        ("2026-11", "sales", 2, Decimal("2.00")),
        ("2026-11", None, 1, None),
    ],
    2: [
        ("ada", "gpt-4.1", 3, 2000, 200, Decimal("2.00")),
        ("grace", "gpt-5", 1, 1000, 100, Decimal("2.00")),
        ("grace", "o-new", 1, 1000, 100, None),
        ("linus", "gpt-5", 1, None, None, None),
    ],
    3: [
        (date(2026, 11, 2), Decimal("2.00"), Decimal("1.00")),
        (date(2026, 11, 3), Decimal("2.00"), Decimal(0)),
        (date(2026, 11, 4), None, Decimal(0)),
    ],
    4: [
        (Decimal("2.00"), ROWS[3].event.event_time, "grace", "gpt-5", 1000, 100, 1840, "grace"),
        (Decimal("1.50"), ROWS[1].event.event_time, "ada", "gpt-4.1", 1000, 100, 1840, "large"),
        (Decimal("0.50"), ROWS[2].event.event_time, "ada", "gpt-4.1", 1000, 100, 1840, "left"),
    ],
    5: [("gpt-4.1", 2000, 0.2), ("gpt-5", 1000, 0.2), ("o-new", 1000, 0.2)],
    6: [
        ("estimated", 1, Decimal("0.50"), Decimal("0.125")),
        ("none", 1, Decimal(0), Decimal(0)),
        ("reported", 3, Decimal("3.50"), Decimal("0.875")),
        ("unknown", 1, None, Decimal(0)),
    ],
    7: [("o-new", "model not in the price table", 1, 1000, 100)],
    8: [("chat", 4, 1, 0, 1, 0.25), ("responses", 1, 0, 0, 0, 0.0)],
    9: [("ada", Decimal("2.00"), Decimal("0.5")), ("grace", Decimal("2.00"), Decimal("0.5"))],
    10: [(ROWS[6].event.event_time, "linus", "chat", "gpt-5", "silent")],
    11: [
        ("cache_read_tokens", Decimal(800), Decimal("0.70")),  # of 1.50, 0.50 and 1.50, and of the one without a price
        ("web_searches", Decimal(50), Decimal("0.50")),
    ],
    12: [("apollo", 2, Decimal("3.50")), ("gemini", 1, Decimal("0.50")), (None, 3, Decimal(0))],
    13: [("grace", "ida", 1, Decimal("2.00")), ("grace", "joan", 1, None)],
}


@contextlib.contextmanager
def _ledger(bigquery: BigQueryEmulator, rows: Sequence[UsageRecord]) -> Iterator[CloudLedger]:
    with cloud_ledger(bigquery) as made, pytest.MonkeyPatch.context() as environ:
        environ.setenv("BIGQUERY_EMULATOR_HOST", bigquery.host)
        with contextlib.closing(BigQueryStore(PROJECT, made.dataset, "usage_records", insert_ids=False)) as store:
            assert store.add(rows) == {}
        yield made


@pytest.fixture(scope="module")
def ledger(bigquery: BigQueryEmulator) -> Iterator[CloudLedger]:
    with _ledger(bigquery, ROWS) as made:
        yield made


def _month(time: datetime) -> int:
    return time.year * 12 + time.month - 1


_LATER = _month(datetime.now(UTC)) - _month(ROWS[7].event.event_time)  # the views end with the present month


def _shifted(time: datetime) -> datetime:
    year, month = divmod(_month(time) + _LATER, 12)
    return time.replace(year=year, month=month + 1)


@pytest.fixture(scope="module")
def recent(bigquery: BigQueryEmulator) -> Iterator[CloudLedger]:
    """The same rows, as if it were December 2026 now."""
    rows = [replace(row, event=replace(row.event, event_time=_shifted(row.event.event_time))) for row in ROWS]
    with _ledger(bigquery, rows) as made:
        yield made


def test_the_page_has_the_thirteen_questions() -> None:
    assert sorted(QUERIES) == sorted(ANSWERS) == list(range(1, 14))


@pytest.mark.parametrize("number", ANSWERS)
def test_each_question_has_its_known_answer(ledger: CloudLedger, number: int) -> None:
    parameters = [google_bigquery.ScalarQueryParameter("budget", "NUMERIC", Decimal(4))] if number == 9 else []

    rows = ledger.query(QUERIES[number], *parameters)

    assert [tuple(row.values()) for row in rows] == ANSWERS[number]


def test_the_table_has_the_duplicates_that_the_questions_do_not_show(ledger: CloudLedger) -> None:
    assert len(ledger.stored()) == len(ROWS)
    assert len({row["event_id"] for row in ledger.stored()}) == len(ROWS) - 5


def test_the_chargeback_has_a_row_a_month_and_team(recent: CloudLedger) -> None:
    rows = recent.query("SELECT * FROM chargeback_by_team_and_month ORDER BY month, team_id")

    october, november, december = (_shifted(datetime(2026, month, 1, tzinfo=UTC)).date() for month in (10, 11, 12))
    assert [tuple(row.values()) for row in rows] == [
        (october, "research", 1, 1000, 200, 100, Decimal("1.00"), Decimal(0), 0, 0),
        (november, None, 1, None, None, None, Decimal(0), Decimal(0), 1, 1),
        (november, "research", 3, 2000, 400, 200, Decimal("2.00"), Decimal("0.50"), 0, 0),
        (november, "sales", 2, 2000, 400, 200, Decimal("2.00"), Decimal(0), 1, 0),
        (december, "research", 1, 1000, 200, 100, Decimal("7.00"), Decimal(0), 0, 0),
    ]


def test_the_page_shows_what_was_priced_again(ledger: CloudLedger) -> None:
    (query,) = re.findall(r"```sql\n([^`]*MAX\(IFNULL\(price_revision[^`]*)```", PAGE)

    rows = ledger.query(query.replace("openai_proxy.usage_records", "usage_records"))

    found = [(row["event_id"], row["price_revision"], row["list_cost"], row["unpriced_reason"]) for row in rows]
    assert found[0] == ("large", 0, None, NO_PRICE.unpriced_reason)
    assert found[-1] == ("large", 1, Decimal("1.50"), None)
    assert {event_id for event_id, *_ in found} == {"large"}


def test_the_page_shows_who_changed_who_may_call(ledger: CloudLedger, bigquery: BigQueryEmulator) -> None:
    (query,) = re.findall(r"```sql\n([^`]*FROM openai_proxy.access.events[^`]*)```", PAGE)
    added = AccessEvent(
        event_id="c1-001",
        event_time=datetime(2026, 11, 3, tzinfo=UTC),
        operator="grace",
        action="user add",
        user_id="alice",
        team_id=None,
        description="alice: added",
    )
    sent = replace(added, event_id="c2", event_time=added.event_time + LATE, action="make access", user_id=None)
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("BIGQUERY_EMULATOR_HOST", bigquery.host)
        with contextlib.closing(BigQueryAccessLog(PROJECT, ledger.dataset, insert_ids=False)) as log:
            log.add([added, added, sent, replace(added, event_id="c3", user_id="bob")])

    rows = ledger.query(query.replace("openai_proxy.access.events", "access_events"))

    assert [(row["operator"], row["action"]) for row in rows] == [("grace", "user add"), ("grace", "make access")]


def test_unit_costs_have_a_row_a_day_team_user_model_and_unit(recent: CloudLedger) -> None:
    rows = recent.query("SELECT * FROM unit_costs ORDER BY day, user_id, model, unit")

    second, third = (_shifted(datetime(2026, 11, day, tzinfo=UTC)).date() for day in (2, 3))
    names = ("cache_read_tokens", "input_tokens", "output_tokens")
    found = [tuple(row.values()) for row in rows]
    assert found[3:6] == [
        (second, "research", "ada", "gpt-4.1", names[0], 400, 400, Decimal("0.40"), Decimal(0), 0),
        (second, "research", "ada", "gpt-4.1", names[1], 2000, 2000, Decimal("1.00"), Decimal(0), 0),
        (second, "research", "ada", "gpt-4.1", names[2], 200, 200, Decimal("0.60"), Decimal(0), 0),
    ]
    assert found[9] == (third, "sales", "grace", "gpt-5", "web_searches", 50, 50, Decimal("0.50"), Decimal("0.50"), 0)
    assert found[10] == (third, "sales", "grace", "o-new", names[0], 200, None, Decimal(0), Decimal(0), 1)
    assert len(found) == 3 + 3 + 4 + 3 + 3
    assert sum(row["list_cost"] for row in rows) == Decimal("1.00") + Decimal("4.00") + Decimal("7.00")


def test_focus_has_a_row_a_day_team_user_key_and_model_in_its_own_words(recent: CloudLedger) -> None:
    (row,) = recent.query("SELECT * FROM focus WHERE x_UserId = 'ada' AND SkuId = 'gpt-4.1' AND ListCost = 2")

    assert (row["BilledCost"], row["BillingCurrency"]) == (None, "USD")
    assert row["BillingPeriodStart"] == _shifted(datetime(2026, 11, 1, tzinfo=UTC))
    assert row["BillingPeriodEnd"] == _shifted(datetime(2026, 12, 1, tzinfo=UTC))
    assert row["ChargePeriodStart"] == _shifted(datetime(2026, 11, 2, tzinfo=UTC))
    assert row["ChargePeriodEnd"] == _shifted(datetime(2026, 11, 3, tzinfo=UTC))
    assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == (2200, "Tokens")
    assert (row["SubAccountId"], row["SkuPriceId"], row["ChargeCategory"]) == ("research", "gpt-4.1@1", "Usage")
    assert (row["x_Requests"], row["x_EstimatedRequests"], row["x_UnpricedRequests"]) == (2, 1, 0)


def test_the_view_for_people_has_one_record_a_request_of_the_last_90_days(recent: CloudLedger) -> None:
    seen = {row["event_id"]: row["event_type"] for row in recent.query("SELECT * FROM usage_last_90_days")}

    assert seen.keys() - {"october"} == {row.event.event_id for row in ROWS} - {"october"}
    assert (seen["large"], seen["silent"]) == ("finished", "started")
