"""The signed cookie of `/log`: whose page this is, and by which key they signed in. Never the key itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadData, URLSafeTimedSerializer

from openai_proxy.access.callers import USER_NAME_KEY_ID, Access, Caller

COOKIE = "openai_proxy_session"
"""The cookie's name over plain HTTP, as on one machine; `cookie_name` has the other."""
LIFETIME = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser; whether the user and the key still hold is asked of the access file at each request."""

    user_id: str
    key_id: str

    def caller(self, access: Access, now: datetime) -> Caller | None:
        """Who that is now; None once the user or the key is revoked, gone or expired."""
        user = access.users.get(self.user_id)
        if user is None or user.revoked:
            return None
        held = any(key.key_id == self.key_id and key.is_valid(now) for key in user.keys)
        if not held and not (user.allow_user_name and self.key_id == USER_NAME_KEY_ID):
            return None
        return access.caller(user, self.key_id)


class Sessions:
    """Seals sessions into cookie values with one secret, and opens them again."""

    def __init__(self, secret: str) -> None:
        self._serializer = URLSafeTimedSerializer(
            secret, salt="openai_proxy.log_view", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def seal(self, session: Session) -> str:
        """The cookie value of a session that begins now; made of letters, digits and `-_.` only."""
        sealed = self._serializer.dumps([session.user_id, session.key_id])
        return sealed if isinstance(sealed, str) else sealed.decode("ascii")

    def open(self, value: str, now: datetime) -> Session | None:
        """The session of a cookie value; None if it was not sealed here, was changed, or is older than `LIFETIME`."""
        try:
            (user_id, key_id), sealed_time = self._serializer.loads(value, return_timestamp=True)
        except BadData:
            return None
        return Session(user_id, key_id) if now - sealed_time < LIFETIME else None


def cookie_name(*, secure: bool) -> str:
    """The cookie's name behind TLS, or without.

    `__Host-` makes browsers take it from this very host only, and over TLS: no neighbour under the same domain can
    plant one. The prefix asks for Path=/, so the cookie also comes with calls of the API, where the proxy drops it. A
    narrower path would keep it from nobody: paths are no boundary (RFC 6265, 8.5).
    """
    return f"__Host-{COOKIE}" if secure else COOKIE


def set_cookie(value: str, *, secure: bool) -> str:
    """The Set-Cookie header that keeps a session, or a visitor; an empty value ends it.

    SameSite=Lax, not Strict: a link to `/log` in a chat then opens signed in, and it is safe because GET changes
    nothing here, while a POST from another site comes without the cookie.
    """
    age = int(LIFETIME.total_seconds()) if value else 0
    name, path, only = (cookie_name(secure=secure), "/", "; Secure") if secure else (COOKIE, "/log", "")
    return f"{name}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{only}"
