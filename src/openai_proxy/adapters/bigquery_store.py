"""Google BigQuery: the ledger as an append-only table; the table function `usage` picks one final record a request.

Rows go through `insertAll`: one HTTPS call, row errors told apart, rows visible at once. The Storage Write API would
save cents (1 GB of rows costs 5 cents here) and cost gRPC and protocol buffers at every cold start. The SQL stands in
`queries/bigquery/`; Terraform makes the table function and the views of the same files. Clients are made by the first
call: after the server's fork.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from string import Template
from typing import Any

import requests
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY

from openai_proxy.adapters.group_commit import GroupCommit
from openai_proxy.ports import GroupBy, Period, StoreError, UsageTotal
from openai_proxy.records import UsageRecord, schema

_CALL_SECONDS = 4.0
_WRITE_RETRY = bigquery.DEFAULT_RETRY.with_delay(initial=0.2, maximum=2.0).with_timeout(6.0)  # with the last call: 10 s
_READ_RETRY = bigquery.DEFAULT_RETRY.with_delay(initial=0.2, maximum=2.0).with_timeout(20.0)
_JOB_RETRY = DEFAULT_JOB_RETRY.with_timeout(20.0)
_QUERY_SECONDS = 60.0
_MOST_ROWS = 500  # in one call, as BigQuery advises: https://cloud.google.com/bigquery/quotas#streaming_inserts
_TOO_LARGE = (400, 413)  # how BigQuery answers a call of more than 10 MB
_LONGEST_INSERT_ID = 128
_ALL = 2**63 - 1
_FAILURES = (GoogleAPIError, GoogleAuthError, requests.RequestException, TimeoutError)

_Row = Mapping[str, Any]
_Outcome = Mapping[str, str] | StoreError


class BigQueryStore:
    """Writes the ledger; what several threads add at the same time goes into one call, of `most_rows` at most.

    `insert_ids` let BigQuery drop most of the rows that come twice within a minute or so. Nothing depends on it.
    """

    def __init__(
        self, project: str, dataset: str, table: str, *, insert_ids: bool = True, most_rows: int = _MOST_ROWS
    ) -> None:
        self._most_rows = most_rows
        self._table = f"{project}.{dataset}.{table}"
        self._insert_ids = insert_ids
        self._client = _LazyClient(project)
        self._commits = GroupCommit[Sequence[_Row], _Outcome](self._write, most_items=most_rows)

    def add(self, records: Sequence[UsageRecord]) -> Mapping[str, str]:
        """Keep the records; answer `event_id` -> reason for each that can never be kept.

        Raises:
            StoreError: nothing is known to be kept; add all of them again.
        """
        rows, refused = [], {}
        for record in records:
            try:
                rows.append(_json_row(record.row()))
            except ValueError as error:
                refused[record.event.event_id] = str(error)
        if not rows:
            return refused
        outcome = self._commits.submit(rows)
        if isinstance(outcome, StoreError):
            raise StoreError(str(outcome))  # each thread adds a traceback of its own
        return {**refused, **outcome}

    def check(self) -> None:
        """Look at the table, whether it has all columns.

        Raises:
            StoreError: a record could not be written now.
        """
        try:
            table = self._client.get().get_table(self._table, retry=_WRITE_RETRY, timeout=_CALL_SECONDS)
        except _FAILURES as error:
            raise _store_error(self._table, "written", error) from None
        missing = {column["name"] for column in schema()} - {field.name for field in table.schema}
        if missing:
            raise StoreError(f"{self._table} lacks {', '.join(sorted(missing))}; terraform apply adds columns")

    def close(self) -> None:
        """Close the connections; the next record opens them again."""
        self._client.close()

    def _write(self, additions: Sequence[Sequence[_Row]]) -> Sequence[_Outcome]:
        rows = [row for addition in additions for row in addition]
        try:
            reasons = [
                reason
                for start in range(0, len(rows), self._most_rows)
                for reason in self._insert(rows[start : start + self._most_rows])
            ]
        except _FAILURES as error:
            return [_store_error(self._table, "written", error)] * len(additions)
        paired = iter(zip(rows, reasons, strict=True))
        return [self._outcome([next(paired) for _ in addition]) for addition in additions]

    def _insert(self, rows: Sequence[_Row]) -> Sequence[str | None]:
        """Insert the rows; answer for each why it was refused, or None. What one call cannot take goes in two."""
        try:
            errors = self._client.get().insert_rows_json(
                self._table,
                [dict(row) for row in rows],
                row_ids=[self._insert_id(row) for row in rows],
                skip_invalid_rows=True,
                retry=_WRITE_RETRY,
                timeout=_CALL_SECONDS,
            )
        except GoogleAPICallError as error:
            if error.code not in _TOO_LARGE:
                raise
            if len(rows) == 1:
                return [f"BigQuery refuses the row: {error.message}"]
            half = len(rows) // 2
            return [*self._insert(rows[:half]), *self._insert(rows[half:])]
        refused = {error["index"]: _reason(error["errors"]) for error in errors}
        return [refused.get(number) for number in range(len(rows))]

    def _outcome(self, reasons: Sequence[tuple[_Row, str | None]]) -> _Outcome:
        """What one addition is told. A column that the table lacks is the table's fault, and can be mended."""
        refused = {row["event_id"]: reason for row, reason in reasons if reason is not None}
        for reason in refused.values():
            if "no such field" in reason:
                return StoreError(f"{self._table} is older than this program ({reason}); terraform apply adds columns")
        return refused

    def _insert_id(self, row: _Row) -> str | None:
        insert_id = f"{row['event_id']}:{row['event_type']}"
        return insert_id if self._insert_ids and len(insert_id) <= _LONGEST_INSERT_ID else None


class BigQueryLedger:
    """Reads the ledger through its table function, with parameters only; for many threads at once.

    `max_query_bytes` 0 is no limit; BigQuery refuses, free of charge, a query that would read more.
    """

    def __init__(self, project: str, dataset: str, table: str, *, max_query_bytes: int = 0) -> None:
        self._function = f"{project}.{dataset}.usage"
        self._names = {"table": f"{project}.{dataset}.{table}", "usage": self._function}
        self._max_query_bytes = max_query_bytes
        self._client = _LazyClient(project)

    def records(self, period: Period, *, user_id: str | None, limit: int | None) -> Iterator[_Row]:
        """Final records of the period, newest first, a page at a time.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        most = bigquery.ScalarQueryParameter("most", "INT64", _ALL if limit is None else limit)
        names = [column["name"] for column in schema()]
        for row in self._rows("records", period, user_id, most):
            yield {name: row.get(name) for name in names}

    def totals(self, period: Period, *, user_id: str | None, by: Sequence[GroupBy]) -> Sequence[UsageTotal]:
        """Sums by the groups named, ordered by them.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        groups = bigquery.ArrayQueryParameter("by", "STRING", list(by))
        totals = [_total(row, by) for row in self._rows("totals", period, user_id, groups)]
        if not totals and not by:
            return [_total(dict.fromkeys(_SUMS, 0), by)]
        # None first, as in SQL; here, because the query does not know in which order the groups were named
        return sorted(totals, key=lambda total: [(name is not None, name or "") for name in total.group])

    def check(self) -> None:
        """Look at the table function: that costs nothing, a query does.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        try:
            self._client.get().get_routine(self._function, retry=_WRITE_RETRY, timeout=_CALL_SECONDS)
        except _FAILURES as error:
            raise _store_error(self._function, "read", error) from None

    def close(self) -> None:
        """Close the connections; the next question opens them again."""
        self._client.close()

    def _rows(self, name: str, period: Period, user_id: str | None, parameter: _Parameter) -> Iterator[_Row]:
        config = bigquery.QueryJobConfig(
            query_parameters=[
                bigquery.ScalarQueryParameter("since", "TIMESTAMP", period.since),
                bigquery.ScalarQueryParameter("until", "TIMESTAMP", period.until),
                bigquery.ScalarQueryParameter("user_id", "STRING", user_id),
                parameter,
            ],
        )
        if self._max_query_bytes:
            config.maximum_bytes_billed = self._max_query_bytes
        try:
            yield from self._client.get().query_and_wait(
                Template(_query(name)).substitute(self._names),
                job_config=config,
                api_timeout=_CALL_SECONDS,
                wait_timeout=_QUERY_SECONDS,
                retry=_READ_RETRY,
                job_retry=_JOB_RETRY,
            )
        except _FAILURES as error:
            raise _store_error(self._function, "read", error) from None


_Parameter = bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter


class _LazyClient:
    """Google's client, made by the first call; its connections are for many threads at once."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._client: bigquery.Client | None = None

    def get(self) -> bigquery.Client:
        with self._lock:
            if self._client is None:
                emulator = os.environ.get("BIGQUERY_EMULATOR_HOST")  # as in Google's own client
                self._client = (
                    bigquery.Client(
                        project=self._project,
                        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call] # google-auth has no types
                        client_options=ClientOptions(api_endpoint=emulator),
                    )
                    if emulator
                    else bigquery.Client(project=self._project)
                )
            return self._client

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()  # type: ignore[no-untyped-call] # nor has this
                self._client = None


@cache
def _query(name: str) -> str:
    return resources.files("openai_proxy").joinpath("queries", "bigquery", f"{name}.sql").read_text("utf-8")


_SUMS = (
    "requests",
    "input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "list_cost",
    "unpriced",
    "estimated",
    "open",
    "errors",
)


def _total(row: _Row, by: Sequence[GroupBy]) -> UsageTotal:
    sums = {name: row[name] for name in _SUMS}
    sums["list_cost"] = format(Decimal(row["list_cost"]).normalize(), "f")
    return UsageTotal(group=tuple(row[f"{name}_group"] for name in by), **sums)


def _reason(errors: Sequence[Mapping[str, str]]) -> str:
    """What BigQuery says of a row: column names and its own words."""
    return "; ".join(f"{error.get('location') or 'row'}: {error.get('message', '')}" for error in errors)


def _store_error(name: str, done: str, error: Exception) -> StoreError:
    return StoreError(f"the ledger {name} cannot be {done} now: {type(error).__name__}: {error}"[:1000])


# Cells, as insertAll takes them


def _json_row(row: _Row) -> _Row:
    return {name: None if value is None else _TO_JSON[name](value) for name, value in row.items()}


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _numeric(amount: Decimal) -> str:
    """BigQuery's NUMERIC: 29 digits before the point and 9 after it."""
    exponent = amount.normalize().as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -9 or amount.adjusted() >= 29:  # noqa: PLR2004 - as above
        raise ValueError("list_cost must be a multiple of 1e-9, below 1e29")
    return format(amount, "f")


def _json_text(value: object) -> str:
    return _text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _text(value: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate, which JSON can carry, becomes a question mark."""
    return value.encode("utf-8", "replace").decode()


def _items(items: Sequence[_Row]) -> list[dict[str, Any]]:
    """Items of a repeated RECORD: numbers as NUMERIC takes them, all else as it is."""
    return [
        {name: _numeric(value) if isinstance(value, Decimal) else value for name, value in item.items()}
        for item in items
    ]


def _same(value: Any) -> Any:  # noqa: ANN401 - goes as it is
    return value


_BY_TYPE: Mapping[str, Callable[[Any], Any]] = {
    "STRING": _text,
    "TIMESTAMP": _rfc3339,
    "NUMERIC": _numeric,
    "JSON": _json_text,
    "RECORD": _items,
}
_TO_JSON = {column["name"]: _BY_TYPE.get(column["type"], _same) for column in schema()}
