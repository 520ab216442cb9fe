"""Which stretch of time a reader asks for: `period=7d`, or `since=` and `until=`; always UTC."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from openai_proxy.period import Period

DEFAULT = "30d"
NAMES: Mapping[str, str] = {"today": "Today", "7d": "7 days", "30d": "30 days", "month": "This month", "all": "All"}
"""What `period=` may be, and what a person reads."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d))?", re.ASCII)
_SINCE: Mapping[str, Callable[[datetime], datetime]] = {
    "today": lambda today: today,
    "7d": lambda today: today - timedelta(days=6),
    "30d": lambda today: today - timedelta(days=29),
    "month": lambda today: today.replace(day=1),
    "all": lambda _: BEGINNING,
}


class PeriodError(ValueError):
    """The period asked for is none; the message says which parameter, and what it may be."""


def parse_period(parameters: Mapping[str, str], now: datetime) -> tuple[str | None, Period]:
    """The name (None for `since`/`until`) and the bounds of the period asked for.

    Named periods end with the present UTC day and count it. `since` is included, `until` is not; a date stands for its
    first moment. `since` or `until` set `period` aside; an empty parameter counts as not given.

    Raises:
        PeriodError: an unknown name, something that is no date or time, or bounds in the wrong order.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = today + timedelta(days=1)
    since, until = (parameters.get(name, "").strip() for name in ("since", "until"))
    if since or until:
        period = Period(
            _time("since", since) if since else BEGINNING,
            _time("until", until) if until else tomorrow,
        )
        if period.since >= period.until:
            raise PeriodError("since must be before until; until itself is not included")
        return None, period
    name = parameters.get("period", "").strip() or DEFAULT
    if name not in _SINCE:
        raise PeriodError(f"period must be one of {', '.join(_SINCE)}; or give since and until")
    return name, Period(_SINCE[name](today), tomorrow)


def _time(name: str, text: str) -> datetime:
    text = re.sub(r" (?=\d\d:\d\d$)", "+", text)  # a "+01:00" that came through a URL as it stands
    if not _FORM.fullmatch(text):
        raise PeriodError(f"{name} must be a date, as 2026-01-31, or a time with its zone, as 2026-01-31T12:00:00Z")
    try:
        time = datetime.fromisoformat(text.upper())
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise PeriodError(f"{name} is not a day or time that exists") from None
