"""Turns: how the requests of one process begin, so that one user's flood does not slow another's.

The proxy is one process on one core. Work that waits for that core waits behind all work that came before it, whoever
it was for; what keeps another's request fast is a core that is not busy all the time. So, while several users ask,
those who ask the most begin one after the other, user by user, and only as fast as leaves a part of the core idle.
Only beginnings wait, and what comes of a large body after its first part: a request that OpenAI works on holds nothing,
and any number of them may. `benchmarks/fairness.py` measures it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import exp2, inf

_TICK_SECONDS = 0.001  # between two beginnings of those who wait; uvloop's timers know whole milliseconds
_BUSIEST = 0.5  # the part of one core's time that may be used up before they wait longer
_CREDIT_SECONDS = 0.005  # of the core's time that can be saved up, or owed
_QUIET_SECONDS = 0.02  # who began nothing for so long does not wait
_HALF_LIFE_SECONDS = 1.0  # of a beginning, in the count of who asks how often
_LONGEST_SECONDS = 0.025  # between two beginnings, however busy: what is already going on must not starve them
_TOGETHER_SECONDS = 60.0  # for so long after another user's request, a user is not alone


class Turns:
    """Who begins when. `work` is what this process has worked so far, in seconds of a core; `clock` never goes back."""

    def __init__(
        self, *, work: Callable[[], float] = time.process_time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._work = work
        self._clock = clock
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._begun: dict[str, _Begun] = {}  # as many as the access file has users
        self._loudest = _Begun()
        self._latest_user: str | None = None
        self._together_until = 0.0
        self._owed = 0.0  # work beyond the part that may be used, in seconds
        self._seen = (0.0, 0.0)  # the clock and the work when `_owed` was counted
        self._released = 0.0

    async def take(self, user_id: str, *, goes_on: bool = False) -> None:
        """Return when this user's next request may begin, or one that goes on may read another part of its body.

        What goes on comes first, so that a flood of large bodies is read one after the other, not all until the end.
        """
        loop, now = asyncio.get_running_loop(), self._clock()
        if user_id != self._latest_user:
            if self._latest_user is not None:
                self._together_until = now + _TOGETHER_SECONDS
            self._latest_user = user_id
        waiting = self._waiting.get(user_id)
        if waiting is None and (now >= self._together_until or self._is_quiet(user_id, now)):
            self._begin(user_id, now)
            return
        if not self._waiting:
            self._released, self._seen = now, (now, self._work())
            loop.call_later(_TICK_SECONDS, self._tick, loop)
        if waiting is None:
            waiting = self._waiting[user_id] = deque()
        turn = loop.create_future()
        if goes_on:
            waiting.appendleft(turn)
        else:
            waiting.append(turn)
        await turn

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now, work = self._clock(), self._work()
        owed = self._owed + work - self._seen[1] - _BUSIEST * (now - self._seen[0])
        self._owed, self._seen = min(max(owed, -_CREDIT_SECONDS), _CREDIT_SECONDS), (now, work)
        if self._owed <= 0 or now - self._released >= _LONGEST_SECONDS:
            self._release(now)
        if self._waiting:
            loop.call_later(_TICK_SECONDS, self._tick, loop)

    def _release(self, now: float) -> None:
        """Let the user begin whose turn it is; the others' come first then."""
        while self._waiting:
            user_id, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[user_id] = turns
            if not turn.done():  # its request may have been given up
                turn.set_result(None)
                self._begin(user_id, now)
                self._released = now
                return

    def _begin(self, user_id: str, now: float) -> None:
        begun = self._begun.setdefault(user_id, _Begun())
        begun.often, begun.latest = begun.how_often(now) + 1, now
        if begun.often >= self._loudest.how_often(now):
            self._loudest = begun

    def _is_quiet(self, user_id: str, now: float) -> bool:
        """Whether they began nothing for a while, or half as often as another at most."""
        begun = self._begun.setdefault(user_id, _Begun())
        return now - begun.latest >= _QUIET_SECONDS or 2 * begun.how_often(now) <= self._loudest.how_often(now)


@dataclass(slots=True)
class _Begun:
    """How often a user began something lately, and when the latest."""

    often: float = 0.0
    latest: float = -inf

    def how_often(self, now: float) -> float:
        return self.often * exp2((self.latest - now) / _HALF_LIFE_SECONDS)
