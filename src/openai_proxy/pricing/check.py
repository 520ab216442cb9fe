"""What the ledger has no list cost for, and what would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from openai_proxy.period import Period
from openai_proxy.ports import UnpricedUsage, UsageLedger
from openai_proxy.pricing.priced import priced
from openai_proxy.pricing.reprice import Price
from openai_proxy.records import UsageRecord

Remedy = Literal["reprice", "add_price", "none"]
"""`reprice`: the present price table has the price; `add_price`: it has not; `none`: the usage was never told."""

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class CheckedUsage:
    """Usage without a list cost, and what would give it one."""

    usage: UnpricedUsage
    remedy: Remedy


def check_prices(ledger: UsageLedger, period: Period, price: Price = priced) -> Sequence[CheckedUsage]:
    """All of the period that has no list cost, the most frequent first.

    Raises:
        StoreError: the ledger cannot be read now.
    """
    return [CheckedUsage(usage, _remedy(ledger, usage, price)) for usage in ledger.unpriced(period)]


def _remedy(ledger: UsageLedger, usage: UnpricedUsage, price: Price) -> Remedy:
    """By the last request, which stands for all: the same model, tier, units without a price, at the latest prices."""
    if usage.usage_source == "unknown":
        return "none"
    rows = ledger.revisions(usage.last_event_id, Period(usage.last_time, usage.last_time + _MOMENT))
    now_priced = any(price(UsageRecord.from_row(row).event).cost.priced for row in rows[-1:])
    return "reprice" if now_priced else "add_price"
