"""The other side of the embedded queue: what is due, what became of it, and the dead letters.

Commits here are not synced (`synchronous = NORMAL`): what a power cut takes back is delivered once more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from openai_proxy.adapters.sqlite_queue import file_identity, open_queue

_BUSY_SECONDS = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the queue; `attempts` counts the failed ones."""

    message_id: int
    data: bytes
    publish_time: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, and why."""

    message_id: int
    data: bytes
    publish_time: datetime
    attempts: int
    dead_time: datetime
    reason: str


class SqliteDeliveries:
    """One consumer's view of the queue. Every call may raise `sqlite3.Error`, and may then be made again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_queue(path, _BUSY_SECONDS, synchronous="NORMAL")
        self._file = file_identity(path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def due(self, now: datetime, limit: int) -> Sequence[Message]:
        """Messages to attempt now, oldest first; one that failed is as old as its next attempt."""
        if file_identity(self._path) != self._file:
            raise sqlite3.OperationalError("the file was deleted or replaced")
        rows = self._connection.execute(
            "SELECT id, data, publish_time, attempts FROM messages WHERE next_attempt_time <= ?"
            " ORDER BY next_attempt_time, id LIMIT ?",
            (_milliseconds(now), limit),
        )
        return [Message(key, data, _time(published), attempts) for key, data, published, attempts in rows]

    def acknowledge(self, message_ids: Sequence[int]) -> None:
        """Forget delivered messages, in one commit."""
        with _transaction(self._connection) as connection:
            connection.executemany("DELETE FROM messages WHERE id = ?", [(key,) for key in message_ids])

    def postpone(self, message_id: int, reason: str, next_attempt_time: datetime) -> None:
        """Count a failed attempt and say when to try again."""
        self._connection.execute(
            "UPDATE messages SET attempts = attempts + 1, last_error = ?, next_attempt_time = ? WHERE id = ?",
            (reason[:_LONGEST_REASON], _milliseconds(next_attempt_time), message_id),
        )

    def bury(self, message_id: int, reason: str, now: datetime) -> None:
        """Count a failed attempt, the last one: move the message to the dead letters."""
        with _transaction(self._connection) as connection:
            connection.execute(
                "INSERT INTO dead_letters (data, publish_time, attempts, dead_time, reason)"
                " SELECT data, publish_time, attempts + 1, ?, ? FROM messages WHERE id = ?",
                (_milliseconds(now), reason[:_LONGEST_REASON], message_id),
            )
            connection.execute("DELETE FROM messages WHERE id = ?", (message_id,))

    def depth(self) -> int:
        """How many messages wait, whether due or not."""
        (count,) = self._connection.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)

    def dead_letters(self) -> Sequence[DeadLetter]:
        """All dead letters, oldest first."""
        rows = self._connection.execute(
            "SELECT id, data, publish_time, attempts, dead_time, reason FROM dead_letters ORDER BY id"
        )
        return [
            DeadLetter(key, data, _time(published), attempts, _time(dead), reason)
            for key, data, published, attempts, dead, reason in rows
        ]

    def replay(self, now: datetime) -> int:
        """Make every dead letter a message again, due at once and with no attempt made; answer how many."""
        with _transaction(self._connection) as connection:
            moved = connection.execute(
                "INSERT INTO messages (data, publish_time, next_attempt_time)"
                " SELECT data, publish_time, ? FROM dead_letters ORDER BY id",
                (_milliseconds(now),),
            ).rowcount
            connection.execute("DELETE FROM dead_letters")
        return moved


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing; `IMMEDIATE` waits for a lock at the beginning, where waiting helps."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _time(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
