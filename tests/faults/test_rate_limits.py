"""Several processes on one real Redis or Valkey: they share a limit exactly, and survive each other and the server."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import TypedDict

import pytest

import redis_server
from openai_proxy.adapters.memory_limits import MemoryLimits
from openai_proxy.adapters.redis_limits import RedisLimits
from openai_proxy.limits.rate_limits import Admission, RateLimits, TooMany

PATIENCE = 60.0

_INSTANCE = """
import asyncio, json, sys
from openai_proxy.adapters.memory_limits import MemoryLimits
from openai_proxy.adapters.redis_limits import RedisLimits
from openai_proxy.limits.rate_limits import Admission, RateLimits

url, limits, asks, place_seconds = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])

async def main():
    rate_limits = RateLimits(MemoryLimits(), RedisLimits(url, place_seconds=place_seconds))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    answers = await asyncio.gather(*(rate_limits.admit("ada", **limits) for _ in range(asks)))
    print(sum(isinstance(answer, Admission) for answer in answers), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await rate_limits.close()

asyncio.run(main())
"""


@pytest.fixture
def server() -> Iterator[redis_server.RedisServer]:
    with redis_server.running() as one:
        yield one


class Asked(TypedDict):
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None
    tokens: int


NO_LIMIT: Asked = {"requests_per_minute": None, "tokens_per_minute": None, "concurrent_requests": None, "tokens": 0}


class Instance:
    """A process that asks so many times at once when it is told to."""

    def __init__(self, url: str, given: Asked, asks: int, place_seconds: float = 30.0) -> None:
        command = [sys.executable, "-c", _INSTANCE, url, json.dumps(given), str(asks), str(place_seconds)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "ready"

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def admitted(self) -> int:
        return int(self._line())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({**NO_LIMIT, "requests_per_minute": 137}, 137),
        ({**NO_LIMIT, "tokens_per_minute": 1000, "tokens": 7}, 142),
        ({**NO_LIMIT, "concurrent_requests": 61}, 61),
    ],
)
def test_two_processes_share_a_limit_exactly(server: redis_server.RedisServer, given: Asked, expected: int) -> None:
    instances = [Instance(server.url, given, asks=200) for _ in range(2)]
    try:
        for one in instances:
            one.go()
        assert sum(one.admitted() for one in instances) == expected
    finally:
        for one in instances:
            one.end()


def test_the_places_of_a_process_that_died_come_free_and_those_of_one_that_lives_do_not(
    server: redis_server.RedisServer,
) -> None:
    given: Asked = {**NO_LIMIT, "concurrent_requests": 5}
    dying, living = (Instance(server.url, given, asks, place_seconds=1.5) for asks in (3, 2))

    async def places_free() -> int:
        store = RedisLimits(server.url, place_seconds=1.5)
        here = RateLimits(MemoryLimits(), store)
        try:
            held = [await here.admit("ada", **given) for _ in range(5)]
            admissions = [one for one in held if isinstance(one, Admission)]
            for one in admissions:
                await one.end(None)
            return len(admissions)
        finally:
            await here.close()

    async def until_three_are_free() -> None:
        async with asyncio.timeout(PATIENCE):
            free = 0
            while free < 3:  # each look takes a few round trips: no need to rest
                free = await places_free()
            await asyncio.sleep(3)  # twice as long as a place lasts that nobody renews
            assert await places_free() == 3

    try:
        for one in (dying, living):
            one.go()
            one.admitted()
        assert asyncio.run(places_free()) == 0
        dying.end()
        asyncio.run(until_three_are_free())
    finally:
        for one in (dying, living):
            one.end()


def test_a_server_that_goes_away_stops_nobody_and_is_used_again_when_it_is_back(
    server: redis_server.RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene() -> None:
        now = 0.0
        here = RateLimits(MemoryLimits(), RedisLimits(server.url), clock=lambda: now)

        async def ask() -> Admission | TooMany:
            return await here.admit(
                "ada", requests_per_minute=3, tokens_per_minute=None, concurrent_requests=3, tokens=0
            )

        first = [await ask() for _ in range(4)]
        server.stop()
        second = [await ask() for _ in range(4)]
        for one in (*first, *second):
            if isinstance(one, Admission):
                await one.end(None)
        server.start()
        now += 10
        third = [await ask() for _ in range(4)]
        await here.close()
        for answers in (first, second, third):
            assert [isinstance(one, Admission) for one in answers] == [True, True, True, False]

    asyncio.run(scene())
    assert capsys.readouterr().err.count("RATE_LIMIT_URL cannot be reached") == 1


def test_a_server_that_answers_nothing_is_not_waited_for_long() -> None:
    async def scene() -> None:
        here = RateLimits(MemoryLimits(), RedisLimits(f"valkey://127.0.0.1:{silent.getsockname()[1]}"))
        async with asyncio.timeout(PATIENCE / 2):
            for _ in range(100):
                answer = await here.admit(
                    "ada", requests_per_minute=100, tokens_per_minute=None, concurrent_requests=None, tokens=0
                )
                assert isinstance(answer, Admission)
                await answer.end(None)
        await here.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are made, and nobody takes them
        asyncio.run(scene())
