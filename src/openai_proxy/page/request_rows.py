"""The table of single requests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any

from openai_proxy.page import cells
from openai_proxy.page.views import Cell, Column, Link, Pages, Table
from openai_proxy.page.visit import Visit

SORTS: Mapping[str, str] = {
    "event_time": "Time",
    "list_cost": "List cost",
    "input_tokens": "Input tokens",
    "output_tokens": "Output tokens",
    "duration_ms": "Duration",
}
"""What requests can be sorted by, and the heads of those columns."""


def request_table(
    visit: Visit,
    records: Sequence[Mapping[str, Any]],
    *,
    title: str,
    columns: Callable[[str], Column],
    pages: Pages | None = None,
    links: Sequence[Link] = (),
) -> Table:
    """Requests, a row each; `columns` makes the head of one that can be sorted by."""
    with_user = not visit.scope.is_own and visit.selection.user_id is None
    heads = [
        columns("event_time"),
        *([Column(label="User")] if with_user else []),
        Column(label="Model"),
        Column(label="Endpoint"),
        Column(label="Tags"),
        *map(columns, ("input_tokens", "output_tokens", "list_cost")),
        Column(label="Source"),
        Column(label="Status"),
        columns("duration_ms"),
    ]
    rows = [_row(visit, record, with_user=with_user) for record in records]
    return Table(name="requests", title=title, columns=heads, rows=rows, pages=pages, links=links)


def plain_head(name: str) -> Column:
    """The head of a column that is not to be sorted by."""
    return Column(label=SORTS[name], is_number=name != "event_time")


def href_of(record: Mapping[str, Any]) -> str:
    """The address of one request; its day spares the ledger to look at all of them."""
    return f"/log/requests/{record['event_id']}?day={record['event_time'].astimezone(UTC):%Y-%m-%d}"


def model_of(record: Mapping[str, Any]) -> str | None:
    """Which model answered, or where none did which one was asked."""
    model: str | None = record["response_model"] or record["request_model"]
    return model


def cost_of(record: Mapping[str, Any]) -> Cell:
    """Its list cost, or why it has none."""
    is_open = record["event_type"] == "started"
    return cells.usd(record["list_cost"], note=None if is_open else record["unpriced_reason"])


def source_of(record: Mapping[str, Any]) -> Cell:
    """Where its amounts come from."""
    source: str = record["usage_source"]
    return Cell(text=source, badge="estimated" if source == "estimated" else None)


def _row(visit: Visit, record: Mapping[str, Any], *, with_user: bool) -> Sequence[Cell]:
    end_user = record["end_user_id"]
    user = cells.words(
        record["user_id"],
        href=visit.asked.href(user=record["user_id"]),
        note=f"for {end_user}" if end_user else None,
    )
    tags = record["tags"] or {}
    return [
        cells.moment(record["event_time"], visit.zone, now=visit.now, href=href_of(record)),
        *([user] if with_user else []),
        cells.words(model_of(record)),
        cells.words(record["operation_name"]),
        cells.words(", ".join(f"{name}={value}" for name, value in tags.items())),
        cells.count(record["input_tokens"]),
        cells.count(record["output_tokens"]),
        cost_of(record),
        source_of(record),
        cells.status(record),
        cells.duration(record["duration_ms"]),
    ]
