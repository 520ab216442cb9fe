"""In which order requests begin while several users ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from openai_proxy.limits.turns import Turns

PATIENCE = 30.0


class Clock:
    """Stands still, unless it is told to go on, or to take a step each time somebody looks."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self._step = 1000.0, step

    def __call__(self) -> float:
        self.now += self._step
        return self.now


class Begun(list[str]):
    """Who began, in order."""

    async def ask(self, turns: Turns, user_id: str) -> None:
        await turns.take(user_id)
        self.append(user_id)


def idle(clock: Clock | None = None) -> Turns:
    """In a process that has nothing to do."""
    return Turns(work=lambda: 0.0, clock=clock or Clock())


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def patiently() -> None:
        async with asyncio.timeout(PATIENCE):
            await scene()

    asyncio.run(patiently())


async def waiting(turns: Turns, begun: Begun, *user_ids: str) -> list[asyncio.Task[None]]:
    """Tasks that have asked, each user's first of them at once."""
    tasks = [asyncio.create_task(begun.ask(turns, user_id)) for user_id in user_ids]
    await asyncio.sleep(0)
    return tasks


def test_a_user_who_is_alone_never_waits() -> None:
    async def scene() -> None:
        turns, begun = idle(), Begun()
        await waiting(turns, begun, *["loud"] * 500)

        assert begun == ["loud"] * 500

    run(scene)


def test_who_asks_now_and_then_does_not_wait_behind_a_flood() -> None:
    async def scene() -> None:
        clock = Clock()
        turns, begun = idle(clock), Begun()
        flood = await waiting(turns, begun, "quiet", *["loud"] * 100)
        clock.now += 1.0
        (asked,) = await waiting(turns, begun, "quiet")

        assert asked.done()
        assert begun.count("quiet") == 2
        assert begun.count("loud") < 100
        await asyncio.gather(*flood)
        assert begun.count("loud") == 100

    run(scene)


def test_who_asks_often_but_half_as_often_as_a_flood_does_not_wait() -> None:
    async def scene() -> None:
        clock = Clock()
        turns, begun = idle(clock), Begun()
        flood = await waiting(turns, begun, "steady", *["loud"] * 100)
        await asyncio.gather(*flood)
        clock.now += 0.01
        begun.clear()
        tasks = await waiting(turns, begun, "loud", *["steady"] * 10)

        assert begun == ["steady"] * 10
        await asyncio.gather(*tasks)
        assert begun == [*["steady"] * 10, "loud"]

    run(scene)


def test_those_who_wait_begin_user_by_user() -> None:
    async def scene() -> None:
        turns, begun = idle(), Begun()
        tasks = await waiting(turns, begun, "a", "b", "c")
        tasks += await waiting(turns, begun, *"aaaaaaaa", *"bbb", "c")
        await asyncio.gather(*tasks)

        assert begun == list("abcabcababaaaaa")

    run(scene)


def test_what_goes_on_comes_before_what_its_user_begins() -> None:
    async def scene() -> None:
        turns, begun = idle(), Begun()
        tasks = await waiting(turns, begun, "a", "b", "a", "a", "b")
        await turns.take("a", goes_on=True)
        begun.append("a goes on")
        await asyncio.gather(*tasks)

        assert begun == ["a", "b", "a goes on", "b", "a", "a"]

    run(scene)


def test_a_request_that_was_given_up_takes_nobodys_turn() -> None:
    async def scene() -> None:
        turns, begun = idle(), Begun()
        tasks = await waiting(turns, begun, "a", "b", "a", "a", "b", "b")
        tasks[2].cancel()
        tasks[4].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert begun == list("abab")

    run(scene)


def test_a_process_that_is_never_idle_lets_everybody_begin_all_the_same() -> None:
    async def scene() -> None:
        turns, begun = Turns(work=Clock(step=3600.0), clock=Clock(step=0.001)), Begun()
        tasks = await waiting(turns, begun, "a", "b", *["a"] * 5, *["b"] * 5)
        assert begun == ["a", "b"]
        await asyncio.gather(*tasks)

        assert begun == ["a", "b"] * 6

    run(scene)


def test_when_all_have_begun_the_next_flood_is_held_like_the_first() -> None:
    async def scene() -> None:
        turns, begun = idle(), Begun()
        for _ in range(2):
            begun.clear()
            tasks = await waiting(turns, begun, "a", "b", "a", "a")
            assert begun.count("a") < 3
            await asyncio.gather(*tasks)
            assert begun.count("a") == 3

    run(scene)
