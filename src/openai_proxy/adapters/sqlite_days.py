"""The roll-up of the embedded ledger: `usage_days`, what ended on each UTC day, so that a year is summed up in no time.

Triggers keep it exact: in the transaction of whatever writes a record, an older version of this program included.
docs/adr/0016-days-rolled-up.md says why.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from openai_proxy.adapters.sqlite_queries import query, requests, words
from openai_proxy.adapters.sqlite_table import Cell, columns, microseconds
from openai_proxy.ports import GroupBy, Selection

_TABLE = "usage_days"
_COLUMNS = (
    "day, user_id, team_id, key_id, model, operation_name, status, priced, estimated, requests, input_tokens,"
    " cache_read_input_tokens, output_tokens, reasoning_output_tokens, list_cost"
)
_ANSWERS: Collection[GroupBy] = {"user", "team", "key", "model", "operation", "status", "day", "month"}
_DAY = 86_400_000_000  # microseconds


def make_days(connection: sqlite3.Connection) -> None:
    """Make the roll-up of all records that are there, if there is none; in the transaction that made their table."""
    if not columns(connection, _TABLE):
        connection.execute(query("make_days"))
        connection.execute(query("fill_days", columns=_COLUMNS, requests=requests()))
    for statement in _TRIGGERS:
        connection.execute(statement)


def source(connection: sqlite3.Connection, selection: Selection, by: Sequence[GroupBy]) -> tuple[str, dict[str, Cell]]:
    """What to sum up for a question, and what is bound in it beside the period.

    The roll-up where it answers what is asked, and the records where it does not: hours, tags, end users, less than a
    day; or while there is none, in a file that an older program wrote.
    """
    first = -(-microseconds(selection.period.since) // _DAY)
    last = microseconds(selection.period.until) // _DAY
    is_answered = first < last and selection.tag is None and all(group in _ANSWERS for group in by)
    if is_answered and columns(connection, _TABLE):
        text = query(
            "days_of_period",
            columns=_COLUMNS,
            requests=requests(),
            open_requests=requests("usage_records_open"),  # which SQLite takes for no better than a user's index
        )
        return text, {"first_day": first, "last_day": last}
    return query("records_of_period", requests=requests()), {}


def _count(row: str, sign: str) -> str:
    return query("count_in_days", columns=_COLUMNS, row=row, sign=sign, words=words(row))


_IN, _OUT = _count("NEW", "+"), _count("OLD", "-")
_TRIGGERS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS usage_days_{name} AFTER {event} ON usage_records"
    f" WHEN {row}.event_type = 'finished' BEGIN {body}; END"
    for name, event, row, body in (
        ("insert", "INSERT", "NEW", _IN),
        ("replace", "UPDATE", "NEW", _IN),
        ("replaced", "UPDATE", "OLD", _OUT),
        ("delete", "DELETE", "OLD", _OUT),
    )
)
