"""Works out what a request costs at list price. Pure: the event brings the time, the tables are in the package.

genai-prices prices an unknown tier as standard and a unit without a price as nothing; here both have no cost and a
reason. What no usage tells cannot be priced: the 10 % for regional processing, a background completion window's
discount, file searches, containers, and web searches where the answer has no `tool_usage`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import genai_prices
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, Usage

from openai_proxy.events import UsageEvent
from openai_proxy.openai_usage import CountedUsage
from openai_proxy.records import ListCost

_SCALE = Decimal("1e-9")  # BigQuery's NUMERIC; a cost is rounded once, half to even

_STANDARD_TIERS = {None, "default", "standard"}
_DEARER_OR_CHEAPER_TIERS = {"flex", "priority", "fast"}

# Parts that cost what their whole costs, unless the model has a price of their own (OpenAI, "Pricing" and the vision
# guide: image input is charged in tokens like text, reasoning and predictions as output)
_AT_THE_PRICE_OF_THE_WHOLE = {
    "cache_write_30m_tokens",
    "input_image_tokens",
    "input_text_tokens",
    "output_reasoning_tokens",
    "output_text_tokens",
    "output_accepted_prediction_tokens",
    "output_rejected_prediction_tokens",
}

# Models that search on their own, for a fee a request that no usage tells
_SEARCHING_MODELS = ("search-preview", "search-api")


class PriceTableError(ValueError):
    """The price table is broken; the message names the entry."""


@dataclass(frozen=True, slots=True)
class _Entry:
    sku_price_id: str
    version: str
    prices: ModelPrice


class _UnpricedError(Exception):
    """Why there is no cost."""


def list_cost(event: UsageEvent, usage: CountedUsage, table: PriceTable | None = None) -> ListCost:
    """The list cost of a request in USD, to 1e-9, or the reason why there is none.

    Priced on the model that answered, else on the one asked for, at the prices of `event_time`. `table` is our own,
    the bundled `prices.toml` unless given; genai-prices follows. An estimate of a cut stream may know only the tier
    `auto`, and is priced as standard.
    """
    if event.usage_source == "none":
        return ListCost(list_cost=Decimal(0), priced=True)
    try:
        _believe(event, usage)
        entry = _entry(event, table or bundled_table())
        amount = _amount(entry, usage.units)
    except _UnpricedError as reason:
        return ListCost(list_cost=None, priced=False, unpriced_reason=str(reason))
    return ListCost(list_cost=amount, priced=True, sku_price_id=entry.sku_price_id, price_version=entry.version)


def _believe(event: UsageEvent, usage: CountedUsage) -> None:
    if event.event_type == "started":
        raise _UnpricedError("the request is open, its usage is not known yet")
    if event.usage_source == "unknown" or event.usage is None:
        raise _UnpricedError("OpenAI did not tell the usage")
    if usage.doubts:
        raise _UnpricedError("the usage is not understood: " + "; ".join(usage.doubts[:3]))


def _entry(event: UsageEvent, table: PriceTable) -> _Entry:
    name = (event.response_model or event.request_model or "").lower()
    tier = event.service_tier
    if tier == "auto" and event.usage_source == "estimated":
        tier = None
    entry = table.find(name, event.event_time) if tier in _STANDARD_TIERS else None
    if entry is not None:
        return entry
    model = None if any(word in name for word in _SEARCHING_MODELS) else _model(name)
    if model is None:
        raise _UnpricedError("no price is known for this model")
    if tier not in _STANDARD_TIERS and not _has_tier(model, tier, event.event_time):
        raise _UnpricedError("no price is known for this service tier of the model")
    context = {} if tier is None else {"service_tier": tier}
    return _Entry(
        _sku_price_id(model, event.event_time),
        f"genai-prices {genai_prices.__version__}",
        model.get_prices(event.event_time, context),
    )


def _amount(entry: _Entry, units: Mapping[str, int]) -> Decimal:
    for unit, quantity in units.items():
        priced = unit in unit_data and getattr(entry.prices, unit_data[unit]["price_key"]) is not None
        if quantity and not priced and unit not in _AT_THE_PRICE_OF_THE_WHOLE:
            raise _UnpricedError(f"no price is known for {unit} of this model")
    try:
        cost = entry.prices.calc_price(Usage(**{unit: units[unit] for unit in units.keys() & unit_data.keys()}))
    except ValueError:  # genai-prices' own checks: parts that cannot be, or that would need more detail
        raise _UnpricedError("the usage is not understood: its parts do not fit the prices of this model") from None
    return cost["total_price"].quantize(_SCALE, ROUND_HALF_EVEN)


@lru_cache(maxsize=1024)
def _model(name: str) -> ModelInfo | None:
    providers = get_snapshot().providers
    openai = find_provider_by_id(providers, "openai")
    return openai.find_model(name) if openai else None


def _has_tier(model: ModelInfo, tier: str | None, time: datetime) -> bool:
    return tier in _DEARER_OR_CHEAPER_TIERS and any(
        variant.when == {"service_tier": tier} and (variant.constraint is None or variant.constraint.active(time))
        for variant in model.price_variants or ()
    )


def _sku_price_id(model: ModelInfo, time: datetime) -> str:
    """The model's id, and since when its price holds, where genai-prices says so; chosen as `get_prices` chooses."""
    for price in reversed(model.prices) if isinstance(model.prices, list) else ():
        if price.constraint is None:
            break
        if isinstance(price.constraint, StartDateConstraint) and price.constraint.active(time):
            return f"{model.id}@{price.constraint.start_date}"
    return model.id


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Our own dated prices: by model, the newest first. The standard tier only."""

    changed: date
    _prices: Mapping[str, tuple[tuple[date, ModelPrice], ...]]

    @classmethod
    def parse(cls, text: str) -> PriceTable:
        """Read a price table; `prices.toml` says what is in one.

        Raises:
            PriceTableError: not TOML, an entry without model, date or source, an unknown unit, or a wrong amount.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PriceTableError(f"the price table is not TOML: {error}") from None
        if type(document.get("date")) is not date:
            raise PriceTableError("the price table must have a date, as date = 2026-01-31")
        prices: dict[str, tuple[tuple[date, ModelPrice], ...]] = {}
        for number, entry in enumerate(document.get("prices", [])):
            model, start, price = _parse_entry(entry, f"prices[{number}]")
            entries = (*prices.get(model, ()), (start, price))
            prices[model] = tuple(sorted(entries, key=lambda dated: dated[0], reverse=True))
        return cls(document["date"], prices)

    def find(self, name: str, time: datetime) -> _Entry | None:
        """The entry of a model at a time, if there is one."""
        for model, prices in self._prices.items():
            if name == model or name.startswith(model + ":"):
                for start, price in prices:
                    if start <= time.astimezone(UTC).date():
                        return _Entry(f"{model}@{start}", f"prices.toml {self.changed}", price)
        return None


def _parse_entry(entry: Mapping[str, Any], place: str) -> tuple[str, date, ModelPrice]:
    amounts = dict(entry)
    model, start, source = (amounts.pop(name, None) for name in ("model", "start_date", "source"))
    if not isinstance(model, str) or type(start) is not date or not isinstance(source, str) or not source:
        raise PriceTableError(f"{place} must have model, start_date = 2026-01-31, and source")
    known = {unit["price_key"] for unit in unit_data.values()}
    prices = {}
    for key, text in amounts.items():
        if key not in known:
            raise PriceTableError(f"{place}: {key!r} is no price that genai-prices knows")
        try:
            prices[key] = Decimal(text if isinstance(text, str) else "nan")
        except InvalidOperation:
            prices[key] = Decimal("nan")
        if not prices[key].is_finite() or prices[key] < 0:
            raise PriceTableError(f'{place}.{key} must be decimal text, as "0.25"')
    return model.lower(), start, ModelPrice(**prices)


@cache
def bundled_table() -> PriceTable:
    """The table of `prices.toml`."""
    return PriceTable.parse(resources.files("openai_proxy").joinpath("prices.toml").read_text("utf-8"))
