"""The ledger in BigQuery, read: the questions of `queries/bigquery`, through the table function `usage`.

Terraform makes the table function and the views of the same files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from google.cloud import bigquery

from openai_proxy.adapters.bigquery_cells import Row, from_client
from openai_proxy.adapters.bigquery_client import (
    CALL_SECONDS,
    FAILURES,
    RETRY,
    LazyClient,
    Parameter,
    query,
    store_error,
)
from openai_proxy.adapters.bigquery_selection import (
    conditions,
    group_parameters,
    grouping,
    groups,
    named,
    order_by,
    parameters,
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

_ALL = 2**63 - 1
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


class BigQueryLedger:
    """Reads the ledger through its table function, with parameters only; for many threads at once.

    `max_query_bytes` 0 is no limit; BigQuery refuses, free of charge, a query that would read more.
    """

    def __init__(self, project: str, dataset: str, table: str, *, max_query_bytes: int = 0) -> None:
        self._function = f"{project}.{dataset}.usage"
        self._names = {"table": f"{project}.{dataset}.{table}", "usage": self._function}
        self._max_query_bytes = max_query_bytes
        self._client = LazyClient(project)

    def records(
        self, selection: Selection, *, limit: int | None, offset: int = 0, order: Order = NEWEST_FIRST
    ) -> Iterator[Row]:
        """Final records of the selection in that order, a page at a time.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        page = (
            bigquery.ScalarQueryParameter("most", "INT64", _ALL if limit is None else limit),
            bigquery.ScalarQueryParameter("offset", "INT64", offset),
        )
        return map(from_client, self._chosen("records", selection, *page, order=order_by(order)))

    def record(self, event_id: str, period: Period) -> Row | None:
        """One final record, if the period has it; reads the partitions of the period.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        of_event = bigquery.ScalarQueryParameter("event_id", "STRING", event_id)
        return next(map(from_client, self._rows("record", period, of_event)), None)

    def revisions(self, event_id: str, period: Period) -> Sequence[Row]:
        """All versions of one final record, oldest first; reads the partitions of the period.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        of_event = bigquery.ScalarQueryParameter("event_id", "STRING", event_id)
        return [from_client(row) for row in self._rows("revisions", period, of_event)]

    def totals(self, selection: Selection, *, by: Sequence[GroupBy]) -> Sequence[UsageTotal]:
        """Sums by the groups named, ordered by them.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        return [_total(named(by, row), row) for row in self._grouped("totals", selection, by)]

    def latencies(self, selection: Selection, *, by: Sequence[GroupBy]) -> Sequence[Latency]:
        """How long what ended well took, to the millisecond, by the groups named and ordered by them.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        return [
            Latency(group=named(by, row), requests=row["requests"], p50_ms=row["p50_ms"], p95_ms=row["p95_ms"])
            for row in self._grouped("latencies", selection, by)
            if row["requests"]  # without a group there is a row even of nothing
        ]

    def unpriced(self, period: Period) -> Sequence[UnpricedUsage]:
        """What has no list cost, the most frequent first.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        return [UnpricedUsage(**row) for row in self._rows("unpriced", period)]

    def spend(self, questions: Sequence[SpendQuestion], *, instance_id: str, active_since: datetime) -> Spend:
        """What was spent, as the instance that asks does not know it yet; one query for all questions.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        amounts = [Decimal(0)] * len(questions)
        others = 0
        since = min([active_since, *(question.since for question in questions)])
        rows = self._rows(
            "spend",
            Period(since, _FOREVER),
            bigquery.ScalarQueryParameter("instance_id", "STRING", instance_id),
            bigquery.ScalarQueryParameter("active_since", "TIMESTAMP", active_since),
            bigquery.ArrayQueryParameter("kinds", "STRING", [question.scope_kind for question in questions]),
            bigquery.ArrayQueryParameter("names", "STRING", [question.scope_name for question in questions]),
            bigquery.ArrayQueryParameter("sinces", "TIMESTAMP", [question.since for question in questions]),
            bigquery.ArrayQueryParameter("own_sinces", "TIMESTAMP", [question.own_since for question in questions]),
        )
        for row in rows:
            others = row["other_instances"]
            if row["question"] is not None:
                amounts[row["question"]] = Decimal(row["amount"])
        return Spend(amounts=tuple(amounts), other_instances=others)

    def check(self) -> None:
        """Look at the table function: that costs nothing, a query does.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        try:
            self._client.get().get_routine(self._function, retry=RETRY, timeout=CALL_SECONDS)
        except FAILURES as error:
            raise store_error(self._function, "read", error) from None

    def close(self) -> None:
        """Close the connections; the next question opens them again."""
        self._client.close()

    def _grouped(self, name: str, selection: Selection, by: Sequence[GroupBy]) -> Iterator[Row]:
        return self._chosen(name, selection, *group_parameters(by), groups=groups(by), grouping=grouping(by))

    def _chosen(self, name: str, selection: Selection, *given: Parameter, **parts: str) -> Iterator[Row]:
        parts |= {"requests": query("requests", self._names), "of_selection": conditions(selection)}
        return self._rows(name, selection.period, *parameters(selection), *given, **parts)

    def _rows(self, name: str, period: Period, *given: Parameter, **parts: str) -> Iterator[Row]:
        try:
            yield from self._client.ask(name, self._names | parts, period, *given, max_bytes=self._max_query_bytes)
        except FAILURES as error:
            raise store_error(self._function, "read", error) from None


def _total(group: tuple[str | None, ...], row: Row) -> UsageTotal:
    sums = {name: row[name] for name in SUMS}
    sums["list_cost"] = format(Decimal(row["list_cost"]).normalize(), "f")
    return UsageTotal(group=group, **sums)
