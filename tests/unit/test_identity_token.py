"""A private log_view behind the proxy: both, and the platform's metadata server, on real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web

from openai_proxy.access.callers import Access
from openai_proxy.adapters.upstream_keys import UpstreamKeys
from openai_proxy.bootstrap import rate_limits
from openai_proxy.events import UsageEvent
from openai_proxy.proxy import Proxy
from openai_proxy.settings import Settings

AUDIENCE = "https://log-view-abc.a.run.app"
MEMBER = {"authorization": "Bearer sk-op-the-members-own", "cookie": "session=1"}


def identity_token(audience: str, ends_in_seconds: float) -> str:
    claims = json.dumps({"aud": audience, "exp": time.time() + ends_in_seconds}).encode()
    return f"head.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.signature"


@dataclass
class Platform:
    """The metadata server, and a log_view that the platform lets only its callers reach."""

    ends_in_seconds: float = 3600
    answer: str | None = None
    asked: list[str] = field(default_factory=list)
    seen: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    root: str = ""

    async def metadata(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403)
        self.asked.append(request.query["audience"])
        if self.answer is not None:
            return web.Response(text=self.answer)
        return web.Response(text=identity_token(request.query["audience"], self.ends_in_seconds))

    async def log_view(self, request: web.Request) -> web.Response:
        bearer = request.headers.get("X-Serverless-Authorization", "")
        if not bearer.startswith("Bearer "):
            return web.Response(status=401)
        payload = bearer.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if claims["aud"] != AUDIENCE:
            return web.Response(status=403)
        self.seen.append((request.path, request.headers.get("Authorization"), request.headers.get("Cookie")))
        return web.json_response({"ledger": "ok"})


class NoQueue:
    async def publish(self, event: UsageEvent) -> None:
        raise NotImplementedError  # nothing is published in these scenes

    async def check(self) -> None:
        return

    async def close(self) -> None:
        return


class NoAccess:
    def current(self) -> Access:
        return Access.parse("version = 1\n")


@asynccontextmanager
async def running(platform: Platform, audience: str | None) -> AsyncIterator[str]:
    """The proxy's address, before that platform."""
    app = web.Application()
    app.router.add_get("/computeMetadata/v1/instance/service-accounts/default/identity", platform.metadata)
    app.router.add_get("/{path:.*}", platform.log_view)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host = f"127.0.0.1:{runner.addresses[0][1]}"
    settings = Settings(
        openai_api_key="sk-team", log_view_url=f"http://{host}", log_view_audience=audience, gce_metadata_host=host
    )
    proxy = Proxy(
        settings,
        access=NoAccess(),
        queue=NoQueue(),
        upstream_key=UpstreamKeys(settings).key,
        rate_limits=rate_limits(settings),
    )
    config = uvicorn.Config(proxy, port=0, lifespan="off", log_config=None, access_log=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        await server.shutdown()
        await proxy.close()
        await runner.cleanup()


Get = Callable[[str], Coroutine[Any, Any, tuple[int, Any]]]


def play(platform: Platform, scene: Callable[[Get], Coroutine[Any, Any, None]], audience: str | None) -> None:
    async def perform() -> None:
        async with running(platform, audience) as root, aiohttp.ClientSession() as session:

            async def get(path: str) -> tuple[int, Any]:
                async with session.get(root + path, headers=MEMBER) as answer:
                    return answer.status, await answer.json() if answer.content_type == "application/json" else None

            await scene(get)

    asyncio.run(asyncio.wait_for(perform(), 30))


def test_the_proxy_shows_its_identity_and_passes_the_members_own_authorization_on() -> None:
    platform = Platform()

    async def scene(get: Get) -> None:
        assert await get("/log") == (200, {"ledger": "ok"})
        assert (await get("/healthz"))[1] | {"log_view": "ok", "ledger": "ok"} == (await get("/healthz"))[1]

    play(platform, scene, AUDIENCE)
    assert platform.seen[0] == ("/log", MEMBER["authorization"], MEMBER["cookie"])
    assert platform.asked == [AUDIENCE]  # once: the token is kept


def test_a_token_that_ends_within_five_minutes_is_asked_for_anew() -> None:
    platform = Platform(ends_in_seconds=299)

    async def scene(get: Get) -> None:
        assert [(await get("/log"))[0] for _ in range(2)] == [200, 200]

    play(platform, scene, AUDIENCE)
    assert platform.asked == [AUDIENCE, AUDIENCE]


@pytest.mark.parametrize(("audience", "status"), [(None, 401), ("https://somebody-else.a.run.app", 403)])
def test_without_a_token_or_with_one_for_somebody_else_log_view_refuses(audience: str | None, status: int) -> None:
    platform = Platform()

    async def scene(get: Get) -> None:
        assert (await get("/log"))[0] == status

    play(platform, scene, audience)
    assert platform.seen == []


@pytest.mark.parametrize("answer", ["", "no token", "a.bm8ganNvbg.c", "a.e30.c", "a.W10.c"])
def test_what_is_no_token_is_a_page_that_cannot_be_reached(answer: str) -> None:
    platform = Platform(answer=answer)

    async def scene(get: Get) -> None:
        status, body = await get("/log")
        assert (status, body["error"]["code"]) == (502, "log_view_unreachable")
        status, body = await get("/healthz")
        assert (status, body["log_view"]) == (503, "cannot be reached")

    play(platform, scene, AUDIENCE)
    assert platform.seen == []
