"""The embedded queue: a table in a SQLite file. This side publishes; `sqlite_deliveries` is the other side.

The write-ahead log with `synchronous = FULL` syncs every commit (https://sqlite.org/pragma.html#pragma_synchronous), so
what is accepted survives a power cut. All that is pending goes into one commit: a sync costs the same for one or fifty.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from openai_proxy.events import UsageEvent
from openai_proxy.ports import QueueError

_VERSION = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: the ledger keeps it as message_id
  data BLOB NOT NULL,
  publish_time INTEGER NOT NULL, -- times are milliseconds since 1970, UTC
  next_attempt_time INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT
);
CREATE INDEX IF NOT EXISTS messages_due ON messages (next_attempt_time, id);
CREATE TABLE IF NOT EXISTS dead_letters (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  data BLOB NOT NULL,
  publish_time INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  dead_time INTEGER NOT NULL,
  reason TEXT NOT NULL
);
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_INSERT = "INSERT INTO messages (data, publish_time, next_attempt_time) VALUES "
_LARGEST_COMMIT = 300  # messages; SQLite before 3.32 binds at most 999 values
_Report = Callable[[QueueError | None], None]
_DEAD_LETTER_SECONDS = 5.0  # the sink may wait: its caller delivers again


def open_queue(path: Path, busy_seconds: float, *, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
    """Open the queue's file, and make it if there is none, readable by its owner only.

    Raises:
        sqlite3.Error: locked for `busy_seconds`, corrupted, or of another version.
        OSError: the file cannot be made.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(_SCHEMA)
        elif version != _VERSION:
            text = f"the file has version {version}, this program reads version {_VERSION}"
            raise sqlite3.DatabaseError(text)  # noqa: TRY301 - closed below like after any other error
    except BaseException:
        connection.close()
        raise
    return connection


class SqliteQueue:
    """Publishes through one writer thread, which starts with the first message: a process may fork before that."""

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._pending: deque[_Item] = deque()
        self._writing: list[_Item] = []
        self._deadline: asyncio.TimerHandle | None = None
        self._hand_over: asyncio.Handle | None = None
        # The writer waits longer for a lock: what comes after it is given up unwritten, in place of written too late.
        self._writer = _Writer(path, timeout_seconds * 2)

    async def publish(self, event: UsageEvent) -> None:
        """Return when the event is synced to disk.

        Raises:
            QueueError: it is not, or not within the queue's time; it may be there nevertheless.
        """
        await self._put(event.to_json())

    async def check(self) -> None:
        """Write and sync once, without a message.

        Raises:
            QueueError: a message could not be accepted now.
        """
        await self._put(None)

    async def close(self) -> None:
        """Write what is pending, then close the file."""
        waiting = [item.done for item in (*self._writing, *self._pending)]
        await asyncio.gather(*waiting, return_exceptions=True)
        for handle in (self._deadline, self._hand_over):
            if handle is not None:
                handle.cancel()
        await asyncio.to_thread(self._writer.stop)

    def _put(self, data: bytes | None) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        item = _Item(data, loop.create_future(), loop.time() + self._timeout)
        self._pending.append(item)
        if self._hand_over is None and not self._writing:
            # At the end of this turn of the loop, so that all that is published in it shares one commit.
            self._hand_over = loop.call_soon(self._begin, loop)
        if self._deadline is None:
            self._deadline = loop.call_at(item.deadline, self._expire, loop)
        return item.done

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._hand_over = None
        if self._pending:
            self._writing = [self._pending.popleft() for _ in range(min(len(self._pending), _LARGEST_COMMIT))]
            self._writer.write([item.data for item in self._writing], functools.partial(self._report, loop))

    def _report(self, loop: asyncio.AbstractEventLoop, error: QueueError | None) -> None:
        """Wake the loop once for a whole commit."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._end, loop, error)

    def _end(self, loop: asyncio.AbstractEventLoop, error: QueueError | None) -> None:
        items, self._writing = self._writing, []
        for item in items:
            item.settle(error)
        self._begin(loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fail what waited too long; one timer serves all, since all wait equally long."""
        now = loop.time()
        while self._pending and self._pending[0].deadline <= now:
            self._pending.popleft().settle(QueueError("the queue did not accept the message in time"))
        for item in self._writing:
            if item.deadline <= now:
                item.settle(QueueError("the queue did not accept the message in time"))
        left = [item.deadline for item in (*self._writing, *self._pending) if item.deadline > now]
        self._deadline = loop.call_at(left[0], self._expire, loop) if left else None


class _Item:
    __slots__ = ("data", "deadline", "done")

    def __init__(self, data: bytes | None, done: asyncio.Future[None], deadline: float) -> None:
        self.data, self.done, self.deadline = data, done, deadline

    def settle(self, error: QueueError | None) -> None:
        if self.done.done():  # its publisher left, or its time was up
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class _Writer:
    """One thread, one connection, one commit a call; a connection that failed is opened anew."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self._path, self._busy_seconds = path, busy_seconds
        self._work: queue.SimpleQueue[tuple[list[bytes | None], _Report] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def write(self, messages: list[bytes | None], report: _Report) -> None:
        """Write the messages, then call `report` in the thread: with None, or with what went wrong."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sqlite_queue", daemon=True)
            self._thread.start()
        self._work.put((messages, report))

    def stop(self) -> None:
        """End after what is given; return when the file is closed, or not in time."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join(self._busy_seconds)
            self._thread = None

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            messages, report = work
            try:
                self._commit([message for message in messages if message is not None])
                error = None
            except (sqlite3.Error, OSError) as cause:
                self._close()
                error = QueueError(f"the queue {self._path} did not accept the message: {cause}")
            report(error)
        self._close()

    def _commit(self, messages: list[bytes]) -> None:
        """Commit to the file that bears the name: SQLite would go on writing to one that was deleted or replaced."""
        while True:
            connection = self._connection or self._open()
            if messages:
                now = time.time_ns() // 1_000_000
                # One statement is one transaction, and one wait for the interpreter's lock instead of one a row.
                rows = ",".join(["(?, ?, ?)"] * len(messages))
                values = [value for message in messages for value in (message, now, now)]
                connection.execute(_INSERT + rows, values)
            else:
                connection.execute(f"PRAGMA user_version = {_VERSION}")  # a page to write, for `check`
            if self._file == file_identity(self._path):
                return
            self._close()

    def _open(self) -> sqlite3.Connection:
        self._connection = open_queue(self._path, self._busy_seconds, synchronous="FULL")
        self._file = file_identity(self._path)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def file_identity(path: Path) -> tuple[int, int] | None:
    """Which file bears the name now; None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class SqliteDeadLetters:
    """Keeps dead letters in the queue's file. A connection a message: they are rare, and threads share nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, message: bytes, reason: str) -> None:
        """Return when the message is synced to disk.

        Raises:
            QueueError: it is not.
        """
        now = time.time_ns() // 1_000_000
        try:
            connection = open_queue(self._path, _DEAD_LETTER_SECONDS, synchronous="FULL")
            with contextlib.closing(connection):
                connection.execute(
                    "INSERT INTO dead_letters (data, publish_time, attempts, dead_time, reason) VALUES (?, ?, 1, ?, ?)",
                    (message, now, now, reason),
                )
        except (sqlite3.Error, OSError) as cause:
            raise QueueError(f"the queue {self._path} did not keep the dead letter: {cause}") from None
