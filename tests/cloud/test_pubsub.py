"""What is Pub/Sub's own about its queue, beside the contract of all queues."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from emulators import PROJECT, PubsubEmulator
from made_usage import usage_record
from openai_proxy.adapters.pubsub import PubsubDeadLetterBox, PubsubDeadLetters, PubsubQueue
from openai_proxy.events import UsageEvent
from openai_proxy.ports import QueueError

pytestmark = pytest.mark.cloud

EVENT = usage_record("event-1", datetime(2026, 5, 1, tzinfo=UTC), "ada").event


@pytest.fixture
def name(pubsub: PubsubEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A topic with a pull subscription of the same name, and the environment that leads to it."""
    made = f"usage-{uuid.uuid4().hex[:12]}"
    pubsub.subscription(made, pubsub.topic(made))
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
    yield made
    pubsub.delete(f"subscriptions/{made}")


def publish(queue: PubsubQueue, *events: UsageEvent) -> list[Any]:
    async def together() -> list[Any]:
        try:
            return await asyncio.gather(*map(queue.publish, events), return_exceptions=True)
        finally:
            await queue.close()

    return asyncio.run(together())


def received(pubsub: PubsubEmulator, name: str) -> list[dict[str, Any]]:
    return pubsub.pull_all(f"projects/{PROJECT}/subscriptions/{name}")


def test_a_message_says_what_it_is_without_being_opened(pubsub: PubsubEmulator, name: str) -> None:
    assert publish(PubsubQueue(PROJECT, name, 10), EVENT) == [None]

    (message,) = received(pubsub, name)
    assert message["attributes"] == {"event_type": "finished", "schema_version": "2"}


def test_a_topic_that_is_not_there_is_named(pubsub: PubsubEmulator, name: str) -> None:
    async def check() -> None:
        queue = PubsubQueue(PROJECT, "no-such-topic", 10)
        with pytest.raises(QueueError, match="topics/no-such-topic did not accept the message: NOT_FOUND"):
            await queue.publish(EVENT)
        with pytest.raises(QueueError, match="NOT_FOUND"):
            await queue.check()
        await queue.close()

    asyncio.run(check())
    with pytest.raises(QueueError, match="NotFound"):
        PubsubDeadLetters(PROJECT, "no-such-topic").add(b"x", "why")
    assert received(pubsub, name) == []


def test_a_service_that_cannot_be_reached_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")

    (error,) = publish(PubsubQueue(PROJECT, "topic", 10), EVENT)

    assert isinstance(error, QueueError)
    assert "UNAVAILABLE" in str(error)
    with (
        contextlib.closing(PubsubDeadLetterBox(PROJECT, "letters", topic_project=PROJECT, topic="topic")) as box,
        pytest.raises(QueueError, match="projects/demo/subscriptions/letters cannot be read now"),
    ):
        box.dead_letters()


def test_a_service_that_hangs_is_an_error_in_time_and_later_all_is_well(pubsub: PubsubEmulator, name: str) -> None:
    async def scene() -> None:
        queue = PubsubQueue(PROJECT, name, 0.5)
        await queue.publish(EVENT)
        pubsub.freeze()
        try:
            errors = await asyncio.gather(*(queue.publish(EVENT) for _ in range(500)), return_exceptions=True)
            with pytest.raises(QueueError):
                await queue.check()
        finally:
            pubsub.thaw()
        assert {type(error) for error in errors} == {QueueError}
        for _ in range(100):
            with contextlib.suppress(QueueError):
                return await queue.publish(EVENT)
        raise AssertionError("it did not come back")

    asyncio.run(scene())


def test_a_message_that_is_too_large_for_pubsub_harms_no_other(pubsub: PubsubEmulator, name: str) -> None:
    huge = replace(EVENT, usage={"x": "y" * 9_000_000})

    errors = publish(PubsubQueue(PROJECT, name, 10), EVENT, huge, EVENT)

    assert [type(error) for error in errors] == [type(None), QueueError, type(None)]
    assert len(received(pubsub, name)) == 2


def test_messages_that_are_too_large_together_go_in_several_calls(pubsub: PubsubEmulator, name: str) -> None:
    large = replace(EVENT, usage={"x": "y" * 4_000_000})

    assert publish(PubsubQueue(PROJECT, name, 30), *[large] * 5) == [None] * 5

    assert [base64.b64decode(message["data"]) for message in received(pubsub, name)] == [large.to_json()] * 5


def test_a_replay_sends_its_letters_on_with_their_own_attributes_only(pubsub: PubsubEmulator, name: str) -> None:
    graves = f"{name}-dead"
    pubsub.subscription(graves, pubsub.topic(graves))
    source = {"CloudPubSubDeadLetterSourceDeliveryCount": "5", "reason": "why", "event_type": "finished"}
    pubsub.publish(f"projects/{PROJECT}/topics/{graves}", {"data": "eA==", "attributes": source})

    with contextlib.closing(PubsubDeadLetterBox(PROJECT, graves, topic_project=PROJECT, topic=name)) as box:
        assert box.replay(datetime.now(UTC) - timedelta(hours=1)) == 0  # it died after that
        (letter,) = box.dead_letters()
        assert (letter.attempts, letter.reason) == (5, "why")
        assert box.replay(datetime.now(UTC)) == 1

    (message,) = received(pubsub, name)
    assert (message["data"], message["attributes"]) == ("eA==", {"event_type": "finished"})


def test_a_replay_to_a_topic_that_is_not_there_keeps_the_letters(name: str) -> None:
    PubsubDeadLetters(PROJECT, name).add(b"x", "w" * 5000)

    with contextlib.closing(PubsubDeadLetterBox(PROJECT, name, topic_project=PROJECT, topic="no-such-topic")) as box:
        with pytest.raises(QueueError, match="no-such-topic"):
            box.replay(datetime.now(UTC))
        (letter,) = box.dead_letters()

    assert letter.reason == "w" * 1000
