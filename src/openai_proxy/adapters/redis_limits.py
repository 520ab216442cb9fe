"""The limits of all instances together, in one Redis or Valkey; each decision is one script there, which runs alone.

What a user took of one limit is a sorted set of shares, by when they come free, beside a hash of their amounts and the
`sum`. The clock is the server's. A request's place is renewed while its instance lives; of one that died it comes free.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.exceptions import ValkeyError

from openai_proxy.limits.rate_limits import WINDOW_SECONDS, Ask, LimitKind, RateLimitStoreError, Standing

_PLACE_SECONDS = 30.0  # the place of a request whose instance died is held for so long
_RENEWALS = 3  # of a place, before it would come free
_ANSWER_SECONDS = 0.5  # a request waits no longer for its limits
_CONNECTIONS = 8  # of one instance; a script takes well under a millisecond
_NEVER = -1.0
_TLS = ("rediss:", "valkeys:")

_SHARES = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end
local function add(shares, amounts, name, amount, seconds)
  redis.call('ZADD', shares, now + seconds, name)
  redis.call('HSET', amounts, name, amount)
  redis.call('HINCRBY', amounts, 'sum', amount)
  redis.call('EXPIRE', shares, math.ceil(seconds) + 1)
  redis.call('EXPIRE', amounts, math.ceil(seconds) + 1)
end
local function reduce(shares, amounts, name, by)
  local amount = tonumber(redis.call('HGET', amounts, name) or 0)
  if amount > by then
    redis.call('HINCRBY', amounts, name, -by)
    redis.call('HINCRBY', amounts, 'sum', -by)
  elseif amount > 0 then
    redis.call('ZREM', shares, name)
    redis.call('HDEL', amounts, name)
    redis.call('HINCRBY', amounts, 'sum', -amount)
  end
end
"""

# KEYS: the shares and the amounts of each limit. ARGV: now or '', a name, then of each limit: limit, amount, seconds
_TAKE = (
    _SHARES
    + """
local standings, has_room = {}, true
for i = 1, #KEYS, 2 do
  local shares, amounts, argument = KEYS[i], KEYS[i + 1], 3 * (i + 1) / 2
  local limit, amount = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
  for _, free in ipairs(redis.call('ZRANGEBYSCORE', shares, '-inf', now)) do
    reduce(shares, amounts, free, math.huge)
  end
  local used = tonumber(redis.call('HGET', amounts, 'sum') or 0)
  local missing, wait = used + amount - limit, 0
  if missing > 0 then
    has_room, wait = false, -1
    local first = redis.call('ZRANGE', shares, 0, missing - 1, 'WITHSCORES')
    for j = 1, #first, 2 do
      missing = missing - redis.call('HGET', amounts, first[j])
      if missing <= 0 then
        wait = first[j + 1] - now
        break
      end
    end
  end
  local last = redis.call('ZRANGE', shares, -1, -1, 'WITHSCORES')[2] or now
  for _, number in ipairs({used, wait, last - now}) do
    table.insert(standings, string.format('%.17g', number))
  end
end
for i = 1, has_room and #KEYS or 0, 2 do
  local amount = tonumber(ARGV[3 * (i + 1) / 2 + 1])
  if amount > 0 then
    add(KEYS[i], KEYS[i + 1], ARGV[2], amount, tonumber(ARGV[3 * (i + 1) / 2 + 2]))
  end
end
return standings
"""
)

# KEYS: of the places, then of the tokens. ARGV: now or '', a name, the correction, the seconds of a window
_END = (
    _SHARES
    + """
local correction = tonumber(ARGV[3])
reduce(KEYS[1], KEYS[2], ARGV[2], 1)
if correction < 0 then
  reduce(KEYS[3], KEYS[4], ARGV[2], -correction)
elseif correction > 0 then
  add(KEYS[3], KEYS[4], ARGV[2] .. '+', correction, tonumber(ARGV[4]))
end
"""
)

# KEYS: of the places. ARGV: now or '', the seconds of a place, names
_RENEW = (
    _SHARES
    + """
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', now + ARGV[2], ARGV[i])
end
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[2]) + 1)
redis.call('EXPIRE', KEYS[2], math.ceil(ARGV[2]) + 1)
"""
)


class RedisLimits:
    """Counts for all processes that name the same server. `clock`, for tests, stands in for the server's."""

    def __init__(
        self, url: str, *, clock: Callable[[], float] | None = None, place_seconds: float = _PLACE_SECONDS
    ) -> None:
        """Raise ValueError for an address of another form."""
        options: dict[str, Any] = {"ssl_check_hostname": True} if url.lower().startswith(_TLS) else {}
        self._client = Valkey.from_pool(
            BlockingConnectionPool.from_url(
                url, max_connections=_CONNECTIONS, timeout=_ANSWER_SECONDS, socket_timeout=_ANSWER_SECONDS, **options
            )
        )
        self._take, self._end, self._renew = map(self._client.register_script, (_TAKE, _END, _RENEW))
        self._clock = clock
        self._place_seconds = place_seconds
        self._places: dict[str, set[str]] = {}
        self._renewal: asyncio.Task[None] | None = None

    async def take(self, user_id: str, name: str, asks: Sequence[Ask]) -> Sequence[Standing]:
        """Take all or nothing, in one round trip.

        Raises:
            RateLimitStoreError: the server does not answer in time; should it have taken a place, that comes free.
        """
        keys, arguments = [], [self._now(), name]
        for ask in asks:
            keys += _keys(user_id, ask.kind)
            seconds = self._place_seconds if ask.kind == "concurrent_requests" else WINDOW_SECONDS
            arguments += [ask.limit, ask.amount, seconds]
        with _reached():
            told = [float(number) for number in await self._take(keys, arguments)]
        standings = [
            Standing(ask, int(used), None if wait == _NEVER else wait, resets)
            for ask, used, wait, resets in zip(asks, told[::3], told[1::3], told[2::3], strict=True)
        ]
        if any(ask.kind == "concurrent_requests" for ask in asks) and all(one.has_room for one in standings):
            self._places.setdefault(user_id, set()).add(name)
            if self._renewal is None:
                self._renewal = asyncio.create_task(self._renew_places())
        return standings

    async def end(self, user_id: str, name: str, correction: int) -> None:
        """Give the place back and correct the tokens.

        Raises:
            RateLimitStoreError: the server does not answer in time.
        """
        places = self._places.get(user_id, set())
        if name not in places and not correction:
            return
        places.discard(name)
        if not places:
            self._places.pop(user_id, None)
        keys = [*_keys(user_id, "concurrent_requests"), *_keys(user_id, "tokens")]
        with _reached():
            await self._end(keys, [self._now(), name, correction, WINDOW_SECONDS])

    async def close(self) -> None:
        """Close the connections; places that are held come free by themselves."""
        if self._renewal is not None:
            self._renewal.cancel()
        await self._client.aclose()

    async def _renew_places(self) -> None:
        """Go on until no place is held."""
        while self._places:
            for user_id, names in list(self._places.items()):
                with contextlib.suppress(RateLimitStoreError), _reached():
                    await self._renew(_keys(user_id, "concurrent_requests"), [self._now(), self._place_seconds, *names])
            await asyncio.sleep(self._place_seconds / _RENEWALS)
        self._renewal = None

    def _now(self) -> float | str:
        return self._clock() if self._clock else ""


def _keys(user_id: str, kind: LimitKind) -> list[str]:
    """The braces keep all of a user's keys in one slot of a cluster."""
    return [f"openai-proxy:{{{user_id}}}:{kind}:{part}" for part in ("shares", "amounts")]


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except (ValkeyError, OSError) as error:
        raise RateLimitStoreError(type(error).__name__) from None
