"""Into which stretches a period is cut for a chart: UTC hours, days or months, by how long it is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from openai_proxy.page.periods import midnight, months_on
from openai_proxy.period import Period

Unit = Literal["hour", "day", "month"]

_LONGEST_IN_HOURS = timedelta(days=2)
_LONGEST_IN_DAYS = timedelta(days=93)
_KEY_LENGTHS: dict[Unit, int] = {"hour": len("2026-11-23T14"), "day": len("2026-11-23"), "month": len("2026-11")}


@dataclass(frozen=True, slots=True)
class Bucket:
    """One stretch, from `since`."""

    unit: Unit
    since: datetime

    @property
    def key(self) -> str:
        """As the ledger groups by it (`ports.GroupBy`): 2026-11-23T14, 2026-11-23 or 2026-11."""
        return self.since.isoformat()[: _KEY_LENGTHS[self.unit]]

    @property
    def until(self) -> datetime:
        """Where the next one begins."""
        if self.unit == "month":
            return months_on(self.since, 1)
        return self.since + (timedelta(hours=1) if self.unit == "hour" else timedelta(days=1))

    def label(self, zone: tzinfo) -> str:
        """`Mon 23 Nov 14:00` in the reader's zone for an hour, `Mon 23 Nov 2026` for a day, or `Nov 2026`."""
        if self.unit == "hour":
            local = self.since.astimezone(zone)
            return f"{local:%a} {local.day} {local:%b %H:%M}"
        if self.unit == "day":
            return f"{self.since:%a} {self.since.day} {self.since:%b %Y}"
        return f"{self.since:%b %Y}"


def unit_of(period: Period) -> Unit:
    """What a period is cut into."""
    length = period.until - period.since
    if length <= _LONGEST_IN_HOURS:
        return "hour"
    return "day" if length <= _LONGEST_IN_DAYS else "month"


def buckets_of(period: Period, keys: Collection[str], now: datetime) -> Sequence[Bucket]:
    """All stretches of a period, oldest first, none after `now`; of months, none before the first of `keys`.

    `keys` are those that the ledger has something in: of any time, so that a period may begin long before.
    """
    unit = unit_of(period)
    first = min(keys, default=None)
    if first is None:
        return []
    since = _beginning(unit, period.since)
    if unit == "month":
        since = max(since, datetime.strptime(first, "%Y-%m").replace(tzinfo=UTC))
    last = max(keys)
    found = [Bucket(unit, since)]
    while found[-1].until < period.until and (found[-1].until <= now or found[-1].key < last):
        found.append(Bucket(unit, found[-1].until))
    return found


def _beginning(unit: Unit, time: datetime) -> datetime:
    if unit == "hour":
        return time.replace(minute=0, second=0, microsecond=0)
    return midnight(time) if unit == "day" else months_on(time, 0)
