"""The ledger's SQLite file, opened to be read or to be written, and its transactions.

The write-ahead log with `synchronous = FULL` syncs every commit (https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from openai_proxy.ports import StoreError

_BUSY_SECONDS = 5.0  # how long one waits for another that writes


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open the file, and make it and its folders if there are none, readable by their owner only.

    Raises:
        sqlite3.Error: locked for too long, or corrupted.
        OSError: it cannot be made.
    """
    for folder in reversed([folder for folder in path.absolute().parents if not folder.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, opened to be read and closed again; one that does not exist yet is an empty one.

    Raises:
        StoreError: it cannot be opened, or what was asked of it failed.
    """
    try:
        address = f"file:{quote(str(path))}?mode=ro" if path.exists() else "file::memory:"
        connection = sqlite3.connect(address, timeout=_BUSY_SECONDS, uri=True, check_same_thread=False)
        with contextlib.closing(connection):
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise StoreError(advice(path, "read", error)) from None


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One commit; IMMEDIATE, because a transaction that turns from reading to writing cannot wait for its turn."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def advice(path: Path, done: str, error: Exception) -> str:
    """What a `StoreError` says; `done` is `read` or `written`."""
    return f"the ledger {path} cannot be {done} now ({error}); see that its folder is there, writable and not full"


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a new file over; SQLite does not wait there for another one that does the same, so this does."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
