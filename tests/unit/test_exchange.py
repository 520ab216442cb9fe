"""How often a request reaches OpenAI, how its body is read, what is changed in it: on sockets, before real servers."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Literal

import aiohttp
import openai
import pytest
import uvicorn

from openai_proxy.access.callers import Access
from openai_proxy.adapters.upstream_keys import UpstreamKeys
from openai_proxy.api.endpoints import ENDPOINTS
from openai_proxy.bootstrap import rate_limits
from openai_proxy.events import UsageEvent
from openai_proxy.proxy import Proxy
from openai_proxy.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")  # bpe_openai's own

PATIENCE = 20.0
KEY, UNSTORED = "sk-op-alice", "sk-op-bob"
ANSWER = b'{"id":"x","object":"chat.completion","created":0,"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":7}}'
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
LARGE = b" " * 3_000_000


def _user(name: str, team: str, key: str) -> str:
    return f"""
[users.{name}]
team = "{team}"
[[users.{name}.keys]]
id = "key_1"
sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"
created_time = 2026-01-01T00:00:00Z
"""


ACCESS = f"""
version = 1
[teams.research]
allow = ["files", "fine_tuning", "realtime", "background_responses"]
[teams.law]
store = false
{_user("alice", "research", KEY)}
{_user("bob", "law", UNSTORED)}
"""


class AccessDouble:
    def current(self) -> Access:
        return Access.parse(ACCESS)


@dataclass
class QueueDouble:
    events: list[UsageEvent] = field(default_factory=list)

    async def publish(self, event: UsageEvent) -> None:
        self.events.append(event)

    async def check(self) -> None:
        """It works."""

    async def close(self) -> None:
        """It holds nothing."""

    def finished(self) -> list[UsageEvent]:
        """The `finished` events; each has its `started`, which agrees with it."""
        started = {event.event_id: event for event in self.events if event.event_type == "started"}
        finished = [event for event in self.events if event.event_type == "finished"]
        assert sorted(started) == sorted(event.event_id for event in finished)
        assert all(started[event.event_id].upstream_region == event.upstream_region for event in finished)
        return finished


@dataclass
class Seen:
    """What of one request arrived."""

    head: str
    body: bytes = b""
    whole: bool = False

    @property
    def line(self) -> str:
        return self.head.partition(" HTTP")[0]


Stage = Literal["unread", "mid-body", "unanswered", "mid-answer", "answered"]


@dataclass
class Upstream:
    """A server on a bare socket; for each request, the next of the plan says at which stage it drops the connection."""

    plan: list[Stage] = field(default_factory=list)
    answer: bytes = ANSWER
    kind: str = "application/json"
    connections: int = 0
    seen: list[Seen] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._request(reader, writer):
                pass
        writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        stage = self.plan[0] if self.plan else "answered"
        if stage == "unread":
            await reader.readexactly(1)
            self.plan.pop(0)
            return False
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if self.plan:
            self.plan.pop(0)
        seen = Seen(head)
        self.seen.append(seen)
        async for part in _body(head.lower(), reader):
            seen.body += part
            if stage == "mid-body":
                return False
        seen.whole = True
        if stage == "unanswered":
            return False
        sent = self.answer[:20] if stage == "mid-answer" else self.answer
        lines = f"HTTP/1.1 200 OK\r\ncontent-type: {self.kind}\r\ncontent-length: {len(self.answer)}\r\n\r\n"
        writer.write(lines.encode() + sent)
        await writer.drain()
        return stage == "answered"


async def _body(head: str, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if "transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            yield await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    elif "content-length: " in head:
        left = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        while left:
            part = await reader.read(min(left, 65_536))
            if not part:
                raise ConnectionError
            left -= len(part)
            yield part


@dataclass
class Staged:
    url: str
    session: aiohttp.ClientSession
    upstream: Upstream
    queue: QueueDouble

    async def ask(
        self, line: str, body: bytes | None = None, *, content_type: str = "application/json", key: str = KEY
    ) -> tuple[int, bytes]:
        """The status and as much of the body as came."""
        method, path = line.split()
        headers = {"authorization": f"Bearer {key}", "content-type": content_type}
        data = BytesIO(body) if body else None
        async with self.session.request(method, self.url + path, data=data, headers=headers) as response:
            got = b""
            with suppress(aiohttp.ClientPayloadError):
                async for part in response.content.iter_any():
                    got += part
            return response.status, got

    async def only(self) -> UsageEvent:
        """The one record."""
        (event,) = self.queue.finished()
        return event


@asynccontextmanager
async def staged(upstream: Upstream) -> AsyncIterator[Staged]:
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    queue = QueueDouble()
    settings = Settings(openai_api_key="sk-team", openai_base_url=f"http://127.0.0.1:{port}/v1")
    proxy = Proxy(
        settings,
        access=AccessDouble(),
        queue=queue,
        upstream_key=UpstreamKeys(settings).key,
        rate_limits=rate_limits(settings),
    )
    config = uvicorn.Config(proxy, port=0, lifespan="off", log_config=None, loop="asyncio", access_log=False)
    config.load()
    front = uvicorn.Server(config)
    front.lifespan = config.lifespan_class(config)
    await front.startup()
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{front.servers[0].sockets[0].getsockname()[1]}/v1"
            yield Staged(url, session, upstream, queue)
    finally:
        await front.shutdown()
        await proxy.close()
        server.close()


def play(scene: Callable[[Staged], Awaitable[None]], upstream: Upstream | None = None) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE), staged(upstream or Upstream()) as stage:
            await scene(stage)

    asyncio.run(main())


# How often a request reaches OpenAI

DROPS: list[Stage] = ["unread", "mid-body", "unanswered", "mid-answer"]


@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("body", [json.dumps(CHAT).encode(), json.dumps(CHAT).encode() + LARGE], ids=["small", "large"])
def test_a_body_is_never_sent_twice(drop: Stage, body: bytes) -> None:
    async def scene(stage: Staged) -> None:
        status, got = await stage.ask("POST /chat/completions", body)
        event = await stage.only()
        assert (status, event.http_status_code) == ((200, 200) if drop == "mid-answer" else (502, 502))
        assert event.error_type == "upstream_disconnected"
        assert ANSWER.startswith(got) is (drop == "mid-answer")
        assert stage.upstream.connections == 1
        assert len(stage.upstream.seen) == (drop != "unread")
        assert stage.upstream.plan == []

    play(scene, Upstream([drop]))


@pytest.mark.parametrize("drop", DROPS)
def test_a_body_is_never_sent_twice_where_its_connection_had_served_before(drop: Stage) -> None:
    async def scene(stage: Staged) -> None:
        body = json.dumps(CHAT).encode()
        assert (await stage.ask("POST /chat/completions", body))[0] == 200
        assert (await stage.ask("POST /chat/completions", body))[0] == (200 if drop == "mid-answer" else 502)
        assert [event.retry_count for event in stage.queue.finished()] == [0, 0]
        seen = stage.upstream.seen
        assert len(seen) == stage.upstream.connections + (drop != "unread")
        assert sum(one.whole for one in seen) == (2 if drop in {"unanswered", "mid-answer"} else 1)

    play(scene, Upstream(["answered", drop]))


@pytest.mark.parametrize("line", ["POST /responses/resp_1/cancel", "POST /fine_tuning/jobs/ftjob_1/resume"])
def test_a_post_without_a_body_is_never_sent_twice(line: str) -> None:
    async def scene(stage: Staged) -> None:
        assert (await stage.ask(line))[0] == 502
        assert [one.line for one in stage.upstream.seen] == [line.replace(" ", " /v1")]
        source = "none" if "cancel" in line else "unknown"
        assert (await stage.only()).usage_source == source

    play(scene, Upstream(["unanswered"]))


def test_what_may_be_repeated_costs_nothing() -> None:
    assert {one.metering for one in ENDPOINTS if one.method != "POST"} == {"free"}


@pytest.mark.parametrize("drop", ["unread", "unanswered"])
@pytest.mark.parametrize("line", ["GET /models", "GET /files/file_1/content", "DELETE /files/file_1"])
def test_what_has_no_body_and_may_be_repeated_is_asked_for_once_more_in_the_same_record(line: str, drop: Stage) -> None:
    async def scene(stage: Staged) -> None:
        assert await stage.ask(line) == (200, ANSWER)
        event = await stage.only()
        assert (event.usage_source, event.http_status_code) == ("none", 200)
        assert len(stage.upstream.seen) == (1 if drop == "unread" else 2)

    play(scene, Upstream([drop]))

    async def in_vain(stage: Staged) -> None:
        assert (await stage.ask(line))[0] == 502
        assert stage.upstream.connections == 2
        assert (await stage.only()).error_type == "upstream_disconnected"

    play(in_vain, Upstream([drop, drop, drop]))


@pytest.mark.parametrize("drop", ["mid-body", "unanswered"])
def test_a_delete_that_has_a_body_is_never_sent_twice(drop: Stage) -> None:
    async def scene(stage: Staged) -> None:
        assert (await stage.ask("DELETE /files/file_1", b"{}"))[0] == 502
        assert len(stage.upstream.seen) == 1

    play(scene, Upstream([drop]))


def test_each_try_of_the_sdk_is_a_record_of_its_own() -> None:
    async def scene(stage: Staged) -> None:
        async with openai.AsyncOpenAI(base_url=stage.url, api_key=KEY, max_retries=2) as client:
            answer = await client.chat.completions.create(**CHAT)  # type: ignore[call-overload] # of JSON
        assert answer.model == "gpt-4o"
        assert len(stage.upstream.seen) == 3
        assert len({one.body for one in stage.upstream.seen}) == 1
        events = stage.queue.finished()
        assert len({event.event_id for event in events}) == 3
        assert [(event.retry_count, event.usage_source) for event in events] == [
            (0, "unknown"), (1, "unknown"), (2, "reported"),
        ]  # fmt: skip

    play(scene, Upstream(["unanswered", "unanswered"]))


# How a body is read

FORM = "multipart/form-data; boundary=xyz"


def form(**fields: str) -> bytes:
    parts = (
        f'--xyz\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()
    )
    return "".join(parts).encode() + b"--xyz--\r\n"


@pytest.mark.parametrize(
    ("line", "content_type", "body", "model"),
    [
        ("POST /chat/completions", FORM, b'{"model":"m"}', "m"),
        ("POST /responses", "text/plain", b'{"model":"m"}', "m"),
        ("POST /embeddings", FORM, form(model="m"), None),
        ("POST /audio/speech", "application/octet-stream", b'{"model":"m"}', "m"),
        ("POST /moderations", "application/x-www-form-urlencoded", b'{"model":"m"}', "m"),
        ("POST /images/generations", "application/json; charset=utf-8", b'{"model":"m"}', "m"),
        ("POST /images/edits", "Application/JSON", b'{"model":"m"}', "m"),
        ("POST /images/edits", FORM, form(model="m", image="\0"), "m"),
        ("POST /audio/transcriptions", FORM, form(file="RIFF", model="m"), "m"),
        ("POST /audio/translations", "Multipart/Form-Data; boundary=xyz", form(model="m"), "m"),
        ("POST /audio/transcriptions", "audio/wav", b'{"model":"m"}', None),
        ("POST /files", FORM, form(model="m"), None),
        ("POST /realtime/calls", "application/sdp", b"\0v=0", None),
    ],
)
@pytest.mark.parametrize("padding", [b"", LARGE], ids=["small", "large"])
def test_a_body_is_read_as_its_endpoint_takes_it_and_passes_unchanged(
    line: str, content_type: str, body: bytes, model: str | None, padding: bytes
) -> None:
    async def scene(stage: Staged) -> None:
        assert (await stage.ask(line, body + padding, content_type=content_type))[0] == 200
        (seen,) = stage.upstream.seen
        assert seen.body == body + padding
        assert f"content-type: {content_type}\r\n".lower() in seen.head.lower()
        length = f"content-length: {len(body + padding)}\r\n"
        assert length in seen.head.lower() or line == "POST /chat/completions"  # its streams may be asked
        assert (await stage.only()).request_model == model

    play(scene)


@pytest.mark.parametrize("line", ["POST /audio/speech", "POST /images/edits", "POST /moderations"])
def test_json_that_is_not_utf8_is_refused(line: str) -> None:
    async def scene(stage: Staged) -> None:
        status, got = await stage.ask(line, '{"model":"m"}'.encode("utf-16"))
        assert (status, json.loads(got)["error"]["code"]) == (400, "body_not_utf8")
        assert stage.upstream.seen == []

    play(scene)


def test_a_background_requests_window_is_recorded_from_its_start() -> None:
    async def scene(stage: Staged) -> None:
        body = {"model": "gpt-5", "background": True, "background_options": {"completion_window": "8h"}}
        assert (await stage.ask("POST /responses", json.dumps(body).encode()))[0] == 200
        assert [event.completion_window for event in stage.queue.events] == ["8h", "8h"]

    play(scene)


# What may not be stored


@pytest.mark.parametrize(
    ("line", "body", "sent"),
    [
        ("POST /responses", b'{"model":"m"}', b'{"model":"m","store":false}'),
        ("POST /responses", b'{"st\\u006fre":true,"store":1}', b'{"st\\u006fre":false,"store":false}'),
        ("POST /chat/completions", b'{"store":true, "model":"m"}', b'{"store":false, "model":"m"}'),
        ("POST /responses/compact", b'{"model":"m","store":true}', b'{"model":"m","store":true}'),
        ("POST /completions", b'{"model":"m"}', b'{"model":"m"}'),
    ],
)
@pytest.mark.parametrize("padding", [b"", LARGE], ids=["small", "large"])
def test_what_a_team_may_not_store_is_not_stored(line: str, body: bytes, sent: bytes, padding: bytes) -> None:
    async def scene(stage: Staged) -> None:
        assert (await stage.ask(line, padding + body, key=UNSTORED))[0] == 200
        assert (await stage.ask(line, padding + body))[0] == 200
        unstored, stored = stage.upstream.seen
        assert (unstored.body, stored.body) == (padding + sent, padding + body)
        if not padding:
            assert f"content-length: {len(sent)}\r\n" in unstored.head.lower()

    play(scene)
