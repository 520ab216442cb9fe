"""The token in each form of `/log`: signed, and good only in the browser or for the reader that the form was made for.

A site that makes a browser send a form can neither read such a token nor make one: OWASP's signed double-submit
cookie, https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from itsdangerous import BadData, URLSafeSerializer

_VISITOR = "visitor."
_VISITOR_BYTES = 16


class FormTokens:
    """Makes and knows tokens; another secret makes all of them void. They end with what they are bound to."""

    def __init__(self, secret: str) -> None:
        self._serializer = URLSafeSerializer(
            secret, salt="openai_proxy.form", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def token(self, bound_to: str) -> str:
        """The token of a form for whom `bound_to` names: a cookie's value, or a reader."""
        sealed = self._serializer.dumps(_digest(bound_to))
        return sealed if isinstance(sealed, str) else sealed.decode("ascii")

    def holds(self, token: str, bound_to: str) -> bool:
        """Whether the token was made here, for the same."""
        try:
            known = self._serializer.loads(token)
        except BadData:
            return False
        return hmac.compare_digest(str(known).encode("utf-8", "surrogatepass"), _digest(bound_to).encode("ascii"))


def new_visitor() -> str:
    """The cookie's value of a browser in which nobody has signed in yet; it opens nothing."""
    return _VISITOR + secrets.token_urlsafe(_VISITOR_BYTES)


def is_visitor(cookie: str) -> bool:
    """Whether a cookie's value says no more than that somebody was here."""
    return cookie.startswith(_VISITOR)


def _digest(text: str) -> str:
    """The token shows nothing of what it is bound to, which may be a session."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
