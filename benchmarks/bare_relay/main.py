"""The floor: the smallest relay on the proxy's own stack, `functions_framework.aio` and the aiohttp client.

It checks no key, reads no usage, publishes nothing.
"""

from __future__ import annotations

import os
from functools import cache
from typing import cast

import aiohttp
import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


@functions_framework.aio.http
async def relay(_request: Request) -> Response:
    """Pass one request on."""
    return cast("Response", _relay)  # it is called as a Response is: with scope, receive, send


async def _relay(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    url = os.environ["OPENAI_BASE_URL"] + scope["path"].removeprefix("/v1")
    headers = [(name.decode(), value.decode()) for name, value in scope["headers"] if name in _PASSED]
    async with _session().post(url, data=body, headers=headers) as answer:
        lines = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() != b"transfer-encoding"]
        await send({"type": "http.response.start", "status": answer.status, "headers": lines})
        while chunk := await answer.content.readany():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


_PASSED = {b"content-type", b"x-chunks"}


@cache
def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
