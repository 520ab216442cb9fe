"""Our own dated prices: what genai-prices lacks, read from `prices.toml`, which says what is in one. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from openai_proxy.metering.units import BY_PRICE_KEY, UNITS

CIRCUMSTANCES = ("service_tier", "completion_window", "upstream_region")


class PriceTableError(ValueError):
    """The price table is broken; the message names the entry."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A price, and the ones that hold instead for all of a request whose input is longer, the shortest first."""

    base: Decimal
    above: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int | Decimal) -> Decimal:
        """The price in a request with so many input tokens."""
        price = self.base
        for start, longer in self.above:
            if input_tokens > start:
                price = longer
        return price

    def times(self, factor: Decimal) -> Rate:
        """The same, dearer or cheaper."""
        return Rate(self.base * factor, tuple((start, price * factor) for start, price in self.above))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What all entries have: since when they hold, and for which models."""

    models: tuple[str, ...]
    start_date: date

    def holds(self, model: str, day: date) -> bool:
        return self.start_date <= day and self.pattern(model) is not None

    def pattern(self, model: str) -> str | None:
        return next((pattern for pattern in self.models if fnmatchcase(model, pattern)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices(_Entry):
    """Prices of models, by unit; those of `like` and its tiers are below them where it is named."""

    rates: Mapping[str, Rate]
    like: str | None = None
    operation_name: str | None = None
    long_context: tuple[int, Decimal, Decimal] | None = None
    input_tokens_at_most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor(_Entry):
    """By what all prices of tokens are multiplied in a circumstance."""

    circumstance: str
    values: tuple[str, ...]
    factor: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio(_Entry):
    """A unit without a price of its own costs a multiple of what another does."""

    unit: str
    of: str
    factor: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees(_Entry):
    """Prices of units for models that have none of their own for them."""

    rates: Mapping[str, Rate]


_Held = TypeVar("_Held", bound=_Entry)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PriceTable:
    """A price table; of the entries that hold, the newest does."""

    changed: date
    prices: tuple[Prices, ...]
    factors: tuple[Factor, ...]
    ratios: tuple[Ratio, ...]
    fees: tuple[Fees, ...]
    operations: frozenset[str]
    """The operations that have prices of their own."""

    @classmethod
    def parse(cls, text: str) -> PriceTable:
        """Read a price table; `prices.toml` says what is in one.

        Raises:
            PriceTableError: not TOML, an entry without models, date or source, an unknown unit, or a wrong amount.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PriceTableError(f"the price table is not TOML: {error}") from None
        changed = document.pop("date", None)
        if type(changed) is not date:
            raise PriceTableError("the price table must have a date, as date = 2026-01-31")
        sections: dict[str, tuple[Any, ...]] = dict.fromkeys(_READERS, ())
        for section, entries in document.items():
            if section not in _READERS or not isinstance(entries, list):
                raise PriceTableError(f"the price table has {', '.join(_READERS)}, not {section!r}")
            read = [_read(entry, f"{section}[{number}]", _READERS[section]) for number, entry in enumerate(entries)]
            sections[section] = tuple(sorted(read, key=lambda entry: entry.start_date, reverse=True))
        operations = frozenset(entry.operation_name for entry in sections["prices"] if entry.operation_name)
        return cls(changed=changed, operations=operations, **sections)

    def prices_for(self, model: str, operation_name: str | None, day: date) -> Prices | None:
        """The prices of a model in an operation that has prices of its own, or in all others (None)."""
        held = (entry for entry in _held(self.prices, model, day) if entry.operation_name == operation_name)
        return next(held, None)

    def factor(self, circumstance: str, value: str, model: str, day: date) -> Decimal | None:
        """The factor of a circumstance, or None where it is not known."""
        for entry in _held(self.factors, model, day):
            if entry.circumstance == circumstance and any(fnmatchcase(value, known) for known in entry.values):
                return entry.factor
        return None

    def ratios_for(self, model: str, day: date) -> Iterator[Ratio]:
        """The ratios that hold for a model."""
        return _held(self.ratios, model, day)

    def fees_for(self, model: str, day: date) -> Iterator[Fees]:
        """The fees that hold for a model."""
        return _held(self.fees, model, day)


def _held(entries: tuple[_Held, ...], model: str, day: date) -> Iterator[_Held]:
    return (entry for entry in entries if entry.holds(model, day))


@cache
def bundled_table() -> PriceTable:
    """The table of `prices.toml`."""
    return PriceTable.parse(resources.files("openai_proxy").joinpath("prices.toml").read_text("utf-8"))


def _read(entry: object, place: str, reader: Callable[[dict[str, Any], str, dict[str, Any]], _Entry]) -> _Entry:
    members = dict(entry) if isinstance(entry, dict) else {}
    models, start, source = (members.pop(name, None) for name in ("models", "start_date", "source"))
    if not _texts(models) or type(start) is not date or not isinstance(source, str) or not source:
        raise PriceTableError(f'{place} must have models = ["..."], start_date = 2026-01-31, and source')
    return reader(members, place, {"models": tuple(model.lower() for model in models), "start_date": start})


def _prices(members: dict[str, Any], place: str, common: dict[str, Any]) -> Prices:
    like, operation_name, long_context, at_most = (
        members.pop(name, None) for name in ("like", "operation_name", "long_context", "input_tokens_at_most")
    )
    for name, value in (("like", like), ("operation_name", operation_name)):
        if value is not None and not isinstance(value, str):
            raise PriceTableError(f"{place}.{name} must be text")
    if at_most is not None and type(at_most) is not int:
        raise PriceTableError(f"{place}.input_tokens_at_most must be a whole number")
    return Prices(
        rates=_rates(members, place),
        like=None if like is None else like.lower(),
        operation_name=operation_name,
        long_context=None if long_context is None else _long_context(long_context, place),
        input_tokens_at_most=at_most,
        **common,
    )


def _long_context(value: object, place: str) -> tuple[int, Decimal, Decimal]:
    if not isinstance(value, dict) or value.keys() != {"above", "input", "output"} or type(value["above"]) is not int:
        raise PriceTableError(f'{place}.long_context must be {{ above = 272000, input = "2", output = "1.5" }}')
    of_input, of_output = (_amount(value[name], f"{place}.long_context.{name}") for name in ("input", "output"))
    return value["above"], of_input, of_output


def _factor(members: dict[str, Any], place: str, common: dict[str, Any]) -> Factor:
    when, factor = members.pop("when", None), members.pop("factor", None)
    if members or not isinstance(when, dict) or len(when) != 1:
        raise PriceTableError(f'{place} must have when = {{ service_tier = ["flex"] }}, factor, and no more')
    ((circumstance, values),) = when.items()
    if circumstance not in CIRCUMSTANCES or not _texts(values):
        raise PriceTableError(f'{place}.when must be one of {", ".join(CIRCUMSTANCES)}, as ["..."]')
    amount = _amount(factor, f"{place}.factor")
    return Factor(circumstance=circumstance, values=tuple(values), factor=amount, **common)


def _ratio(members: dict[str, Any], place: str, common: dict[str, Any]) -> Ratio:
    unit, of, factor = (members.pop(name, None) for name in ("unit", "of", "factor"))
    if members or unit not in UNITS or of not in UNITS:
        raise PriceTableError(f"{place} must have unit and of, both names of units, factor, and no more")
    return Ratio(unit=unit, of=of, factor=_amount(factor, f"{place}.factor"), **common)


def _fees(members: dict[str, Any], place: str, common: dict[str, Any]) -> Fees:
    return Fees(rates=_rates(members, place), **common)


_READERS: Mapping[str, Callable[[dict[str, Any], str, dict[str, Any]], _Entry]] = {
    "prices": _prices,
    "factors": _factor,
    "ratios": _ratio,
    "fees": _fees,
}


def _rates(amounts: Mapping[str, object], place: str) -> dict[str, Rate]:
    for key in amounts:
        if key not in BY_PRICE_KEY:
            raise PriceTableError(f"{place}: {key!r} is no price of a known unit")
    return {BY_PRICE_KEY[key].name: Rate(_amount(value, f"{place}.{key}")) for key, value in amounts.items()}


def _amount(value: object, place: str) -> Decimal:
    try:
        amount = Decimal(value if isinstance(value, str) else "nan")
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or amount < 0:
        raise PriceTableError(f'{place} must be decimal text, as "0.25"')
    return amount


def _texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)
