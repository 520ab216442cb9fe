"""The ledger as the command line prints it: JSON for programs, a table for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from openai_proxy.ports import SUMS, GroupBy, TagValues, UsageTotal
from openai_proxy.records import cell_to_json

_NAMES: Mapping[str, str] = {
    "user": "user_id",
    "team": "team_id",
    "key": "key_id",
    "model": "model",
    "operation": "operation_name",
    "status": "status",
    "hour": "hour",
    "day": "day",
    "month": "month",
    "end_user": "end_user_id",
}
TAG = "tag:"
"""Before a tag's name, where other groups can be named as well."""


def record_objects(records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, object]]:
    """Each record as a JSON object, keyed by column names."""
    for record in records:
        yield {name: cell_to_json(cell) for name, cell in record.items()}


def total_objects(totals: Iterable[UsageTotal], by: Sequence[GroupBy]) -> Iterator[dict[str, object]]:
    """Each sum as a JSON object, keyed by what it is grouped by and what is summed."""
    for total in totals:
        group = {_name(one): value for one, value in zip(by, total.group, strict=True)}
        yield group | {name: getattr(total, name) for name in SUMS}


def _name(group: GroupBy) -> str:
    return f"{TAG}{group.name}" if isinstance(group, TagValues) else _NAMES[group]


def json_array(objects: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """One JSON array, an object a line, in pieces: the ledger may be larger than memory."""
    before = "[\n"
    for item in objects:
        yield before + json.dumps(item, separators=(",", ":"))
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def table(objects: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """Aligned columns with a head, numbers to the right; nothing in a cell can steer the terminal."""
    rows = [{name: _cell(value) for name, value in item.items()} for item in objects]
    if not rows:
        yield "nothing\n"
        return
    right = {name for name, text in rows[0].items() if text.replace(".", "", 1).isdigit()}
    width = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    for row in ({name: name for name in rows[0]}, *rows):
        cells = [text.rjust(width[name]) if name in right else text.ljust(width[name]) for name, text in row.items()]
        yield "  ".join(cells).rstrip() + "\n"


def _cell(value: object) -> str:
    text = "-" if value is None else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)
