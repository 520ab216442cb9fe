"""The engines of the ledger, and records to put in: for tests that must hold on each of them.

A new engine is one more entry of `ENGINES`; the fixture `engine` of tests/contract makes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from openai_proxy.adapters.sqlite_ledger import SqliteLedger
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.events import UsageEvent
from openai_proxy.ports import UsageLedger, UsageStore
from openai_proxy.records import ListCost, TokenCounts, UsageRecord, UsedUnit

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Engine(NamedTuple):
    store: UsageStore
    ledger: UsageLedger


def sqlite(request: pytest.FixtureRequest) -> Iterator[Engine]:
    path = request.getfixturevalue("tmp_path") / "data" / "ledger.db"
    with contextlib.closing(SqliteStore(path)) as store:
        yield Engine(store, SqliteLedger(path))


def bigquery(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Without insert ids: the emulator drops every row that comes twice, which the real service does only mostly."""
    ledger = request.getfixturevalue("empty_cloud_ledger")
    from emulators import PROJECT
    from openai_proxy.adapters.bigquery_ledger import BigQueryLedger
    from openai_proxy.adapters.bigquery_store import BigQueryStore

    store = BigQueryStore(PROJECT, ledger.dataset, "usage_records", insert_ids=False)
    reader = BigQueryLedger(PROJECT, ledger.dataset, "usage_records")
    yield Engine(store, reader)
    store.close()
    reader.close()


ENGINES: Mapping[str, Callable[[pytest.FixtureRequest], Iterator[Engine]]] = {"sqlite": sqlite, "bigquery": bigquery}


UNITS = (
    UsedUnit(
        unit="input_tokens",
        quantity=Decimal(10),
        usage_source="reported",
        charged_quantity=Decimal(6),
        list_unit_price=Decimal("2.5"),
        pricing_block_size=1_000_000,
        list_cost=Decimal("0.000015"),
    ),
    UsedUnit(unit="audio_seconds", quantity=Decimal("12.345678901"), usage_source="estimated"),
    UsedUnit(
        unit="web_searches",
        quantity=Decimal(10**9),
        usage_source="reported",
        charged_quantity=Decimal(0),
        list_unit_price=Decimal(10),
        pricing_block_size=1000,
        list_cost=Decimal("1E-9"),
        sku_price_id="web-search@2025-06-10",
    ),
)


def finished(event_id: str = "e1", cost: str | None = "0.0025", **fields: Any) -> UsageRecord:
    """A finished, reported request at noon; `cost` None is an unpriced one."""
    values: dict[str, Any] = {
        "event_id": event_id,
        "event_type": "finished",
        "event_time": NOON,
        "user_id": "ada",
        "key_id": "key_1",
        "team_id": "research",
        "operation_name": "chat",
        "http_method": "POST",
        "url_path": "/v1/chat/completions",
        "request_model": "gpt-4o",
        "stream": True,
        "retry_count": 0,
        "usage_source": "reported",
        "response_model": "gpt-4o-2024-08-06",
        "usage": {"prompt_tokens": 10, "nested": {"list": [1, "zwei", None]}},
        "tool_calls": {"web_searches": 2, "image_model": "gpt-image-1"},
        "http_status_code": 200,
        "duration_ms": 900,
    }
    priced = ListCost(list_cost=Decimal(cost), priced=True, sku_price_id="gpt-4o", price_version="v") if cost else None
    return UsageRecord(
        event=UsageEvent(**(values | fields)),
        tokens=TokenCounts(input_tokens=10, cache_read_input_tokens=4, output_tokens=5, reasoning_output_tokens=2),
        cost=priced or ListCost(list_cost=None, priced=False, unpriced_reason="no price"),
        message_id="7",
        publish_time=NOON + timedelta(microseconds=1),
        stored_time=NOON + timedelta(seconds=1),
        units=UNITS,
    )


def started(event_id: str = "e1", **fields: Any) -> UsageRecord:
    """The open half of the same request."""
    opened: dict[str, Any] = {"event_type": "started", "usage_source": "unknown", "response_model": None, "usage": None}
    opened |= {"tool_calls": None, "http_status_code": None, "duration_ms": None}
    return replace(finished(event_id, None, **(opened | fields)), tokens=TokenCounts(), units=())


def revised(revision: int, cost: str | None, event_id: str = "e1", **fields: Any) -> UsageRecord:
    """The finished request, priced again; a minute later each time."""
    later = NOON + timedelta(minutes=revision)
    return replace(finished(event_id, cost, **fields), price_revision=revision, stored_time=later)
