"""/log: passed on to log_view, so that one address serves both the API and the page (DESIGN 2)."""

from __future__ import annotations

import re

import aiohttp
from yarl import URL

from openai_proxy.api import refusals
from openai_proxy.api.client import Client
from openai_proxy.identity_token import IdentityToken
from openai_proxy.settings import Settings
from openai_proxy.wire.client_address import client_address
from openai_proxy.wire.headers import Header, from_raw, value_of

_LARGEST_FORM = 64 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=120.0)
# log_view signs people in by itself, so the caller's own credential and cookie go with it
_PASSED = frozenset({
    "accept", "accept-language", "authorization", "content-type", "cookie", "if-modified-since", "if-none-match",
    "origin", "referer", "sec-fetch-mode", "sec-fetch-site", "user-agent", "x-goog-iap-jwt-assertion",
})  # fmt: skip
# No segment begins with a dot or is encoded: whatever a server on the way makes of a path, it stays under /log. What
# else log_view answers, as what was spent (spend_messages.PATH), is not the world's to ask
_OF_PAGE = re.compile(r"/log(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*/?")
_NOT_BACK = frozenset({"connection", "date", "keep-alive", "server", "transfer-encoding"})


def is_of_page(raw_path: str) -> bool:
    """Whether a path is the page's, and may be passed on to log_view."""
    return _OF_PAGE.fullmatch(raw_path) is not None


class PageRelay:
    """Carries one request to log_view and its answer back."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings, identity: IdentityToken) -> None:
        self._session = session
        self._settings = settings
        self._identity = identity

    async def relay(self, client: Client) -> None:
        """Serve the request; 502 when log_view cannot be reached."""
        if not self._settings.log_view_url:
            await client.refuse(refusals.LOG_UNREACHABLE)
            return
        body = bytearray()
        while part := await client.read():
            body += part
            if len(body) > _LARGEST_FORM:
                await client.refuse(refusals.TOO_LARGE)
                return
        query = f"?{client.query}" if client.query else ""
        url = URL(f"{self._settings.log_view_url}{client.raw_path}{query}", encoded=True)
        try:
            async with self._session.request(
                client.method,
                url,
                headers=[*self._request_headers(client), *await self._identity.headers()],
                data=bytes(body) or None,
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as response:
                answer = from_raw(response.raw_headers)
                await client.begin(response.status, [header for header in answer if header[0] not in _NOT_BACK])
                async for chunk in response.content.iter_any():
                    await client.send(chunk)
                await client.send(b"", more=False)
        except (aiohttp.ClientError, TimeoutError):
            if not client.answer_begun:
                await client.refuse(refusals.LOG_UNREACHABLE)

    def _request_headers(self, client: Client) -> list[Header]:
        """What log_view needs; it learns from us which address the browser used, and from where it called."""
        kept = [(name, value) for name, value in client.headers if name in _PASSED]
        scheme = value_of(client.headers, "x-forwarded-proto") or client.scheme
        forwarded_for = ",".join(value for name, value in client.headers if name == "x-forwarded-for")
        return [
            *kept,
            ("x-forwarded-for", client_address(forwarded_for, client.peer, self._settings.forwarded_hops)),
            ("x-forwarded-host", value_of(client.headers, "host") or ""),
            ("x-forwarded-proto", scheme if scheme in {"http", "https"} else "http"),
        ]
