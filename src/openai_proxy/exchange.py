"""One request that goes to OpenAI: two usage events around it, and the bytes in between.

The order is the promise (DESIGN 4.2): `started` is accepted before the body goes upstream, `finished` before the
answer's last byte goes to the client. When the client leaves, the rest of the answer is read for a while, because its
usage stands at the end (docs/adr/0005-client-disconnect.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from aiohttp.payload import AsyncIterablePayload
from yarl import URL

from openai_proxy import headers as header_rules
from openai_proxy import refusals
from openai_proxy.access import Caller
from openai_proxy.chat_stream import UnaskedUsageFilter
from openai_proxy.client import Client, ClientGoneError
from openai_proxy.decoding import Decoder
from openai_proxy.endpoints import Route
from openai_proxy.events import UsageEvent
from openai_proxy.headers import Header
from openai_proxy.metering import EVENT_STREAM, Meter, NoMeter, meter_for
from openai_proxy.outcome import Outcome
from openai_proxy.refusals import Refusal
from openai_proxy.request_body import BodyEditor, RequestFacts, facts_of, is_plain_utf8
from openai_proxy.settings import Settings

_LARGEST_READ_FIRST = 1024 * 1024  # a larger body is passed on while it comes, and cannot be estimated from
_LONGEST_REQUEST_ID = 256
_MOST_RETRIES = 1000
_AFTERMATH_SECONDS = 1.0  # for the end of an answer whose usage is known, so that its connection can be used again
_CODINGS = {"gzip", "x-gzip", "deflate"}


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where requests go, and with what.

    `accept` returns when an event is safe, and never raises. `drains` has a place for each answer that may be read on
    for a client that left.
    """

    session: aiohttp.ClientSession
    settings: Settings
    team_key: Callable[[], str]
    accept: Callable[[UsageEvent], Awaitable[None]]
    drains: asyncio.Semaphore


class _UploadStoppedError(Exception):
    """A body that was on its way goes no further: it is refused, or its client left."""

    def __init__(self, refusal: Refusal | None) -> None:
        super().__init__()
        self.refusal = refusal


class Exchange:
    """Carries one request out; `run` returns when its answer has ended and its usage is safe."""

    def __init__(self, client: Client, caller: Caller, route: Route, upstream: Upstream) -> None:
        self._client = client
        self._caller = caller
        self._route = route
        self._upstream = upstream
        self._outcome = Outcome(metering=route.endpoint.metering)
        self._head = b""
        self._facts = RequestFacts()
        self._plain = True  # the body is in UTF-8, as far as its beginning shows
        self._editor = BodyEditor(asks=route.endpoint.metering == "chat")  # of a body too large to be read first
        self._started: UsageEvent  # set by run()
        self._finished = False
        self._deadline: float | None = None
        self._patience: asyncio.Timeout | None = None  # set while it may be rescheduled
        self._draining = False
        self._drained = 0
        self._held = b""  # what of an answer came last: it waits for its end, or for what comes next

    async def run(self) -> None:
        """Serve the request.

        Raises:
            ClientGoneError: the client left before its body was read; nothing went upstream.
        """
        await self._read_head()
        if refusal := self._refusal():
            await self._client.refuse(refusal)
            return
        self._started = self._begun()
        watch = asyncio.create_task(self._watch())
        try:
            await self._upstream.accept(self._started)
            await (self._finish() if self._outcome.client_left else self._forward_patiently())
        finally:
            watch.cancel()
            if self._draining:
                self._upstream.drains.release()

    def give_up(self, after_seconds: float = 0.0) -> None:
        """Wait for OpenAI no longer than this; what is then known is recorded."""
        deadline = asyncio.get_running_loop().time() + (_AFTERMATH_SECONDS if self._finished else after_seconds)
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            if self._patience and not self._patience.expired():  # expired: on its way out, and cannot be changed
                self._patience.reschedule(deadline)

    async def _read_head(self) -> None:
        parts, size = [], 0
        while size < _LARGEST_READ_FIRST and (part := await self._client.read()):
            parts.append(part)
            size += len(part)
        self._head = b"".join(parts)
        self._plain = is_plain_utf8(self._head)
        if self._client.body_ended:
            self._facts = facts_of(self._head)
            self._outcome.request_body = self._head
        else:
            self._head = self._editor.feed(self._head)
            self._facts = self._editor.facts

    def _refusal(self) -> Refusal | None:
        """Why this request may not pass, by what is known of its body."""
        if not self._plain:
            return refusals.NOT_UTF8
        background = self._facts.background and "background_responses" not in self._caller.allow
        return refusals.NO_BACKGROUND if background else None

    def _begun(self) -> UsageEvent:
        retries = header_rules.value_of(self._client.headers, "x-stainless-retry-count") or ""
        endpoint = self._route.endpoint
        return UsageEvent(
            event_id=self._client.request_id,
            event_type="started",
            event_time=datetime.now(UTC),
            user_id=self._caller.user_id,
            key_id=self._caller.key_id,
            team_id=self._caller.team_id,
            operation_name=endpoint.operation_name,
            http_method=endpoint.method,
            url_path=f"/v1{endpoint.path}",
            request_model=self._facts.model,
            stream=self._facts.stream,
            retry_count=min(int(retries), _MOST_RETRIES) if retries.isascii() and retries.isdecimal() else 0,
            usage_source="unknown",
            response_id=self._route.resource_id if endpoint.metering == "free" else None,
        )

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
            await self._fail(refusals.UNREACHABLE)
        except aiohttp.SocketTimeoutError:
            await self._fail(refusals.TIMED_OUT)
        except TimeoutError:
            self._outcome.cut_short = True
            await self._fail(None if self._outcome.client_left else refusals.STOPPING)
        except aiohttp.ClientError as error:
            stopped = error.__cause__
            await self._fail(stopped.refusal if isinstance(stopped, _UploadStoppedError) else refusals.DISCONNECTED)
        except Exception:
            await self._fail(refusals.INTERNAL)
            raise

    async def _forward(self) -> None:
        outcome, settings = self._outcome, self._upstream.settings
        headers = header_rules.for_upstream(
            self._client.headers, api_key=self._upstream.team_key(), request_id=self._client.request_id
        )
        query = f"?{self._client.query}" if self._client.query else ""
        url = URL(f"{settings.openai_base_url}{self._route.upstream_path}{query}", encoded=True)
        asked = time.perf_counter()
        async with self._upstream.session.request(
            self._route.endpoint.method, url, headers=headers, data=self._body(headers), allow_redirects=False
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

    def _body(self, headers: list[Header]) -> AsyncIterablePayload | None:
        """The body to send. Its length is named where it is known: a body edited on its way may grow."""
        if not self._head:
            return None
        asks = self._route.endpoint.metering == "chat"
        length = None if asks else header_rules.value_of(self._client.headers, "content-length")
        if self._client.body_ended:
            if asks and self._facts.stream and not self._facts.usage_asked:
                editor = BodyEditor(asks=True, stream=True)
                self._head = editor.feed(self._head) + editor.finish()
            length = str(len(self._head))
        if length:
            headers.append(("content-length", length))
        return AsyncIterablePayload(self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        """The body's parts; the last one, and so a whole body, only once it is known that it may be sent."""
        part, self._head = self._head, b""
        while not self._client.body_ended:
            yield part
            try:
                part = self._editor.feed(await self._client.read())
            except ClientGoneError:
                self._outcome.client_left = True
                raise _UploadStoppedError(None) from None
            self._facts = self._editor.facts
            if refusal := self._refusal():
                raise _UploadStoppedError(refusal)
        self._outcome.sent = True
        yield part + self._editor.finish()

    def _meter(self, response: aiohttp.ClientResponse) -> tuple[Meter, Decoder | None, frozenset[str]]:
        """How to read this answer, and which of its headers are no longer true of what the client gets."""
        unasked = self._facts.stream and not self._facts.usage_asked
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
        if refusal and not self._finished:
            outcome.error_type = refusal.code
            outcome.status = outcome.status or refusal.status
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
        await self._upstream.accept(await self._outcome.finished(self._started, self._facts))
        if patience and self._deadline is not None:  # somebody gave up: the rest is not waited for long
            patience.reschedule(asyncio.get_running_loop().time() + _AFTERMATH_SECONDS)
        self._patience = patience
