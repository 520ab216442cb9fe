"""The limits of one instance, in its memory: a request's share takes a few hundred bytes for a minute."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import inf

from openai_proxy.limits.rate_limits import WINDOW_SECONDS, Ask, LimitKind, Standing


class MemoryLimits:
    """Counts for one process. It knows as many users as the access file. `clock` never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shares: dict[tuple[LimitKind, str], _Shares] = {}

    async def take(self, user_id: str, name: str, asks: Sequence[Ask]) -> Sequence[Standing]:
        """Take all or nothing; it cannot fail."""
        now = self._clock()
        taken = [(ask, self._shares.setdefault((ask.kind, user_id), _Shares())) for ask in asks]
        standings = [shares.standing(ask, now) for ask, shares in taken]
        if all(standing.has_room for standing in standings):
            for ask, shares in taken:
                # A place needs no end here: it dies with the process
                shares.add(name, ask.amount, inf if ask.kind == "concurrent_requests" else now + WINDOW_SECONDS)
        return standings

    async def end(self, user_id: str, name: str, correction: int) -> None:
        """Give the place back and correct the tokens; it cannot fail."""
        if places := self._shares.get(("concurrent_requests", user_id)):
            places.reduce(name, 1)
        tokens = self._shares.get(("tokens", user_id))
        if tokens and correction < 0:
            tokens.reduce(name, -correction)
        elif tokens:
            tokens.add(f"{name}+", correction, self._clock() + WINDOW_SECONDS)

    async def close(self) -> None:
        """Nothing is open."""


class _Shares:
    """What is taken of one limit: each share's amount and when it comes free, the next one first."""

    __slots__ = ("_shares", "_used")

    def __init__(self) -> None:
        self._shares: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._used = 0

    def standing(self, ask: Ask, now: float) -> Standing:
        self._free(now)
        last = next(reversed(self._shares.values()), (now, 0))[0]
        return Standing(ask, self._used, self._wait(ask, now), last - now)

    def add(self, name: str, amount: int, free: float) -> None:
        if amount > 0:
            self._shares[name] = free, amount
            self._used += amount

    def reduce(self, name: str, by: int) -> None:
        """Make a share less, if it is still taken."""
        if name not in self._shares:
            return
        free, amount = self._shares[name]
        self._used -= min(by, amount)
        if amount > by:
            self._shares[name] = free, amount - by
        else:
            del self._shares[name]

    def _wait(self, ask: Ask, now: float) -> float | None:
        missing = self._used + ask.amount - ask.limit
        if missing <= 0:
            return 0.0
        for free, amount in self._shares.values():
            missing -= amount
            if missing <= 0:
                return free - now
        return None

    def _free(self, now: float) -> None:
        while self._shares:
            name, (free, amount) = next(iter(self._shares.items()))
            if free > now:
                return
            del self._shares[name]
            self._used -= amount
