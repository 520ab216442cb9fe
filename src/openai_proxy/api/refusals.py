"""Our own answers, in OpenAI's error shape, so that every SDK shows them as it shows OpenAI's."""

from __future__ import annotations

import json
from dataclasses import dataclass

from openai_proxy.api.permissions import REASONS, Permission
from openai_proxy.api.refused_families import Refused
from openai_proxy.keys import is_mistyped_key
from openai_proxy.wire.headers import Header


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of our own: the error object of https://platform.openai.com/docs/guides/error-codes."""

    status: int
    message: str
    kind: str = "invalid_request_error"
    code: str | None = None
    headers: tuple[Header, ...] = ()

    @property
    def body(self) -> bytes:
        """The JSON body."""
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()


def endpoint_refused(family: Refused) -> Refusal:
    """What no permission opens."""
    what = f"{family.method} {family.path}" if family.method else family.path
    return Refusal(403, f"The proxy does not serve {what}: {family.reason}.", code="endpoint_refused")


def not_allowed(permission: Permission) -> Refusal:
    """What the access file would have to allow."""
    remedy = f'The proxy\'s owner can allow this, for you or for your team, with allow = ["{permission}"]'
    return Refusal(403, f"{REASONS[permission]}. {remedy} in the access file.", code=f"{permission}_not_allowed")


def model_not_allowed(model: str | None) -> Refusal:
    """A model that the access file does not let this user have; None: none is named, so OpenAI would choose."""
    what = f"The model {model!r} is not open to you" if model else "Not all models are open to you, so name one"
    return Refusal(403, f"{what}; the proxy's owner says which are, in the access file.", code="model_not_allowed")


def unauthorized(credential: str) -> Refusal:
    """Nobody's key. Whether it is unknown, expired or revoked is not told; that it is no key at all is in its text."""
    return MISTYPED_KEY if is_mistyped_key(credential) else UNAUTHORIZED


UNAUTHORIZED = Refusal(
    401,
    "This key opens nothing here. Send 'Authorization: Bearer KEY' with the key that the proxy's owner gave you.",
    code="invalid_api_key",
)
MISTYPED_KEY = Refusal(
    401,
    "This is not a key of this proxy: its checksum is wrong. Look for a character that is missing or mistyped.",
    code="invalid_api_key",
)
NO_WEBSOCKET = Refusal(
    426,
    "WebSockets are not served here; send the same request over HTTP.",
    code="websocket_not_supported",
    headers=(("upgrade", "HTTP/1.1"), ("connection", "upgrade")),
)
NOT_FOUND = Refusal(
    404,
    "The proxy does not know this path and method, so it does not pass them on. README, Endpoints, lists all.",
    code="unknown_url",
)
ENCODED_BODY = Refusal(
    415,
    "A request body with a Content-Encoding cannot be metered; send it without.",
    code="unsupported_content_encoding",
)
NOT_UTF8 = Refusal(
    400,
    "The request's body must be JSON in UTF-8, without a byte order mark (RFC 8259).",
    code="body_not_utf8",
)
NO_BACKGROUND = not_allowed("background_responses")
NO_ACCESS_FILE = Refusal(
    503,
    "The proxy cannot read its access file, so it lets nobody in. Its owner finds the reason in the proxy's log.",
    kind="server_error",
    code="access_file_unreadable",
)
NO_TEAM_KEY = Refusal(
    503,
    "The proxy cannot read the team's OpenAI key; the request was not sent. Its owner finds the reason in its log.",
    kind="server_error",
    code="team_key_unreadable",
)
UNREACHABLE = Refusal(
    502,
    "OpenAI could not be reached; the request was not sent.",
    kind="server_error",
    code="upstream_unreachable",
)
DISCONNECTED = Refusal(
    502,
    "OpenAI closed the connection before it answered.",
    kind="server_error",
    code="upstream_disconnected",
)
TIMED_OUT = Refusal(
    504,
    "OpenAI did not answer in time.",
    kind="server_error",
    code="upstream_timeout",
)
STOPPING = Refusal(
    503,
    "The proxy is being stopped before OpenAI answered; send the request again.",
    kind="server_error",
    code="proxy_stopping",
)
INTERNAL = Refusal(
    500,
    "The proxy failed on this request; its log has the place, under this answer's x-openai-proxy-request-id.",
    kind="server_error",
    code="proxy_error",
)
LOG_UNREACHABLE = Refusal(
    502,
    "The page's function cannot be reached; requests to OpenAI are served all the same. Try again soon.",
    kind="server_error",
    code="log_view_unreachable",
)
TOO_LARGE = Refusal(413, "This form is too large.", code="request_too_large")
