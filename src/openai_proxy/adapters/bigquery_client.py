"""Google's client for BigQuery, as the ledger's two halves use it: made by the first call, after the server's fork."""

from __future__ import annotations

import os
import threading

import requests
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from openai_proxy.ports import StoreError

CALL_SECONDS = 4.0
RETRY = bigquery.DEFAULT_RETRY.with_delay(initial=0.2, maximum=2.0).with_timeout(6.0)  # with the last call: 10 s
FAILURES = (GoogleAPIError, GoogleAuthError, requests.RequestException, TimeoutError)
"""What a call may end with that may be made again."""


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

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        with self._lock:
            if self._client is not None:
                self._client.close()  # type: ignore[no-untyped-call] # nor has this
                self._client = None


def store_error(name: str, done: str, error: Exception) -> StoreError:
    """What to raise; `done` is `read` or `written`."""
    return StoreError(f"the ledger {name} cannot be {done} now: {type(error).__name__}: {error}"[:1000])
