"""The embedded ledger, read: the questions of `queries/sqlite`, a connection each."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from openai_proxy.adapters.sqlite_file import reading
from openai_proxy.adapters.sqlite_table import (
    NAMES,
    Cell,
    Row,
    amount_of,
    columns,
    from_cells,
    microseconds,
    time_of,
)
from openai_proxy.period import Period
from openai_proxy.ports import SUMS, GroupBy, Spend, SpendQuestion, Tag, TagValues, UnpricedUsage, UsageTotal

_DAY = 86_400_000_000  # microseconds
_TABLE, _REPLACED = "usage_records", "usage_record_revisions"


class SqliteLedger:
    """Reads the ledger; a file that does not exist yet is an empty one. A connection a call: threads share nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def records(
        self, period: Period, *, user_id: str | None, limit: int | None, tag: Tag | None = None
    ) -> Iterator[Row]:
        """Final records of the period, newest first, one at a time from the file.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with reading(self._path) as connection:
            present = columns(connection, _TABLE)
            if not present:
                return
            query = _query("records", columns=_list(present), of_user=_conditions(user_id, tag, present))
            values = _values(period, user_id, tag) | {"most": -1 if limit is None else limit}
            rows = connection.execute(query, values)
            yield from map(from_cells, rows)

    def revisions(self, event_id: str, period: Period) -> Sequence[Row]:
        """All versions of one final record, oldest first.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        found: list[Row] = []
        values = _values(period, None) | {"event_id": event_id}
        with reading(self._path) as connection:
            connection.execute("BEGIN")  # a revision may be written in between
            for table in (_REPLACED, _TABLE):
                present = columns(connection, table)
                if present:
                    query = _query("revisions", columns=_list(present), table=table)
                    found += map(from_cells, connection.execute(query, values))
        return found

    def totals(
        self, period: Period, *, user_id: str | None, by: Sequence[GroupBy], tag: Tag | None = None
    ) -> Sequence[UsageTotal]:
        """Sums by the groups named, ordered by them.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        keys = ", ".join(str(number + 1) for number in range(len(by)))
        with reading(self._path) as connection:
            present = columns(connection, _TABLE)
            if not present:
                return [] if by else [_total((), dict.fromkeys(SUMS, 0))]
            query = _query(
                "totals",
                groups="".join(f"{_group_of(name, present)}, " for name in by),
                of_user=_conditions(user_id, tag, present),
                grouping=f"GROUP BY {keys} ORDER BY {keys}" if by else "",
            )
            connection.row_factory = sqlite3.Row
            path = next((_path(name.name) for name in by if isinstance(name, TagValues)), None)
            rows = connection.execute(query, _values(period, user_id, tag) | {"group_path": path}).fetchall()
        return [_total(_group(by, row), row) for row in rows]

    def unpriced(self, period: Period) -> Sequence[UnpricedUsage]:
        """What has no list cost, the most frequent first.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with reading(self._path) as connection:
            if not columns(connection, _TABLE):
                return []
            connection.row_factory = sqlite3.Row
            rows = connection.execute(_query("unpriced"), _values(period, None)).fetchall()
        times = ("first_time", "last_time")
        return [UnpricedUsage(**{**row, **{name: time_of(row[name]) for name in times}}) for row in rows]

    def spend(self, questions: Sequence[SpendQuestion], *, instance_id: str, active_since: datetime) -> Spend:
        """What was spent, as the instance that asks does not know it yet.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with reading(self._path) as connection:
            present = columns(connection, _TABLE)
            if not present:
                return Spend(amounts=(Decimal(0),) * len(questions), other_instances=0)
            later = {name: _column(name, present) for name in ("reserved_cost", "instance_id")}

            def one(query: str, since: datetime, **values: Cell) -> int:
                bound = {"since": microseconds(since), "instance_id": instance_id, **values}
                (number,) = connection.execute(query, bound).fetchone()
                return int(number)

            connection.execute("BEGIN")  # all of one moment
            amounts = [
                one(
                    _query("spend", of_scope=_OF_SCOPE[question.scope_kind], **later),
                    question.since,
                    name=question.scope_name,
                    own_since=microseconds(question.own_since),
                )
                for question in questions
            ]
            others = one(_query("instances", **later), active_since)
        return Spend(amounts=tuple(map(amount_of, amounts)), other_instances=others)

    def check(self) -> None:
        """Read once.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with reading(self._path) as connection:
            columns(connection, _TABLE)


def _list(present: set[str]) -> str:
    """All columns in their order; one that an older program has not made yet is empty."""
    return ", ".join(name if name in present else f"NULL AS {name}" for name in NAMES)


# Questions

_GROUPS: Mapping[str, str] = {
    "user": "user_id",
    "team": "team_id",
    "key": "key_id",
    "model": "coalesce(response_model, request_model)",
    "operation": "operation_name",
    "day": f"event_time / {_DAY} - (event_time % {_DAY} < 0)",  # days since 1970, rounded down
}
_OF_SCOPE = {"user": "AND user_id = :name", "team": "AND team_id = :name", "organization": ""}


@cache
def _text_of(name: str) -> Template:
    return Template(resources.files("openai_proxy").joinpath("queries", "sqlite", f"{name}.sql").read_text("utf-8"))


def _query(name: str, **parts: str) -> str:
    """A query of `queries/sqlite`; what is put in is fixed text of this module, every value is bound."""
    return _text_of(name).substitute({"of_user": ""} | parts)


def _conditions(user_id: str | None, tag: Tag | None, present: Collection[str]) -> str:
    of_tag = f"AND json_extract({_column('tags', present)}, :tag_path) = :tag_value"
    return f"{'AND user_id = :user_id' if user_id is not None else ''} {of_tag if tag is not None else ''}"


def _values(period: Period, user_id: str | None, tag: Tag | None = None) -> dict[str, Cell]:
    values = {"since": microseconds(period.since), "until": microseconds(period.until), "user_id": user_id}
    return values if tag is None else values | {"tag_path": _path(tag.name), "tag_value": tag.value}


def _path(tag_name: str) -> str:
    return f'$."{tag_name}"'


def _column(name: str, present: Collection[str]) -> str:
    """A column, or nothing where an older program has not made it yet."""
    return name if name in present else "NULL"


def _group_of(name: GroupBy, present: Collection[str]) -> str:
    if isinstance(name, TagValues):
        return f"json_extract({_column('tags', present)}, :group_path)"
    return _column("end_user_id", present) if name == "end_user" else _GROUPS[name]


def _group(by: Sequence[GroupBy], row: Iterable[Any]) -> tuple[str | None, ...]:
    return tuple(time_of(cell * _DAY).date().isoformat() if name == "day" else cell for name, cell in zip(by, row))  # noqa: B905 - a row goes on with its sums


def _total(group: tuple[str | None, ...], row: sqlite3.Row | Mapping[str, int]) -> UsageTotal:
    sums: dict[str, Any] = {name: row[name] for name in SUMS}
    sums["list_cost"] = format(amount_of(row["list_cost"]), "f")
    return UsageTotal(group=group, **sums)
