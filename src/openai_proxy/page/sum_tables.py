"""The tables of the usage page: sums by model, user, team, key, endpoint and tag, sorted and paged by the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from openai_proxy.page import cells
from openai_proxy.page.asked import page_of
from openai_proxy.page.exchange import RefusedError
from openai_proxy.page.groups import Grouping, grouping_of, of_tag, offered
from openai_proxy.page.paging import Paging
from openai_proxy.page.sums import Breakdown, cost_of, sum_of
from openai_proxy.page.views import Cell, Column, Link, Table
from openai_proxy.page.visit import Visit
from openai_proxy.ports import UsageTotal

ROWS = 10
_COLUMNS: Mapping[str, str] = {
    "list_cost": "List cost",
    "requests": "Requests",
    "input_tokens": "Input tokens",
    "cache_read_input_tokens": "Cached",
    "output_tokens": "Output tokens",
    "reasoning_output_tokens": "Reasoning",
    "errors": "Errors",
}
_NAME = "name"
_DEFAULT = "-list_cost"


def sort_of(visit: Visit) -> str:
    """How all tables of the page are sorted: a column's name, with a minus before it where the largest comes first.

    Raises:
        RefusedError: there is no such column.
    """
    sort = visit.question.query.get("sort", "").strip() or _DEFAULT
    if sort.removeprefix("-") not in {_NAME, *_COLUMNS}:
        known = ", ".join([_NAME, *_COLUMNS])
        raise RefusedError(
            400, f"sort must be one of {known}; with - before it, the largest first.", code="invalid_sort"
        )
    return sort


def groupings(visit: Visit, tags: Sequence[str]) -> Sequence[Grouping]:
    """What there is a table by."""
    return [*offered(visit.scope, visit.selection), *map(of_tag, tags)]


def totals_by(visit: Visit, grouping: Grouping, breakdown: Breakdown) -> Sequence[UsageTotal]:
    """The rows of one table; those by a tag are a question of their own."""
    if grouping.dimensions:
        return breakdown.by(*grouping.dimensions)
    return visit.ledger.totals(visit.selection, by=grouping.by)


def sum_table(visit: Visit, grouping: Grouping, totals: Sequence[UsageTotal], *, is_paged: bool = True) -> Table:
    """One table; `is_paged` False: all of its rows.

    Raises:
        RefusedError: there is no such sort or page.
    """
    sort = sort_of(visit)
    rows = _sorted(totals, grouping, sort)
    paged, number = page_asked(visit)
    paging = Paging(number if paged == grouping.name else 1, ROWS, len(rows))
    top = max(map(cost_of, rows), default=Decimal(0))
    name = f"by-{grouping.name.replace(':', '-').replace('_', '-')}"

    def href(**changes: str | None) -> str:
        return f"{visit.asked.href(**changes)}#{name}"

    return Table(
        name=name,
        title=f"By {grouping.label.lower()}",
        columns=[
            _column(grouping.label, _NAME, sort, href),
            *(_column(of, key, sort, href) for key, of in _COLUMNS.items()),
        ],
        rows=[_row(visit, grouping, total, top) for total in (paging.slice(rows) if is_paged else rows)],
        foot=[Cell(text="Sum"), *_sums(visit, sum_of((), rows), {})] if len(rows) > 1 else (),
        pages=paging.pages(lambda page: href(page=f"{grouping.name}.{page}")) if is_paged else None,
        links=[
            Link(label=form.upper(), href=visit.asked.href(table=grouping.name, format=form))
            for form in ("csv", "json")
        ],
    )


def page_asked(visit: Visit) -> tuple[str, int]:
    """Which table is not on its first page, and on which it is; any, and 1, where nothing is said.

    Raises:
        RefusedError: there is no such table or page.
    """
    text = visit.question.query.get("page", "").strip()
    if not text:
        return "", 1
    name, _, number = text.rpartition(".")
    if grouping_of(name, ("",), parameter="page") is None:
        raise RefusedError(400, "page must be a table and the number of its page, as model.2.", code="invalid_page")
    return name, page_of(number)


def _sorted(totals: Sequence[UsageTotal], grouping: Grouping, sort: str) -> Sequence[UsageTotal]:
    by, is_descending = sort.removeprefix("-"), sort.startswith("-")
    named = sorted(totals, key=lambda total: (grouping.named(total.group).lower(), grouping.named(total.group)))
    if by == _NAME:
        return named[::-1] if is_descending else named

    def value(total: UsageTotal) -> Any:  # noqa: ANN401 - a cost or a count
        return (cost_of(total), total.requests) if by == "list_cost" else getattr(total, by)

    return sorted(named, key=value, reverse=is_descending)


def _column(label: str, key: str, sort: str, href: Callable[..., str]) -> Column:
    is_sorted, is_descending = sort.removeprefix("-") == key, sort.startswith("-")
    first = key if key == _NAME else f"-{key}"
    turned = key if is_descending else f"-{key}"
    return Column(
        label=label,
        href=href(sort=turned if is_sorted else first),
        order=("descending" if is_descending else "ascending") if is_sorted else None,
        is_number=key != _NAME,
    )


def _row(visit: Visit, grouping: Grouping, total: UsageTotal, top: Decimal) -> Sequence[Cell]:
    chosen = grouping.filter(total.group)
    name = cells.words(grouping.named(total.group), href=visit.asked.href(**chosen) if chosen else None)
    share = round(float(cost_of(total) / top) * 100, 1) if top else None
    return [name, *_sums(visit, total, chosen, share)]


def _sums(visit: Visit, total: UsageTotal, chosen: Mapping[str, str], share: float | None = None) -> Sequence[Cell]:
    of_errors: dict[str, str | None] = {**chosen, "status": "error", "measure": None, "by": None, "sort": None}
    return [
        cells.cost_of_total(total, share=share),
        cells.count(total.requests),
        cells.count(total.input_tokens),
        cells.count(total.cache_read_input_tokens),
        cells.count(total.output_tokens),
        cells.count(total.reasoning_output_tokens),
        cells.count(
            total.errors, href=visit.asked.href("/log/requests", **of_errors) if total.errors and chosen else None
        ),
    ]
