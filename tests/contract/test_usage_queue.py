"""What every usage queue does, whichever engine is behind the port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from made_usage import usage_record
from openai_proxy.adapters.sqlite_deliveries import SqliteDeliveries
from openai_proxy.adapters.sqlite_queue import SqliteDeadLetters, SqliteQueue
from openai_proxy.events import UsageEvent
from openai_proxy.ports import DeadLetters, UsageQueue

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def event(number: int) -> UsageEvent:
    return usage_record(f"event-{number}", NOW, "ada").event


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine: how to open it, and how a test looks behind the port."""

    open: Callable[[], UsageQueue]
    dead_letters: DeadLetters
    accepted: Callable[[], Sequence[bytes]]
    buried: Callable[[], Sequence[tuple[bytes, str]]]


def sqlite_engine(folder: Path) -> Engine:
    path = folder / "queue.sqlite3"

    def accepted() -> list[bytes]:
        with contextlib.closing(SqliteDeliveries(path)) as deliveries:
            return [message.data for message in deliveries.due(datetime.now(UTC), 10_000)]

    def buried() -> list[tuple[bytes, str]]:
        with contextlib.closing(SqliteDeliveries(path)) as deliveries:
            return [(letter.data, letter.reason) for letter in deliveries.dead_letters()]

    return Engine(lambda: SqliteQueue(path, timeout_seconds=10), SqliteDeadLetters(path), accepted, buried)


@pytest.fixture(params=[sqlite_engine], ids=["sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    made: Engine = request.param(tmp_path)
    return made


def test_a_published_event_is_accepted_as_its_json(engine: Engine) -> None:
    async def publish() -> None:
        queue = engine.open()
        await queue.publish(event(1))
        await queue.close()

    asyncio.run(publish())

    assert [UsageEvent.from_json(data) for data in engine.accepted()] == [event(1)]


def test_events_keep_the_order_in_which_they_were_published(engine: Engine) -> None:
    async def publish() -> None:
        queue = engine.open()
        for number in range(20):
            await queue.publish(event(number))
        await queue.close()

    asyncio.run(publish())

    assert list(engine.accepted()) == [event(number).to_json() for number in range(20)]


def test_a_thousand_events_published_at_once_are_all_accepted(engine: Engine) -> None:
    async def publish() -> None:
        queue = engine.open()
        await asyncio.gather(*(queue.publish(event(number)) for number in range(1_000)))
        await queue.close()

    asyncio.run(publish())

    assert sorted(engine.accepted()) == sorted(event(number).to_json() for number in range(1_000))


def test_the_same_event_twice_is_two_messages(engine: Engine) -> None:
    async def publish() -> None:
        queue = engine.open()
        await asyncio.gather(queue.publish(event(1)), queue.publish(event(1)))
        await queue.close()

    asyncio.run(publish())

    assert len(engine.accepted()) == 2


def test_closing_waits_for_what_is_being_published(engine: Engine) -> None:
    async def publish() -> None:
        queue = engine.open()
        publishing = asyncio.ensure_future(queue.publish(event(1)))
        await asyncio.sleep(0)
        await queue.close()
        await publishing

    asyncio.run(publish())

    assert list(engine.accepted()) == [event(1).to_json()]


def test_a_publisher_that_leaves_harms_no_other(engine: Engine) -> None:
    async def publish() -> None:
        queue = engine.open()
        leaving, staying = (asyncio.ensure_future(queue.publish(event(number))) for number in (1, 2))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        await queue.close()

    asyncio.run(publish())

    assert event(2).to_json() in engine.accepted()


def test_a_check_leaves_no_message(engine: Engine) -> None:
    async def check() -> None:
        queue = engine.open()
        await queue.check()
        await queue.close()

    asyncio.run(check())

    assert list(engine.accepted()) == []


def test_closing_a_queue_that_was_never_used_is_fine(engine: Engine) -> None:
    async def close() -> None:
        await engine.open().close()

    asyncio.run(close())


def test_a_dead_letter_is_kept_with_its_reason(engine: Engine) -> None:
    engine.dead_letters.add(b"\xff not an event", "this is not JSON")

    assert list(engine.buried()) == [(b"\xff not an event", "this is not JSON")]
