"""An object of Cloud Storage, kept as fresh as a file: a function of Google's cannot mount a bucket.

One conditional read a second at most, by the JSON API, and only while somebody asks:
https://cloud.google.com/storage/docs/json_api/v1/objects/get. It is answered 304 while the ETag is the same:
https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import quote

import google.auth
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_LOOK_SECONDS = 1.0
_STALE_SECONDS = 4.0  # with a look each second, and the one under way: a change is seen within 5 s
_TIMEOUT = (1.0, 1.5)  # to connect, and for each part of the answer: an outage must not make anybody wait
_NOT_MODIFIED = 304


class BucketObject:
    """Serves the newest content that is known; safe for many threads.

    Who asks waits only where nobody has looked for four seconds: at the first request, and at the first after a pause,
    in which the platform gives an instance no time to look. While others are served, the loop never waits.
    """

    def __init__(self, bucket: str, name: str) -> None:
        host = os.environ.get("STORAGE_EMULATOR_HOST")  # as in Google's own client
        self._url = f"{host or 'https://storage.googleapis.com'}/storage/v1/b/{quote(bucket, '')}/o/{quote(name, '')}"
        self._session: requests.Session | None = requests.Session() if host else None
        self._lock = threading.Lock()
        self._worker: ThreadPoolExecutor | None = None  # made by the first look, after the server's fork
        self._look: Future[None] | None = None
        self._began = float("-inf")  # the newest look that has ended
        self._content: bytes | str = "nobody has looked yet"
        self._etag = ""

    def content(self) -> bytes | str:
        """What is in the object, or why that is not known."""
        for _ in range(2):  # a look that a pause interrupted ends with what was true before it
            look = self._newest_look()
            if time.monotonic() - self._began < _STALE_SECONDS:
                break
            look.result()
        return self._content

    def _newest_look(self) -> Future[None]:
        """The look that is under way, or a new one where one is due."""
        with self._lock:
            is_due = time.monotonic() - self._began >= _LOOK_SECONDS
            if self._look is None or (is_due and self._look.done()):
                self._worker = self._worker or ThreadPoolExecutor(1, "bucket-object")
                self._look = self._worker.submit(self._look_now)
            return self._look

    def _look_now(self) -> None:
        began = time.monotonic()
        try:
            self._read()
        except (requests.RequestException, GoogleAuthError) as error:
            self._content, self._etag = type(error).__name__, ""
        self._began = began

    def _read(self) -> None:
        if self._session is None:
            credentials, _ = google.auth.default(scopes=[_SCOPE])
            self._session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call] # nor has this
        known = {"if-none-match": self._etag} if self._etag else {}
        answer = self._session.get(self._url, params={"alt": "media"}, headers=known, timeout=_TIMEOUT)
        if answer.status_code == _NOT_MODIFIED:
            return
        if answer.ok:
            self._content, self._etag = answer.content, answer.headers.get("etag", "")
        else:
            self._content, self._etag = f"Cloud Storage answers {answer.status_code}", ""
