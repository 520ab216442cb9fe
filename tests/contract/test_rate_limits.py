"""What every store of the limits does: one in memory, one in a real Redis or Valkey."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import redis_server
from openai_proxy.adapters.memory_limits import MemoryLimits
from openai_proxy.adapters.redis_limits import RedisLimits
from openai_proxy.limits.rate_limits import WINDOW_SECONDS, Admission, RateLimits, RateLimitStore, TooMany

Open = Callable[["Clock"], RateLimitStore]
_NEVER_LAPSES = 1e6  # a clock that jumps leaves no time to renew a place


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def server() -> Iterator[redis_server.RedisServer]:
    with redis_server.running() as one:
        yield one


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Open:
    """Opens an empty store."""
    if request.param == "memory":
        return MemoryLimits
    server: redis_server.RedisServer = request.getfixturevalue("server")

    def opened(clock: Clock) -> RateLimitStore:
        assert server.command("FLUSHALL") == b"+OK\r\n"
        return RedisLimits(server.url, clock=clock, place_seconds=_NEVER_LAPSES)

    return opened


class Desk:
    """Asks the limits as a proxy does, for one user with these limits."""

    def __init__(self, limits: RateLimits, rpm: int | None, tpm: int | None, places: int | None) -> None:
        self._limits = limits
        self.rpm, self.tpm, self.places = rpm, tpm, places

    async def ask(self, tokens: int = 0, user_id: str = "ada") -> Admission | TooMany:
        return await self._limits.admit(
            user_id,
            requests_per_minute=self.rpm,
            tokens_per_minute=self.tpm,
            concurrent_requests=self.places,
            tokens=tokens,
        )

    async def admitted(self, tokens: int = 0) -> Admission:
        answer = await self.ask(tokens)
        assert isinstance(answer, Admission)
        return answer

    async def refused(self, tokens: int = 0) -> TooMany:
        answer = await self.ask(tokens)
        assert isinstance(answer, TooMany)
        return answer


@asynccontextmanager
async def desk(
    store: Open, clock: Clock, *, rpm: int | None = None, tpm: int | None = None, places: int | None = None
) -> AsyncIterator[Desk]:
    limits = RateLimits(store(clock))
    try:
        yield Desk(limits, rpm, tpm, places)
    finally:
        await limits.close()


def test_each_request_comes_free_a_minute_after_it_came(store: Open) -> None:
    async def scene() -> None:
        clock = Clock()
        async with desk(store, clock, rpm=3) as one:
            for _ in range(3):
                await one.admitted()
                clock.now += 10
            refused = await one.refused()
            assert refused.kind == "requests"
            assert (refused.longest.used, refused.longest.remaining) == (3, 0)
            assert refused.retry_after_seconds == pytest.approx(30)
            assert refused.longest.resets_seconds == pytest.approx(50)
            clock.now += 29.99
            await one.refused()
            clock.now += 0.01
            await one.admitted()
            await one.refused()

    asyncio.run(scene())


def test_a_request_that_is_refused_counts_nowhere(store: Open) -> None:
    async def scene() -> None:
        async with desk(store, Clock(), rpm=3, tpm=100, places=3) as one:
            await one.admitted(60)
            for _ in range(5):
                assert (await one.refused(50)).kind == "tokens"
            await one.admitted(40)
            await one.admitted(0)
            assert (await one.refused(0)).kind == "requests"

    asyncio.run(scene())


def test_tokens_that_were_not_used_come_back_and_those_beyond_are_charged(store: Open) -> None:
    async def scene() -> None:
        clock = Clock()
        async with desk(store, clock, tpm=1000) as one:
            generous = await one.admitted(800)
            await one.refused(201)
            await generous.end(100)
            sparing = await one.admitted(900)
            clock.now += 30
            await sparing.end(950)
            refused = await one.refused(1)
            assert refused.longest.used == 1050
            assert refused.retry_after_seconds == pytest.approx(30)
            clock.now += 30
            assert (await one.refused(951)).longest.used == 50
            await one.admitted(950)

    asyncio.run(scene())


def test_a_usage_that_is_not_known_leaves_the_forecast(store: Open) -> None:
    async def scene() -> None:
        async with desk(store, Clock(), tpm=100) as one:
            await (await one.admitted(60)).end(None)
            assert (await one.refused(41)).longest.used == 60

    asyncio.run(scene())


def test_an_end_that_comes_after_the_minute_gives_nothing_back(store: Open) -> None:
    async def scene() -> None:
        clock = Clock()
        async with desk(store, clock, tpm=100) as one:
            early = await one.admitted(100)
            clock.now += WINDOW_SECONDS
            await one.admitted(100)
            await early.end(0)
            assert (await one.refused(1)).longest.used == 100

    asyncio.run(scene())


def test_a_request_holds_its_place_until_it_ends_and_gives_it_back_once(store: Open) -> None:
    async def scene() -> None:
        async with desk(store, Clock(), places=2) as one:
            first, second = await one.admitted(), await one.admitted()
            refused = await one.refused()
            assert (refused.kind, refused.retry_after_seconds) == ("concurrent_requests", 1.0)
            await first.end(None)
            await first.end(None)
            third = await one.admitted()
            await one.refused()
            await second.end(None)
            await third.end(None)
            await one.admitted()

    asyncio.run(scene())


def test_what_alone_is_more_than_a_limit_is_never_let_in(store: Open) -> None:
    async def scene() -> None:
        async with desk(store, Clock(), rpm=5, tpm=100) as one:
            refused = await one.refused(101)
            assert (refused.kind, refused.retry_after_seconds) == ("tokens", None)
            await one.admitted(100)
        async with desk(store, Clock(), rpm=0) as nobody:
            assert (await nobody.refused()).retry_after_seconds is None

    asyncio.run(scene())


def test_of_several_limits_the_one_that_lasts_longest_is_told(store: Open) -> None:
    async def scene() -> None:
        clock = Clock()
        async with desk(store, clock, rpm=1, tpm=100, places=1) as one:
            await one.admitted(10)
            clock.now += 20
            refused = await one.refused(1)
            assert refused.kind == "requests"
            assert refused.retry_after_seconds == pytest.approx(40)
            assert [standing.ask.kind for standing in refused.standings] == [
                "requests",
                "tokens",
                "concurrent_requests",
            ]

    asyncio.run(scene())


def test_one_users_requests_are_not_anothers(store: Open) -> None:
    async def scene() -> None:
        async with desk(store, Clock(), rpm=1) as one:
            assert isinstance(await one.ask(user_id="ada"), Admission)
            assert isinstance(await one.ask(user_id="ada@example.org"), Admission)
            assert isinstance(await one.ask(user_id="ada"), TooMany)

    asyncio.run(scene())


def test_without_a_limit_nothing_is_counted(store: Open) -> None:
    async def scene() -> None:
        async with desk(store, Clock()) as one:
            for _ in range(100):
                await (await one.admitted(10**9)).end(10**9)

    asyncio.run(scene())


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 12)),
        st.tuples(st.just("end"), st.integers(0, 15)),
        st.tuples(st.just("pass"), st.sampled_from([1, 7, 20, 59, 60])),
    ),
    max_size=60,
)


class Model:
    """The limits as a list of what was taken: (when, tokens, request)."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.requests: list[float] = []
        self.tokens: list[list[float]] = []  # [when, amount], changed when its request ends
        self.places = 0

    def has_room(self, tokens: int, now: float) -> bool:
        """By the words of the limits alone."""
        rpm, tpm, places = self._desk.rpm, self._desk.tpm, self._desk.places
        used = sum(amount for when, amount in self.tokens if when > now - WINDOW_SECONDS)
        asked = sum(when > now - WINDOW_SECONDS for when in self.requests)
        return (
            (rpm is None or asked < rpm)
            and (tpm is None or used + tokens <= tpm)
            and (places is None or self.places < places)
        )


@given(
    steps=_STEPS,
    rpm=st.sampled_from([None, 1, 3, 6]),
    tpm=st.sampled_from([None, 10, 25]),
    places=st.sampled_from([None, 1, 3]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_request_passes_exactly_when_every_window_of_a_minute_has_room_for_it(
    store: Open, steps: Sequence[tuple[str, int]], rpm: int | None, tpm: int | None, places: int | None
) -> None:
    async def scene() -> None:
        clock = Clock()
        async with desk(store, clock, rpm=rpm, tpm=tpm, places=places) as one:
            model = Model(one)
            going: list[tuple[Admission, list[float]]] = []
            for step, number in steps:
                if step == "pass":
                    clock.now += number
                elif step == "ask":
                    room = model.has_room(number, clock.now)
                    answer = await one.ask(number)
                    assert isinstance(answer, Admission) == room
                    if isinstance(answer, Admission):
                        model.requests.append(clock.now)
                        model.tokens.append([clock.now, number])
                        model.places += 1
                        going.append((answer, model.tokens[-1]))
                    elif (wait := answer.retry_after_seconds) is not None and answer.kind != "concurrent_requests":
                        assert not model.has_room(number, clock.now + wait - 0.001)
                elif going:
                    admission, share = going.pop(number % len(going))
                    await admission.end(number)
                    model.places -= 1
                    if number > share[1]:
                        model.tokens.append([clock.now, number - share[1]])
                    share[1] = min(share[1], number)

    asyncio.run(scene())


def test_after_the_time_that_is_told_there_is_room(store: Open) -> None:
    async def scene() -> None:
        clock = Clock()
        async with desk(store, clock, rpm=4, tpm=100) as one:
            for number in itertools.islice(itertools.cycle([30, 5, 45, 20, 60]), 60):
                answer = await one.ask(number)
                if isinstance(answer, TooMany):
                    assert answer.retry_after_seconds is not None
                    clock.now += answer.retry_after_seconds + 0.001
                    await one.admitted(number)
                clock.now += 1.25

    asyncio.run(scene())


def test_requests_at_the_same_moment_share_a_limit_exactly(store: Open) -> None:
    async def scene() -> None:
        async with desk(store, Clock(), rpm=20, places=50) as one:
            answers = await asyncio.gather(*(one.ask() for _ in range(60)))
            assert sum(isinstance(answer, Admission) for answer in answers) == 20

    asyncio.run(scene())
