"""Google BigQuery: the ledger as an append-only table; the table function `usage` picks one final record a request.

Rows go through `insertAll`: one HTTPS call, row errors told apart, rows visible at once. The Storage Write API would
save cents (1 GB of rows costs 5 cents here) and cost gRPC and protocol buffers at every cold start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.api_core.exceptions import GoogleAPICallError

from openai_proxy.adapters.bigquery_cells import Row, to_json_row
from openai_proxy.adapters.bigquery_client import CALL_SECONDS, FAILURES, RETRY, LazyClient, store_error
from openai_proxy.adapters.group_commit import GroupCommit
from openai_proxy.ports import StoreError
from openai_proxy.records import UsageRecord, schema

_MOST_ROWS = 500  # in one call, as BigQuery advises: https://cloud.google.com/bigquery/quotas#streaming_inserts
_TOO_LARGE = (400, 413)  # how BigQuery answers a call of more than 10 MB
_LONGEST_INSERT_ID = 128

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
        self._client = LazyClient(project)
        self._commits = GroupCommit[Sequence[Row], _Outcome](self._write, most_items=most_rows)

    def add(self, records: Sequence[UsageRecord]) -> Mapping[str, str]:
        """Keep the records; answer `event_id` -> reason for each that can never be kept.

        Raises:
            StoreError: nothing is known to be kept; add all of them again.
        """
        rows, refused = [], {}
        for record in records:
            try:
                rows.append(to_json_row(record.row()))
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
            table = self._client.get().get_table(self._table, retry=RETRY, timeout=CALL_SECONDS)
        except FAILURES as error:
            raise store_error(self._table, "written", error) from None
        missing = {column["name"] for column in schema()} - {field.name for field in table.schema}
        if missing:
            raise StoreError(f"{self._table} lacks {', '.join(sorted(missing))}; terraform apply adds columns")

    def close(self) -> None:
        """Close the connections; the next record opens them again."""
        self._client.close()

    def _write(self, additions: Sequence[Sequence[Row]]) -> Sequence[_Outcome]:
        rows = [row for addition in additions for row in addition]
        try:
            reasons = [
                reason
                for start in range(0, len(rows), self._most_rows)
                for reason in self._insert(rows[start : start + self._most_rows])
            ]
        except FAILURES as error:
            return [store_error(self._table, "written", error)] * len(additions)
        paired = iter(zip(rows, reasons, strict=True))
        return [self._outcome([next(paired) for _ in addition]) for addition in additions]

    def _insert(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Insert the rows; answer for each why it was refused, or None. What one call cannot take goes in two."""
        try:
            errors = self._client.get().insert_rows_json(
                self._table,
                [dict(row) for row in rows],
                row_ids=[self._insert_id(row) for row in rows],
                skip_invalid_rows=True,
                retry=RETRY,
                timeout=CALL_SECONDS,
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

    def _outcome(self, reasons: Sequence[tuple[Row, str | None]]) -> _Outcome:
        """What one addition is told. A column that the table lacks is the table's fault, and can be mended."""
        refused = {row["event_id"]: reason for row, reason in reasons if reason is not None}
        for reason in refused.values():
            if "no such field" in reason:
                return StoreError(f"{self._table} is older than this program ({reason}); terraform apply adds columns")
        return refused

    def _insert_id(self, row: Row) -> str | None:
        insert_id = f"{row['event_id']}:{row['event_type']}:{row['price_revision']}"
        return insert_id if self._insert_ids and len(insert_id) <= _LONGEST_INSERT_ID else None


def _reason(errors: Sequence[Mapping[str, str]]) -> str:
    """What BigQuery says of a row: column names and its own words."""
    return "; ".join(f"{error.get('location') or 'row'}: {error.get('message', '')}" for error in errors)
