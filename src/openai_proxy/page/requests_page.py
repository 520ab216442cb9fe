"""`/log/requests`: the requests of a choice, page by page, and its newest rows again for who looks on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from openai_proxy.page.asked import KEPT, page_of
from openai_proxy.page.choices import choice_of
from openai_proxy.page.exchange import Answer, RefusedError
from openai_proxy.page.exports import records_answer
from openai_proxy.page.paging import Paging
from openai_proxy.page.request_rows import SORTS, request_table
from openai_proxy.page.views import Column, Link, RequestsPage
from openai_proxy.page.visit import Visit
from openai_proxy.ports import Order
from openai_proxy.records import cell_to_json

ROWS = 50
_NEWEST = "-event_time"


def requests_answer(visit: Visit) -> Answer:
    """The page, or all of its requests as CSV or JSON.

    Raises:
        RefusedError: there is no such sort or page.
    """
    sort = _sort_of(visit)
    order = Order(cast("Any", sort.removeprefix("-")), is_descending=sort.startswith("-"))
    if visit.asked.form != "html":
        return records_answer(visit.ledger, visit.selection, order, visit.asked.form)
    number = page_of(visit.question.query.get("page", "").strip() or "1")
    records = list(visit.ledger.records(visit.selection, limit=ROWS, offset=(number - 1) * ROWS, order=order))
    tag = _tag_of(visit, records)
    if visit.question.if_none_match == tag:
        return Answer(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    page = _page(visit, records, number, sort)
    return Answer(template="requests.html", context={"page": page}, headers={"ETag": tag})


def _page(visit: Visit, records: Sequence[Mapping[str, Any]], number: int, sort: str) -> RequestsPage:
    breakdown = visit.breakdown()
    rows = breakdown.of(visit.selection).total.requests
    is_newest = number == 1 and sort == _NEWEST and visit.selection.period.until > visit.now
    exports = [Link(label=form.upper(), href=visit.asked.href(format=form)) for form in ("csv", "json")]
    return RequestsPage(
        frame=visit.frame("Requests"),
        choice=choice_of(visit, breakdown),
        table=request_table(
            visit,
            records,
            title=visit.subject().replace("usage", "requests").replace("Usage", "Requests"),
            columns=lambda name: _head(visit, name, sort),
            pages=Paging(number, ROWS, rows).pages(lambda page: visit.asked.href(page=str(page))),
            links=exports,
        ),
        refresh_href=visit.asked.href() if is_newest else None,
    )


def _sort_of(visit: Visit) -> str:
    sort = visit.question.query.get("sort", "").strip() or _NEWEST
    if sort.removeprefix("-") not in SORTS:
        text = f"sort must be one of {', '.join(SORTS)}; with - before it, the largest first."
        raise RefusedError(400, text, code="invalid_sort")
    return sort


def _head(visit: Visit, name: str, sort: str) -> Column:
    is_sorted, is_descending = sort.removeprefix("-") == name, sort.startswith("-")
    return Column(
        label=SORTS[name],
        href=visit.asked.href(sort=name if is_sorted and is_descending else f"-{name}"),
        order=("descending" if is_descending else "ascending") if is_sorted else None,
        is_number=name != "event_time",
    )


def _tag_of(visit: Visit, records: Sequence[Mapping[str, Any]]) -> str:
    """The same for as long as the same reader would see the same rows."""
    seen = [
        [cell_to_json(record[name]) for name in ("event_id", "event_type", "price_revision", "stored_time")]
        for record in records
    ]
    asked = {name: visit.question.query.get(name) for name in (*KEPT, "page")}
    about = [visit.reader.user_id, visit.reader.role, visit.reader.team_id, visit.zone.key, asked, seen]
    return f'"{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]}"'
