"""Changes of the access file in the embedded ledger: a table beside the usage records."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from openai_proxy.access.events import AccessEvent, schema
from openai_proxy.adapters.sqlite_file import advice, open_to_write, reading, transaction
from openai_proxy.adapters.sqlite_table import columns, microseconds, time_of
from openai_proxy.period import Period
from openai_proxy.ports import StoreError

_TABLE = "access_events"
_NAMES = tuple(column["name"] for column in schema())
_TYPES = {"STRING": "TEXT", "TIMESTAMP": "INTEGER"}  # times are microseconds since 1970, as in the other tables
_COLUMNS = ", ".join(
    f"{column['name']} {_TYPES[column['type']]}{' NOT NULL' if column['mode'] == 'REQUIRED' else ''}"
    for column in schema()
)
_CREATE = f"CREATE TABLE IF NOT EXISTS {_TABLE} ({_COLUMNS}, PRIMARY KEY (event_id))"
_LIST = ", ".join(_NAMES)
_PUT = f"INSERT OR IGNORE INTO {_TABLE} ({_LIST}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608 - the schema's
_READ = (
    f"SELECT {_LIST} FROM {_TABLE} WHERE event_time >= ? AND event_time < ?"  # noqa: S608 - as above
    " ORDER BY event_time DESC, event_id DESC"
)


class SqliteAccessLog:
    """Writes and reads the table; a connection a call, since few calls come."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, events: Sequence[AccessEvent]) -> None:
        """Keep the events, synced to disk; one that is there already stays as it is.

        Raises:
            StoreError: the ledger cannot be written now.
        """
        rows = [[*(event.row() | {"event_time": microseconds(event.event_time)}).values()] for event in events]
        try:
            with contextlib.closing(open_to_write(self._path)) as connection, transaction(connection):
                connection.execute(_CREATE)
                connection.executemany(_PUT, rows)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(advice(self._path, "written", error)) from None

    def events(self, period: Period) -> Sequence[AccessEvent]:
        """The events of the period, newest first; a file that does not exist yet has none.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        bounds = (microseconds(period.since), microseconds(period.until))
        with reading(self._path) as connection:
            rows = connection.execute(_READ, bounds).fetchall() if columns(connection, _TABLE) else []
        found = (dict(zip(_NAMES, row, strict=True)) for row in rows)
        return [AccessEvent(**{**values, "event_time": time_of(values["event_time"])}) for values in found]

    def close(self) -> None:
        """Nothing is open between two calls."""
