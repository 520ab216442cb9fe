"""Finds quantities in JSON of any shape: whatever comes, only sound numbers in known places are believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from openai_proxy.metering.units import Quantity

LARGEST_COUNT = 10**9
"""A thousand of the largest context windows: no request has more, and a ledger's sums stay within 64 bits."""

_Path = tuple[str, ...]

_FRACTIONAL = {"audio_seconds"}
_SCALE = Decimal("1e-9")  # BigQuery's NUMERIC
_NAME = re.compile(r"[a-z0-9_]{1,40}")


class Members:
    """Where an object has quantities: the units of its members by their names, of members of members too."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.units = {path: unit for path, unit in leaves(members) if isinstance(unit, str)}
        self.objects = {path[:length] for path in self.units for length in range(len(path))}


def quantities(source: object, known: Members, prefix: str, doubts: list[str]) -> dict[str, Quantity]:
    """The quantities of `source` by their units; what is not believed is added to `doubts`, by its name alone.

    A number that is not 0 in a place that is not known is doubted: it may be something to be paid. So is anything else
    in the place of an object with quantities.
    """
    units: dict[str, Quantity] = {}
    refused = set()
    for path, value in leaves(source):
        unit = known.units.get(path)
        if value is None:
            continue
        if unit is None:
            if path in known.objects or (path[-1:] == ("[]",) and path[:-1] in known.objects):
                doubts.append(f"{prefix}{_printable(path)} is no object".replace(". ", " "))
            elif isinstance(value, int | float) and not isinstance(value, bool) and value:
                doubts.append(f"{prefix}{_printable(path)} is not known")
        elif (quantity := _quantity(value, fractional=unit in _FRACTIONAL)) is None:
            doubts.append(f"{prefix}{_printable(path)} is no quantity")
            refused.add(unit)
        elif units.setdefault(unit, quantity) != quantity:
            doubts.append(f"{unit} is told twice, differently")
            refused.add(unit)
    return {unit: value for unit, value in units.items() if unit not in refused}


def _quantity(value: object, *, fractional: bool) -> Quantity | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_COUNT:
        return None
    if isinstance(value, int):
        return value
    if not fractional:
        return None
    exact = Decimal(repr(value))
    rounded = exact.quantize(_SCALE, ROUND_HALF_EVEN)
    return exact if exact == rounded else rounded


def leaves(source: object) -> Iterator[tuple[_Path, object]]:
    """Every value that is no object and no list, in order, with the names that lead to it; without recursion."""
    todo: list[tuple[_Path, object]] = [((), source)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, Mapping):
            todo += [((*path[:8], str(name)), item) for name, item in reversed(list(value.items()))]
        elif isinstance(value, list):
            todo += [((*path[:8], "[]"), item) for item in reversed(value)]
        else:
            yield path, value


def _printable(path: _Path) -> str:
    return ".".join(name if _NAME.fullmatch(name) else "?" for name in path[:4])
