"""Budgets: what may be spent, by whom, in which period. Pure; `budgets.book` knows what is left of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from openai_proxy.period import Period

BudgetPeriod = Literal["day", "week", "month", "total"]
ScopeKind = Literal["user", "team", "organization"]

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose spending is counted together; the organization's name is empty."""

    kind: ScopeKind
    name: str


@dataclass(frozen=True, slots=True)
class Account:
    """One scope in one window: what is counted, and what the ledger is asked about."""

    scope: Scope
    window: Period


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount in USD at list price that a scope may spend in each period."""

    scope: Scope
    amount: Decimal
    period: BudgetPeriod

    def account(self, now: datetime) -> Account:
        """What is counted against it at this time."""
        return Account(self.scope, self.window(now))

    def window(self, now: datetime) -> Period:
        """The period that `now` is in: a UTC day, a week from Monday, a month, or all time."""
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if self.period == "day":
            return Period(day, day + timedelta(days=1))
        if self.period == "week":
            monday = day - timedelta(days=day.weekday())
            return Period(monday, monday + timedelta(days=7))
        if self.period == "month":
            first = day.replace(day=1)
            return Period(first, (first + timedelta(days=31)).replace(day=1))
        return Period(_BEGINNING, _END)

    def resets(self, now: datetime) -> datetime | None:
        """When it begins anew; None: never."""
        return None if self.period == "total" else self.window(now).until
