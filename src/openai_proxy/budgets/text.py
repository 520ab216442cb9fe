"""How budgets are spoken of, to callers and to owners."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from openai_proxy.access.budget import Budget

_PERIODS = {"day": "a day", "week": "a week", "month": "a month", "total": "in total"}


def named(budget: Budget) -> str:
    """Whose it is, and how much: `the budget of user ada, 20.00 USD a month`."""
    kind, name = budget.scope.kind, budget.scope.name
    whose = "all users together" if kind == "organization" else f"{kind} {name}"
    return f"the budget of {whose}, {dollars(budget.amount)} {_PERIODS[budget.period]}"


def begins_anew(resets: datetime | None) -> str:
    """When, in UTC; a sentence."""
    return f"It begins anew at {resets.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}." if resets else "It does not begin anew."


def dollars(amount: Decimal) -> str:
    """To the cent; what is less than ten cents, to its second digit."""
    digits = 2 if abs(amount) >= Decimal("0.1") or not amount else max(2, 1 - amount.adjusted())
    whole, _, cents = f"{amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):f}".partition(".")
    return f"{whole}.{cents.rstrip('0').ljust(2, '0')} USD"
