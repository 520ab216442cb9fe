"""What a page shows as CSV and JSON: the same rows, all of them, sent as they are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import chain
from typing import Any

from openai_proxy.page.csv_cells import csv_chunks, csv_rows
from openai_proxy.page.exchange import Answer
from openai_proxy.page.views import Cell, Table
from openai_proxy.period import Period
from openai_proxy.ports import Order, Selection, UsageLedger
from openai_proxy.records import cell_to_json

_CHUNK_RECORDS = 20
_MOMENT = timedelta(microseconds=1)  # the end of a period is not in it


def records_answer(ledger: UsageLedger, selection: Selection, order: Order, form: str) -> Answer:
    """All records of a selection, one at a time from the ledger."""
    records = iter(ledger.records(selection, limit=None, order=order))
    first = next(records, None)  # an unreadable ledger must be known before the status is sent
    found: Iterable[Mapping[str, Any]] = [] if first is None else chain([first], records)
    if form == "csv":
        return _file(csv_chunks(found), "usage", selection.period, "csv")
    return _file(_json_chunks(found), "usage", selection.period, "json")


def table_answer(table: Table, period: Period, form: str) -> Answer:
    """A table as it is shown, its numbers to the last digit."""
    names = [column.label for column in table.columns]
    if form == "csv":
        rows = ([_plain(cell) for cell in row] for row in table.rows)
        return _file(csv_rows(names, rows), table.name, period, "csv")
    return Answer(json=[dict(zip(names, map(_plain, row), strict=True)) for row in table.rows])


def _plain(cell: Cell) -> str | int | None:
    """Counts and durations as whole numbers, amounts as decimal text, what is not known as nothing."""
    if cell.kind in {"count", "ms"}:
        return None if cell.exact is None else int(cell.exact)
    return cell.exact if cell.exact is not None or cell.kind == "usd" else cell.text


def _file(text: Iterator[str], name: str, period: Period, form: str) -> Answer:
    first, last = (f"{time.date().isoformat().replace('-', '')}" for time in (period.since, period.until - _MOMENT))
    file_name = f"{name}_{first}_{last}.{form}"
    return Answer(
        headers={
            "Content-Type": "text/csv; charset=utf-8" if form == "csv" else "application/json",
            "Content-Disposition": f'attachment; filename="{file_name}"',
        },
        text=text,
    )


def _json_chunks(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One array of the records, in pieces, so that memory stays flat."""
    held, before = ["["], "\n"
    for record in records:
        held.append(before + json.dumps({name: cell_to_json(value) for name, value in record.items()}))
        before = ",\n"
        if len(held) > _CHUNK_RECORDS:
            yield "".join(held)
            held.clear()
    held.append("\n]\n")
    yield "".join(held)
