"""What a selection and its groups are in SQLite, in the words of `queries/sqlite/requests.sql`.

All text is fixed and of this module; every value is bound.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from openai_proxy.adapters.sqlite_table import Cell, microseconds, time_of
from openai_proxy.period import Period
from openai_proxy.ports import GroupBy, Order, Selection, Status, TagValues

_HOUR, _DAY = (int(span / timedelta(microseconds=1)) for span in (timedelta(hours=1), timedelta(days=1)))

_CONDITIONS: Mapping[str, str] = {
    "user_id": "user_id = :user_id",
    "team_id": "team_id = :team_id",
    "key_id": "key_id = :key_id",
    "model": "model = :model",
    "operation": "operation_name = :operation",
}
_STATUSES: Mapping[Status, str] = {
    "ok": "status = 'ok'",
    "error": "status = 'error'",
    "open": "status = 'open'",
    "unpriced": "NOT priced",
    "estimated": "estimated",
}
_GROUPS: Mapping[str, str] = {
    "user": "user_id",
    "team": "team_id",
    "key": "key_id",
    "model": "model",
    "operation": "operation_name",
    "status": "status",
    "hour": f"event_time / {_HOUR} - (event_time % {_HOUR} < 0)",  # since 1970, rounded down
    "day": "day",
    "month": "strftime('%Y-%m', day * 86400, 'unixepoch')",
}


def conditions(selection: Selection, present: Collection[str]) -> str:
    """What more than the period a record must have, to stand after it; `present` are the table's columns."""
    found = [text for name, text in _CONDITIONS.items() if getattr(selection, name) is not None]
    if selection.status is not None:
        found.append(_STATUSES[selection.status])
    if selection.tag is not None:
        found.append(f"json_extract({column('tags', present)}, :tag_path) = :tag_value")
    return "".join(f" AND {text}" for text in found)


def values(selection: Selection) -> dict[str, Cell]:
    """What is bound in them."""
    found: dict[str, Cell] = {name: getattr(selection, name) for name in _CONDITIONS}
    if selection.tag is not None:
        found |= {"tag_path": _path(selection.tag.name), "tag_value": selection.tag.value}
    return found | bounds(selection.period)


def bounds(period: Period) -> dict[str, Cell]:
    """The period, as it is bound."""
    return {"since": microseconds(period.since), "until": microseconds(period.until)}


def groups(by: Sequence[GroupBy], present: Collection[str]) -> str:
    """The columns that are grouped by, each with a comma behind it."""
    return "".join(f"{_group(name, present)}, " for name in by)


def group_values(by: Sequence[GroupBy]) -> dict[str, Cell]:
    """What is bound in them."""
    return next(({"group_path": _path(name.name)} for name in by if isinstance(name, TagValues)), {})


def named(by: Sequence[GroupBy], cells: Sequence[str | int | None]) -> tuple[str | None, ...]:
    """A group as the port has it; `cells` begin with it."""
    return tuple(map(_named, by, cells))


def order_by(order: Order) -> str:
    """How records are sorted before the newest comes first; what is not known comes last either way."""
    return f"{order.by} {'DESC' if order.is_descending else 'ASC'} NULLS LAST"


def column(name: str, present: Collection[str]) -> str:
    """A column, or nothing where an older program has not made it yet."""
    return name if name in present else "NULL"


def _group(name: GroupBy, present: Collection[str]) -> str:
    if isinstance(name, TagValues):
        return f"json_extract({column('tags', present)}, :group_path)"
    return column("end_user_id", present) if name == "end_user" else _GROUPS[name]


def _named(name: GroupBy, cell: str | int | None) -> str | None:
    if isinstance(cell, int):
        time = time_of(cell * (_HOUR if name == "hour" else _DAY)).replace(tzinfo=None)
        return time.isoformat(timespec="hours") if name == "hour" else time.date().isoformat()
    return cell


def _path(tag_name: str) -> str:
    return f'$."{tag_name}"'
