"""Prices records of the ledger again when the price table has changed. Both versions are kept (`ports.UsageStore`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from openai_proxy.events import UsageEvent
from openai_proxy.period import Period
from openai_proxy.ports import Selection, UsageLedger, UsageStore
from openai_proxy.pricing.priced import Priced, priced
from openai_proxy.records import UsageRecord

_BATCH = 500  # records in one call of the store
_TELL_EVERY = 10_000

Price = Callable[[UsageEvent], Priced]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepricedModel:
    """What pricing one model's records again came to; the costs are sums over the priced ones, in USD."""

    model: str | None
    records: int
    revised: int
    old_list_cost: Decimal
    new_list_cost: Decimal
    unpriced: int

    def __add__(self, other: RepricedModel) -> RepricedModel:
        return RepricedModel(
            model=self.model,
            records=self.records + other.records,
            revised=self.revised + other.revised,
            old_list_cost=self.old_list_cost + other.old_list_cost,
            new_list_cost=self.new_list_cost + other.new_list_cost,
            unpriced=self.unpriced + other.unpriced,
        )


@dataclass(frozen=True, slots=True)
class Repricing:
    """What pricing a period again came to: by model, and why the store refused what it refused, by `event_id`."""

    models: Sequence[RepricedModel]
    refused: Mapping[str, str]


def reprice(
    ledger: UsageLedger,
    store: UsageStore | None,
    period: Period,
    *,
    model: str | None = None,
    price: Price = priced,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    tell: Callable[[int, int], None] = lambda _records, _revised: None,
) -> Repricing:
    """Price the period's ended records again, and write a revision of each that changes; without a store, none.

    Open records are left alone. `model` is the one that answered, or that was asked for where none did. `tell` hears
    now and then how many records were looked at, and how many changed. When it breaks off, what was written stands,
    and a second run finds only the rest to do.

    Raises:
        StoreError: the ledger cannot be read or written now.
    """
    writing = _Writing(store)
    sums: dict[str | None, RepricedModel] = {}
    looked_at = changed = 0
    for row in ledger.records(Selection(period=period, model=model), limit=None):
        if row["event_type"] != "finished":
            continue
        record = UsageRecord.from_row(row)
        new = revision(record, clock(), price)
        if new is not None:
            writing.add(new)
        one = _counted(record, new)
        sums[one.model] = sums[one.model] + one if one.model in sums else one
        looked_at, changed = looked_at + 1, changed + one.revised
        if looked_at % _TELL_EVERY == 0:
            tell(looked_at, changed)
    writing.flush()
    return Repricing([sums[name] for name in sorted(sums, key=lambda name: (name is not None, name))], writing.refused)


def revision(record: UsageRecord, now: datetime, price: Price = priced) -> UsageRecord | None:
    """The record priced again, or None where nothing of substance changes: another price version alone is nothing."""
    again = price(record.event)
    new = replace(
        record,
        tokens=again.tokens,
        units=tuple(again.units),
        cost=again.cost,
        stored_time=now,
        price_revision=record.price_revision + 1,
    )
    return None if _substance(new) == _substance(record) else new


def _substance(record: UsageRecord) -> tuple[object, ...]:
    """What it costs or why it has no cost, and the amounts of its units in whatever order."""
    units = Counter((unit.unit, unit.quantity, unit.charged_quantity, unit.list_cost) for unit in record.units)
    return record.cost.list_cost, record.cost.priced, record.cost.unpriced_reason, units


def _counted(record: UsageRecord, new: UsageRecord | None) -> RepricedModel:
    final = new or record
    return RepricedModel(
        model=record.event.response_model or record.event.request_model,
        records=1,
        revised=int(new is not None),
        old_list_cost=record.cost.list_cost or Decimal(0),
        new_list_cost=final.cost.list_cost or Decimal(0),
        unpriced=int(not final.cost.priced),
    )


@dataclass(slots=True)
class _Writing:
    """Hands the store so many records at a time."""

    store: UsageStore | None
    waiting: list[UsageRecord] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, record: UsageRecord) -> None:
        self.waiting.append(record)
        if len(self.waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        if self.store is not None and self.waiting:
            self.refused.update(self.store.add(self.waiting))
        self.waiting = []
