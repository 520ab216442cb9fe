"""How `/log` writes amounts, counts and times for people. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from openai_proxy.period import Period

_SMALLEST = Decimal("0.000001")
_MS = 1000
_MINUTE = 60


def cost(amount: Decimal | str) -> str:
    """An amount in USD: cents from a dollar up, else two significant digits: $1,204.50, $0.42, $0.0042."""
    value = Decimal(amount)
    if 0 < value < _SMALLEST:
        return "<$0.000001"
    places = max(2, 1 - value.adjusted()) if value else 2
    return f"${value:,.{places}f}"


def count(number: int | None) -> str:
    """A whole number with thousands separators; a dash where it is not known."""
    return "–" if number is None else f"{number:,}"  # noqa: RUF001 - an en dash is meant


def plural(number: int, one: str, many: str) -> str:
    """`1 request`, `2,000 requests`."""
    return f"{number:,} {one if number == 1 else many}"


def duration(ms: int | None) -> str:
    """Milliseconds in the unit that a person would say."""
    if ms is None:
        return "–"  # noqa: RUF001 - an en dash is meant
    if ms < _MS:
        return f"{ms} ms"
    if ms < _MINUTE * _MS:
        return f"{ms / _MS:.1f} s"
    minutes, seconds = divmod(round(ms / _MS), _MINUTE)
    return f"{minutes:,} min {seconds} s"


def period(value: Period) -> str:
    """A period as a person would say it: whole days inclusive, anything else to the minute."""
    if all(moment == _midnight(moment) for moment in (value.since, value.until)):
        last = value.until - timedelta(days=1)
        first = f"{value.since.day} {value.since:%b %Y}"
        return first if last == value.since else f"{first} to {last.day} {last:%b %Y}"
    return f"{value.since:%Y-%m-%d %H:%M} to {value.until:%Y-%m-%d %H:%M}"


def iso(value: datetime) -> str:
    """A time in UTC as RFC 3339, to the last digit, for `<time datetime>` and links."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _midnight(value: datetime) -> datetime:
    return value.replace(hour=0, minute=0, second=0, microsecond=0)
