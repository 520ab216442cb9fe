"""`/log`: what was used and what it cost, for whom the page is about; as a page, or as CSV and JSON of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openai_proxy.page.budgets_left import budgets_left, near_limits
from openai_proxy.page.charts import Drawn, chart
from openai_proxy.page.choices import choice_of
from openai_proxy.page.exchange import Answer
from openai_proxy.page.exports import records_answer, table_answer
from openai_proxy.page.groups import grouping_of, tag_names
from openai_proxy.page.periods import before
from openai_proxy.page.request_rows import plain_head, request_table
from openai_proxy.page.sum_tables import groupings, page_asked, sort_of, sum_table, totals_by
from openai_proxy.page.sums import Breakdown
from openai_proxy.page.tiles import facts, tiles
from openai_proxy.page.usage_report import UsageReport
from openai_proxy.page.views import Link, Table, UsagePage
from openai_proxy.page.visit import Visit
from openai_proxy.ports import NEWEST_FIRST, UsageTotal

LATEST = 10
_LATEST_JSON = 50
_MOST_TAGS = 1  # with a table: each is a question of its own, which no sums of days answer
_TABLES = ("chart", "near-limits")


def usage_answer(visit: Visit) -> Answer:
    """The page, one table of it, all of its requests, or its sums.

    Raises:
        RefusedError: a parameter is not what it may be; the text says what that is.
    """
    drawn, table, form = Drawn.of(visit), visit.question.query.get("table", "").strip(), visit.asked.form
    sort_of(visit)
    page_asked(visit)
    if table and form != "html":
        return table_answer(_table(visit, table, drawn), visit.selection.period, form)
    if form == "csv":
        return records_answer(visit.ledger, visit.selection, NEWEST_FIRST, form)
    if form == "json":
        return Answer(json=_report(visit).to_json())
    return _page(visit, drawn)


def _page(visit: Visit, drawn: Drawn) -> Answer:
    breakdown = visit.breakdown()
    chosen = breakdown.of(visit.selection)
    total = chosen.total
    latest = list(visit.ledger.records(visit.selection, limit=_LATEST_JSON))
    tags = tag_names(latest, visit.asked, drawn.grouping)
    near = near_limits(visit)
    page = UsagePage(
        frame=visit.frame(visit.subject()),
        choice=choice_of(visit, breakdown),
        tiles=tiles(total, _before(visit), visit.asked, visit.now),
        budgets=budgets_left(visit),
        facts=facts(total, visit.asked),
        chart=chart(visit, drawn, tags) if total.requests else None,
        tables=[*([near] if near else []), *_tables(visit, chosen, tags[:_MOST_TAGS])],
        latest=_latest(visit, latest) if latest else None,
        base_url=visit.question.base_url,
    )
    is_first = not total.requests and not visit.asked.has_filters and _is_empty(visit)
    return Answer(template="first_visit.html" if is_first else "usage.html", context={"page": page})


def _tables(visit: Visit, chosen: Breakdown, tags: Sequence[str]) -> Sequence[Table]:
    if not chosen.totals:
        return []
    return [sum_table(visit, one, totals_by(visit, one, chosen)) for one in groupings(visit, tags)]


def _before(visit: Visit) -> UsageTotal | None:
    period = before(visit.asked.period_name, visit.selection.period, visit.now)
    if period is None:
        return None
    return visit.ledger.totals(visit.selection_in(period), by=())[0]


def _latest(visit: Visit, records: Sequence[Mapping[str, Any]]) -> Table:
    href = visit.asked.href("/log/requests", measure=None, by=None, sort=None)
    return request_table(
        visit,
        records[:LATEST],
        title="Latest requests",
        columns=plain_head,
        links=[Link(label="All requests", href=href)],
    )


def _is_empty(visit: Visit) -> bool:
    """Whether the ledger never had anything of whom the page is about."""
    return not any(visit.ledger.records(visit.selection_in(visit.ever), limit=1))


def _table(visit: Visit, name: str, drawn: Drawn) -> Table:
    """One table with all of its rows, by the name that its links have."""
    grouping = grouping_of(name, _TABLES, parameter="table")
    if grouping is not None:
        totals = totals_by(visit, grouping, visit.breakdown().of(visit.selection))
        return sum_table(visit, grouping, totals, is_paged=False)
    drawing = chart(visit, drawn, ()) if name == "chart" else None
    found = drawing.table if drawing else near_limits(visit) if name != "chart" else None
    return found or Table(name=name, title="", columns=(), rows=())


def _report(visit: Visit) -> UsageReport:
    breakdown = visit.breakdown().of(visit.selection)
    return UsageReport(
        selection=visit.selection,
        by_day_and_model=visit.ledger.totals(visit.selection, by=("day", "model")),
        tables={one.name: totals_by(visit, one, breakdown) for one in groupings(visit, ())},
        latest=list(visit.ledger.records(visit.selection, limit=_LATEST_JSON)),
    )
