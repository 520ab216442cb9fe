"""Google's client for BigQuery, as all that reads or writes the ledger uses it; and how it asks `queries/bigquery`.

The client is made by the first call: after the server's fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from string import Template

import requests
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY

from openai_proxy.adapters.bigquery_cells import Row
from openai_proxy.period import Period
from openai_proxy.ports import StoreError

CALL_SECONDS = 4.0
RETRY = bigquery.DEFAULT_RETRY.with_delay(initial=0.2, maximum=2.0).with_timeout(6.0)  # with the last call: 10 s
_READ_RETRY = bigquery.DEFAULT_RETRY.with_delay(initial=0.2, maximum=2.0).with_timeout(20.0)
_JOB_RETRY = DEFAULT_JOB_RETRY.with_timeout(20.0)
_QUERY_SECONDS = 60.0
FAILURES = (GoogleAPIError, GoogleAuthError, requests.RequestException, TimeoutError)
"""What a call may end with that may be made again."""

Parameter = bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter


class LazyClient:
    """Google's client, made by the first call; its connections are for many threads at once."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._client: bigquery.Client | None = None

    def get(self) -> bigquery.Client:
        """The client."""
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

    def ask(
        self, name: str, parts: Mapping[str, str], period: Period, *parameters: Parameter, max_bytes: int = 0
    ) -> Iterator[Row]:
        """The rows that answer a question of `queries/bigquery` about a period, a page at a time.

        `parts` are what stands in it for tables and the like; `max_bytes` 0 is no limit. May end with one of
        `FAILURES`.
        """
        config = bigquery.QueryJobConfig(
            query_parameters=[
                bigquery.ScalarQueryParameter("since", "TIMESTAMP", period.since),
                bigquery.ScalarQueryParameter("until", "TIMESTAMP", period.until),
                *parameters,
            ],
        )
        if max_bytes:
            config.maximum_bytes_billed = max_bytes
        yield from self.get().query_and_wait(
            query(name, parts),
            job_config=config,
            api_timeout=CALL_SECONDS,
            wait_timeout=_QUERY_SECONDS,
            retry=_READ_RETRY,
            job_retry=_JOB_RETRY,
        )

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        with self._lock:
            if self._client is not None:
                self._client.close()  # type: ignore[no-untyped-call] # nor has this
                self._client = None


def query(name: str, parts: Mapping[str, str]) -> str:
    """A query of `queries/bigquery`; what is put in is fixed text of the adapters, every value is a parameter."""
    return _text_of(name).substitute(parts)


@cache
def _text_of(name: str) -> Template:
    return Template(resources.files("openai_proxy").joinpath("queries", "bigquery", f"{name}.sql").read_text("utf-8"))


def store_error(name: str, done: str, error: Exception) -> StoreError:
    """What to raise; `done` is `read` or `written`."""
    return StoreError(f"the ledger {name} cannot be {done} now: {type(error).__name__}: {error}"[:1000])
