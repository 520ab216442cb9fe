"""The embedded ledger: one table in a SQLite file, its columns from the schema file.

Times are microseconds since 1970 and amounts are 1e-9 dollars, both 64-bit integers, so that sums are exact and fast.
The write-ahead log with `synchronous = FULL` syncs every commit (https://sqlite.org/pragma.html#pragma_synchronous);
all that threads add at the same time goes into one commit.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from openai_proxy.ports import GroupBy, Period, StoreError, UsageTotal
from openai_proxy.records import UsageRecord, cell_to_json, schema

_BUSY_SECONDS = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400_000_000  # microseconds
_LARGEST_INTEGER = 2**63 - 1

Row = Mapping[str, Any]
_Cell = str | int | None
_Convert = Callable[[Any], Any]


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
                rows.append(_cells(record.row()))
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

    def _write(self, rows: Sequence[Sequence[_Cell]]) -> str | None:
        try:
            connection = self._connection or self._open()
            with _transaction(connection):
                connection.executemany(_INSERT, rows)
                if not rows:
                    connection.execute("PRAGMA user_version = 1")  # a page to write, for `check`
        except (sqlite3.Error, OSError) as error:
            self._close()
            return _advice(self._path, "written", error)
        return None

    def _open(self) -> sqlite3.Connection:
        for folder in reversed([folder for folder in self._path.absolute().parents if not folder.exists()]):
            folder.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        _use_write_ahead_log(self._connection)
        self._connection.execute("PRAGMA synchronous = FULL")
        with _transaction(self._connection):
            self._connection.execute(_CREATE_TABLE)
            present = _columns(self._connection)
            for column in schema():
                if column["name"] not in present:
                    # Without NOT NULL: the rows that are there have no value for it
                    self._connection.execute(f"ALTER TABLE usage_records ADD COLUMN {_definition(column)}")
            for statement in _CREATE_INDEXES:
                self._connection.execute(statement)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


class _Addition:
    """Rows that one thread waits for; guarded by the store's locks."""

    __slots__ = ("ended", "error", "rows")

    def __init__(self, rows: Sequence[Sequence[_Cell]]) -> None:
        self.rows = rows
        self.ended = False
        self.error: str | None = None


class SqliteLedger:
    """Reads the ledger; a file that does not exist yet is an empty one. A connection a call: threads share nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def records(self, period: Period, *, user_id: str | None, limit: int | None) -> Iterator[Row]:
        """Final records of the period, newest first, one at a time from the file.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with self._reading() as connection:
            present = _columns(connection)
            if not present:
                return
            # A column that an older program has not made yet is empty
            names = ", ".join(name if name in present else f"NULL AS {name}" for name in _NAMES)
            query = _query("records", user_id, columns=names)
            rows = connection.execute(query, _values(period, user_id) | {"most": -1 if limit is None else limit})
            for row in rows:
                yield {name: _READ[name](cell) for name, cell in zip(_NAMES, row, strict=True)}

    def totals(self, period: Period, *, user_id: str | None, by: Sequence[GroupBy]) -> Sequence[UsageTotal]:
        """Sums by the groups named, ordered by them.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        keys = ", ".join(str(number + 1) for number in range(len(by)))
        query = _query(
            "totals",
            user_id,
            groups="".join(f"{_GROUPS[name]}, " for name in by),
            grouping=f"GROUP BY {keys} ORDER BY {keys}" if by else "",
        )
        with self._reading() as connection:
            if not _columns(connection):
                return [] if by else [_total((), (0,) * _SUMS)]
            rows = connection.execute(query, _values(period, user_id)).fetchall()
        return [_total(_group(by, row), row[len(by) :]) for row in rows]

    def check(self) -> None:
        """Read once.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with self._reading() as connection:
            _columns(connection)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            address = f"file:{quote(str(self._path))}?mode=ro" if self._path.exists() else "file::memory:"
            connection = sqlite3.connect(address, timeout=_BUSY_SECONDS, uri=True, check_same_thread=False)
            with contextlib.closing(connection):
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise StoreError(_advice(self._path, "read", error)) from None


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


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One commit; IMMEDIATE, because a transaction that turns from reading to writing cannot wait for its turn."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _advice(path: Path, done: str, error: Exception) -> str:
    return f"the ledger {path} cannot be {done} now ({error}); see that its folder is there, writable and not full"


def _columns(connection: sqlite3.Connection) -> set[str]:
    """The names of the table's columns; empty while there is no table."""
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('usage_records')")}


# The table, from the schema

_NAMES = tuple(column["name"] for column in schema())
_TYPES = {"STRING": "TEXT", "JSON": "TEXT", "TIMESTAMP": "INTEGER", "INTEGER": "INTEGER", "BOOLEAN": "INTEGER"}
_TYPES |= {"NUMERIC": "INTEGER", "RECORD": "TEXT"}


def _definition(column: Mapping[str, Any]) -> str:
    return f"{column['name']} {_TYPES[column['type']]}"


def _table() -> str:
    columns = [_definition(column) + (" NOT NULL" if column["mode"] == "REQUIRED" else "") for column in schema()]
    return f"CREATE TABLE IF NOT EXISTS usage_records ({', '.join(columns)}, PRIMARY KEY (event_id))"


_CREATE_TABLE = _table()
_CREATE_INDEXES = (
    # All that `totals` reads: a month's sums touch this index alone, a tenth of the table's pages
    (
        "CREATE INDEX IF NOT EXISTS usage_records_by_time ON usage_records (event_time, user_id, team_id, key_id,"
        " operation_name, response_model, request_model, input_tokens, cache_read_input_tokens, output_tokens,"
        " reasoning_output_tokens, list_cost, priced, usage_source, event_type, error_type, http_status_code)"
    ),
    "CREATE INDEX IF NOT EXISTS usage_records_by_user ON usage_records (user_id, event_time)",
)
_INSERT = (
    f"INSERT INTO usage_records ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608 - names from the schema
    f" ON CONFLICT (event_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _NAMES)}"
    " WHERE usage_records.event_type = 'started' AND excluded.event_type = 'finished'"
)

# Cells, from a record and back


def _cells(row: Row) -> list[_Cell]:
    return [None if row[name] is None else _WRITE[name](row[name]) for name in _NAMES]


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _time(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _nanodollars(amount: Decimal) -> int:
    with localcontext(prec=50):
        nanodollars = amount.scaleb(9)
        if nanodollars != nanodollars.to_integral_value() or abs(nanodollars) > _LARGEST_INTEGER:
            raise ValueError("list_cost must be a multiple of 1e-9, below 9.2e9")
    return int(nanodollars)


def _amount(nanodollars: int) -> Decimal:
    return Decimal(nanodollars).scaleb(-9).normalize()


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _records(items: Sequence[Mapping[str, Any]]) -> str:
    """Items of a RECORD column as JSON; amounts stay exact as decimal text, which SQLite's sum() takes as numbers."""
    return _json([{name: cell_to_json(value) for name, value in item.items()} for item in items])


def _items(column: Mapping[str, Any]) -> _Convert:
    amounts = {field["name"] for field in column["fields"] if field["type"] == "NUMERIC"}

    def read(cell: str) -> list[dict[str, Any]]:
        return [
            {name: Decimal(value) if name in amounts and value is not None else value for name, value in item.items()}
            for item in json.loads(cell)
        ]

    return read


def _text(value: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate, which JSON can carry, becomes a question mark."""
    return value.encode("utf-8", "replace").decode()


def _same(value: Any) -> Any:  # noqa: ANN401 - goes as it is
    return value


_TO_CELL: Mapping[str, _Convert] = {
    "STRING": _text,
    "TIMESTAMP": _microseconds,
    "NUMERIC": _nanodollars,
    "JSON": _json,
    "RECORD": _records,
    "BOOLEAN": int,
}
_FROM_CELL: Mapping[str, _Convert] = {"TIMESTAMP": _time, "NUMERIC": _amount, "JSON": json.loads, "BOOLEAN": bool}


def _unless_null(convert: _Convert) -> _Convert:
    return lambda cell: None if cell is None else convert(cell)


_WRITE = {column["name"]: _TO_CELL.get(column["type"], _same) for column in schema()}
_READ = {
    column["name"]: _unless_null(
        _items(column) if column["type"] == "RECORD" else _FROM_CELL.get(column["type"], _same)
    )
    for column in schema()
}

# Questions

_GROUPS: Mapping[GroupBy, str] = {
    "user": "user_id",
    "team": "team_id",
    "key": "key_id",
    "model": "coalesce(response_model, request_model)",
    "operation": "operation_name",
    "day": f"event_time / {_DAY} - (event_time % {_DAY} < 0)",  # days since 1970, rounded down
}
_SUMS = 10  # of totals.sql


@cache
def _text_of(name: str) -> Template:
    return Template(resources.files("openai_proxy").joinpath("queries", "sqlite", f"{name}.sql").read_text("utf-8"))


def _query(name: str, user_id: str | None, **parts: str) -> str:
    """A query of `queries/sqlite`; what is put in is fixed text of this module, every value is bound."""
    return _text_of(name).substitute(parts, of_user="" if user_id is None else "AND user_id = :user_id")


def _values(period: Period, user_id: str | None) -> dict[str, _Cell]:
    return {"since": _microseconds(period.since), "until": _microseconds(period.until), "user_id": user_id}


def _group(by: Sequence[GroupBy], row: Sequence[Any]) -> tuple[str | None, ...]:
    return tuple(_time(cell * _DAY).date().isoformat() if name == "day" else cell for name, cell in zip(by, row))  # noqa: B905 - a row goes on with its sums


def _total(group: tuple[str | None, ...], sums: Sequence[int]) -> UsageTotal:
    requests, tokens_in, cached, tokens_out, reasoning, nanodollars, unpriced, estimated, opened, errors = sums
    return UsageTotal(
        group=group,
        requests=requests,
        input_tokens=tokens_in,
        cache_read_input_tokens=cached,
        output_tokens=tokens_out,
        reasoning_output_tokens=reasoning,
        list_cost=format(_amount(nanodollars), "f"),
        unpriced=unpriced,
        estimated=estimated,
        open=opened,
        errors=errors,
    )
