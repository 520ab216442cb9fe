"""Changes of the access file in the ledger in BigQuery: a table beside the usage records, a few rows a day."""

from __future__ import annotations

from collections.abc import Sequence

from openai_proxy.access.events import AccessEvent
from openai_proxy.adapters.bigquery_client import CALL_SECONDS, FAILURES, RETRY, LazyClient, store_error
from openai_proxy.period import Period
from openai_proxy.ports import StoreError


class BigQueryAccessLog:
    """Appends to the table, and reads it; each event once, however often it was added.

    `insert_ids` let BigQuery drop most of what comes twice within a minute or so. Nothing depends on it.
    """

    def __init__(self, project: str, dataset: str, *, insert_ids: bool = True) -> None:
        self._table = f"{project}.{dataset}.access_events"
        self._insert_ids = insert_ids
        self._client = LazyClient(project)

    def add(self, events: Sequence[AccessEvent]) -> None:
        """Keep the events.

        Raises:
            StoreError: nothing is known to be kept; add all of them again.
        """
        rows = [event.row() | {"event_time": event.event_time.isoformat(timespec="microseconds")} for event in events]
        ids = [event.event_id if self._insert_ids else None for event in events]
        try:
            refused = self._client.get().insert_rows_json(
                self._table, rows, row_ids=ids, retry=RETRY, timeout=CALL_SECONDS
            )
        except FAILURES as error:
            raise store_error(self._table, "written", error) from None
        if refused:
            raise StoreError(f"the ledger {self._table} refuses the changes of the access file: {refused}"[:1000])

    def events(self, period: Period) -> Sequence[AccessEvent]:
        """The events of the period, newest first.

        Raises:
            StoreError: the ledger cannot be read now.
        """
        try:
            rows = self._client.ask("access_events", {"access_events": self._table}, period)
            return [AccessEvent(**row) for row in rows]
        except FAILURES as error:
            raise store_error(self._table, "read", error) from None

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        self._client.close()
