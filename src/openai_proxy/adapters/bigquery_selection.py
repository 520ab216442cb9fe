"""What a selection and its groups are in BigQuery, in the words of `queries/bigquery/requests.sql`.

All text is fixed and of this module; every value is a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from google.cloud.bigquery import ScalarQueryParameter

from openai_proxy.ports import GroupBy, Order, Selection, Status, TagValues

_CONDITIONS: Mapping[str, str] = {
    "user_id": "user_id = @user_id",
    "team_id": "team_id = @team_id",
    "key_id": "key_id = @key_id",
    "model": "model = @model",
    "operation": "operation_name = @operation",
}
_STATUSES: Mapping[Status, str] = {
    "ok": "status = 'ok'",
    "error": "status = 'error'",
    "open": "status = 'open'",
    "unpriced": "NOT priced",
    "estimated": "usage_source = 'estimated'",
}
_GROUPS: Mapping[str, str] = {
    "user": "user_id",
    "team": "team_id",
    "key": "key_id",
    "model": "model",
    "operation": "operation_name",
    "status": "status",
    "hour": "FORMAT_TIMESTAMP('%Y-%m-%dT%H', event_time)",
    "day": "FORMAT_TIMESTAMP('%F', event_time)",
    "month": "FORMAT_TIMESTAMP('%Y-%m', event_time)",
    "end_user": "end_user_id",
}


def conditions(selection: Selection) -> str:
    """What more than the period a record must have, to stand after it."""
    found = [text for name, text in _CONDITIONS.items() if getattr(selection, name) is not None]
    if selection.status is not None:
        found.append(_STATUSES[selection.status])
    if selection.tag is not None:
        found.append("JSON_VALUE(tags, @tag_path) = @tag_value")
    return "".join(f" AND {text}" for text in found)


def parameters(selection: Selection) -> Iterator[ScalarQueryParameter]:
    """What stands for the values in them."""
    for name in _CONDITIONS:
        if getattr(selection, name) is not None:
            yield ScalarQueryParameter(name, "STRING", getattr(selection, name))
    if selection.tag is not None:
        yield ScalarQueryParameter("tag_path", "STRING", _path(selection.tag.name))
        yield ScalarQueryParameter("tag_value", "STRING", selection.tag.value)


def groups(by: Sequence[GroupBy]) -> str:
    """The columns that are grouped by, each with a comma behind it."""
    return "".join(f"{_group(name)} AS {_column(number)}, " for number, name in enumerate(by))


def group_parameters(by: Sequence[GroupBy]) -> Iterator[ScalarQueryParameter]:
    """What stands for the tag's name in them."""
    return (ScalarQueryParameter("group_path", "STRING", _path(tag.name)) for tag in by if isinstance(tag, TagValues))


def grouping(by: Sequence[GroupBy]) -> str:
    """How they are grouped and ordered; what is not known comes first."""
    columns = ", ".join(_column(number) for number in range(len(by)))
    return f"GROUP BY {columns} ORDER BY {columns}" if by else ""


def named(by: Sequence[GroupBy], row: Mapping[str, str | None]) -> tuple[str | None, ...]:
    """A group as the port has it."""
    return tuple(row[_column(number)] for number in range(len(by)))


def order_by(order: Order) -> str:
    """How records are sorted before the newest comes first; what is not known comes last either way."""
    return f"{order.by} {'DESC' if order.is_descending else 'ASC'} NULLS LAST"


def _group(name: GroupBy) -> str:
    return "JSON_VALUE(tags, @group_path)" if isinstance(name, TagValues) else _GROUPS[name]


def _column(number: int) -> str:
    return f"group_{number}"


def _path(tag_name: str) -> str:
    return f"$.{tag_name}"
