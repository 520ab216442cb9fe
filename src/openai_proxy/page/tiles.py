"""The numbers that the usage page begins with, how they compare, and what one should know of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from openai_proxy.page import cells
from openai_proxy.page.asked import Asked
from openai_proxy.page.periods import months_on
from openai_proxy.page.sums import cost_of
from openai_proxy.page.text import cost, count, plural
from openai_proxy.page.views import Fact, Tile
from openai_proxy.period import Period
from openai_proxy.ports import UsageTotal

_SOONEST_FORECAST = timedelta(days=1)  # a straight line through some hours says nothing of a month
_TENFOLD = 10


def tiles(total: UsageTotal, before: UsageTotal | None, asked: Asked, now: datetime) -> Sequence[Tile]:
    """Cost, requests, tokens, errors; `before` is the same of the period before."""

    def change(of: str) -> str | None:
        return None if before is None else change_of(Decimal(getattr(total, of)), Decimal(getattr(before, of)))

    forecast = forecast_of(cost_of(total), asked.selection.period, now) if asked.period_name == "month" else None
    costs = ["USD at list price, before any discount"]
    if forecast is not None:
        costs.append(f"{cost(forecast)} by the end of the month, if it goes on like this")
    errors = f"{total.errors / total.requests:.1%} of requests" if total.requests else ""
    return [
        Tile(label="List cost", value=cells.usd(total.list_cost), parts=costs, change=change("list_cost")),
        Tile(label="Requests", value=cells.count(total.requests), change=change("requests")),
        Tile(
            label="Input tokens",
            value=cells.count(total.input_tokens),
            parts=[f"{count(total.cache_read_input_tokens)} cached"],
            change=change("input_tokens"),
        ),
        Tile(
            label="Output tokens",
            value=cells.count(total.output_tokens),
            parts=[f"{count(total.reasoning_output_tokens)} reasoning"],
            change=change("output_tokens"),
        ),
        Tile(
            label="Errors",
            value=cells.count(total.errors),
            parts=[errors] if errors else [],
            change=change("errors"),
        ),
    ]


def change_of(now: Decimal, before: Decimal) -> str | None:
    """`+12 %`, `12 times as much`, `none before`; None where there was and is nothing."""
    if not before:
        return "none before" if now else None
    ratio = now / before
    if ratio >= _TENFOLD:
        return f"{ratio:,.0f} times as much"
    change = round((ratio - 1) * 100)
    return f"{'+' if change > 0 else '−' if change < 0 else '±'}{abs(change)} %"  # noqa: RUF001 - a minus sign is meant


def forecast_of(spent: Decimal, month: Period, now: datetime) -> Decimal | None:
    """What the running month comes to on a straight line; None while it is less than a day old."""
    passed = now - month.since
    if passed < _SOONEST_FORECAST:
        return None
    whole = months_on(month.since, 1) - month.since
    return spent * (Decimal(whole.total_seconds()) / Decimal(passed.total_seconds()))


def facts(total: UsageTotal, asked: Asked) -> Sequence[Fact]:
    """What is not known of these numbers, with links to exactly those requests."""

    def link(status: str) -> str:
        return asked.href("/log/requests", status=status, measure=None, by=None, sort=None)

    found = []
    if total.unpriced > total.open:
        requests = plural(total.unpriced, "request has", "requests have")
        some = (
            f"; {count(total.open)} of them {'has' if total.open == 1 else 'have'} not ended yet" if total.open else ""
        )
        text = (
            f"{requests} no known price, and the list cost is without {'it' if total.unpriced == 1 else 'them'}{some}."
        )
        found.append(Fact(text=text, badge="unpriced", href=link("unpriced")))
    if total.estimated:
        requests = plural(total.estimated, "request is", "requests are")
        text = f"{requests} counted by the proxy, because OpenAI did not say what was used."
        found.append(Fact(text=text, badge="estimated", href=link("estimated")))
    if total.open:
        requests = plural(total.open, "request has", "requests have")
        text = f"{requests} not ended yet; what {'it uses' if total.open == 1 else 'they use'} is not in these numbers."
        found.append(Fact(text=text, badge="open", href=link("open")))
    if total.errors:
        text = f"{plural(total.errors, 'request', 'requests')} went wrong."
        found.append(Fact(text=text, badge="error", href=link("error")))
    return found
