"""One request that goes to OpenAI: two usage events around it, and the bytes in between.

The order is the promise (DESIGN 4.2): `started` is accepted before the body goes upstream, `finished` before the
answer's last byte goes to the client. When the client leaves, the rest of the answer is read for a while, because its
usage stands at the end (docs/adr/0005-client-disconnect.md).

Nothing is sent twice that has a body, and no POST: whether OpenAI had acted on it cannot be known, so a repetition is
the client's, and a record of its own. A GET or DELETE without a body is asked for once more when its connection broke
before an answer (RFC 9110, 9.2.2; aiohttp does it), in the same record: it costs nothing, and twice is as once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from yarl import URL

from openai_proxy.access.callers import Caller
from openai_proxy.api import refusals
from openai_proxy.api.client import Client
from openai_proxy.api.endpoints import Route
from openai_proxy.api.refusals import Refusal
from openai_proxy.budgets.budgeted_request import BudgetedRequest
from openai_proxy.budgets.guard import BudgetGuard
from openai_proxy.events import UsageEvent
from openai_proxy.forwarding.outcome import Outcome
from openai_proxy.forwarding.started_event import started_event
from openai_proxy.forwarding.upload import Upload, UploadStoppedError
from openai_proxy.limits.limited_request import LimitedRequest
from openai_proxy.limits.rate_limits import RateLimits
from openai_proxy.metering.chat_stream import UnaskedUsageFilter
from openai_proxy.metering.meters import EVENT_STREAM, Meter, NoMeter, meter_for
from openai_proxy.settings import Settings
from openai_proxy.wire import headers as header_rules
from openai_proxy.wire.decoding import Decoder

_LONGEST_REQUEST_ID = 256
_AFTERMATH_SECONDS = 1.0  # for the end of an answer whose usage is known, so that its connection can be used again
_CODINGS = {"gzip", "x-gzip", "deflate"}


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where requests go.

    `accept` returns when an event is safe, and never raises. `drains` has a place for each answer that may be read on
    for a client that left. `instance_id` is this process.
    """

    session: aiohttp.ClientSession
    settings: Settings
    accept: Callable[[UsageEvent], Awaitable[None]]
    drains: asyncio.Semaphore
    budgets: BudgetGuard
    rate_limits: RateLimits
    instance_id: str


class Exchange:
    """Carries one request out, with `api_key`; `run` returns when its answer has ended and its usage is safe."""

    def __init__(self, client: Client, caller: Caller, route: Route, upstream: Upstream, *, api_key: str) -> None:
        self._client = client
        self._caller = caller
        self._route = route
        self._upstream = upstream
        self._api_key = api_key
        self._outcome = Outcome(metering=route.endpoint.metering, may_name_users=caller.policy.may_name_users)
        self._upload = Upload(client, caller, route.endpoint, self._outcome)
        self._budget = BudgetedRequest(
            upstream.budgets, caller.policy.budgets, route.endpoint.metering, upstream.settings
        )
        self._limited = LimitedRequest(upstream.rate_limits, caller, route.endpoint.metering)
        self._started: UsageEvent  # set by run()
        self._watching: asyncio.Task[None]  # set by run()
        self._is_refused = False  # for want of room in a budget, when its body had begun to go upstream
        self._finished = False
        self._deadline: float | None = None
        self._patience: asyncio.Timeout | None = None  # set while it may be rescheduled
        self._draining = False
        self._drained = 0
        self._held = b""  # what of an answer came last: it waits for its end, or for what comes next

    async def run(self) -> None:
        """Serve the request.

        Raises:
            ClientGoneError: the client left before its body was read, or let in; nothing went upstream.
        """
        refusal = await self._upload.begin()
        refusal = refusal or await self._limited.admit(self._outcome.reader.facts, self._upload.size)
        if refusal:
            await self._client.refuse(refusal)
            return
        self._watching = asyncio.create_task(self._watch())
        try:
            if self._budget.counts and not self._client.body_ended:
                self._started, self._upload.before_end = self._begun(), self._admit  # its cost is known no sooner
            elif refusal := await self._admit():
                await self._client.refuse(refusal)
                return
            await (self._finish() if self._outcome.client_left else self._forward_patiently())
        finally:
            self._watching.cancel()
            if self._draining:
                self._upstream.drains.release()
            await self._limited.end()

    def give_up(self, after_seconds: float = 0.0) -> None:
        """Wait for OpenAI no longer than this; what is then known is recorded."""
        deadline = asyncio.get_running_loop().time() + (_AFTERMATH_SECONDS if self._finished else after_seconds)
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            if self._patience and not self._patience.expired():  # expired: on its way out, and cannot be changed
                self._patience.reschedule(deadline)

    def _begun(self) -> UsageEvent:
        return started_event(
            self._client,
            self._caller,
            self._route,
            self._outcome.reader.facts,
            instance_id=self._upstream.instance_id,
            upstream_region=self._upstream.settings.upstream_region,
        )

    async def _admit(self) -> Refusal | None:
        """Hold what the request may cost, and make `started` safe: now OpenAI may see all of it.

        Raises:
            ClientGoneError: the client left while there was no room for it yet.
        """
        self._started = self._begun()  # anew: of a large body all is known only now
        held = await self._budget.hold(self._started, self._outcome.reader, self._upload.size, left=self._watching)
        if isinstance(held, Refusal):
            self._is_refused = True
            return held
        self._started = held
        await self._upstream.accept(held)
        return None

    async def _watch(self) -> None:
        """Notice that the client leaves; from then on its answer is read only up to a limit."""
        await self._client.body_read.wait()
        await self._client.left()
        self._outcome.client_left = True
        self._draining = not (self._finished or self._upstream.drains.locked())
        if self._draining:
            await self._upstream.drains.acquire()
        self.give_up(self._upstream.settings.drain_seconds if self._draining else 0.0)

    async def _forward_patiently(self) -> None:
        try:
            async with asyncio.timeout_at(self._deadline) as patience:
                self._patience = patience
                try:
                    await self._forward()
                finally:
                    self._patience = None
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError):
            self._outcome.sent = False
            await self._fail(refusals.UNREACHABLE)
        except aiohttp.SocketTimeoutError:
            await self._fail(refusals.TIMED_OUT)
        except TimeoutError:
            self._outcome.cut_short = True
            await self._fail(None if self._outcome.client_left else refusals.STOPPING)
        except aiohttp.ClientError as error:
            stopped = error.__cause__
            await self._fail(stopped.refusal if isinstance(stopped, UploadStoppedError) else refusals.DISCONNECTED)
        except Exception:
            await self._fail(refusals.INTERNAL)
            raise

    async def _forward(self) -> None:
        outcome, settings = self._outcome, self._upstream.settings
        headers = header_rules.for_upstream(
            self._client.headers, api_key=self._api_key, request_id=self._client.request_id
        )
        query = f"?{self._client.query}" if self._client.query else ""
        url = URL(f"{settings.openai_base_url}{self._route.upstream_path}{query}", encoded=True)
        asked = time.perf_counter()
        async with self._upstream.session.request(
            self._route.endpoint.method, url, headers=headers, data=self._upload.payload(headers), allow_redirects=False
        ) as response:
            answered = time.perf_counter()
            outcome.upstream_seconds = answered - asked
            outcome.status = response.status
            outcome.upstream_request_id = response.headers.get("x-request-id", "")[:_LONGEST_REQUEST_ID] or None
            meter, decoder, dropped = self._meter(response)
            kept = header_rules.for_client(header_rules.from_raw(response.raw_headers), drop=dropped)
            ours = asked - outcome.began
            kept.append(("server-timing", f"proxy;dur={ours * 1e3:.1f}, upstream;dur={(answered - asked) * 1e3:.1f}"))
            await self._client.begin(response.status, kept)
            await self._relay(response, meter, decoder)

    def _meter(self, response: aiohttp.ClientResponse) -> tuple[Meter, Decoder | None, frozenset[str]]:
        """How to read this answer, and which of its headers are no longer true of what the client gets."""
        facts = self._outcome.reader.facts
        unasked = facts.stream and not facts.usage_asked
        meter = meter_for(self._route.endpoint.metering, response.content_type, unasked=unasked)
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity" and coding not in _CODINGS:
            meter = NoMeter()
        self._outcome.reading = meter.reading
        decoder = Decoder() if coding in _CODINGS and not isinstance(meter, NoMeter) else None
        dropped = frozenset({"content-length", "content-encoding"} if isinstance(meter, UnaskedUsageFilter) else ())
        return meter, decoder, dropped

    async def _relay(self, response: aiohttp.ClientResponse, meter: Meter, decoder: Decoder | None) -> None:
        """Pass the answer on as it comes. Its end, or a stream's terminal event, waits for `finished`."""
        is_stream, edits = response.content_type == EVENT_STREAM, isinstance(meter, UnaskedUsageFilter)
        while True:
            asked = time.perf_counter()
            chunk = await response.content.readany()
            self._outcome.upstream_seconds += time.perf_counter() - asked
            if not chunk:
                break
            if is_stream and self._outcome.first_chunk is None:
                self._outcome.first_chunk = time.perf_counter()
            try:
                read = b"".join(map(meter.feed, decoder.feed(chunk))) if decoder else meter.feed(chunk)
            except ValueError:  # not the coding that it claims: it passes, and cannot be metered
                meter, decoder, read = NoMeter(), None, chunk
            passed = read if edits else chunk
            if not is_stream:
                passed, self._held = self._held, passed
            elif meter.reading.ended:
                await self._finish()
            if passed:
                await self._client.send(passed)
            if self._outcome.client_left:
                self._drained += len(chunk)
                if self._drained > self._upstream.settings.drain_bytes:
                    self.give_up()
        last = self._held + meter.finish()
        await self._finish()
        await self._client.send(last, more=False)

    async def _fail(self, refusal: Refusal | None) -> None:
        """Record what went wrong, and say it, unless an answer has begun: then it is cut, as OpenAI's was."""
        outcome = self._outcome
        if not self._finished:
            outcome.failure = refusal
        outcome.cut_short |= self._client.answer_begun
        await self._finish()
        if self._client.answer_begun:
            await self._client.send(self._held)
        elif refusal:
            await self._client.refuse(refusal)

    async def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        patience, self._patience = self._patience, None
        if patience:
            patience.reschedule(None)
        finished = await self._outcome.finished(self._started)
        self._budget.settle(finished)
        self._limited.used(finished)
        if not self._is_refused:
            await self._upstream.accept(finished)
        if patience and self._deadline is not None:  # somebody gave up: the rest is not waited for long
            patience.reschedule(asyncio.get_running_loop().time() + _AFTERMATH_SECONDS)
        self._patience = patience
