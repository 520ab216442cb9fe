from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from made_usage import LATER_COLUMNS, usage_record
from openai_proxy.events import UsageEvent
from openai_proxy.records import ListCost, TokenCounts, UsageRecord, UsedUnit, cell_to_json, fits_numeric, schema

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PYTHON_TYPES = {
    "STRING": str,
    "JSON": dict,
    "TIMESTAMP": datetime,
    "INTEGER": int,
    "BOOLEAN": bool,
    "NUMERIC": Decimal,
    "RECORD": list,
}
PARTS = (UsageEvent, TokenCounts, ListCost)
UNIT_COLUMNS = next(column["fields"] for column in schema() if column["name"] == "units")


def test_the_schema_lists_each_column_once_with_type_mode_and_description() -> None:
    for columns in (schema(), UNIT_COLUMNS):
        names = [column["name"] for column in columns]

        assert len(names) == len(set(names))
        assert all(set(column) - {"fields"} == {"name", "type", "mode", "description"} for column in columns)
        assert {column["type"] for column in columns} <= PYTHON_TYPES.keys()
        assert {column["mode"] for column in columns} <= {"REQUIRED", "NULLABLE", "REPEATED"}
        assert all(column["description"] for column in columns)


def test_units_are_the_one_repeated_record() -> None:
    assert [column["name"] for column in schema() if column["type"] == "RECORD"] == ["units"]
    assert [column["name"] for column in schema() if column["mode"] == "REPEATED"] == ["units"]
    assert [column["name"] for column in schema() if "fields" in column] == ["units"]


def test_the_columns_are_the_fields_of_event_tokens_and_cost_and_the_records_own() -> None:
    parts = [field.name for part in PARTS for field in fields(part)]
    own = [field.name for field in fields(UsageRecord) if field.name not in {"event", "tokens", "cost"}]

    assert {column["name"] for column in schema()} == {*parts, *own}
    assert [column["name"] for column in UNIT_COLUMNS] == [field.name for field in fields(UsedUnit)]


def test_a_row_has_the_columns_in_order_and_the_types_of_the_schema() -> None:
    row = usage_record("e1", NOON, "ada").row()

    _assert_follows(row, schema())
    assert row["units"]
    for unit in row["units"]:
        _assert_follows(unit, UNIT_COLUMNS)


def test_a_record_is_made_of_its_row_again() -> None:
    record = replace(usage_record("e1", NOON, "ada"), price_revision=2)

    assert UsageRecord.from_row(record.row()) == record
    assert UsageRecord.from_row(record.row() | {"price_revision": None}) == replace(record, price_revision=0)


@pytest.mark.parametrize("text", ["0", "1E-9", "-1E-9", "1.100000000", "99999999999999999999999999999.999999999"])
def test_an_amount_of_29_and_9_digits_fits(text: str) -> None:
    assert fits_numeric(Decimal(text))


@pytest.mark.parametrize("text", ["1E-10", "1.0000000000000000000000000000001", "1E+29", "NaN", "Infinity"])
def test_an_amount_of_more_digits_does_not_fit(text: str) -> None:
    assert not fits_numeric(Decimal(text))


def _assert_follows(row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> None:
    assert list(row) == [column["name"] for column in columns]
    for column in columns:
        value = row[column["name"]]
        assert value is None or type(value) is PYTHON_TYPES[column["type"]], column
        assert value is not None or column["mode"] == "NULLABLE", column


def test_a_field_that_may_be_none_is_nullable_and_no_other() -> None:
    optional = {field.name: "None" in str(field.type) for part in PARTS for field in fields(part)}
    of_a_unit = {field.name: "None" in str(field.type) for field in fields(UsedUnit)}

    for columns, may_be_none in ((schema(), optional), (UNIT_COLUMNS, of_a_unit)):
        for column in columns:
            if column["name"] in may_be_none:
                assert (column["mode"] == "NULLABLE") == may_be_none[column["name"]], column["name"]


def test_a_column_that_came_later_is_nullable_or_repeated() -> None:
    """BigQuery adds no REQUIRED column to a table that has rows."""
    modes = {column["name"]: column["mode"] for column in schema()}

    assert {modes[name] for name in LATER_COLUMNS} == {"NULLABLE", "REPEATED"}


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (datetime(2026, 11, 23, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1))), "2026-11-23T12:00:00.123Z"),
        (Decimal("1E-9"), "0.000000001"),
        (Decimal("1E+2"), "100"),
        (True, True),
        (None, None),
        ({"a": 1}, {"a": 1}),
        ([{"quantity": Decimal("1.50"), "unit": "seconds"}], [{"quantity": "1.50", "unit": "seconds"}]),
    ],
)
def test_cells_are_printed_as_json_can_hold_them(value: Any, cell: Any) -> None:
    assert cell_to_json(value) == cell
