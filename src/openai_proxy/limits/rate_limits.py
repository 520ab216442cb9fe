"""How much a user may ask: requests and tokens in any 60 seconds, and requests at a time.

A limit is exact: what was taken of it comes free 60 seconds later, each request's share on its own, so that no window
of 60 seconds ever holds more, and nobody is refused while there is room. All limits of a request are taken at once or
not at all, so one that is refused counts nowhere. docs/adr/0011-rate-limits.md compares the ways to do that.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

from openai_proxy.structured_log import log

WINDOW_SECONDS = 60.0

LimitKind = Literal["requests", "tokens", "concurrent_requests"]

_RETRY_SECONDS = 5.0  # after it failed, the shared store is left alone for so long
_LOG_SECONDS = 60.0
_PLACE_SECONDS = 1.0


class RateLimitStoreError(Exception):
    """The store of the limits cannot be reached now."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request takes of one limit."""

    kind: LimitKind
    limit: int
    amount: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit when a request came: `used` without that request.

    `wait_seconds` is the time until there is room for it: 0 now, None never, since it alone is more than the limit;
    `resets_seconds` the time until nothing is used any more, if nothing is asked.
    """

    ask: Ask
    used: int
    wait_seconds: float | None
    resets_seconds: float

    @property
    def has_room(self) -> bool:
        """Whether the limit lets the request pass."""
        return self.wait_seconds == 0

    @property
    def retry_seconds(self) -> float | None:
        """When to ask again: after the wait; for a place, soon, since nobody knows when a request in flight ends."""
        if self.wait_seconds and self.ask.kind == "concurrent_requests":
            return _PLACE_SECONDS
        return self.wait_seconds

    @property
    def remaining(self) -> int:
        """What is left of the limit without the request."""
        return max(0, self.ask.limit - self.used)


class RateLimitStore(Protocol):
    """Counts what users took. One in memory, one in Redis or Valkey for all instances together."""

    async def take(self, user_id: str, name: str, asks: Sequence[Ask]) -> Sequence[Standing]:
        """Take all that is asked for under the request's name if every limit has room, else nothing.

        Raises:
            RateLimitStoreError: nothing is known to be taken.
        """

    async def end(self, user_id: str, name: str, correction: int) -> None:
        """Give the request's place back, and correct its tokens: a negative number was too much, a positive too little.

        Raises:
            RateLimitStoreError: the place comes free by itself in a while.
        """

    async def close(self) -> None:
        """Let go of the engine."""


@dataclass(frozen=True, slots=True)
class TooMany:
    """A request that a limit has no room for: the one that it must wait for the longest, beside how all stand."""

    standings: Sequence[Standing]

    @property
    def longest(self) -> Standing:
        """The limit to wait for."""
        return max(self.standings, key=lambda standing: _inf_if_none(standing.retry_seconds))

    @property
    def kind(self) -> LimitKind:
        """Which limit it is."""
        return self.longest.ask.kind

    @property
    def retry_after_seconds(self) -> float | None:
        """When there may be room; None: never for this request."""
        return self.longest.retry_seconds


class Admission:
    """A request that was let in. It must be ended."""

    def __init__(self, end: Callable[[int | None], Awaitable[None]] | None) -> None:
        self._end = end

    async def end(self, tokens_used: int | None) -> None:
        """Give its place back, and its unused tokens; charge what it used beyond. None: as many as were forecast.

        Only the first call counts. It never fails: where the store is out of reach, the place comes free by itself.
        """
        end, self._end = self._end, None
        if end is not None:
            await end(tokens_used)


class RateLimits:
    """Lets requests in. Without a shared store, or while it is out of reach, each instance counts for itself."""

    def __init__(
        self,
        own: RateLimitStore,
        shared: RateLimitStore | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own = own
        self._shared = shared
        self._clock = clock
        self._shared_again = self._log_again = -float("inf")

    async def admit(
        self,
        user_id: str,
        *,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        concurrent_requests: int | None,
        tokens: int,
    ) -> Admission | TooMany:
        """Let a request in, or say what it must wait for. A limit of None does not exist; `tokens` is a forecast."""
        wanted: Sequence[tuple[LimitKind, int | None, int]] = (
            ("requests", requests_per_minute, 1),
            ("tokens", tokens_per_minute, tokens),
            ("concurrent_requests", concurrent_requests, 1),
        )
        asks = [Ask(kind, limit, amount) for kind, limit, amount in wanted if limit is not None]
        if not asks:
            return Admission(None)
        name = uuid.uuid4().hex
        store, standings = await self._take(user_id, name, asks)
        if not all(standing.has_room for standing in standings):
            return TooMany(standings)
        forecast = None if tokens_per_minute is None else tokens
        return Admission(partial(self._end, store, user_id, name, forecast))

    async def close(self) -> None:
        """Let go of the stores."""
        for store in (self._own, self._shared):
            if store is not None:
                await store.close()

    async def _take(self, user_id: str, name: str, asks: Sequence[Ask]) -> tuple[RateLimitStore, Sequence[Standing]]:
        if self._shared is not None and self._clock() >= self._shared_again:
            try:
                return self._shared, await self._shared.take(user_id, name, asks)
            except RateLimitStoreError as error:
                self._leave_alone(error)
        return self._own, await self._own.take(user_id, name, asks)

    async def _end(
        self, store: RateLimitStore, user_id: str, name: str, forecast: int | None, tokens_used: int | None
    ) -> None:
        if store is self._shared and self._clock() < self._shared_again:
            return
        correction = 0 if forecast is None or tokens_used is None else tokens_used - forecast
        try:
            await store.end(user_id, name, correction)
        except RateLimitStoreError as error:
            self._leave_alone(error)

    def _leave_alone(self, error: RateLimitStoreError) -> None:
        now = self._clock()
        self._shared_again = now + _RETRY_SECONDS
        if now >= self._log_again:
            self._log_again = now + _LOG_SECONDS
            text = "RATE_LIMIT_URL cannot be reached; until it can, each instance counts for itself"
            log("ERROR", text, error=str(error))


def _inf_if_none(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds
