"""What every usage queue does, whichever engine is behind the port."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from made_usage import usage_record
from openai_proxy.adapters.sqlite_deliveries import SqliteDeliveries
from openai_proxy.adapters.sqlite_queue import SqliteDeadLetters, SqliteQueue
from openai_proxy.events import UsageEvent
from openai_proxy.ports import DeadLetterBox, DeadLetters, UsageQueue

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def event(number: int) -> UsageEvent:
    return usage_record(f"event-{number}", NOW, "ada").event


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine: how to open it, and how a test looks behind the port."""

    open: Callable[[], UsageQueue]
    dead_letters: DeadLetters
    accepted: Callable[[], Sequence[bytes]]
    box: Callable[[], DeadLetterBox]


def sqlite(request: pytest.FixtureRequest) -> Iterator[Engine]:
    path = request.getfixturevalue("tmp_path") / "queue.sqlite3"

    def accepted() -> list[bytes]:
        with contextlib.closing(SqliteDeliveries(path)) as deliveries:
            return [message.data for message in deliveries.due(datetime.now(UTC), 10_000)]

    yield Engine(
        lambda: SqliteQueue(path, timeout_seconds=10),
        SqliteDeadLetters(path),
        accepted,
        lambda: SqliteDeliveries(path),
    )


def pubsub(request: pytest.FixtureRequest) -> Iterator[Engine]:
    emulator = request.getfixturevalue("pubsub")
    from emulators import PROJECT
    from openai_proxy.adapters.pubsub import PubsubDeadLetterBox, PubsubDeadLetters, PubsubQueue

    name = f"usage-{uuid.uuid4().hex[:12]}"
    topic, graves = emulator.topic(name), emulator.topic(f"{name}-dead")
    subscription = emulator.subscription(name, topic)
    emulator.subscription(f"{name}-dead", graves)

    def accepted() -> list[bytes]:
        messages = emulator.pull_all(subscription)
        return [
            base64.b64decode(message["data"]) for message in sorted(messages, key=lambda one: int(one["messageId"]))
        ]

    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        yield Engine(
            lambda: PubsubQueue(PROJECT, name, timeout_seconds=10),
            PubsubDeadLetters(PROJECT, f"{name}-dead"),
            accepted,
            lambda: PubsubDeadLetterBox(PROJECT, f"{name}-dead", topic_project=PROJECT, topic=name),
        )


@pytest.fixture(params=[sqlite, pubsub], ids=["sqlite", "pubsub"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from request.param(request)


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


def test_a_dead_letter_is_kept_with_its_reason_and_stays_when_it_is_looked_at(engine: Engine) -> None:
    engine.dead_letters.add(b"\xff not an event", "this is not JSON")

    for _ in range(2):
        with contextlib.closing(engine.box()) as box:
            (letter,) = box.dead_letters()
        assert (letter.data, letter.reason, letter.attempts) == (b"\xff not an event", "this is not JSON", 1)
        assert abs(datetime.now(UTC) - letter.publish_time) < timedelta(hours=1)
        assert letter.dead_time >= letter.publish_time


def test_dead_letters_come_oldest_first(engine: Engine) -> None:
    for number in range(5):
        engine.dead_letters.add(str(number).encode(), "why")

    with contextlib.closing(engine.box()) as box:
        assert [letter.data for letter in box.dead_letters()] == [b"0", b"1", b"2", b"3", b"4"]


def test_replayed_dead_letters_are_messages_again_and_no_dead_letters_any_more(engine: Engine) -> None:
    for number in range(3):
        engine.dead_letters.add(event(number).to_json(), "why")

    with contextlib.closing(engine.box()) as box:
        assert box.replay(datetime.now(UTC)) == 3
        assert list(box.dead_letters()) == []
        assert box.replay(datetime.now(UTC)) == 0

    assert sorted(engine.accepted()) == sorted(event(number).to_json() for number in range(3))
