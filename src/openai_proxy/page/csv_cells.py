"""Rows as CSV (RFC 4180) that a spreadsheet can open without running what a stranger wrote."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from openai_proxy.records import cell_to_json, schema

_SIGNS = "=+\\-@＝＋－＠"  # noqa: RUF001 - Excel reads full-width forms as their ASCII twins
_FORMULA_START = re.compile(rf'[\t\r\n]|[\s"]*[{_SIGNS}]')
_LATER_START = re.compile(rf'([;\t\r\n|][\s"]*)(?=[{_SIGNS}])')
"""A spreadsheet that separates by semicolons, tabs or bars begins a cell there, quotes or not.

https://owasp.org/www-community/attacks/CSV_Injection
"""
_CHUNK_CHARACTERS = 32_768


def csv_cell(value: object) -> str:
    """One cell: numbers stay numbers; text gets an apostrophe where, however it is cut, a formula would begin."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list):
        value = json.dumps(cell_to_json(value), separators=(",", ":"))
    if isinstance(value, str):
        start = "'" if _FORMULA_START.match(value) else ""
        return start + _LATER_START.sub(r"\1'", value)
    return str(cell_to_json(value))


def csv_chunks(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The ledger's records, under the names of its columns."""
    names = [column["name"] for column in schema()]
    return csv_rows(names, ([record[name] for name in names] for record in records))


def csv_rows(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A line of names, then one line a row, in pieces of some 32 KB, so that memory stays flat."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow([csv_cell(name) for name in names])
    for row in rows:
        writer.writerow([csv_cell(value) for value in row])
        if buffer.tell() >= _CHUNK_CHARACTERS:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
