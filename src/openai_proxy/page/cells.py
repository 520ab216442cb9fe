"""Numbers, times and states of requests as the cells that the templates show. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from openai_proxy.page import text
from openai_proxy.page.views import Cell
from openai_proxy.ports import UsageTotal

NOTHING = "–"  # noqa: RUF001 - an en dash is meant
_ERROR = 400


def words(value: str | None, *, href: str | None = None, note: str | None = None, badge: str | None = None) -> Cell:
    """Text, or a dash where there is none."""
    return Cell(text=value or NOTHING, href=href, note=note, badge=badge)


def usd(amount: Decimal | str | None, *, share: float | None = None, note: str | None = None) -> Cell:
    """A list cost."""
    if amount is None:
        return Cell(text="unpriced", kind="usd", badge="unpriced", note=note)
    return Cell(text=text.cost(amount), kind="usd", exact=format(Decimal(amount), "f"), share=share, note=note)


def cost_of_total(total: UsageTotal, *, share: float | None = None) -> Cell:
    """The list cost of many; what of it has none is told."""
    if total.requests and total.unpriced == total.requests:
        return Cell(text="unpriced", kind="usd", badge="unpriced")
    note = f"{text.plural(total.unpriced, 'request', 'requests')} unpriced" if total.unpriced else None
    return usd(total.list_cost, share=share, note=note)


def count(number: int | None, *, href: str | None = None, note: str | None = None) -> Cell:
    """A number of requests, or of tokens."""
    exact = None if number is None else str(number)
    return Cell(text=text.count(number), kind="count", exact=exact, href=href, note=note)


def duration(ms: int | None) -> Cell:
    """How long something took."""
    return Cell(text=text.duration(ms), kind="ms", exact=None if ms is None else str(ms))


def percent(share: float, *, badge: str | None = None) -> Cell:
    """A part of a hundred, with its bar."""
    return Cell(
        text=f"{share:.0f} %", kind="percent", exact=f"{share:.1f}", share=round(min(share, 100.0), 1), badge=badge
    )


def moment(time: datetime | None, zone: tzinfo, *, now: datetime | None = None, href: str | None = None) -> Cell:
    """A time, in the reader's zone; with `now`, without its year where that is the present one."""
    if time is None:
        return Cell(text=NOTHING, href=href)
    local = time.astimezone(zone)
    year = "" if now is not None and local.year == now.astimezone(zone).year else f" {local.year}"
    return Cell(text=f"{local.day} {local:%b}{year} {local:%H:%M:%S}", time=local, exact=text.iso(time), href=href)


def status(record: Mapping[str, Any]) -> Cell:
    """How a request ended."""
    code = record["http_status_code"]
    if record["event_type"] == "started":
        return Cell(text="open", badge="open", note="it has not ended yet")
    if record["error_type"] or (code or 0) >= _ERROR:
        return Cell(text=str(code or "error"), badge="error", note=record["error_type"])
    return Cell(text=str(code or NOTHING), note="the client left" if record["client_disconnected"] else None)
