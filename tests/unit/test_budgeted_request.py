from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from openai_proxy.access.budget import Budget, Scope
from openai_proxy.api.client import ClientGoneError
from openai_proxy.api.endpoints import Metering
from openai_proxy.api.refusals import Refusal
from openai_proxy.budgets.budgeted_request import BudgetedRequest
from openai_proxy.budgets.guard import BudgetGuard
from openai_proxy.events import UsageEvent, UsageSource
from openai_proxy.ports import Spend, SpendQuestion
from openai_proxy.settings import Settings
from openai_proxy.wire.request_body import WholeBody
from used_events import chat, used

BUDGETS = (Budget(Scope("user", "ada"), Decimal("0.01"), "month"),)
SETTINGS = Settings(reserved_output_tokens=100)
BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'
STARTED = replace(
    used(None, None, event_type="started", usage_source="unknown", request_model="gpt-4o"),
    event_time=datetime(2020, 1, 1, tzinfo=UTC),
)


class Ledger:
    """Has nothing; answers when it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    async def ask(self, questions: Sequence[SpendQuestion], *, seconds: float) -> Spend:
        async with asyncio.timeout(seconds):
            await self.open.wait()
        return Spend(amounts=(Decimal(0),) * len(questions), other_instances=0)


def request_of(
    guard: BudgetGuard, budgets: tuple[Budget, ...] = BUDGETS, metering: Metering = "chat"
) -> BudgetedRequest:
    return BudgetedRequest(guard, budgets, metering, SETTINGS)


async def hold(request: BudgetedRequest, started: UsageEvent = STARTED, body: bytes = BODY) -> UsageEvent | Refusal:
    reader = WholeBody()
    reader.feed(body)
    never = asyncio.get_running_loop().create_future()
    left = asyncio.create_task(_wait(never))
    try:
        return await request.hold(started, reader, len(body), left=left)
    finally:
        left.cancel()


async def _wait(future: asyncio.Future[None]) -> None:
    await future


def test_what_is_held_stands_in_the_event_with_the_time_at_which_it_was() -> None:
    async def scene() -> None:
        guard = BudgetGuard(Ledger().ask, SETTINGS)
        before = datetime.now(UTC)
        held = await hold(request_of(guard))
        guard.close()

        assert isinstance(held, UsageEvent)
        assert Decimal("0.001") < (held.reserved_cost or 0) < Decimal("0.0015")
        assert held.budget_state == "checked"
        assert before <= held.event_time

    asyncio.run(scene())


def test_a_body_that_our_parser_refuses_holds_no_less_than_one_that_it_takes() -> None:
    async def scene() -> None:
        guard = BudgetGuard(Ledger().ask, replace(SETTINGS, reserved_output_tokens=1))
        plenty = (replace(BUDGETS[0], amount=Decimal(1)),)
        text = BODY.replace(b"hello", b"hello " * 150)[:-1] + b',"max_tokens":200'
        costs = []
        for body in (text + b"}", text + b',"x":' + b"1" * 5000 + b"}"):
            request = request_of(guard, plenty)
            held = await hold(request, body=body)
            assert isinstance(held, UsageEvent)
            costs.append(held.reserved_cost or Decimal(0))
            request.settle(replace(held, event_type="finished", usage=None, usage_source="none"))
        guard.close()

        taken, refused = costs
        assert refused >= taken > Decimal("0.002")  # 200 tokens at 10 USD for a million, and its input

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("usage", "source", "fits"),
    [(chat(10, 10), "reported", True), (None, "none", True), (None, "unknown", False)],
)
def test_it_is_settled_by_what_it_came_to_or_stays_as_it_was_held(
    usage: dict[str, object] | None, source: UsageSource, *, fits: bool
) -> None:
    async def scene() -> None:
        guard = BudgetGuard(Ledger().ask, SETTINGS)
        for _ in range(9):
            request = request_of(guard)
            held = await hold(request)
            assert isinstance(held, UsageEvent)
            finished = replace(held, event_type="finished", usage=usage, usage_source=source, response_model="gpt-4o")
            request.settle(finished)
            request.settle(finished)  # once is enough
        tenth = await hold(request_of(guard))
        guard.close()

        assert isinstance(tenth, UsageEvent) == fits

    asyncio.run(scene())


@pytest.mark.parametrize(("budgets", "metering"), [((), "chat"), (BUDGETS, "free"), (BUDGETS, "unmetered")])
def test_what_is_not_counted_goes_as_it_came(budgets: tuple[Budget, ...], metering: Metering) -> None:
    async def scene() -> None:
        guard = BudgetGuard(Ledger().ask, SETTINGS)
        request = request_of(guard, budgets, metering)

        assert not request.counts
        assert await hold(request) is STARTED
        request.settle(STARTED)

    asyncio.run(scene())


def test_a_client_that_leaves_is_waited_for_no_longer_and_holds_nothing() -> None:
    async def scene() -> None:
        ledger = Ledger()
        guard = BudgetGuard(ledger.ask, SETTINGS)
        ledger.open.clear()
        gone = asyncio.get_running_loop().create_future()
        left = asyncio.create_task(_wait(gone))
        reader = WholeBody()
        reader.feed(BODY)
        waiting = asyncio.create_task(request_of(guard).hold(STARTED, reader, len(BODY), left=left))
        await asyncio.sleep(0.3)
        gone.set_result(None)
        with pytest.raises(ClientGoneError):
            await waiting
        ledger.open.set()

        large = replace(STARTED, request_model="gpt-4o")
        body = BODY[:-1] + b',"max_tokens":960}'  # nearly all of the budget
        assert isinstance(await hold(request_of(guard), large, body), UsageEvent)
        guard.close()

    asyncio.run(scene())


def test_a_proxy_whose_callers_have_no_budget_loads_no_prices_and_no_encoding() -> None:
    program = "import sys, openai_proxy.proxy; print({'genai_prices', 'bpe_openai'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
