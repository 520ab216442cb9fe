"""Which headers pass. Names are lower case, as ASGI gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable

Header = tuple[str, str]

REQUEST_ID = "x-openai-proxy-request-id"
CLIENT_REQUEST_ID = "x-client-request-id"
TAGS = "openai-proxy-tags"

# RFC 9110, 7.6.1, and what a hop sets anew
_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip

# Credentials, and what names who pays and what for; what tells of the client's network; what is worked out anew; what
# some servers take for another method or path than the table allowed
_NOT_UPSTREAM = _HOP_BY_HOP | {
    "accept-encoding", "api-key", "authorization", "content-length", "cookie", "expect", "forwarded",
    "function-execution-id", "host", "openai-organization", "openai-project", TAGS, "traceparent", "tracestate", "via",
    "x-api-key", "x-cloud-trace-context", "x-http-method", "x-http-method-override", "x-method-override",
    "x-original-url", "x-real-ip", "x-rewrite-url", "x-serverless-authorization",
}  # fmt: skip
# The second are Open WebUI's, and name the person who asks
_NOT_UPSTREAM_PREFIXES = ("x-forwarded-", "x-openwebui-")

# A cookie of OpenAI's edge would be shared among members; the rest tells of OpenAI's connection, not of ours
_NOT_TO_CLIENT = _HOP_BY_HOP | {"alt-svc", "date", "server", "set-cookie"}

_REFUSED = re.compile(r";\s*q\s*=\s*0(\.0*)?\s*$")  # RFC 9110, 12.4.2
_DECODABLE = ("gzip", "deflate")  # what the meter can read a copy of


def for_upstream(headers: Iterable[Header], *, api_key: str, request_id: str) -> list[Header]:
    """The client's headers as OpenAI gets them: our key instead of theirs, nothing about them or their network."""
    headers = list(headers)
    named = _named_by_connection(headers)
    kept = [
        (name, value)
        for name, value in headers
        if name not in _NOT_UPSTREAM and name not in named and not name.startswith(_NOT_UPSTREAM_PREFIXES)
    ]
    if not any(name == CLIENT_REQUEST_ID for name, _ in kept):
        kept.append((CLIENT_REQUEST_ID, request_id))
    kept.append(("accept-encoding", _acceptable(headers)))
    kept.append(("authorization", f"Bearer {api_key}"))
    return kept


def for_client(headers: Iterable[Header], *, drop: frozenset[str] = frozenset()) -> list[Header]:
    """OpenAI's answer's headers as the client gets them."""
    headers = list(headers)
    dropped = _NOT_TO_CLIENT | _named_by_connection(headers) | drop
    return [(name, value) for name, value in headers if name not in dropped]


def from_raw(lines: Iterable[tuple[bytes, bytes]]) -> list[Header]:
    """Headers as they stand on the wire; latin-1 keeps every byte (RFC 9110, 5.5)."""
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in lines]


def value_of(headers: Iterable[Header], wanted: str) -> str | None:
    """The first value of a header, or None."""
    return next((value for name, value in headers if name == wanted), None)


def _named_by_connection(headers: Iterable[Header]) -> frozenset[str]:
    return frozenset(
        part.strip().lower() for name, value in headers if name == "connection" for part in value.split(",")
    )


def _acceptable(headers: Iterable[Header]) -> str:
    asked = ",".join(value for name, value in headers if name == "accept-encoding").lower()
    codings = {part.partition(";")[0].strip() for part in asked.split(",") if not _REFUSED.search(part)}
    return ", ".join(coding for coding in _DECODABLE if coding in codings) or "identity"
