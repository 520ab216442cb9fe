"""Works out what a request used, and what that costs at list price. Pure: the event brings the time.

Each unit is a line of its own with its own price; the record's cost is the sum of its lines. What is not known has no
cost and a reason, never a silent zero or a standard price (`list_prices`, `gaps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from openai_proxy.events import UsageEvent
from openai_proxy.metering.openai_usage import CountedUsage, read_usage
from openai_proxy.metering.units import Quantity
from openai_proxy.pricing.charges import NOT_KNOWN, Charge, charges
from openai_proxy.pricing.gaps import gap_in
from openai_proxy.pricing.list_prices import Circumstances, UnpricedError, price_version, prices_of
from openai_proxy.pricing.table import PriceTable, bundled_table
from openai_proxy.records import ListCost, TokenCounts, UsedUnit

_STANDARD_TIERS = {"default", "standard"}
_NO_WAITING = "soonest"  # the completion window of a background response that waits for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What a request used, in tokens and in lines of a bill, and what it costs."""

    tokens: TokenCounts
    units: tuple[UsedUnit, ...]
    cost: ListCost


@dataclass(frozen=True, slots=True)
class _Part:
    """What one model used; in `ours`, by our own count."""

    model: str
    units: Mapping[str, Quantity]
    ours: frozenset[str] = frozenset()


def priced(event: UsageEvent, table: PriceTable | None = None) -> Priced:
    """What an event used and costs, in USD to 1e-9, or the reason why there is no cost.

    Priced on the model that answered, else on the one asked for, at the prices of `event_time`; what a tool drew, on
    the model that drew it. `table` is our own, the bundled `prices.toml` unless given. An estimate of a cut stream may
    know only the tier `auto`, and is priced as standard.
    """
    table = table or bundled_table()
    counted = read_usage(event)
    if event.usage_source == "none":
        return Priced(tokens=counted.tokens, units=(), cost=ListCost(list_cost=Decimal(0), priced=True))
    model = (event.response_model or event.request_model or "").lower()
    parts = [_Part(model, counted.units, counted.counted_by_us)]
    parts += [_Part((tool.model or "").lower(), tool.units) for tool in counted.tool_models]
    try:
        _believe(event, counted)
        answered, *drawn = parts
        circumstances = _circumstances(event, table)
        # A tier and a window are those of the model that answers
        of_tools = replace(circumstances, operation_name=None, service_tier=None, completion_window=None)
        entry, units = _charged(event, answered, circumstances, table)
        for part in drawn:
            own_entry, lines = _charged(event, part, of_tools, table)
            units += [replace(line, sku_price_id=own_entry) for line in lines]
    except UnpricedError as reason:
        cost = ListCost(list_cost=None, priced=False, unpriced_reason=str(reason))
        return Priced(tokens=counted.tokens, units=tuple(_lines(event, parts)), cost=cost)
    total = sum((line.list_cost for line in units if line.list_cost is not None), Decimal(0))
    cost = ListCost(list_cost=total, priced=True, sku_price_id=entry, price_version=price_version(table))
    return Priced(tokens=counted.tokens, units=tuple(units), cost=cost)


def has_price(model: str, time: datetime, table: PriceTable | None = None) -> bool:
    """Whether a model has any list price at a time."""
    try:
        prices_of(model.lower(), Circumstances(day=time.astimezone(UTC).date()), table or bundled_table())
    except UnpricedError:
        return False
    return True


def _believe(event: UsageEvent, counted: CountedUsage) -> None:
    if event.event_type == "started":
        raise UnpricedError("the request is open, its usage is not known yet")
    if event.usage_source == "unknown" or event.usage is None:
        raise UnpricedError("OpenAI did not tell the usage")
    if counted.doubts:
        raise UnpricedError("the usage is not understood: " + "; ".join(counted.doubts[:3]))


def _circumstances(event: UsageEvent, table: PriceTable) -> Circumstances:
    tier, window = event.service_tier, event.completion_window
    if tier in _STANDARD_TIERS or (tier == "auto" and event.usage_source == "estimated"):
        tier = None
    return Circumstances(
        day=event.event_time.astimezone(UTC).date(),
        operation_name=event.operation_name if event.operation_name in table.operations else None,
        service_tier=tier,
        completion_window=None if window == _NO_WAITING else window,
        upstream_region=event.upstream_region,
    )


def _charged(
    event: UsageEvent, part: _Part, circumstances: Circumstances, table: PriceTable
) -> tuple[str, list[UsedUnit]]:
    """The entry that was applied to what a model used, and a line for each unit."""
    prices = prices_of(part.model, circumstances, table)
    if "requests" in prices.rates:  # a fee for each request, which no usage tells
        part = _Part(part.model, {**part.units, "requests": 1}, part.ours | {"requests"})
    gap = gap_in(prices, part.units)
    if gap is not None:
        raise UnpricedError(gap)
    return prices.sku_price_id, _lines(event, [part], charges(prices, part.units))


def _lines(event: UsageEvent, parts: list[_Part], charged: Mapping[str, Charge] | None = None) -> list[UsedUnit]:
    """A line for each unit that is not zero, with what is charged for it where that is known."""
    lines = []
    for part in parts:
        for unit, quantity in part.units.items():
            if not quantity:
                continue
            charge = NOT_KNOWN if charged is None else charged[unit]
            lines.append(
                UsedUnit(
                    unit=unit,
                    quantity=Decimal(quantity),
                    usage_source="estimated" if unit in part.ours else event.usage_source,
                    charged_quantity=charge.charged_quantity,
                    list_unit_price=charge.list_unit_price,
                    pricing_block_size=charge.pricing_block_size,
                    list_cost=charge.list_cost,
                )
            )
    return lines
