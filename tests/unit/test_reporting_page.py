"""docs/reporting.md says what is: its columns and its sizes."""

from __future__ import annotations

import contextlib
import json
import re
import runpy
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any

from openai_proxy.access import events as access_events
from openai_proxy.adapters.bigquery_selection import groups
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.events import UsageEvent
from openai_proxy.ports import GroupBy
from openai_proxy.records import ListCost, TokenCounts, UsageRecord, UsedUnit, schema

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reporting.md").read_text()
TIME = datetime(2026, 11, 23, 12, tzinfo=UTC)
# https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes; text has 2 bytes more
SIZES = {"INTEGER": 8, "TIMESTAMP": 8, "BOOLEAN": 1, "NUMERIC": 16}
USAGE = {
    "prompt_tokens": 2412,
    "completion_tokens": 391,
    "total_tokens": 2803,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 128,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def _unit(unit: str, quantity: int, charged: int, price: str | None) -> UsedUnit:
    return UsedUnit(
        unit=unit,
        quantity=Decimal(quantity),
        usage_source="reported",
        charged_quantity=Decimal(charged),
        list_unit_price=Decimal(price) if price else None,
        pricing_block_size=1_000_000 if price else None,
        list_cost=Decimal(price or 0) * charged / 1_000_000,
    )


FINISHED = UsageRecord(
    event=UsageEvent(
        event_id="a" * 32,
        event_type="finished",
        event_time=TIME,
        user_id="ada.lovelace",
        key_id="key_0123abcd",
        team_id="research",
        operation_name="chat",
        http_method="POST",
        url_path="/v1/chat/completions",
        request_model="gpt-5-mini",
        response_model="gpt-5-mini-2025-08-07",
        response_id="chatcmpl-" + "x" * 29,
        service_tier="default",
        stream=True,
        retry_count=0,
        usage_source="reported",
        usage=USAGE,
        http_status_code=200,
        upstream_request_id="req_" + "x" * 32,
        duration_ms=1,
        time_to_first_chunk_ms=1,
        upstream_ms=1,
        instance_id="0123456789ab",
    ),
    tokens=TokenCounts(
        input_tokens=2412,
        cache_read_input_tokens=1024,
        input_audio_tokens=0,
        output_tokens=391,
        reasoning_output_tokens=128,
        output_audio_tokens=0,
    ),
    cost=ListCost(
        list_cost=Decimal("0.0011546"),
        priced=True,
        sku_price_id="gpt-5-mini@2025-08-07",
        price_version="genai-prices 0.2",
    ),
    message_id="1" * 17,
    publish_time=TIME,
    stored_time=TIME,
    units=(
        _unit("input_tokens", 2412, 1388, "0.25"),
        _unit("cache_read_tokens", 1024, 1024, "0.025"),
        _unit("output_tokens", 391, 391, "2"),
        _unit("output_reasoning_tokens", 128, 0, None),
    ),
)
STARTED = replace(
    FINISHED,
    event=replace(
        FINISHED.event,
        event_type="started",
        usage_source="unknown",
        response_model=None,
        response_id=None,
        service_tier=None,
        usage=None,
        http_status_code=None,
        upstream_request_id=None,
        duration_ms=None,
        time_to_first_chunk_ms=None,
        upstream_ms=None,
    ),
    tokens=TokenCounts(),
    cost=ListCost(list_cost=None, priced=False, unpriced_reason="the request is open: its usage is not known"),
    units=(),
)


def test_the_page_has_exactly_the_schemas_columns() -> None:
    listed = [line.split(" | ") for line in PAGE.partition("## Columns")[2].splitlines() if line.startswith("| `")]

    columns = [(prefix, column) for top in schema() for prefix, column in _with_fields(top)]
    assert [[cell.strip("|` ") for cell in line] for line in listed] == [
        [prefix + column["name"], column["type"], column["mode"].lower(), column["description"]]
        for prefix, column in columns
    ]


def test_the_page_has_the_columns_of_changes() -> None:
    section = PAGE.partition("## Who changed who may call")[2].partition("## ")[0]
    listed = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]

    assert [[cell.strip("|` ") for cell in line] for line in listed] == [
        [column["name"], column["type"], column["mode"].lower(), column["description"]]
        for column in access_events.schema()
    ]


def test_the_query_for_one_machine_sums_each_unit_by_day_and_model(tmp_path: Path) -> None:
    (query,) = re.findall(r"```sql\n([^`]*json_each[^`]*)```", PAGE)
    again = replace(FINISHED, event=replace(FINISHED.event, event_id="b" * 32))
    with contextlib.closing(SqliteStore(tmp_path / "ledger.sqlite3")) as store:
        store.add([FINISHED, again])

    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as connection:
        rows = connection.execute(query).fetchall()

    assert rows == [
        ("2026-11-23", "gpt-5-mini-2025-08-07", unit.unit, 2 * unit.quantity, 2 * float(unit.list_cost or 0))
        for unit in sorted(FINISHED.units, key=lambda unit: unit.unit)
    ]


def _with_fields(column: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("", column), *((f"{column['name']}.", field) for field in column.get("fields", ()))]


def test_the_page_says_how_many_bytes_a_request_takes() -> None:
    finished, started = _bytes(FINISHED), _bytes(STARTED)

    units = finished - _bytes(replace(FINISHED, units=()))
    assert f"is {round(finished, -1):,} bytes finished and {round(started, -1)} bytes started" in PAGE
    assert f"of which {round(units, -1)} are its units and {round(_cell('JSON', USAGE), -1)} OpenAI's own usage" in PAGE
    cost = runpy.run_path(str(ROOT / "deploy" / "cost.py"))
    assert (cost["FINISHED_BYTES"], cost["STARTED_BYTES"]) == (round(finished, -1), round(started, -1))
    assert cost["FINISHED_EVENT"] == round(len(FINISHED.event.to_json()), -1)
    assert cost["STARTED_EVENT"] == round(len(STARTED.event.to_json()), -1)
    assert f"| 100 million | {(finished + started) * 100_000_000 / 1e9:.0f} GB |" in PAGE


ASKED: Mapping[str, tuple[str, Sequence[GroupBy]]] = {
    "sums by day and model": ("totals", ("day", "model")),
    "sums of the period before": ("totals", ()),
    "sums by user": ("totals", ("user",)),
    "sums by team": ("totals", ("team",)),
    "sums by key": ("totals", ("key",)),
    "sums by operation": ("totals", ("operation",)),
    "latencies by day": ("latencies", ("day",)),
    "a list of requests": ("records", ()),
}


def test_the_costs_of_a_view_are_those_of_the_columns_that_its_questions_name() -> None:
    counted = runpy.run_path(str(ROOT / "deploy" / "cost.py"))["QUESTIONS"]

    assert {name: tuple(map(round, sizes)) for name, sizes in counted.items()} == {
        name: tuple(_size(record.row(), _named(*asked)) for record in (FINISHED, STARTED))
        for name, asked in ASKED.items()
    }


def _named(question: str, by: Sequence[GroupBy]) -> list[Mapping[str, Any]]:
    """The columns that a question of BigQuery names, those that pick one final row a request among them."""
    if question == "records":
        return list(schema())
    text = _query(question).substitute(groups=groups(by), requests="", of_selection="", grouping="")
    names = _words(text) | _words(_query("usage").template)
    of_aliases = re.findall(r"(IFNULL\([^)]*\)|CASE\b.*?\bEND) AS (\w+)", _query("requests").template, re.DOTALL)
    assert [alias for _, alias in of_aliases] == ["model", "status"]
    names |= set().union(*(_words(expression) for expression, alias in of_aliases if alias in names))
    return [column for column in schema() if column["name"] in names]


def _query(name: str) -> Template:
    return Template((ROOT / "src" / "openai_proxy" / "queries" / "bigquery" / f"{name}.sql").read_text())


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", re.sub(r"--.*|'[^']*'|\bAS \w+", "", text)))


def _bytes(record: UsageRecord) -> int:
    return _size(record.row(), schema())


def _size(row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> int:
    """A RECORD takes what its fields take."""
    return sum(
        sum(_size(item, column["fields"]) for item in row[column["name"]])
        if column["type"] == "RECORD"
        else _cell(column["type"], row[column["name"]])
        for column in columns
    )


def _cell(kind: str, value: Any) -> int:
    if value is None:
        return 0
    text = json.dumps(value, separators=(",", ":")) if kind == "JSON" else str(value)
    return SIZES.get(kind) or 2 + len(text.encode())
