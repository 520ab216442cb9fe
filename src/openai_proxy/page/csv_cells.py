"""The ledger's records as CSV (RFC 4180) that a spreadsheet can open without running what a stranger wrote."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from openai_proxy.records import cell_to_json, schema

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - Excel reads full-width forms as their ASCII twins
"""https://owasp.org/www-community/attacks/CSV_Injection"""
_CHUNK_CHARACTERS = 32_768


def csv_cell(value: object) -> str:
    """One cell: numbers stay numbers, text that would begin a formula gets a leading apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list):
        return json.dumps(cell_to_json(value), separators=(",", ":"))
    if isinstance(value, str):
        return "'" + value if value.startswith(_FORMULA_STARTS) else value
    return str(cell_to_json(value))


def csv_chunks(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line of column names, then one line a record, in pieces of some 32 KB, so that memory stays flat."""
    names = [column["name"] for column in schema()]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(names)
    for record in records:
        writer.writerow([csv_cell(record[name]) for name in names])
        if buffer.tell() >= _CHUNK_CHARACTERS:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
