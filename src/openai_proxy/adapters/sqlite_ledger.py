"""The embedded ledger, read: the questions of `queries/sqlite`, a connection each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from openai_proxy.adapters.sqlite_days import source
from openai_proxy.adapters.sqlite_file import reading
from openai_proxy.adapters.sqlite_queries import query, requests
from openai_proxy.adapters.sqlite_selection import (
    bounds,
    column,
    conditions,
    group_values,
    groups,
    named,
    order_by,
    values,
)
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
from openai_proxy.ports import (
    NEWEST_FIRST,
    SUMS,
    GroupBy,
    Latency,
    Order,
    Selection,
    Spend,
    SpendQuestion,
    UnpricedUsage,
    UsageTotal,
)

_TABLE, _REPLACED = "usage_records", "usage_record_revisions"


class SqliteLedger:
    """Reads the ledger; a file that does not exist yet is an empty one. A connection a call: threads share nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def records(
        self, selection: Selection, *, limit: int | None, offset: int = 0, order: Order = NEWEST_FIRST
    ) -> Iterator[Row]:
        """Final records of the selection in that order, one at a time from the file.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with reading(self._path) as connection:
            present = columns(connection, _TABLE)
            if not present:
                return
            text = query(
                "records",
                columns=_list(present),
                requests=requests(),
                of_selection=conditions(selection, present),
                order=order_by(order),
            )
            page = {"most": -1 if limit is None else limit, "offset": offset}
            yield from map(from_cells, connection.execute(text, values(selection) | page))

    def record(self, event_id: str, period: Period) -> Row | None:
        """One final record, if the period has it.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with reading(self._path) as connection:
            present = columns(connection, _TABLE)
            if not present:
                return None
            text = query("record", columns=_list(present))
            cells = connection.execute(text, bounds(period) | {"event_id": event_id}).fetchone()
        return None if cells is None else from_cells(cells)

    def revisions(self, event_id: str, period: Period) -> Sequence[Row]:
        """All versions of one final record, oldest first.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        found: list[Row] = []
        bound = bounds(period) | {"event_id": event_id}
        with reading(self._path) as connection:
            connection.execute("BEGIN")  # a revision may be written in between
            for table in (_REPLACED, _TABLE):
                present = columns(connection, table)
                if present:
                    text = query("revisions", columns=_list(present), table=table)
                    found += map(from_cells, connection.execute(text, bound))
        return found

    def totals(self, selection: Selection, *, by: Sequence[GroupBy]) -> Sequence[UsageTotal]:
        """Sums by the groups named, ordered by them.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        keys = ", ".join(str(number + 1) for number in range(len(by)))
        with reading(self._path) as connection:
            present = columns(connection, _TABLE)
            if not present:
                return [] if by else [_total((), dict.fromkeys(SUMS, 0))]
            summed, days = source(connection, selection, by)
            text = query(
                "totals",
                groups=groups(by, present),
                source=summed,
                of_selection=conditions(selection, present),
                grouping=f"GROUP BY {keys} ORDER BY {keys}" if by else "",
            )
            connection.row_factory = sqlite3.Row
            rows = connection.execute(text, values(selection) | group_values(by) | days).fetchall()
        return [_total(named(by, row), row) for row in rows]

    def latencies(self, selection: Selection, *, by: Sequence[GroupBy]) -> Sequence[Latency]:
        """How long what ended well took, to the millisecond, by the groups named and ordered by them.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with reading(self._path) as connection:
            present = columns(connection, _TABLE)
            if not present:
                return []
            text = query(
                "latencies",
                groups=groups(by, present),
                requests=requests(),
                of_selection=conditions(selection, present),
                keys=", ".join(str(number + 1) for number in range(len(by) + 1)),
            )
            rows = connection.execute(text, values(selection) | group_values(by))
            return [
                _latency(named(by, group), [duration for *_, duration in found])
                for group, found in groupby(rows, itemgetter(slice(len(by))))
            ]

    def unpriced(self, period: Period) -> Sequence[UnpricedUsage]:
        """What has no list cost, the most frequent first.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        with reading(self._path) as connection:
            if not columns(connection, _TABLE):
                return []
            connection.row_factory = sqlite3.Row
            rows = connection.execute(query("unpriced"), bounds(period)).fetchall()
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
            later = {name: column(name, present) for name in ("reserved_cost", "instance_id")}

            def one(text: str, since: datetime, **values: Cell) -> int:
                bound = {"since": microseconds(since), "instance_id": instance_id, **values}
                (number,) = connection.execute(text, bound).fetchone()
                return int(number)

            connection.execute("BEGIN")  # all of one moment
            amounts = [
                one(
                    query("spend", of_scope=_OF_SCOPE[question.scope_kind], **later),
                    question.since,
                    name=question.scope_name,
                    own_since=microseconds(question.own_since),
                )
                for question in questions
            ]
            others = one(query("instances", **later), active_since)
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

_OF_SCOPE = {"user": "AND user_id = :name", "team": "AND team_id = :name", "organization": ""}


def _total(group: tuple[str | None, ...], row: sqlite3.Row | Mapping[str, int]) -> UsageTotal:
    sums: dict[str, Any] = {name: row[name] for name in SUMS}
    sums["list_cost"] = format(amount_of(row["list_cost"]), "f")
    return UsageTotal(group=group, **sums)


def _latency(group: tuple[str | None, ...], durations: Sequence[int]) -> Latency:
    """`durations` are sorted; of a percentile the nearest rank, as PERCENTILE_DISC has it."""
    p50, p95 = (durations[-(-len(durations) * percent // 100) - 1] for percent in (50, 95))
    return Latency(group=group, requests=len(durations), p50_ms=p50, p95_ms=p95)
