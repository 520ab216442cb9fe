"""`/log/requests/{event_id}`: everything that is known of one request, and where each number comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from openai_proxy.page import cells
from openai_proxy.page.asked import NAME
from openai_proxy.page.csv_cells import csv_chunks
from openai_proxy.page.exchange import Answer, RefusedError
from openai_proxy.page.request_rows import cost_of, model_of, source_of
from openai_proxy.page.views import Cell, Column, RequestPage, Table
from openai_proxy.page.visit import Visit
from openai_proxy.period import Period
from openai_proxy.records import cell_to_json

Row = Mapping[str, Any]
Known = Sequence[tuple[str, Cell]]
_TOKENS: Mapping[str, str] = {
    "input_tokens": "Input",
    "cache_read_input_tokens": "of input, read from the cache",
    "cache_write_input_tokens": "of input, written to the cache",
    "input_audio_tokens": "of input, audio",
    "output_tokens": "Output",
    "reasoning_output_tokens": "of output, reasoning",
    "output_audio_tokens": "of output, audio",
}
_DATED = "@"  # in the name of a price entry, before the day from which it holds


def request_answer(visit: Visit, event_id: str) -> Answer:
    """One request; what the reader may not see is as if it was not.

    Raises:
        RefusedError: there is none of that id, in the reader's scope.
    """
    period = _searched(visit)
    record = visit.ledger.record(event_id, period) if NAME.fullmatch(event_id) else None
    if record is None or not visit.scope.covers(user_id=record["user_id"], team_id=record["team_id"]):
        raise RefusedError(404, "There is no such request, or it is not one that you may see.", code="not_found")
    if visit.asked.form == "csv":
        return Answer(headers={"Content-Type": "text/csv; charset=utf-8"}, text=csv_chunks([record]))
    time = record["event_time"]
    revisions = visit.ledger.revisions(event_id, Period(time, time + timedelta(seconds=1)))
    if visit.asked.form == "json":
        return Answer(json={**_json(record), "revisions": [_json(one) for one in revisions]})
    page = RequestPage(
        frame=visit.frame("Request"),
        status=cells.status(record),
        groups=[
            ("Request", _request(visit, record)),
            ("Times", _times(visit, record)),
            ("Tokens", _tokens(record)),
            ("Cost", _cost(record)),
            ("Answer", _answer(record)),
        ],
        units=_units(record),
        revisions=_revisions(visit, revisions) if len(revisions) > 1 else None,
        back_href="/log/requests",
    )
    return Answer(template="request.html", context={"page": page})


def _searched(visit: Visit) -> Period:
    """The day that the address names, or all time."""
    text = visit.question.query.get("day", "").strip()
    if not text:
        return Period(visit.ever.since, visit.now + timedelta(days=1))
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        return Period(day, day + timedelta(days=1))
    except (ValueError, OverflowError):
        raise RefusedError(400, "day must be a date, as 2026-01-31; or leave it out.", code="invalid_day") from None


def _json(record: Row) -> dict[str, object]:
    return {name: cell_to_json(value) for name, value in record.items()}


def _request(visit: Visit, record: Row) -> Known:
    def link(**chosen: str | None) -> str:
        return visit.asked.href("/log", **chosen)

    model, user_id, team_id = model_of(record), record["user_id"], record["team_id"]
    tags = [
        ("Tag", cells.words(f"{name}={value}", href=link(tag=f"{name}={value}")))
        for name, value in (record["tags"] or {}).items()
    ]
    return [
        ("Id", Cell(text=record["event_id"])),
        ("User", cells.words(user_id, href=link(user=user_id))),
        ("Team", cells.words(team_id)),
        ("Key", cells.words(record["key_id"], href=link(user=user_id, key=record["key_id"]))),
        ("End user", cells.words(record["end_user_id"])),
        (
            "Endpoint",
            cells.words(f"{record['http_method']} {record['url_path']}", href=link(operation=record["operation_name"])),
        ),
        ("Model asked for", cells.words(record["request_model"])),
        ("Model that answered", cells.words(record["response_model"], href=link(model=model) if model else None)),
        ("Service tier", cells.words(record["service_tier"])),
        ("Streamed", cells.words("yes" if record["stream"] else "no")),
        ("Tries before", cells.count(record["retry_count"])),
        *tags,
    ]


def _times(visit: Visit, record: Row) -> Known:
    return [
        ("Received", cells.moment(record["event_time"], visit.zone)),
        ("Duration", cells.duration(record["duration_ms"])),
        ("Until the answer began", cells.duration(record["time_to_first_chunk_ms"])),
        ("Of it, waiting for OpenAI", cells.duration(record["upstream_ms"])),
        ("In the ledger since", cells.moment(record["stored_time"], visit.zone)),
    ]


def _tokens(record: Row) -> Known:
    always = ("input_tokens", "output_tokens")
    known = [
        (label, cells.count(record[name]))
        for name, label in _TOKENS.items()
        if name in always or record[name] is not None
    ]
    return [*known, ("Source", source_of(record))]


def _cost(record: Row) -> Known:
    reserved = record["reserved_cost"]
    known = [
        ("List cost", cost_of(record)),
        ("Currency", Cell(text=record["billing_currency"])),
        ("Price entry", cells.words(record["sku_price_id"])),
        ("Price table", cells.words(record["price_version"])),
    ]
    if reserved is not None:
        known.append(("Held on budgets", cells.usd(reserved, note=f"budget {record['budget_state'] or 'not asked'}")))
    return known


def _answer(record: Row) -> Known:
    return [
        ("Status", cells.status(record)),
        ("Error", cells.words(record["error_type"])),
        ("Client left before its end", cells.words("yes" if record["client_disconnected"] else "no")),
        ("OpenAI’s request id", cells.words(record["upstream_request_id"])),  # noqa: RUF001 - an apostrophe is meant
        ("OpenAI’s answer id", cells.words(record["response_id"])),  # noqa: RUF001 - an apostrophe is meant
        ("Region", cells.words(record["upstream_region"])),
        ("Key at OpenAI", cells.words(record["upstream_key"] or "the common one")),
    ]


def _units(record: Row) -> Table | None:
    if not record["units"]:
        return None
    heads = ("Unit", "Quantity", "Charged", "Price", "List cost", "Price entry", "Source")
    total = record["list_cost"]
    return Table(
        name="units",
        title="Cost line by line",
        columns=[Column(label=head, is_number=head in {"Quantity", "Charged", "Price", "List cost"}) for head in heads],
        rows=[_unit(unit, record["price_version"]) for unit in record["units"]],
        foot=[Cell(text="Sum"), *[Cell(text="")] * 3, cells.usd(total), *[Cell(text="")] * 2],
        note="What is charged with its whole, as reasoning tokens are with the output, has no price of its own.",
    )


def _unit(unit: Row, price_version: str | None) -> Sequence[Cell]:
    """One line; a price that has no day of its own is as old as the table that it stands in."""
    price, block = unit["list_unit_price"], unit["pricing_block_size"]
    entry, _, since = (unit["sku_price_id"] or "").partition(_DATED)
    priced = Cell(text=cells.NOTHING) if price is None else cells.usd(price, note=f"for {block or 1:,}")
    return [
        Cell(text=str(unit["unit"]).replace("_", " ")),
        _quantity(unit["quantity"]),
        _quantity(unit["charged_quantity"]),
        priced,
        cells.usd(unit["list_cost"]),
        cells.words(entry, note=f"since {since}" if since else price_version),
        source_of(unit),
    ]


def _quantity(quantity: Decimal | None) -> Cell:
    """A whole number, or seconds of sound and the like with their fraction."""
    if quantity is None:
        return Cell(text=cells.NOTHING, kind="count")
    if quantity == quantity.to_integral_value():
        return cells.count(int(quantity))
    return Cell(text=f"{quantity:,f}", kind="count", exact=format(quantity, "f"))


def _revisions(visit: Visit, revisions: Sequence[Row]) -> Table:
    heads = ("Revision", "List cost", "Price entry", "Price table", "Written")
    return Table(
        name="revisions",
        title="How it was priced",
        columns=[Column(label=head, is_number=head == "List cost") for head in heads],
        rows=[
            [
                Cell(text=str(one["price_revision"] or 0)),
                cost_of(one),
                cells.words(one["sku_price_id"]),
                cells.words(one["price_version"]),
                cells.moment(one["stored_time"], visit.zone),
            ]
            for one in revisions
        ],
        note="The last one stands.",
    )
