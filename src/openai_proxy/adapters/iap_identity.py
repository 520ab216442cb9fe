"""Checks what Identity-Aware Proxy signs, by Google's own library: ES256, for one audience, by one issuer, now.

What is checked, and the allowed difference of clocks: https://cloud.google.com/iap/docs/signed-headers-howto. Google's
ready-made `id_token.verify_token` would fetch the public keys at each call, so they are kept here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import requests
from google.auth import jwt
from google.auth.exceptions import GoogleAuthError, InvalidValue

from openai_proxy.page.google_sign_in import GoogleUnreachableError, WrongAssertionError

ISSUER = "https://cloud.google.com/iap"
_ALGORITHM = "ES256"
_SKEW_SECONDS = 30
_FRESH_SECONDS = 3_600.0  # a key that Google takes back is no longer believed after so long
_ASK_AGAIN_SECONDS = 10.0  # whatever is unknown: made-up key ids must not make us ask Google each time
_TIMEOUT = (2.0, 3.0)  # to connect, and for each part of the answer
_LONGEST = 8 * 1024


class IapIdentity:
    """Believes what Google signed for `audience`; safe among threads. `clock` never goes back."""

    def __init__(self, audience: str, keys_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._audience = audience
        self._keys = _Keys(keys_url, clock)

    def email(self, assertion: str) -> str:
        """The address that Google verified.

        Raises:
            WrongAssertionError: not signed by Google, not for us, or not now.
            GoogleUnreachableError: the public keys cannot be had.
        """
        if len(assertion) > _LONGEST:
            raise WrongAssertionError("it is too long")
        try:
            header = jwt.decode_header(assertion)  # type: ignore[no-untyped-call] # its module has no types
        except (GoogleAuthError, ValueError):  # its text would quote the assertion
            raise WrongAssertionError("it is no signed token") from None
        key_id = header.get("kid")
        if header.get("alg") != _ALGORITHM or not isinstance(key_id, str):
            raise WrongAssertionError(f"it is not signed with {_ALGORITHM} and a named key")
        key = self._keys.key(key_id)
        if key is None:
            raise WrongAssertionError("it is signed with a key that is not Google's")
        return self._verified_email(assertion, key)

    def _verified_email(self, assertion: str, key: str) -> str:
        try:
            claims = jwt.decode(assertion, certs=key, clock_skew_in_seconds=_SKEW_SECONDS)  # type: ignore[no-untyped-call] # same
        except InvalidValue:
            raise WrongAssertionError("its time is over, or has not come") from None
        except (GoogleAuthError, ValueError, TypeError):
            raise WrongAssertionError("its signature or its form is wrong") from None
        if claims.get("aud") != self._audience:
            raise WrongAssertionError("it is for another service (IAP_AUDIENCE)")
        if claims.get("iss") != ISSUER:
            raise WrongAssertionError("it is not Identity-Aware Proxy's")
        email = claims.get("email")
        if not isinstance(email, str) or "@" not in email:
            raise WrongAssertionError("it names no e-mail address")
        return email


class _Keys:
    """Google's public keys in PEM form by id, fetched when there are none, when they are old, and for an unknown id."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, str] = {}
        self._fetched = self._asked = -float("inf")

    def key(self, key_id: str) -> str | None:
        """The key; None: Google has none of this id. `GoogleUnreachableError`: that is not known."""
        now = self._clock()
        if key_id in self._keys and now - self._fetched < _FRESH_SECONDS:
            return self._keys[key_id]
        with self._lock:
            is_old = now - self._fetched >= _FRESH_SECONDS
            if (is_old or key_id not in self._keys) and now - self._asked >= _ASK_AGAIN_SECONDS:
                self._asked = now
                self._fetch(now)
            if self._fetched < self._asked and key_id not in self._keys:
                raise GoogleUnreachableError(f"{self._url} does not answer with keys")
            return self._keys.get(key_id)

    def _fetch(self, now: float) -> None:
        """Take Google's keys of now; those known before stay where that fails."""
        try:
            answer = requests.get(self._url, timeout=_TIMEOUT)
            answer.raise_for_status()
            found = answer.json()
        except (requests.RequestException, ValueError):
            return
        if isinstance(found, dict) and all(isinstance(pem, str) for pem in found.values()):
            self._keys, self._fetched = found, now
