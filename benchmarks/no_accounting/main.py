"""The proxy as it is, but its queue accepts every event at once and keeps none: what accounting costs is the rest."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import cast

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from openai_proxy.adapters.access_file import AccessFile
from openai_proxy.adapters.upstream_keys import UpstreamKeys
from openai_proxy.bootstrap import rate_limits
from openai_proxy.events import UsageEvent
from openai_proxy.proxy import Proxy
from openai_proxy.settings import Settings


class _AcceptingQueue:
    async def publish(self, event: UsageEvent) -> None:
        """Accept."""

    async def check(self) -> None:
        """Accept."""

    async def close(self) -> None:
        """Nothing was begun."""


@functions_framework.aio.http
async def proxy(_request: Request) -> Response:
    """Forward one request."""
    return cast("Response", _proxy())  # it is called as a Response is: with scope, receive, send


@cache
def _proxy() -> ASGIApp:
    settings = Settings.from_environ(os.environ)
    return Proxy(
        settings,
        access=AccessFile(Path(settings.require("access_file"))),
        queue=_AcceptingQueue(),
        upstream_key=UpstreamKeys(settings).key,
        rate_limits=rate_limits(settings),
    )
