"""The embedded ledger, written: a SQLite file, one transaction for all that threads add at the same time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from openai_proxy.adapters.sqlite_days import make_days
from openai_proxy.adapters.sqlite_file import advice, open_to_write, transaction
from openai_proxy.adapters.sqlite_table import NAMES, Cell, make_tables, to_cells
from openai_proxy.ports import StoreError
from openai_proxy.records import UsageRecord


class SqliteStore:
    """Writes the ledger; opens its file when the first record comes: a process may fork before that."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._waiting: list[_Addition] = []
        self._waiting_lock = threading.Lock()
        self._writing_lock = threading.Lock()

    def add(self, records: Sequence[UsageRecord]) -> Mapping[str, str]:
        """Keep the records, synced to disk; answer `event_id` -> reason for each that can never be kept.

        Raises:
            StoreError: nothing is known to be kept; add all of them again.
        """
        rows, refused = [], {}
        for record in records:
            try:
                rows.append(to_cells(record.row()))
            except ValueError as error:
                refused[record.event.event_id] = str(error)
        if rows:
            self._commit(_Addition(rows))
        return refused

    def check(self) -> None:
        """Write and sync once, without a record.

        Raises:
            StoreError: a record could not be written now.
        """
        self._commit(_Addition([]))

    def close(self) -> None:
        """Close the file; the next record opens it again."""
        with self._writing_lock:
            self._close()

    def _commit(self, addition: _Addition) -> None:
        """Whoever gets the file writes for all that wait for it: a sync costs the same for one row or fifty."""
        with self._waiting_lock:
            self._waiting.append(addition)
        with self._writing_lock:
            if not addition.ended:
                with self._waiting_lock:
                    additions, self._waiting = self._waiting, []
                error: str | None = "the thread that wrote for this one failed; add the records again"
                try:
                    error = self._write([row for waiting in additions for row in waiting.rows])
                finally:
                    for waiting in additions:
                        waiting.ended, waiting.error = True, error
        if addition.error is not None:
            raise StoreError(addition.error)

    def _write(self, rows: Sequence[Sequence[Cell]]) -> str | None:
        try:
            connection = self._connection or self._open()
            with transaction(connection):
                _keep(connection, rows)
                if not rows:
                    connection.execute("PRAGMA user_version = 1")  # a page to write, for `check`
        except (sqlite3.Error, OSError) as error:
            self._close()
            return advice(self._path, "written", error)
        return None

    def _open(self) -> sqlite3.Connection:
        self._connection = open_to_write(self._path)
        with transaction(self._connection):
            make_tables(self._connection)
            make_days(self._connection)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


class _Addition:
    """Rows that one thread waits for; guarded by the store's locks."""

    __slots__ = ("ended", "error", "rows")

    def __init__(self, rows: Sequence[Sequence[Cell]]) -> None:
        self.rows = rows
        self.ended = False
        self.error: str | None = None


_EVENT_ID, _PRICE_REVISION = NAMES.index("event_id"), NAMES.index("price_revision")
_LIST = ", ".join(NAMES)
# Finished beats started, a later price revision beats an earlier one, and otherwise what was first stands
_PUT = (
    f"INSERT INTO usage_records ({_LIST}) VALUES ({', '.join('?' * len(NAMES))})"  # noqa: S608 - names from the schema
    f" ON CONFLICT (event_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in NAMES)}"
    " WHERE excluded.event_type = 'finished' AND (usage_records.event_type = 'started'"
    " OR coalesce(excluded.price_revision, 0) > coalesce(usage_records.price_revision, 0))"
)
_KEEP_WHAT_A_REVISION_REPLACES = (
    f"INSERT INTO usage_record_revisions ({_LIST}) SELECT {_LIST} FROM usage_records"  # noqa: S608 - as above
    " WHERE event_id = ? AND event_type = 'finished' AND coalesce(price_revision, 0) < ?"
)


def _keep(connection: sqlite3.Connection, rows: Sequence[Sequence[Cell]]) -> None:
    """Put the rows into the open transaction; the sink's own, which revise nothing, need no look at what is there."""
    connection.executemany(_PUT, [row for row in rows if not row[_PRICE_REVISION]])
    for row in rows:
        if row[_PRICE_REVISION]:
            connection.execute(_KEEP_WHAT_A_REVISION_REPLACES, (row[_EVENT_ID], row[_PRICE_REVISION]))
            connection.execute(_PUT, row)
