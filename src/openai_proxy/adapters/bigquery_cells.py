"""The ledger's cells in BigQuery: as `insertAll` takes them, and a row as Google's client gives it back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from openai_proxy.records import fits_numeric, schema

Row = Mapping[str, Any]
_Convert = Callable[[Any], Any]


def to_json_row(row: Row) -> Row:
    """A row as JSON can hold it: times and amounts as text.

    Raises:
        ValueError: an amount that the ledger cannot hold exactly.
    """
    return {name: None if value is None else _TO_JSON[name](value) for name, value in row.items()}


def from_client(found: Row) -> Row:
    """A row of a query, which may lack columns of a newer version; of a repeated column nothing is the empty list."""
    return {name: found.get(name) or [] if name in _REPEATED else found.get(name) for name in _TO_JSON}


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _json_text(value: object) -> str:
    return _text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _text(value: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate, which JSON can carry, becomes a question mark."""
    return value.encode("utf-8", "replace").decode()


def _same(value: Any) -> Any:  # noqa: ANN401 - goes as it is
    return value


def _numeric(name: str) -> _Convert:
    def convert(amount: Decimal) -> str:
        if not fits_numeric(amount):
            raise ValueError(f"{name} must be a multiple of 1e-9, below 1e29")
        return format(amount, "f")

    return convert


def _items(name: str, fields: Sequence[Row]) -> _Convert:
    converts = {field["name"]: _converter(field, f"{name}.") for field in fields}

    def convert(items: Sequence[Row]) -> list[Row]:
        return [{key: None if value is None else converts[key](value) for key, value in item.items()} for item in items]

    return convert


_BY_TYPE: Mapping[str, _Convert] = {"STRING": _text, "TIMESTAMP": _rfc3339, "JSON": _json_text}


def _converter(column: Row, prefix: str = "") -> _Convert:
    name = prefix + column["name"]
    if column["type"] == "RECORD":
        return _items(name, column["fields"])
    return _numeric(name) if column["type"] == "NUMERIC" else _BY_TYPE.get(column["type"], _same)


_TO_JSON = {column["name"]: _converter(column) for column in schema()}
_REPEATED = {column["name"] for column in schema() if column["mode"] == "REPEATED"}
