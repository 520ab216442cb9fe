"""Tells when half of a budget is spent, nearly all, and all: once in each period, whichever instance notices it.

All instances notice it for themselves; the one that claims the name of the notice tells it. Nobody waits for that.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import datetime
from decimal import Decimal

from openai_proxy.access.budget import Budget
from openai_proxy.budgets.text import begins_anew, dollars, named
from openai_proxy.period import Period
from openai_proxy.ports import ClaimError, Claims
from openai_proxy.structured_log import Severity, log

USED_UP = 100
_THRESHOLDS: dict[int, Severity] = {50: "INFO", 80: "WARNING", USED_UP: "ERROR"}  # in percent
_LITTLE_LEFT = 90  # where a request is refused from here on, the budget is used up: it has no room for such any more
_MESSAGES = {USED_UP: "a budget is used up"}  # terraform/alerts.tf looks for these texts
_NEARLY = "a budget is nearly used up"


class BudgetNotices:
    """What one instance noticed. Without `claims` every instance tells; `send` takes a sentence for people."""

    def __init__(self, claims: Claims | None = None, send: Callable[[str], Awaitable[None]] | None = None) -> None:
        self._claims = claims
        self._send = send
        self._noticed: dict[Budget, tuple[Period, int]] = {}  # the highest threshold of the newest period
        self._telling: set[asyncio.Task[None]] = set()

    def look(self, budget: Budget, spent: Decimal, now: datetime, *, is_refused: bool = False) -> None:
        """Notice what a budget has come to, after a request was settled or refused."""
        if not budget.amount:
            return
        percent, window = spent / budget.amount * 100, budget.window(now)
        if is_refused and percent >= _LITTLE_LEFT:
            percent = max(percent, Decimal(USED_UP))
        period, highest = self._noticed.get(budget, (window, 0))
        highest = highest if period == window else 0
        reached = [threshold for threshold in _THRESHOLDS if highest < threshold <= percent]
        if reached:
            self._noticed[budget] = (window, reached[-1])
            task = asyncio.create_task(self._tell(budget, reached, spent, now), context=Context())
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    def close(self) -> None:
        """Tell no more."""
        for task in self._telling:
            task.cancel()

    async def _tell(self, budget: Budget, reached: list[int], spent: Decimal, now: datetime) -> None:
        for threshold in reached:
            if await self._is_first(_name(budget, threshold, now)):
                fields = {
                    "threshold": threshold,
                    "budget": format(budget.amount, "f"),
                    "spent": format(spent, "f"),
                    "period": budget.period,
                    "since": budget.window(now).since.isoformat(),
                }
                if budget.scope.kind != "organization":
                    fields[f"{budget.scope.kind}_id"] = budget.scope.name
                log(_THRESHOLDS[threshold], _MESSAGES.get(threshold, _NEARLY), **fields)
                if self._send is not None:
                    what = f"{threshold} % of {named(budget)}, is used: {dollars(spent)}."
                    await self._send(f"{what} {begins_anew(budget.resets(now))}")

    async def _is_first(self, name: str) -> bool:
        if self._claims is None:
            return True
        try:
            return await asyncio.to_thread(self._claims.claim, name)
        except ClaimError as error:
            log("ERROR", "whether a notice was told already is not known; it is told", reason=str(error))
            return True


def _name(budget: Budget, threshold: int, now: datetime) -> str:
    """The same on all instances, for this threshold of this amount in this period; told apart without case as well."""
    since = f"{budget.window(now).since:%Y-%m-%d}"
    words = f"{budget.scope.kind} {budget.scope.name} {budget.period} {since} {budget.amount.normalize():f} {threshold}"
    return f"{words.replace(' ', '.')}.{hashlib.sha256(words.encode()).hexdigest()[:8]}"
