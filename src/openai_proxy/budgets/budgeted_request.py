"""One request under its caller's budgets: what it may cost is held before OpenAI sees it, what it cost is settled."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from openai_proxy.access.budget import Budget
from openai_proxy.api.client import ClientGoneError
from openai_proxy.api.endpoints import UNCOUNTED, Metering
from openai_proxy.api.refusals import Refusal
from openai_proxy.budgets.book import Exceeded
from openai_proxy.budgets.guard import BudgetGuard, Held, Unknown
from openai_proxy.budgets.refusals import NOT_KNOWN, over_budget, without_price
from openai_proxy.events import UsageEvent
from openai_proxy.records import ListCost
from openai_proxy.settings import Settings
from openai_proxy.wire.request_body import RequestReader


class BudgetedRequest:
    """Without budgets it does nothing, and loads nothing."""

    def __init__(self, guard: BudgetGuard, budgets: tuple[Budget, ...], metering: Metering, settings: Settings) -> None:
        self._guard = guard
        self._budgets = () if metering in UNCOUNTED else budgets
        self._metering = metering
        self._settings = settings
        self._held: Held | None = None

    @property
    def counts(self) -> bool:
        """Whether anything is held for it."""
        return bool(self._budgets)

    async def hold(
        self, started: UsageEvent, reader: RequestReader, size: int, *, left: asyncio.Task[None]
    ) -> UsageEvent | Refusal:
        """Hold what a request may cost at worst; `size` is its body's, `left` is done when its client has left.

        Returns:
            The event with what is held, of the time at which it is; or why the request may not pass.

        Raises:
            ClientGoneError: the client left before that.
        """
        if not self._budgets:
            return started
        holding = asyncio.create_task(self._hold(started, reader, size))
        try:
            await asyncio.wait({holding, left}, return_when=asyncio.FIRST_COMPLETED)
            if not holding.done():
                raise ClientGoneError
            return holding.result()
        finally:
            holding.cancel()

    def settle(self, finished: UsageEvent) -> None:
        """Replace what is held by what it came to; what has no cost stays as it was held, in the ledger as well."""
        if self._held is not None:
            from openai_proxy.pricing.priced import priced

            self._guard.settle(self._held, priced(finished).cost.list_cost)
            self._held = None

    async def _hold(self, started: UsageEvent, reader: RequestReader, size: int) -> UsageEvent | Refusal:
        cost = await asyncio.to_thread(self._worst_case, started, reader, size)
        if cost.list_cost is None:
            return without_price(started.request_model, cost.unpriced_reason)
        held = await self._guard.hold(self._budgets, cost.list_cost)
        if isinstance(held, Exceeded):
            return over_budget(held, cost.list_cost)
        if isinstance(held, Unknown):
            return NOT_KNOWN
        self._held = held
        return replace(started, event_time=held.now, reserved_cost=cost.list_cost, budget_state=held.state)

    def _worst_case(self, started: UsageEvent, reader: RequestReader, size: int) -> ListCost:
        from openai_proxy.budgets.reserved_cost import Asked, worst_case  # 30 MB that only callers with budgets need

        sound = reader.facts.upload
        asked = Asked(
            metering=self._metering,
            members=reader.members(),
            output_limit=reader.facts.output_limit,
            size=size,
            is_whole=reader.is_whole,
            seconds=sound.seconds() if sound else None,
        )
        return worst_case(
            started,
            asked,
            output_tokens=self._settings.reserved_output_tokens,
            unseen_tokens=self._settings.reserved_unseen_tokens,
        )
