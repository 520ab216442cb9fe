"""Which stretch of time a reader asks for: `period=7d`, or `since=` and `until=`; always UTC."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from openai_proxy.period import Period

DEFAULT = "30d"
NAMES: Mapping[str, str] = {
    "today": "Today",
    "7d": "7 days",
    "30d": "30 days",
    "month": "This month",
    "last_month": "Last month",
    "12m": "12 months",
    "all": "All",
}
"""What `period=` may be, and what a person reads."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MONTHS = 12
_FORM = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d))?", re.ASCII)
_DATE = len("2026-01-31")
_BOUNDS: Mapping[str, Callable[[datetime], tuple[datetime, datetime]]] = {
    "today": lambda today: (today, today + _DAY),
    "7d": lambda today: (today - 6 * _DAY, today + _DAY),
    "30d": lambda today: (today - 29 * _DAY, today + _DAY),
    "month": lambda today: (today.replace(day=1), today + _DAY),
    "last_month": lambda today: (months_on(today, -1), today.replace(day=1)),
    "12m": lambda today: (months_on(today, 1 - _MONTHS), today + _DAY),
    "all": lambda today: (BEGINNING, today + _DAY),
}


class PeriodError(ValueError):
    """The period asked for is none; the message says which parameter, and what it may be."""


def parse_period(parameters: Mapping[str, str], now: datetime) -> tuple[str | None, Period]:
    """The name (None for `since`/`until`) and the bounds of the period asked for.

    Named periods count the present UTC day, but for the last month. A date is that whole day, so both days are
    included, as people choose dates; of times, `since` is included and `until` is not. `since` or `until` set `period`
    aside; an empty parameter counts as not given.

    Raises:
        PeriodError: an unknown name, something that is no date or time, or bounds in the wrong order.
    """
    today = midnight(now.astimezone(UTC))
    since, until = (parameters.get(name, "").strip() for name in ("since", "until"))
    if since or until:
        end = _time("until", until) if until else today + _DAY
        if len(until) == _DATE:
            end = min(end, datetime.max.replace(tzinfo=UTC) - _DAY) + _DAY
        period = Period(_time("since", since) if since else BEGINNING, end)
        if period.since >= period.until:
            raise PeriodError("since must not be after until; a date is its whole day, of times until is not included")
        return None, period
    name = parameters.get("period", "").strip() or DEFAULT
    if name not in _BOUNDS:
        raise PeriodError(f"period must be one of {', '.join(_BOUNDS)}; or give since and until")
    return name, Period(*_BOUNDS[name](today))


def before(name: str | None, period: Period, now: datetime) -> Period | None:
    """The period before, as long as what has passed of this one; None where there is none.

    A month, or twelve, are held against those before them: the first nine days of this month against the first nine
    of the last one, or all of it where it is shorter.
    """
    passed = min(period.until, now) - period.since
    try:
        if name in {"month", "last_month"}:
            since, end = months_on(period.since, -1), period.since
        elif name == "12m":
            since, end = months_on(period.since, -_MONTHS), period.since
        else:
            since, end = period.since - (period.until - period.since), period.since
        until = min(since + passed, end)
    except OverflowError:
        return None
    return Period(since, until) if name != "all" and since < until else None


def midnight(time: datetime) -> datetime:
    """The beginning of its day."""
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def months_on(day: datetime, months: int) -> datetime:
    """The first day of the month that comes so many months after that of `day`."""
    years, month = divmod(day.month - 1 + months, _MONTHS)
    try:
        return midnight(day).replace(year=day.year + years, month=month + 1, day=1)
    except ValueError:
        raise OverflowError("a month that no calendar has") from None


def _time(name: str, text: str) -> datetime:
    text = re.sub(r" (?=\d\d:\d\d$)", "+", text)  # a "+01:00" that came through a URL as it stands
    if not _FORM.fullmatch(text):
        raise PeriodError(f"{name} must be a date, as 2026-01-31, or a time with its zone, as 2026-01-31T12:00:00Z")
    try:
        time = datetime.fromisoformat(text.upper())
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise PeriodError(f"{name} is not a day or time that exists") from None
