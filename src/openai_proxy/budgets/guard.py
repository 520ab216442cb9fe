"""Holds what requests may cost on their budgets, and asks the ledger in time what others spent.

One question to the ledger is on its way at a time; all that want to know something in the meantime share the next one.
Of those who wait for the same budgets, the first decides first: a small request does not overtake a large one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, Protocol
from weakref import WeakValueDictionary

from openai_proxy.access.budget import Account, Budget
from openai_proxy.budgets.book import AskFirst, BudgetBook, Exceeded, Reservation, Spacing
from openai_proxy.budgets.notices import BudgetNotices
from openai_proxy.budgets.spend_view import SpendUnknownError
from openai_proxy.events import BudgetState
from openai_proxy.ports import Spend, SpendQuestion
from openai_proxy.settings import Settings
from openai_proxy.structured_log import log

_SHORTEST_SECONDS = 0.05  # between two questions, whatever is set
_FAILURES = 4  # for as long as so many questions take, one that failed stands for the next
_LOG_SECONDS = 60.0  # between two lines that say the same of one budget


class Ask(Protocol):
    """Asks the ledger, or raises `SpendUnknownError`."""

    def __call__(self, questions: Sequence[SpendQuestion], *, seconds: float) -> Awaitable[Spend]:
        """What was spent, as this instance does not know it itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is held for one request, since `now`."""

    budgets: tuple[Budget, ...]
    reservation: Reservation
    state: BudgetState
    now: datetime


@dataclass(frozen=True, slots=True)
class Unknown:
    """The ledger cannot be asked, and has not been for too long."""


class BudgetGuard:
    """All budgets of one process. While the ledger cannot be asked, what fits by what is known is let in, if so set."""

    def __init__(
        self,
        ask: Ask,
        settings: Settings,
        notices: BudgetNotices | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._notices = notices or BudgetNotices()
        self._spacing = Spacing(
            instances=max(1, settings.budget_instances),
            pipeline=settings.budget_pipeline_seconds,
            floor=max(_SHORTEST_SECONDS, settings.budget_refresh_seconds),
        )
        self._book = BudgetBook(self._spacing)
        self._admits = settings.budget_unreachable == "admit"
        self._unreachable_seconds = settings.budget_unreachable_seconds
        self._clock = clock
        self._lines: WeakValueDictionary[tuple[Budget, ...], asyncio.Lock] = WeakValueDictionary()
        self._wanted: set[Account] = set()
        self._asker: asyncio.Task[None] | None = None
        self._more = asyncio.Event()  # wanted than the asker knows of
        self._news = asyncio.Event()  # set, and replaced, whenever something may be decided otherwise
        self._answered: float | None = None  # when the last question was asked that was answered
        self._failed: float | None = None  # when the first one was asked that was not, since then
        self._latest_failure = 0.0
        self._told: dict[object, float] = {}

    async def hold(self, budgets: tuple[Budget, ...], amount: Decimal) -> Held | Exceeded | Unknown:
        """Hold an amount on all budgets; it may have to wait for the ledger, or for what others hold."""
        arrived = self._clock()
        line = self._lines.get(budgets)
        if line is None:
            line = self._lines[budgets] = asyncio.Lock()
        async with line:
            while True:
                news = self._news
                now = datetime.now(UTC)
                decision = self._book.reserve(budgets, amount, now=now, arrived=arrived, clock=self._clock())
                if isinstance(decision, AskFirst) and self._is_unreachable(arrived):
                    self._want(decision.accounts)
                    return self._decide_blindly(budgets, amount, now)
                if isinstance(decision, Reservation):
                    self._refresh(budgets, now)
                    return Held(budgets=budgets, reservation=decision, state="checked", now=now)
                if isinstance(decision, Exceeded):
                    self._tell_refusal(decision, now)
                    return decision
                self._want(decision.accounts)
                await news.wait()

    def settle(self, held: Held, cost: Decimal | None) -> None:
        """Replace what was held by what it came to; where that is not known, it is as much."""
        self._book.settle(held.reservation, held.reservation.amount if cost is None else cost)
        self._say_news()
        for budget in held.budgets:
            self._notices.look(budget, self._book.spent(budget, held.now), held.now)

    def close(self) -> None:
        """Ask no more, and tell no more."""
        self._notices.close()
        if self._asker is not None:
            self._asker.cancel()

    def _refresh(self, budgets: Sequence[Budget], now: datetime) -> None:
        clock = self._clock()
        stale = [one.account(now) for one in budgets if self._book.wants_view(one, now, clock=clock)]
        if stale:
            self._want(stale)

    def _want(self, accounts: Sequence[Account]) -> None:
        self._wanted.update(accounts)
        self._more.set()
        if self._asker is None or self._asker.done():
            # Its log is about nobody's request
            self._asker = asyncio.create_task(self._keep_asking(), context=Context())

    async def _keep_asking(self) -> None:
        try:
            while self._wanted:
                self._more.clear()
                waits = {account: self._book.may_ask(account, clock=self._clock()) for account in self._wanted}
                due = [account for account, seconds in waits.items() if not seconds]
                if due:
                    self._wanted.difference_update(due)
                    await self._ask_about(due)
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._more.wait(), min(waits.values()))
        finally:
            self._say_news()  # whoever waits may begin to ask again

    async def _ask_about(self, accounts: Sequence[Account]) -> None:
        asked, asking = self._clock(), {}
        for account in accounts:
            began = self._book.asking(account, clock=asked)
            if began is not None:
                asking[account] = SpendQuestion(
                    scope_kind=account.scope.kind,
                    scope_name=account.scope.name,
                    since=account.window.since,
                    own_since=began,
                )
        try:
            spend = await self._ask(list(asking.values()), seconds=self._spacing.fresh)
        except SpendUnknownError as error:
            self._note_failure(asked, str(error))
        else:
            self._note_answer(asked)
            for account, amount in zip(asking, spend.amounts, strict=True):
                self._book.learn(account, amount, instances=1 + spend.other_instances, clock=self._clock())
        self._say_news()

    def _say_news(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    # While the ledger cannot be asked

    def _is_unreachable(self, arrived: float) -> bool:
        """Whether nobody could be asked since a request came, or a little while before: then it need not wait."""
        return self._failed is not None and self._latest_failure >= arrived - _FAILURES * self._spacing.fresh

    def _decide_blindly(self, budgets: tuple[Budget, ...], amount: Decimal, now: datetime) -> Held | Exceeded | Unknown:
        since = self._answered if self._answered is not None else self._failed or 0.0
        if not self._admits or self._clock() - since > self._unreachable_seconds:
            self._tell("refused", "ERROR", "requests with budgets are refused: the ledger cannot be asked")
            return Unknown()
        decision = self._book.reserve_blindly(budgets, amount, now=now, clock=self._clock())
        if isinstance(decision, Exceeded):
            self._tell_refusal(decision, now)
            return decision
        return Held(budgets=budgets, reservation=decision, state="unreachable", now=now)

    def _note_failure(self, asked: float, reason: str) -> None:
        self._latest_failure = self._clock()
        if self._failed is None:
            self._failed = asked
            log("ERROR", "the ledger cannot be asked what was spent", reason=reason, budget_state="unreachable")

    def _note_answer(self, asked: float) -> None:
        if self._failed is not None:
            log("INFO", "the ledger tells again what was spent", seconds=round(asked - self._failed))
        self._answered, self._failed = asked, None

    # What the log says, not too often

    def _tell_refusal(self, exceeded: Exceeded, now: datetime) -> None:
        self._notices.look(exceeded.budget, self._book.spent(exceeded.budget, now), now, is_refused=True)
        scope = exceeded.budget.scope
        self._tell(
            exceeded.budget,
            "WARNING",
            "a request is refused: it may cost more than its budget has left",
            scope=f"{scope.kind} {scope.name}".strip(),
            budget=format(exceeded.budget.amount, "f"),
            period=exceeded.budget.period,
            committed=format(exceeded.committed, "f"),
        )

    def _tell(self, what: object, severity: Literal["WARNING", "ERROR"], message: str, **fields: str) -> None:
        told = self._told.get(what)
        if told is None or self._clock() - told > _LOG_SECONDS:
            self._told[what] = self._clock()
            log(severity, message, **fields)
