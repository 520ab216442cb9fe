"""A key does not belong in an address: histories, logs and other people's screens keep it."""

from __future__ import annotations

import re

from openai_proxy.page.exchange import Question, RefusedError

_NAMES = frozenset({"api_key", "apikey", "authorization", "password", "token", "access_token"})
_KEY = re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}")
_TEXT = (
    "A key does not belong in an address: the history of the browser and the logs on the way keep it. If it was a real"
    " one, make a new one now (openai-proxy key rotate NAME) and revoke this one. Then sign in on this page with the"
    " new key, or send it as a header: Authorization: Bearer YOUR_KEY."
)


def refuse_key_in_address(question: Question) -> None:
    """Refuse an address that holds a key, or something by the name of one, whether it is valid or not."""
    if any(name.lower() in _NAMES or _KEY.search(f"{name} {value}") for name, value in question.query.items()):
        raise RefusedError(400, _TEXT, code="key_in_address")
