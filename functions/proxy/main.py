"""Entry point of the proxy: HTTP in, HTTP out.

What is returned is an ASGI application, which functions-framework's server calls with the request: so the proxy reads
the body as it comes, and learns at once when the client leaves.
"""

from __future__ import annotations

import asyncio
import os
import signal
from functools import cache
from types import FrameType
from typing import cast

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from openai_proxy import bootstrap

_GRACE_SECONDS = 2.0  # for answers that are about to end; the platform kills 10 s after SIGTERM, `serve` after 4 s


@functions_framework.aio.http
async def proxy(_request: Request) -> Response:
    """Forward one request to OpenAI, and record what it used."""
    return cast("Response", _proxy())  # it is called as a Response is: with scope, receive, send


@cache
def _proxy() -> ASGIApp:
    """The proxy of this worker, made after the fork; SIGTERM reaches it beside the server's own handler."""
    application = bootstrap.proxy(os.environ)
    loop = asyncio.get_running_loop()
    server_stops = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(loop.call_later, _GRACE_SECONDS, application.stop)
        if callable(server_stops):
            server_stops(number, frame)

    signal.signal(signal.SIGTERM, stop)
    return application
