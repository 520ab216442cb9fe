"""The ledger in BigQuery, read: the questions of `queries/bigquery`, through the table function `usage`.

Terraform makes the table function and the views of the same files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from google.cloud import bigquery

from openai_proxy.adapters.bigquery_cells import Row, from_client
from openai_proxy.adapters.bigquery_client import CALL_SECONDS, FAILURES, RETRY, LazyClient, Parameter, store_error
from openai_proxy.period import Period
from openai_proxy.ports import SUMS, GroupBy, Spend, SpendQuestion, Tag, TagValues, UnpricedUsage, UsageTotal

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
        self, period: Period, *, user_id: str | None, limit: int | None, tag: Tag | None = None
    ) -> Iterator[Row]:
        """Final records of the period, newest first, a page at a time.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        of_user = bigquery.ScalarQueryParameter("user_id", "STRING", user_id)
        most = bigquery.ScalarQueryParameter("most", "INT64", _ALL if limit is None else limit)
        return map(from_client, self._rows("records", period, of_user, most, *_of_tag(tag)))

    def revisions(self, event_id: str, period: Period) -> Sequence[Row]:
        """All versions of one final record, oldest first; reads the partitions of the period.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        of_event = bigquery.ScalarQueryParameter("event_id", "STRING", event_id)
        return [from_client(row) for row in self._rows("revisions", period, of_event)]

    def totals(
        self, period: Period, *, user_id: str | None, by: Sequence[GroupBy], tag: Tag | None = None
    ) -> Sequence[UsageTotal]:
        """Sums by the groups named, ordered by them.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        of_user = bigquery.ScalarQueryParameter("user_id", "STRING", user_id)
        groups = bigquery.ArrayQueryParameter("by", "STRING", [_group(name) for name in by])
        path = _path(next((name.name for name in by if isinstance(name, TagValues)), None))
        of_group = bigquery.ScalarQueryParameter("group_path", "STRING", path)
        totals = [_total(row, by) for row in self._rows("totals", period, of_user, groups, of_group, *_of_tag(tag))]
        if not totals and not by:
            return [_total(dict.fromkeys(SUMS, 0), by)]
        # None first, as in SQL; here, because the query does not know in which order the groups were named
        return sorted(totals, key=lambda total: [(name is not None, name or "") for name in total.group])

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

    def _rows(self, name: str, period: Period, *parameters: Parameter) -> Iterator[Row]:
        try:
            yield from self._client.ask(name, self._names, period, *parameters, max_bytes=self._max_query_bytes)
        except FAILURES as error:
            raise store_error(self._function, "read", error) from None


def _total(row: Row, by: Sequence[GroupBy]) -> UsageTotal:
    sums = {name: row[name] for name in SUMS}
    sums["list_cost"] = format(Decimal(row["list_cost"]).normalize(), "f")
    return UsageTotal(group=tuple(row[f"{_group(name)}_group"] for name in by), **sums)


def _group(name: GroupBy) -> str:
    """What the query calls it."""
    return "tag" if isinstance(name, TagValues) else name


def _of_tag(tag: Tag | None) -> Sequence[bigquery.ScalarQueryParameter]:
    return (
        bigquery.ScalarQueryParameter("tag_path", "STRING", _path(tag.name if tag else None)),
        bigquery.ScalarQueryParameter("tag_value", "STRING", tag.value if tag else None),
    )


def _path(tag_name: str | None) -> str:
    """A JSONPath, which must be one even where it is not looked at."""
    return "$" if tag_name is None else f"$.{tag_name}"
