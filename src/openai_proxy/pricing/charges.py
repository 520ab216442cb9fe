"""Works out what units cost at given prices: each quantity less its parts that have prices of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from openai_proxy.metering.units import PARTS, UNITS, Quantity
from openai_proxy.pricing.list_prices import ModelPrices, UnpricedError

_SCALE = Decimal("1e-9")  # BigQuery's NUMERIC; each line is rounded once, half to even


@dataclass(frozen=True, slots=True)
class Charge:
    """What is charged for one unit, as in a `UsedUnit`; all None where it is not known."""

    charged_quantity: Decimal | None = None
    list_unit_price: Decimal | None = None
    pricing_block_size: int | None = None
    list_cost: Decimal | None = None


NOT_KNOWN = Charge()
_WITH_ITS_WHOLE = Charge(charged_quantity=Decimal(0), list_cost=Decimal(0))


def charges(prices: ModelPrices, units: Mapping[str, Quantity]) -> dict[str, Charge]:
    """The charge of each unit; one without a price is charged with what it is a part of.

    Raises:
        UnpricedError: the parts of a unit are more than the unit.
    """
    input_tokens = units.get("input_tokens", 0)
    charged = dict.fromkeys(units, _WITH_ITS_WHOLE)
    own: dict[str, Quantity] = {}
    for unit in sorted((unit for unit in units if unit in prices.rates), key=_depth, reverse=True):
        quantity = units[unit] - sum(own[part] for part in PARTS[unit] & own.keys())
        if quantity < 0:
            raise UnpricedError("the usage is not understood: its parts do not fit the prices of this model")
        own[unit] = quantity
        price, block = prices.rates[unit].at(input_tokens), UNITS[unit].per
        cost = (price * quantity / block).quantize(_SCALE, ROUND_HALF_EVEN)
        charged[unit] = Charge(Decimal(quantity), price, block, cost)
    return charged


def _depth(unit: str) -> int:
    return len(UNITS[unit].dimensions)
