from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from made_usage import usage_record
from openai_proxy.adapters.sqlite_deliveries import SqliteDeliveries
from openai_proxy.adapters.sqlite_queue import SqliteDeadLetters, SqliteQueue
from openai_proxy.ports import QueueError

EVENT = usage_record("event-1", datetime(2026, 5, 1, tzinfo=UTC), "ada").event


def use(path: Path, story: Callable[[SqliteQueue], Awaitable[None]], timeout_seconds: float = 10.0) -> None:
    async def run() -> None:
        queue = SqliteQueue(path, timeout_seconds)
        try:
            await story(queue)
        finally:
            await queue.close()

    asyncio.run(run())


def count(path: Path) -> int:
    with contextlib.closing(SqliteDeliveries(path)) as deliveries:
        return deliveries.depth()


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"

    async def story(queue: SqliteQueue) -> None:
        await queue.publish(EVENT)
        assert modes(tmp_path) == {0o600}

    use(path, story)


def test_a_locked_file_is_an_error_in_time_and_works_again_once_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"

    async def story(queue: SqliteQueue) -> None:
        await queue.publish(EVENT)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begun, late = (asyncio.ensure_future(queue.publish(EVENT)), asyncio.ensure_future(queue.check()))
            await asyncio.sleep(0.05)
            pending = asyncio.ensure_future(queue.publish(EVENT))
            for waiting in (begun, late, pending):
                with pytest.raises(QueueError):
                    await waiting
            other.execute("ROLLBACK")
        while True:
            with contextlib.suppress(QueueError):
                await queue.publish(EVENT)
                return

    use(path, story, timeout_seconds=0.2)

    assert count(path) >= 2


def test_a_message_whose_time_was_up_before_it_was_begun_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"

    async def story(queue: SqliteQueue) -> None:
        await queue.check()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begun = asyncio.ensure_future(queue.check())
            await asyncio.sleep(0.01)
            never_begun = asyncio.ensure_future(queue.publish(EVENT))
            results = await asyncio.gather(begun, never_begun, return_exceptions=True)
            assert all(isinstance(result, QueueError) for result in results)
            other.execute("ROLLBACK")

    use(path, story, timeout_seconds=0.2)

    assert count(path) == 0


def test_a_missing_folder_is_an_error_until_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "queue.sqlite3"

    async def story(queue: SqliteQueue) -> None:
        with pytest.raises(QueueError, match="No such file or directory"):
            await queue.publish(EVENT)
        path.parent.mkdir()
        await queue.publish(EVENT)

    use(path, story)

    assert count(path) == 1


def test_a_file_that_was_deleted_is_made_anew_and_the_event_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"

    async def story(queue: SqliteQueue) -> None:
        await queue.publish(EVENT)
        empty(tmp_path)
        await queue.publish(EVENT)

    use(path, story)

    assert count(path) == 1


def test_a_corrupted_file_is_an_error_until_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"
    path.write_bytes(b"this is no database, and long enough to say so" * 100)

    async def story(queue: SqliteQueue) -> None:
        for _ in range(2):
            with pytest.raises(QueueError, match="not a database"):
                await queue.check()
        path.unlink()
        await queue.publish(EVENT)

    use(path, story)

    assert count(path) == 1


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")

    async def story(queue: SqliteQueue) -> None:
        with pytest.raises(QueueError, match="version 7"):
            await queue.check()

    use(path, story)


def test_a_full_disk_is_an_error_and_works_again_once_there_is_room(tmp_path: Path) -> None:
    script = """
import asyncio, resource, sys
from pathlib import Path
from openai_proxy.adapters.sqlite_queue import SqliteQueue
from openai_proxy.events import UsageEvent
from openai_proxy.ports import QueueError

async def main(path, event):
    queue = SqliteQueue(path, 10)
    await queue.publish(event)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        await queue.publish(event)
    except QueueError as error:
        print("refused")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await queue.publish(event)
    await queue.close()

asyncio.run(main(Path(sys.argv[1]), UsageEvent.from_json(sys.argv[2])))
"""
    path = tmp_path / "queue.sqlite3"
    command = [sys.executable, "-c", script, str(path), EVENT.to_json().decode()]

    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)

    assert done.stdout == "refused\n"
    assert count(path) == 2


def test_a_queue_is_used_after_a_fork_of_a_process_that_only_made_it(tmp_path: Path) -> None:
    script = """
import asyncio, os, sys
from pathlib import Path
from openai_proxy.adapters.sqlite_queue import SqliteQueue
queue = SqliteQueue(Path(sys.argv[1]), 10)
if os.fork() == 0:
    asyncio.run(queue.check())
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "q")], check=True, timeout=60)


def test_a_dead_letter_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(QueueError, match="No such file or directory"):
        SqliteDeadLetters(tmp_path / "missing" / "queue.sqlite3").add(b"{}", "a reason")
