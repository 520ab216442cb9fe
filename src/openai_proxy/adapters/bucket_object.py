"""An object of Cloud Storage, kept as fresh as a file: a function of Google's cannot mount a bucket.

A conditional read by the JSON API:
https://cloud.google.com/storage/docs/json_api/v1/objects/get. It is answered 304 while the ETag is the same:
https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import os
from urllib.parse import quote

import google.auth
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_TIMEOUT = (1.0, 1.5)  # to connect, and for each part of the answer: an outage must not make anybody wait
_NOT_MODIFIED = 304


class BucketObject:
    """Asks for the content anew each time, for one thread at a time."""

    def __init__(self, bucket: str, name: str) -> None:
        host = os.environ.get("STORAGE_EMULATOR_HOST")  # as in Google's own client
        self._url = f"{host or 'https://storage.googleapis.com'}/storage/v1/b/{quote(bucket, '')}/o/{quote(name, '')}"
        self._session: requests.Session | None = requests.Session() if host else None
        self._content: bytes | str = ""
        self._etag = ""

    def content(self) -> bytes | str:
        """What is in the object, or why that is not known."""
        try:
            self._read()
        except (requests.RequestException, GoogleAuthError) as error:
            self._content, self._etag = type(error).__name__, ""
        return self._content

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
