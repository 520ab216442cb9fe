"""Who reads by Google's word: what Identity-Aware Proxy says of a request, and the port that checks it."""

from __future__ import annotations

from typing import Protocol

ASSERTION = "x-goog-iap-jwt-assertion"
"""The header in which Identity-Aware Proxy says who asks: https://cloud.google.com/iap/docs/signed-headers-howto."""

SIGN_OUT_PATH = "/log?gcp-iap-mode=CLEAR_LOGIN_COOKIE"
"""Where Identity-Aware Proxy forgets who asks: https://cloud.google.com/iap/docs/special-urls-and-headers-howto."""


class WrongAssertionError(Exception):
    """What the header says cannot be believed; the text says why, and nothing of what it holds."""


class GoogleUnreachableError(Exception):
    """Google's public keys cannot be had now, so nothing can be said of the header."""


class GoogleIdentity(Protocol):
    """Checks assertions."""

    def email(self, assertion: str) -> str:
        """The address that Google verified.

        Raises:
            WrongAssertionError: not signed by Google, not for us, or not now.
            GoogleUnreachableError: that cannot be known now.
        """
