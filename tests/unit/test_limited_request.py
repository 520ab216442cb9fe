from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openai_proxy.access.callers import Caller
from openai_proxy.access.policy import Policy
from openai_proxy.adapters.memory_limits import MemoryLimits
from openai_proxy.api.endpoints import Metering
from openai_proxy.limits.limited_request import LimitedRequest
from openai_proxy.limits.rate_limits import RateLimits
from openai_proxy.wire.request_body import RequestFacts
from used_events import used

CALLER = Caller(
    user_id="ada",
    key_id="key_1",
    team_id=None,
    role="member",
    allow=frozenset(),
    policy=Policy(tokens_per_minute=1000),
)


class Desk:
    """One user's requests, one after the other."""

    def __init__(self) -> None:
        self._limits = RateLimits(MemoryLimits())

    def request(self, metering: Metering = "chat") -> LimitedRequest:
        return LimitedRequest(self._limits, CALLER, metering)

    async def has_room(self, output_limit: int | None, size: int = 0) -> bool:
        """Whether such a request is let in; it is ended at once, and used nothing."""
        request = self.request()
        refusal = await request.admit(RequestFacts(output_limit=output_limit), size)
        await request.end()
        return refusal is None


def test_the_forecast_is_the_bodys_size_and_the_answers_limit() -> None:
    async def scene() -> None:
        desk = Desk()

        assert await desk.has_room(999)
        assert not await desk.has_room(1000)
        assert await desk.has_room(899, size=400)
        assert not await desk.has_room(900, size=400)
        assert await desk.has_room(None, size=3999)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("usage", "remaining"),
    [
        ({"total_tokens": 100}, 900),
        ({"total_tokens": 0}, 1000),
        ({"type": "duration", "seconds": 3}, 399),
        ({"total_tokens": -(10**6)}, 399),
        ({"total_tokens": 10**30}, 399),
        ({"total_tokens": "100"}, 399),
        (None, 399),
    ],
)
def test_what_a_request_came_to_replaces_the_forecast_where_it_is_sound(
    usage: dict[str, Any] | None, remaining: int
) -> None:
    async def scene() -> None:
        desk = Desk()
        request = desk.request()
        assert await request.admit(RequestFacts(output_limit=600), 0) is None
        request.used(used("gpt-4o", usage, usage_source="reported" if usage else "unknown"))
        await request.end()

        assert await desk.has_room(remaining - 1)
        assert not await desk.has_room(remaining)

    asyncio.run(scene())


def test_a_request_that_openai_did_not_see_gives_all_back() -> None:
    async def scene() -> None:
        desk = Desk()
        request = desk.request()
        assert await request.admit(RequestFacts(output_limit=999), 0) is None
        request.used(used("gpt-4o", None, usage_source="none"))
        await request.end()

        assert await desk.has_room(999)

    asyncio.run(scene())


def test_what_costs_nothing_is_not_limited() -> None:
    async def scene() -> None:
        desk = Desk()
        assert await desk.request("chat").admit(RequestFacts(output_limit=999), 0) is None

        assert await desk.request("chat").admit(RequestFacts(), 0) is not None
        assert await desk.request("free").admit(RequestFacts(), 0) is None

    asyncio.run(scene())
