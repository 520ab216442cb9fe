"""The proxy: who may pass, which way, and that every event is safe; `exchange` carries one request out.

An ASGI application: https://asgi.readthedocs.io. It keeps nothing but connections; any instance can die at any time.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import aiohttp

from openai_proxy.access.callers import AccessFileError, AccessSource, Caller, credential_of
from openai_proxy.api import endpoints, refusals
from openai_proxy.api.client import Client, ClientGoneError, Receive, Scope, Send
from openai_proxy.api.endpoints import Route
from openai_proxy.api.refusals import Refusal
from openai_proxy.api.refused_families import Refused
from openai_proxy.budgets.guard import BudgetGuard
from openai_proxy.budgets.notices import BudgetNotices
from openai_proxy.budgets.spend_view import SpendView
from openai_proxy.budgets.webhook import Webhook
from openai_proxy.events import UsageEvent
from openai_proxy.forwarding import attribution
from openai_proxy.forwarding.exchange import Exchange, Upstream
from openai_proxy.forwarding.health import Health
from openai_proxy.forwarding.page_relay import PageRelay, is_of_page
from openai_proxy.identity_token import IdentityToken
from openai_proxy.limits.rate_limits import RateLimits
from openai_proxy.limits.turns import Turns
from openai_proxy.ports import Claims, QueueError, SecretError, UsageQueue
from openai_proxy.settings import Settings
from openai_proxy.structured_log import about, about_also, log
from openai_proxy.wire.headers import value_of

# OpenAI closes idle connections; one that we keep for less time is not found closed by the next request
_KEEP_ALIVE_SECONDS = 15.0
_LARGEST_HEADER = 64 * 1024
_ACCEPT_TRIES = 2
_STRANGERS = ""  # all who show no key take turns as one user more


class Proxy:
    """All requests of one process.

    `upstream_key` gives OpenAI's key of a name, or the common one for None; `SecretError`: there is none.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        access: AccessSource,
        queue: UsageQueue,
        upstream_key: Callable[[str | None], str],
        rate_limits: RateLimits,
        claims: Claims | None = None,
    ) -> None:
        self._upstream_key = upstream_key
        self._claims = claims
        self._rate_limits = rate_limits
        self._turns = Turns()
        self._settings = settings
        self._access = access
        self._queue = queue
        self._project = settings.project
        self._instance_id = uuid.uuid4().hex[:12]
        self._exchanges: set[Exchange] = set()
        self._upstream: Upstream | None = None  # made in the loop that serves
        self._identity: IdentityToken  # made with it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        client = Client(scope, receive, send, uuid.uuid4().hex)
        about(value_of(client.headers, "traceparent"), self._project)
        about_also(request_id=client.request_id)
        try:
            await self._serve(client)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, no traceback with content goes anywhere
            log("ERROR", "a request failed inside the proxy", error=_where(error))
            if not client.answer_begun:
                await client.refuse(refusals.INTERNAL)

    def stop(self) -> None:
        """Give up waiting for OpenAI's answers, so that what is known of them is recorded before the process ends."""
        for exchange in self._exchanges:
            exchange.give_up()

    async def close(self) -> None:
        """Let go of the connections and of the queue."""
        if self._upstream is not None:
            self._upstream.budgets.close()
            await self._upstream.session.close()
        await self._rate_limits.close()
        await self._queue.close()

    async def _serve(self, client: Client) -> None:
        answer = self._open_to_all(client)
        if answer is None:
            await self._exchange(client)
        else:
            await self._turns.take(_STRANGERS)
            await answer()

    def _open_to_all(self, client: Client) -> Callable[[], Awaitable[None]] | None:
        """What answers a request that needs no key of ours."""
        if client.raw_path in {"/healthz", "/health"}:
            health = Health(
                self._connected().session,
                self._settings,
                access=self._access,
                queue=self._queue,
                identity=self._identity,
                upstream_key=self._upstream_key,
            )
            return partial(health.answer, client)
        if is_of_page(client.raw_path):
            return partial(PageRelay(self._connected().session, self._settings, self._identity).relay, client)
        if client.raw_path == "/" and client.method == "GET":
            return partial(client.answer, 302, b"", [("location", "/log")])
        if (value_of(client.headers, "upgrade") or "").lower() == "websocket":
            return partial(client.refuse, refusals.NO_WEBSOCKET)
        return None

    async def _exchange(self, client: Client) -> None:
        try:
            authorization = value_of(client.headers, "authorization")
            caller = self._access.current().authenticate(authorization, datetime.now(UTC))
        except AccessFileError as error:
            log("ERROR", "the access file cannot be used, so nobody is let in", error=str(error))
            await client.refuse(refusals.NO_ACCESS_FILE)
            return
        if caller is None:
            await self._turns.take(_STRANGERS)
            await client.refuse(refusals.unauthorized(credential_of(authorization)[1]))
            return
        about_also(user_id=caller.user_id)
        client.turn = partial(self._turns.take, caller.user_id, goes_on=True)
        await self._turns.take(caller.user_id)
        route = _admitted(client, caller)
        if isinstance(route, Refusal):
            await client.refuse(route)
            return
        try:
            api_key = self._upstream_key(caller.policy.upstream_key)
        except SecretError as error:
            log("ERROR", "the team's key cannot be had, so nothing goes to OpenAI", error=str(error))
            await client.refuse(refusals.NO_TEAM_KEY)
            return
        exchange = Exchange(client, caller, route, self._connected(), api_key=api_key)
        self._exchanges.add(exchange)
        try:
            await exchange.run()
        finally:
            self._exchanges.discard(exchange)

    def _connected(self) -> Upstream:
        if self._upstream is None:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),  # one member's cookie must not travel with another's request
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=self._settings.upstream_connect_seconds,
                    sock_read=self._settings.upstream_silence_seconds,
                ),
                skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
                auto_decompress=False,
                max_line_size=_LARGEST_HEADER,
                max_field_size=_LARGEST_HEADER,
            )
            self._identity = IdentityToken(session, self._settings)
            spend_view = SpendView(session, self._settings, self._identity, self._instance_id)
            webhook = self._settings.budget_webhook_url
            notices = BudgetNotices(self._claims, Webhook(session, webhook).send if webhook else None)
            self._upstream = Upstream(
                session=session,
                settings=self._settings,
                accept=self._accept,
                drains=asyncio.Semaphore(self._settings.max_drains),
                budgets=BudgetGuard(spend_view.ask, self._settings, notices),
                rate_limits=self._rate_limits,
                instance_id=self._instance_id,
            )
        return self._upstream

    async def _accept(self, event: UsageEvent) -> None:
        """Make an event safe: in the queue, or else as one line on standard error, which `replay` reads back in."""
        for _ in range(_ACCEPT_TRIES):
            try:
                await self._queue.publish(event)
            except QueueError as error:
                reason = str(error)
            else:
                return
        log(
            "ERROR",
            "the queue did not accept a usage event; it is kept in this line: openai-proxy replay FILE brings it in",
            reason=reason,
            usage_event=json.loads(event.to_json()),
        )


def _admitted(client: Client, caller: Caller) -> Route | Refusal:
    """Which way a caller's request goes, or why it may not."""
    route = endpoints.find(client.method, client.raw_path)
    if route is None:
        return refusals.NOT_FOUND
    if isinstance(route, Refused):
        return refusals.endpoint_refused(route)
    missing = route.endpoint.missing(caller.allow, is_admin=caller.role == "admin")
    if missing is not None:
        return refusals.not_allowed(missing)
    if any(name == "content-encoding" and value.lower() != "identity" for name, value in client.headers):
        return refusals.ENCODED_BODY
    return attribution.refusal(client.headers, caller.policy.required_tags) or route


def _where(error: BaseException) -> str:
    """The error's type and place in our code; its text might quote what it was about."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    line = f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place else "?"
    return f"{type(error).__name__} in {line}"
