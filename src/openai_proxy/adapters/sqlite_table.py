"""The ledger's tables in SQLite: their columns from the schema file, their cells from a row and back.

Times are microseconds since 1970 and amounts are 1e-9 dollars, both 64-bit integers, so that sums are exact and fast.
`units` is a JSON array of objects; an amount in it is decimal text, exact to read, and a number to SQLite's sum().

`usage_records` has one row a request. What a price revision takes the place of goes to `usage_record_revisions`, so
that the one table stays as small, and its indexes as fast, as if nothing were ever priced again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from openai_proxy.records import cell_to_json, fits_numeric, schema

Row = Mapping[str, Any]
Cell = str | int | None
_Convert = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST_INTEGER = 2**63 - 1

# The tables, from the schema

NAMES = tuple(column["name"] for column in schema())
"""The columns in the schema's order."""

_TYPES = {"STRING": "TEXT", "JSON": "TEXT", "TIMESTAMP": "INTEGER", "INTEGER": "INTEGER", "BOOLEAN": "INTEGER"}
_TYPES |= {"NUMERIC": "INTEGER", "RECORD": "TEXT"}


def _definition(column: Mapping[str, Any]) -> str:
    return f"{column['name']} {_TYPES[column['type']]}"


def _columns() -> str:
    return ", ".join(_definition(column) + (" NOT NULL" if column["mode"] == "REQUIRED" else "") for column in schema())


_CREATE_TABLES = (
    f"CREATE TABLE IF NOT EXISTS usage_records ({_columns()}, PRIMARY KEY (event_id))",
    # Without NOT NULL: a row may come from before one of the columns
    f"CREATE TABLE IF NOT EXISTS usage_record_revisions ({', '.join(map(_definition, schema()))})",
)
_CREATE_INDEXES = (
    # All that `totals` reads: a month's sums touch this index alone, a tenth of the table's pages
    (
        "CREATE INDEX IF NOT EXISTS usage_records_by_time ON usage_records (event_time, user_id, team_id, key_id,"
        " operation_name, response_model, request_model, input_tokens, cache_read_input_tokens, output_tokens,"
        " reasoning_output_tokens, list_cost, priced, usage_source, event_type, error_type, http_status_code)"
    ),
    # All that `spend` reads, a thirtieth of the table's pages each; the first one serves a user's `records` as well
    *(
        f"CREATE INDEX IF NOT EXISTS usage_records_spent_by_{name} ON usage_records"
        f" ({columns}, list_cost, reserved_cost, instance_id)"
        for name, columns in {
            "user": "user_id, event_time",
            "team": "team_id, event_time",
            "time": "event_time",
        }.items()
    ),
    # Those few that are open, which usage_days leaves out
    "CREATE INDEX IF NOT EXISTS usage_records_open ON usage_records (event_time) WHERE event_type = 'started'",
    "DROP INDEX IF EXISTS usage_records_by_user",  # of the first version: the one above is as good
    "CREATE INDEX IF NOT EXISTS usage_record_revisions_by_event ON usage_record_revisions (event_id)",
)


def make_tables(connection: sqlite3.Connection) -> None:
    """Make what is not there yet: tables, indexes, and columns that an older version had not."""
    for statement in _CREATE_TABLES:
        connection.execute(statement)
    for table in ("usage_records", "usage_record_revisions"):
        present = columns(connection, table)
        for column in schema():
            if column["name"] not in present:
                # Without NOT NULL: the rows that are there have no value for it
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {_definition(column)}")
    for statement in _CREATE_INDEXES:
        connection.execute(statement)


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """The names of a table's columns; empty while there is no such table."""
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


# Cells, from a row and back


def to_cells(row: Row) -> list[Cell]:
    """The row as the tables keep it, in the order of `NAMES`.

    Raises:
        ValueError: an amount that the ledger cannot hold exactly.
    """
    return [None if row[name] is None else _TO_CELL[name](row[name]) for name in NAMES]


def from_cells(cells: Sequence[Any]) -> Row:
    """The row of `to_cells`; NULL is None, and of a repeated column the empty list."""
    return {name: _FROM_CELL[name](cell) for name, cell in zip(NAMES, cells, strict=True)}


def microseconds(time: datetime) -> int:
    """A time as its cell."""
    return (time - _EPOCH) // _MICROSECOND


def time_of(cell: int) -> datetime:
    """The time of a cell."""
    return _EPOCH + cell * _MICROSECOND


def amount_of(cell: int) -> Decimal:
    """The amount of a cell, or of a sum of cells."""
    return Decimal(cell).scaleb(-9).normalize()


def _nanodollars(name: str) -> _Convert:
    def convert(amount: Decimal) -> int:
        with localcontext(prec=50):
            nanodollars = amount.scaleb(9)
            if nanodollars != nanodollars.to_integral_value() or abs(nanodollars) > _LARGEST_INTEGER:
                raise ValueError(f"{name} must be a multiple of 1e-9, below 9.2e9")
        return int(nanodollars)

    return convert


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _items(items: Sequence[Row]) -> str:
    for item in items:
        for name, value in item.items():
            if isinstance(value, Decimal) and not fits_numeric(value):
                raise ValueError(f"units.{name} must be a multiple of 1e-9, below 1e29")
    return _json(cell_to_json(list(items)))


def _read_items(column: Mapping[str, Any]) -> _Convert:
    amounts = {field["name"] for field in column["fields"] if field["type"] == "NUMERIC"}

    def read(cell: str | None) -> list[dict[str, Any]]:
        return [
            {name: Decimal(value) if name in amounts and value is not None else value for name, value in item.items()}
            for item in json.loads(cell or "[]")
        ]

    return read


def _text(value: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate, which JSON can carry, becomes a question mark."""
    return value.encode("utf-8", "replace").decode()


def _same(value: Any) -> Any:  # noqa: ANN401 - goes as it is
    return value


_WRITE: Mapping[str, _Convert] = {
    "STRING": _text,
    "TIMESTAMP": microseconds,
    "JSON": _json,
    "RECORD": _items,
    "BOOLEAN": int,
}
_READ: Mapping[str, _Convert] = {"TIMESTAMP": time_of, "NUMERIC": amount_of, "JSON": json.loads, "BOOLEAN": bool}


def _writer(column: Mapping[str, Any]) -> _Convert:
    return _nanodollars(column["name"]) if column["type"] == "NUMERIC" else _WRITE.get(column["type"], _same)


def _reader(column: Mapping[str, Any]) -> _Convert:
    if column["type"] == "RECORD":
        return _read_items(column)
    convert = _READ.get(column["type"], _same)
    return lambda cell: None if cell is None else convert(cell)


_TO_CELL = {column["name"]: _writer(column) for column in schema()}
_FROM_CELL = {column["name"]: _reader(column) for column in schema()}
