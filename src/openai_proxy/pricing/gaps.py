"""Finds what the prices of a model do not cover, and genai-prices would silently price at nothing or as something else.

Tried with genai-prices 0.2.3 (reference openai-api.md, section 4): units without a price are free there, and sound,
images and cache writes without a price of their own, or without a detail that tells them, cost what text does.
"""

from __future__ import annotations

from collections.abc import Mapping

from openai_proxy.metering.units import AT_THE_PRICE_OF_THE_WHOLE, OVERLAPS, Quantity
from openai_proxy.pricing.list_prices import ModelPrices

_MODALITIES = {
    f"{direction}_{modality}_tokens": f"{direction}_tokens"
    for direction in ("input", "output")
    for modality in ("audio", "image", "video")
}


def gap_in(prices: ModelPrices, units: Mapping[str, Quantity]) -> str | None:
    """Why these units have no cost at these prices, or None where nothing is missing."""
    rates = prices.rates
    for unit, quantity in units.items():
        if quantity and unit not in rates and unit not in AT_THE_PRICE_OF_THE_WHOLE:
            return f"no price is known for {unit} of this model"
    for part, whole in _MODALITIES.items():
        if part in rates and part not in units and units.get(whole) and rates[part] != rates.get(whole):
            return f"{part} are not told, which have a price of their own"
    for both, wholes in OVERLAPS.items():
        if both in rates and both not in units and all(units.get(whole) for whole in wholes):
            return f"{both} are not told, which have a price of their own"
    if _has_one_price_for_two(prices, units):
        return "no price is known for output_text_tokens of this model"
    if prices.known_up_to is not None and units.get("input_tokens", 0) > prices.known_up_to:
        return f"no price is known for more than {prices.known_up_to} input_tokens"
    return None


def _has_one_price_for_two(prices: ModelPrices, units: Mapping[str, Quantity]) -> bool:
    """Whether an image model gave text as well, but has one price of output, which is that of images."""
    told = [unit for unit in ("output_image_tokens", "output_text_tokens") if units.get(unit)]
    return len(told) > 1 and not any(unit in prices.rates for unit in told)
