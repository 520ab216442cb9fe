from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from made_usage import usage_record
from openai_proxy.events import UsageEvent
from openai_proxy.records import ListCost, TokenCounts, cell_to_json, schema

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PYTHON_TYPES = {
    "STRING": str,
    "JSON": dict,
    "TIMESTAMP": datetime,
    "INTEGER": int,
    "BOOLEAN": bool,
    "NUMERIC": Decimal,
}


def test_the_schema_lists_each_column_once_with_type_mode_and_description() -> None:
    names = [column["name"] for column in schema()]

    assert len(names) == len(set(names))
    assert all(set(column) == {"name", "type", "mode", "description"} for column in schema())
    assert {column["type"] for column in schema()} <= PYTHON_TYPES.keys()
    assert {column["mode"] for column in schema()} == {"REQUIRED", "NULLABLE"}
    assert all(column["description"] for column in schema())


def test_the_columns_are_the_fields_of_event_tokens_and_cost_and_three_of_the_queue() -> None:
    parts = [field.name for part in (UsageEvent, TokenCounts, ListCost) for field in fields(part)]

    assert {column["name"] for column in schema()} == {*parts, "message_id", "publish_time", "stored_time"}


def test_a_row_has_the_columns_in_order_and_the_types_of_the_schema() -> None:
    row = usage_record("e1", NOON, "ada").row()

    assert list(row) == [column["name"] for column in schema()]
    for column in schema():
        value = row[column["name"]]
        assert value is None or type(value) is PYTHON_TYPES[column["type"]], column
        assert value is not None or column["mode"] == "NULLABLE", column


def test_a_field_that_may_be_none_is_nullable_and_no_other() -> None:
    optional = {
        field.name: "None" in str(field.type) for part in (UsageEvent, TokenCounts, ListCost) for field in fields(part)
    }

    for column in schema():
        if column["name"] in optional:
            assert (column["mode"] == "NULLABLE") == optional[column["name"]], column["name"]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (datetime(2026, 11, 23, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1))), "2026-11-23T12:00:00.123Z"),
        (Decimal("1E-9"), "0.000000001"),
        (Decimal("1E+2"), "100"),
        (True, True),
        (None, None),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_cells_are_printed_as_json_can_hold_them(value: Any, cell: Any) -> None:
    assert cell_to_json(value) == cell
