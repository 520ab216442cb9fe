from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from made_usage import usage_record
from openai_proxy.adapters.sqlite_deliveries import SqliteDeliveries
from openai_proxy.adapters.sqlite_queue import SqliteDeadLetters, SqliteQueue

SOON = timedelta(seconds=5)


def publish(path: Path, *event_ids: str) -> None:
    async def run() -> None:
        queue = SqliteQueue(path, 10)
        for event_id in event_ids:
            await queue.publish(usage_record(event_id, datetime.now(UTC), "ada").event)
        await queue.close()

    asyncio.run(run())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.sqlite3"


@pytest.fixture
def deliveries(path: Path) -> Iterator[SqliteDeliveries]:
    publish(path, "a", "b", "c")
    with contextlib.closing(SqliteDeliveries(path)) as made:
        yield made


def test_due_messages_come_oldest_first_and_no_more_than_asked_for(deliveries: SqliteDeliveries) -> None:
    due = deliveries.due(datetime.now(UTC), 2)

    assert [(message.message_id, message.attempts) for message in due] == [(1, 0), (2, 0)]


def test_acknowledged_messages_are_gone(deliveries: SqliteDeliveries) -> None:
    deliveries.acknowledge([1, 3])

    assert [message.message_id for message in deliveries.due(datetime.now(UTC), 10)] == [2]
    assert deliveries.depth() == 1


def test_a_postponed_message_is_due_again_at_its_time_and_counts_its_attempts(deliveries: SqliteDeliveries) -> None:
    now = datetime.now(UTC)
    deliveries.postpone(1, "the sink answered 500", now + SOON)

    assert [message.message_id for message in deliveries.due(now, 10)] == [2, 3]
    later = deliveries.due(now + SOON, 10)
    assert [(message.message_id, message.attempts) for message in later] == [(2, 0), (3, 0), (1, 1)]


def test_a_buried_message_is_a_dead_letter_with_its_reason(deliveries: SqliteDeliveries) -> None:
    now = datetime.now(UTC)
    deliveries.postpone(2, "the sink answered 500", now)
    deliveries.bury(2, "the sink answered 503", now)

    (letter,) = deliveries.dead_letters()
    assert (letter.message_id, letter.attempts, letter.reason) == (1, 2, "the sink answered 503")
    assert b'"event_id":"b"' in letter.data
    assert abs(letter.dead_time - now) < timedelta(milliseconds=2)
    assert deliveries.depth() == 2


def test_burying_a_message_that_is_gone_makes_no_dead_letter(deliveries: SqliteDeliveries) -> None:
    deliveries.acknowledge([2])
    deliveries.bury(2, "too late", datetime.now(UTC))

    assert deliveries.dead_letters() == []


def test_replayed_dead_letters_are_new_messages_due_at_once(deliveries: SqliteDeliveries) -> None:
    now = datetime.now(UTC)
    deliveries.bury(1, "the sink answered 500", now)

    assert deliveries.replay(now) == 1
    assert deliveries.dead_letters() == []
    newest = deliveries.due(now + SOON, 10)[-1]
    assert (newest.message_id, newest.attempts) == (4, 0)


def test_replaying_none_is_none(deliveries: SqliteDeliveries) -> None:
    assert deliveries.replay(datetime.now(UTC)) == 0


def test_a_message_id_is_never_used_twice(path: Path, deliveries: SqliteDeliveries) -> None:
    deliveries.acknowledge([1, 2, 3])
    publish(path, "d")

    assert [message.message_id for message in deliveries.due(datetime.now(UTC), 10)] == [4]


def test_a_failed_change_changes_nothing_and_the_next_one_works(deliveries: SqliteDeliveries, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER no_dead_letter BEFORE INSERT ON dead_letters BEGIN SELECT RAISE(FAIL, 'no'); END")
    with pytest.raises(sqlite3.Error):
        deliveries.bury(1, "the sink answered 500", datetime.now(UTC))

    assert deliveries.depth() == 3
    deliveries.acknowledge([1])
    assert deliveries.depth() == 2


def test_a_replaced_file_is_noticed(deliveries: SqliteDeliveries, path: Path) -> None:
    path.unlink()

    with pytest.raises(sqlite3.Error, match="deleted or replaced"):
        deliveries.due(datetime.now(UTC), 1)


def test_dead_letters_that_the_sink_added_stand_beside_the_others(deliveries: SqliteDeliveries, path: Path) -> None:
    deliveries.bury(1, "the sink answered 500", datetime.now(UTC))
    SqliteDeadLetters(path).add(b"\x00", "this is not JSON")

    assert [letter.reason for letter in deliveries.dead_letters()] == ["the sink answered 500", "this is not JSON"]
