"""Usage records: a usage event with its tokens counted and its list cost worked out; one row of the ledger.

`usage_records.schema.json` (BigQuery's JSON schema) is the only list of columns. The SQLite table, the BigQuery table
and `UsageRecord.row` follow it, and `tests/unit/test_records.py` holds them together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from openai_proxy.events import UsageEvent, UsageSource


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Tokens of one request; None is not known, 0 is zero.

    `cache_*` are parts of `input_tokens`, `reasoning_output_tokens` is a part of `output_tokens`, and each `*_audio_*`
    is a part of its total.
    """

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    output_audio_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedUnit:
    """One kind of unit that a request used, and what it costs.

    `quantity` has the parts in it that are units of their own (cached tokens are also input tokens);
    `charged_quantity` has not. `list_unit_price` is for `pricing_block_size` units. All of the last five are None
    where the record has no list cost; a part that is charged with its whole has a `charged_quantity` of 0.
    """

    unit: str
    quantity: Decimal
    usage_source: UsageSource
    charged_quantity: Decimal | None = None
    list_unit_price: Decimal | None = None
    pricing_block_size: int | None = None
    list_cost: Decimal | None = None
    sku_price_id: str | None = None

    def cell(self) -> dict[str, Any]:
        """The unit as one item of the column `units`."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCost:
    """What a request costs at list price: an amount, or the reason why there is none; never a silent zero."""

    list_cost: Decimal | None
    billing_currency: str = "USD"
    priced: bool
    sku_price_id: str | None = None
    price_version: str | None = None
    unpriced_reason: str | None = None


_Part = TypeVar("_Part", UsageEvent, TokenCounts, ListCost)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """One row of the ledger, before the store decides which of a request's rows is final.

    `price_revision` is 0 as the sink writes it, and one more each time that the record is priced again.
    """

    event: UsageEvent
    tokens: TokenCounts
    cost: ListCost
    message_id: str
    publish_time: datetime
    stored_time: datetime
    units: tuple[UsedUnit, ...] = ()
    price_revision: int = 0

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> UsageRecord:
        """The record that a ledger's row was made of."""

        def part(of: type[_Part]) -> _Part:
            return of(**{field.name: row[field.name] for field in fields(of)})

        return cls(
            event=part(UsageEvent),
            tokens=part(TokenCounts),
            cost=part(ListCost),
            message_id=row["message_id"],
            publish_time=row["publish_time"],
            stored_time=row["stored_time"],
            units=tuple(UsedUnit(**unit) for unit in row["units"]),
            price_revision=row["price_revision"] or 0,
        )

    def row(self) -> dict[str, Any]:
        """The record as column name -> value: str, int, bool, aware datetime, Decimal, None, or dict for JSON.

        `units` is a list of dicts, one for each unit.
        """
        own: dict[str, Any] = {
            "message_id": self.message_id,
            "publish_time": self.publish_time,
            "stored_time": self.stored_time,
            "units": [unit.cell() for unit in self.units],
            "price_revision": self.price_revision,
        }
        parts = (self.event, self.tokens, self.cost)
        values = {name: getattr(part, name) for part in parts for name in part.__slots__} | own
        return {column["name"]: values[column["name"]] for column in schema()}


def fits_numeric(amount: Decimal) -> bool:
    """Whether BigQuery's NUMERIC holds an amount exactly: 29 digits before the point, and 9 after it.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
    """
    exact = Context(prec=len(amount.as_tuple().digits) or 1)
    exponent = amount.normalize(exact).as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -9 and amount.adjusted() < 29  # noqa: PLR2004 - as above


@cache
def schema() -> tuple[dict[str, Any], ...]:
    """The ledger's columns: name, type (BigQuery's), mode (REQUIRED, NULLABLE, REPEATED) and description of each.

    A RECORD has `fields` of the same form.
    """
    text = resources.files("openai_proxy").joinpath("usage_records.schema.json").read_text("utf-8")
    return tuple(json.loads(text))


def cell_to_json(value: object) -> object:
    """One cell as `usage --json` and `/log?format=json` print it: times as RFC 3339, amounts as decimal text.

    Lists and objects hold such cells.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return [cell_to_json(item) for item in value]
    if isinstance(value, dict):
        return {name: cell_to_json(item) for name, item in value.items()}
    return value
