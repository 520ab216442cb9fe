"""Claims in Google Cloud: objects of a bucket, made only where there is none of that name.

The account needs roles/storage.objectCreator and no more; it cannot read, list, change or delete what is there.
https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import os
import threading
from urllib.parse import quote

import google.auth
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from openai_proxy.ports import ClaimError

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_TIMEOUT = (2.0, 5.0)
_EXISTS = 412
# What an account without that permission may be told instead, where the object exists
_MAY_NOT_REPLACE = (403, "storage.objects.delete")


class BucketClaims:
    """An object a name, empty. For many threads."""

    def __init__(self, bucket: str) -> None:
        host = os.environ.get("STORAGE_EMULATOR_HOST")  # as in Google's own client
        self._url = f"{host or 'https://storage.googleapis.com'}/upload/storage/v1/b/{quote(bucket, '')}/o"
        self._bucket = bucket
        self._lock = threading.Lock()
        self._session: requests.Session | None = requests.Session() if host else None

    def claim(self, name: str) -> bool:
        """Whether nobody had claimed this name.

        Raises:
            ClaimError: Cloud Storage does not say.
        """
        parameters = {"uploadType": "media", "name": name, "ifGenerationMatch": "0"}
        try:
            answer = self._signed_in().post(self._url, params=parameters, data=b"", timeout=_TIMEOUT)
        except (requests.RequestException, GoogleAuthError) as error:
            raise ClaimError(f"the bucket {self._bucket} cannot be reached: {type(error).__name__}") from None
        if answer.ok:
            return True
        status, words = _MAY_NOT_REPLACE
        if answer.status_code == _EXISTS or (answer.status_code == status and words in answer.text):
            return False
        raise ClaimError(f"the bucket {self._bucket} answers {answer.status_code}")

    def _signed_in(self) -> requests.Session:
        with self._lock:
            if self._session is None:
                credentials, _ = google.auth.default(scopes=[_SCOPE])
                self._session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call] # google-auth has no types
            return self._session
