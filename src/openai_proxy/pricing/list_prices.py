"""Finds the list prices of a model in the circumstances of a request: those of genai-prices, and our own beside them.

genai-prices prices a service tier that it does not know as standard, and a tier without a price of long context as if
the context were short. Here both are not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache

import genai_prices
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

from openai_proxy.metering.units import UNITS
from openai_proxy.pricing.table import Prices, PriceTable, Rate


class UnpricedError(Exception):
    """Why there is no list cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What changes a model's prices; None where nothing is told, or where it is as usual."""

    day: date
    operation_name: str | None = None  # where it has prices of its own
    service_tier: str | None = None
    completion_window: str | None = None
    upstream_region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrices:
    """The prices that hold for a model, by unit; not known where the input is longer than `known_up_to` tokens."""

    sku_price_id: str
    rates: dict[str, Rate]
    known_up_to: int | None = None


def price_version(table: PriceTable) -> str:
    """Which prices these are."""
    return f"genai-prices {genai_prices.__version__}, prices.toml {table.changed}"


def prices_of(model: str, circumstances: Circumstances, table: PriceTable) -> ModelPrices:
    """The prices of a model, in lower case.

    Raises:
        UnpricedError: the model, or what the request was given beside it, has no known price.
    """
    found = _prices_of(model, circumstances, table)
    if isinstance(found, str):
        raise UnpricedError(found)
    return found


def context_window(model: str) -> int | None:
    """How many tokens a model takes at most, by its name in lower case; None where that is not known."""
    known = _model(model)
    return known.context_window if known else None


@lru_cache(maxsize=4096)
def _prices_of(model: str, circumstances: Circumstances, table: PriceTable) -> ModelPrices | str:
    """As `prices_of`, or the reason: what raises is not cached."""
    day, tier, operation = circumstances.day, circumstances.service_tier, circumstances.operation_name
    entry = table.prices_for(model, operation, day)
    if entry is None and operation is not None:
        return "no price is known for this operation of the model"
    if entry is not None and entry.like is None:
        prices = ModelPrices(sku_price_id=f"{entry.pattern(model)}@{entry.start_date}", rates=dict(entry.rates))
    else:
        known = _model(entry.like if entry and entry.like else model)
        if known is None:
            return "no price is known for this model"
        own_tier = tier if tier is not None and _has_tier(known, tier, day) else None
        prices = _of_genai_prices(known, own_tier, day)
        tier = None if own_tier else tier
        if entry is not None:  # its prices of tokens are those of the standard tier
            own = {unit: rate for unit, rate in entry.rates.items() if own_tier is None or not UNITS[unit].is_token}
            prices = ModelPrices(
                sku_price_id=f"{entry.pattern(model)}@{entry.start_date}",
                rates=prices.rates | own,
                known_up_to=prices.known_up_to,
            )
    if entry is not None:
        prices = _with_long_context(prices, entry)
    return _in(prices, model, circumstances, tier, table)


def _in(
    prices: ModelPrices, model: str, circumstances: Circumstances, tier: str | None, table: PriceTable
) -> ModelPrices | str:
    """The prices with all ratios, factors and fees; `tier` is a service tier that has no prices yet."""
    rates, day = dict(prices.rates), circumstances.day
    for ratio in table.ratios_for(model, day):
        if ratio.unit not in rates and ratio.of in rates:
            rates[ratio.unit] = rates[ratio.of].times(ratio.factor)
    window, region = circumstances.completion_window, circumstances.upstream_region
    if window is not None and circumstances.service_tier is not None:
        return "no price is known for a completion window in this service tier"  # windows are "below Standard"
    for name, value, meaning in (
        ("service_tier", tier, "this service tier of the model"),
        ("completion_window", window, "this completion window"),
        ("upstream_region", region, "this model in a region"),
    ):
        if value is not None:
            factor = table.factor(name, value, model, day)
            if factor is None:
                return f"no price is known for {meaning}"
            rates = {unit: rate.times(factor) if UNITS[unit].is_token else rate for unit, rate in rates.items()}
    for fees in table.fees_for(model, day):
        rates = {**fees.rates, **rates}
    return ModelPrices(sku_price_id=prices.sku_price_id, rates=rates, known_up_to=prices.known_up_to)


def _of_genai_prices(model: ModelInfo, tier: str | None, day: date) -> ModelPrices:
    when = datetime.combine(day, time(), UTC)
    standard = _rates(model.get_prices(when))
    rates = standard if tier is None else _rates(model.get_prices(when, {"service_tier": tier}))
    short_only = [
        start for unit, rate in standard.items() for start, _ in rate.above if unit in rates and not rates[unit].above
    ]
    return ModelPrices(sku_price_id=_sku_price_id(model, when), rates=rates, known_up_to=min(short_only, default=None))


def _with_long_context(prices: ModelPrices, entry: Prices) -> ModelPrices:
    rates, known_up_to = dict(prices.rates), prices.known_up_to
    if entry.long_context is not None:
        start, *factors = entry.long_context
        by_direction = dict(zip(("input", "output"), factors, strict=True))
        for unit, rate in rates.items():
            direction = dict(UNITS[unit].dimensions).get("direction")
            if UNITS[unit].is_token and direction is not None and not rate.above:
                rates[unit] = Rate(rate.base, ((start, rate.base * by_direction[direction]),))
        known_up_to = None
    if entry.input_tokens_at_most is not None:
        known_up_to = min(entry.input_tokens_at_most, known_up_to or entry.input_tokens_at_most)
    return ModelPrices(sku_price_id=prices.sku_price_id, rates=rates, known_up_to=known_up_to)


def _rates(prices: ModelPrice) -> dict[str, Rate]:
    rates = {}
    for unit in UNITS.values():
        price = prices.__dict__.get(unit.price_key)
        if isinstance(price, TieredPrices):
            rates[unit.name] = Rate(price.base, tuple((tier.start, tier.price) for tier in price.tiers))
        elif price is not None:
            rates[unit.name] = Rate(price)
    return rates


@lru_cache(maxsize=1024)
def _model(name: str) -> ModelInfo | None:
    openai = find_provider_by_id(get_snapshot().providers, "openai")
    return openai.find_model(name) if openai else None


def _has_tier(model: ModelInfo, tier: str, day: date) -> bool:
    when = datetime.combine(day, time(), UTC)
    return any(
        variant.when == {"service_tier": tier} and (variant.constraint is None or variant.constraint.active(when))
        for variant in model.price_variants or ()
    )


def _sku_price_id(model: ModelInfo, when: datetime) -> str:
    """The model's id, and since when its price holds, where genai-prices says so; chosen as `get_prices` chooses."""
    for price in reversed(model.prices) if isinstance(model.prices, list) else ():
        if price.constraint is None:
            break
        if isinstance(price.constraint, StartDateConstraint) and price.constraint.active(when):
            return f"{model.id}@{price.constraint.start_date}"
    return model.id
