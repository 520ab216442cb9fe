"""prices and reprice: what has no list cost, and pricing it once there is a price."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from openai_proxy import bootstrap
from openai_proxy.commands.parsing import Arguments, Commands, complain, print_json
from openai_proxy.commands.places import settings
from openai_proxy.commands.usage import add_period, period_of
from openai_proxy.local.usage_text import table
from openai_proxy.records import cell_to_json

if TYPE_CHECKING:  # the price tables are slow to load, and the other commands need not wait for them
    from openai_proxy.pricing.check import CheckedUsage
    from openai_proxy.pricing.reprice import RepricedModel

_ADVICE: Mapping[str, str] = {
    "reprice": "openai-proxy reprice --since {since}",
    "add_price": "a newer openai-proxy, or an entry in prices.toml; then: openai-proxy reprice --since {since}",
    "none": "none: OpenAI did not tell the usage",
}


def add_to(commands: Commands) -> None:
    """Declare the commands."""
    prices = commands.group("prices", "List prices")
    text = "List what the ledger has no list cost for; exit status 1 where that is for want of a price"
    add_period(prices.add("check", _check, text, as_json=True))

    text = "Price records again, after the price table has changed; both versions are kept"
    again = commands.add("reprice", _reprice, text, as_json=True)
    add_period(again, required=True)
    again.add_argument("--model", help="only this model")
    again.add_argument("--dry-run", action="store_true", help="write nothing, print what would change")


def _check(arguments: Arguments) -> int:
    from openai_proxy.pricing.check import check_prices

    period = period_of(arguments, datetime.now(UTC))
    found = check_prices(bootstrap.usage_ledger(settings(arguments)), period)
    if arguments.json:
        print_json([_checked_object(one) for one in found])
    else:
        sys.stdout.writelines(table(map(_checked_row, found)))
    return int(any(one.remedy != "none" for one in found))


def _checked_object(one: CheckedUsage) -> dict[str, object]:
    usage = {field.name: cell_to_json(getattr(one.usage, field.name)) for field in fields(one.usage)}
    return usage | {"remedy": one.remedy}


def _checked_row(one: CheckedUsage) -> dict[str, object]:
    since = one.usage.first_time.astimezone(UTC).date()
    return {
        "model": one.usage.model,
        "service_tier": one.usage.service_tier,
        "requests": one.usage.requests,
        "since": since,
        "why": one.usage.unpriced_reason,
        "what helps": _ADVICE[one.remedy].format(since=since),
    }


def _reprice(arguments: Arguments) -> int:
    from openai_proxy.pricing.reprice import reprice

    where, period = settings(arguments), period_of(arguments, datetime.now(UTC))
    with contextlib.closing(bootstrap.usage_store(where)) as store:
        done = reprice(
            bootstrap.usage_ledger(where),
            None if arguments.dry_run else store,
            period,
            model=arguments.model,
            tell=lambda records, revised: complain(f"{records} records looked at, {revised} changed ..."),
        )
    objects = map(_repriced_object, done.models)
    if arguments.json:
        print_json(list(objects))
    else:
        sys.stdout.writelines(table(objects))
        if arguments.dry_run:
            print("Nothing was written.")
    for event_id, reason in done.refused.items():
        complain(f"the ledger refused to price {event_id} again: {reason}")
    return int(bool(done.refused))


def _repriced_object(one: RepricedModel) -> dict[str, object]:
    values = {field.name: getattr(one, field.name) for field in fields(one)}
    return {
        name: format(value.normalize(), "f") if isinstance(value, Decimal) else value for name, value in values.items()
    }
