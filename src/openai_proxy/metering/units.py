"""The units that prices are for: those of genai-prices, and a few of the same form that it has not.

A unit's dimensions say what it is a part of: cached tokens are input tokens, cached sound is both cached tokens and
sound. Pure; no prices here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from genai_prices.data_units import unit_data

Quantity = int | Decimal


@dataclass(frozen=True, slots=True)
class Unit:
    """One kind of unit; its price is for `per` of them."""

    name: str
    price_key: str
    per: int
    dimensions: frozenset[tuple[str, str]]

    @property
    def is_token(self) -> bool:
        """Whether tiers, windows and regions change its price: they are for tokens, not for fees."""
        return ("family", "tokens") in self.dimensions


def _cache_write(ttl: str) -> dict[str, Any]:
    dimensions = unit_data["cache_write_tokens"]["dimensions"] | {"cache_ttl": ttl}
    return {"per": 1_000_000, "price_key": f"cache_write_{ttl}_mtok", "dimensions": dimensions}


def _count(name: str) -> dict[str, Any]:
    return {"per": 1, "price_key": f"{name}_count", "dimensions": {"family": name}}


CONTAINERS = ("containers_1g", "containers_4g", "containers_16g", "containers_64g")

_OWN: Mapping[str, Mapping[str, Any]] = {
    "cache_write_30m_tokens": _cache_write("30m"),
    "cache_write_12h_tokens": _cache_write("12h"),
    **{name: _count(name) for name in CONTAINERS},
    "web_searches_preview": {
        "per": 1000,
        "price_key": "web_searches_preview_kcount",
        "dimensions": {"family": "web_searches_preview"},
    },
}

UNITS: Mapping[str, Unit] = {
    name: Unit(name, raw["price_key"], raw["per"], frozenset(raw["dimensions"].items()))
    for name, raw in {**unit_data, **_OWN}.items()
}
BY_PRICE_KEY: Mapping[str, Unit] = {unit.price_key: unit for unit in UNITS.values()}

PARTS: Mapping[str, frozenset[str]] = {
    name: frozenset(other.name for other in UNITS.values() if unit.dimensions < other.dimensions)
    for name, unit in UNITS.items()
}
"""Every unit that is counted in a unit, at any depth."""

OVERLAPS: Mapping[str, frozenset[str]] = {
    name: wholes
    for name in UNITS
    if len(
        wholes := frozenset(
            whole for whole, parts in PARTS.items() if name in parts and not any(name in PARTS[part] for part in parts)
        )
    )
    > 1
}
"""What is counted in two units of which neither is in the other: cached sound, in cached tokens and in sound."""

# Parts that cost what their whole costs, where the model has no price of their own (OpenAI, "Pricing" and the vision
# guide: an image is charged in tokens like text, reasoning and predictions as output; image models have one price of
# output, which is that of images)
AT_THE_PRICE_OF_THE_WHOLE = frozenset(
    {
        "cache_write_30m_tokens",
        "cache_text_read_tokens",
        "cache_image_read_tokens",
        "input_image_tokens",
        "input_text_tokens",
        "output_image_tokens",
        "output_reasoning_tokens",
        "output_text_tokens",
        "output_accepted_prediction_tokens",
        "output_rejected_prediction_tokens",
    }
)
