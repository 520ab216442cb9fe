"""The proxy on a real server and before a real upstream, both on loopback; only queue and access are doubles."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from yarl import URL

from openai_proxy.access.callers import Access, AccessFileError
from openai_proxy.access.reading import mistakes
from openai_proxy.adapters.upstream_keys import UpstreamKeys
from openai_proxy.bootstrap import rate_limits
from openai_proxy.events import UsageEvent
from openai_proxy.keys import new_key
from openai_proxy.ports import QueueError
from openai_proxy.proxy import Proxy
from openai_proxy.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")  # bpe_openai's own

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

PATIENCE = 20.0
KEY, TRUSTED = "sk-op-alice", "sk-op-batch"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello world!"}]}
ANSWER = json.dumps({"id": "chatcmpl-1", "model": "gpt-4o-2024", "choices": [], "usage": USAGE}).encode()
BEARER = {"authorization": f"Bearer {KEY}"}


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


ACCESS = f"""
version = 1
[users.alice]
team = "research"
[[users.alice.keys]]
id = "key_1"
sha256 = "{sha256(KEY)}"
created_time = 2026-01-01T00:00:00Z
[[users.alice.keys]]
id = "key_old"
sha256 = "{sha256("sk-op-expired")}"
created_time = 2026-01-01T00:00:00Z
expires_time = 2026-01-02T00:00:00Z
[users.mallory]
revoked = true
[[users.mallory.keys]]
id = "key_2"
sha256 = "{sha256("sk-op-revoked")}"
created_time = 2026-01-01T00:00:00Z
[users.batch]
allow = ["background_responses"]
[[users.batch.keys]]
id = "key_3"
sha256 = "{sha256(TRUSTED)}"
created_time = 2026-01-01T00:00:00Z
"""


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is in no hand of ours that could set an Event
        await asyncio.sleep(0.005)


@dataclass
class AccessDouble:
    text: str | None = ACCESS
    broken: AccessFileError | None = None

    def current(self) -> Access:
        if self.text is None:
            raise AccessFileError("the access file is not there")
        return replace(Access.parse(self.text), broken=self.broken)


@dataclass
class QueueDouble:
    moments: list[str]
    failures: int = 0
    error: Exception = field(default_factory=lambda: QueueError("the disk is full"))
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    events: list[UsageEvent] = field(default_factory=list)
    finished: asyncio.Queue[UsageEvent] = field(default_factory=asyncio.Queue)

    async def publish(self, event: UsageEvent) -> None:
        self.moments.append(f"{event.event_type} comes")
        if event.event_type in self.gates:
            await self.gates[event.event_type].wait()
        if self.failures:
            self.failures -= 1
            raise self.error
        self.moments.append(event.event_type)
        self.events.append(event)
        if event.event_type == "finished":
            self.finished.put_nowait(event)

    async def check(self) -> None:
        if self.failures:
            raise self.error

    async def close(self) -> None:
        self.moments.append("closed")


@dataclass
class Stage:
    proxy: Proxy
    queue: QueueDouble
    access: AccessDouble
    moments: list[str]
    url: str
    port: int
    session: aiohttp.ClientSession

    def call(self, path: str = "/v1/chat/completions", body: Any = CHAT, method: str = "POST", **options: Any) -> Any:
        options.setdefault("headers", BEARER)
        if "data" not in options and body is not None:
            options["data"] = json.dumps(body).encode()
        if isinstance(options.get("data"), bytes):
            options["data"] = BytesIO(options["data"])  # aiohttp's own form for large bodies
        return self.session.request(method, URL(self.url + path, encoded=True), allow_redirects=False, **options)

    async def finished(self) -> UsageEvent:
        """The next `finished` event; there is one `started` for each, of the same id."""
        event = await self.queue.finished.get()
        started = [each for each in self.queue.events if each.event_type == "started"]
        assert [each.event_id for each in started].count(event.event_id) == 1
        return event

    async def until(self, moment: str) -> None:
        await until(lambda: moment in self.moments)

    async def raw(self, head: str, body: bytes = b"", length: int | None = None) -> tuple[Any, asyncio.StreamWriter]:
        """Send a request by hand, so that it can be left at any place."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        length = len(body) if length is None else length
        lines = f"{head} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {length}\r\n\r\n"
        writer.write(lines.encode() + body)
        await writer.drain()
        return reader, writer

    async def chat_and_leave(self, when: str, body: Any = CHAT) -> None:
        """Send a chat request and leave once the moment has come."""
        _, writer = await self.raw("POST /v1/chat/completions", json.dumps(body).encode())
        await self.until(when)
        writer.transport.abort()


@asynccontextmanager
async def upstream(handler: Handler) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def staged(handler: Handler, moments: list[str], **options: Any) -> AsyncIterator[Stage]:
    """A proxy with an upstream; with `options` for its settings."""
    queue, access = QueueDouble(moments), AccessDouble()
    async with upstream(handler) as base:
        settings = Settings(**{"openai_api_key": "sk-team", "openai_base_url": f"{base}/v1", **options})
        proxy = Proxy(
            settings,
            access=access,
            queue=queue,
            upstream_key=UpstreamKeys(settings).key,
            rate_limits=rate_limits(settings),
        )
        config = uvicorn.Config(proxy, port=0, lifespan="off", log_config=None, loop="asyncio", access_log=False)
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as session:
                yield Stage(proxy, queue, access, moments, f"http://127.0.0.1:{port}", port, session)
        finally:
            for gate in queue.gates.values():
                gate.set()
            proxy.stop()
            await server.shutdown()
            await proxy.close()
    assert moments[-1] == "closed"


Scene = Callable[[Stage], Coroutine[Any, Any, None]]


def play(scene: Scene, handler: Handler | None = None, moments: list[str] | None = None, **options: Any) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(PATIENCE),
            staged(handler or answering(), [] if moments is None else moments, **options) as stage,
        ):
            await scene(stage)

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _no_tracebacks(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Any:
    caplog.set_level(logging.WARNING)
    yield
    assert [record for record in caplog.records if record.exc_info] == []
    assert "Traceback" not in capfd.readouterr().err


def answering(
    body: bytes = ANSWER, status: int = 200, headers: Mapping[str, str] | None = None, seen: list[Any] | None = None
) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        sent = await request.read()
        if seen is not None:
            seen.append((request, sent))
        return web.Response(status=status, body=body, headers={"content-type": "application/json", **(headers or {})})

    return handler


def streaming(
    *chunks: bytes | str | Awaitable[Any] | Callable[[web.BaseRequest], Any],
    moments: list[str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Handler:
    """Send each chunk; note each word as a moment; await what is to be awaited; call what is to be called."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"content-type": "text/event-stream", **(headers or {})})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for chunk in chunks:
            if isinstance(chunk, bytes):
                try:
                    await response.write(chunk)
                except ConnectionError:
                    note("upstream left alone")
                    raise
            elif isinstance(chunk, str):
                note(chunk)
            elif callable(chunk):
                result = chunk(request)
                if isinstance(result, Awaitable):
                    await result
            else:
                await chunk
        return response

    def note(moment: str) -> None:
        if moments is not None:
            moments.append(moment)

    return handler


def moment(moments: list[str], awaited: str) -> Callable[[web.BaseRequest], Awaitable[None]]:
    return lambda _request: until(lambda: awaited in moments)


def hang_up(request: web.BaseRequest) -> None:
    assert request.transport
    request.transport.close()


async def forever(_request: web.BaseRequest) -> None:
    await asyncio.Event().wait()


def delta(text: str, **more: Any) -> bytes:
    chunk = {"id": "chatcmpl-1", "model": "gpt-4o-2024", "choices": [{"index": 0, "delta": {"content": text}}], **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


LAST = b"data: " + json.dumps({"id": "chatcmpl-1", "choices": [], "usage": USAGE}).encode() + b"\n\n"
DONE = b"data: [DONE]\n\n"
STREAM = CHAT | {"stream": True}
ASKED = STREAM | {"stream_options": {"include_usage": True}}
MEGABYTE = "x" * 1_000_000


# Who may call, and what


async def refusals_of(stage: Stage, credentials: Sequence[str | None]) -> set[bytes]:
    """The bodies of what these are refused with; the rest of the answers must be the same."""
    answers = set()
    for credential in credentials:
        async with stage.call(headers={} if credential is None else {"authorization": credential}) as response:
            body = await response.read()
            assert response.status == 401
            assert credential is None or len(credential) < 9 or credential.encode() not in body
            answers.add((body, frozenset(response.headers) - {"Date"}))
    assert len({headers for _, headers in answers}) == 1
    assert stage.moments == []
    return {body for body, _ in answers}


def test_nobody_learns_why_a_key_opens_nothing() -> None:
    unknown, revoked, expired = new_key(), new_key(), new_key()

    async def scene(stage: Stage) -> None:
        for text, key in (("sk-op-revoked", revoked), ("sk-op-expired", expired)):
            stage.access.text = (stage.access.text or "").replace(sha256(text), sha256(key))
        (body,) = await refusals_of(
            stage,
            [
                None,
                "",
                "Bearer",
                "Bearer ",
                "Basic abc",
                "UserName alice",
                "Bearer " + "x" * 5000,
                KEY,
                "Bearer sk-proj-1",
            ]
            + [f"Bearer {key}" for key in (unknown, revoked, expired)],
        )
        assert json.loads(body)["error"]["code"] == "invalid_api_key"
        assert "opens nothing here" in json.loads(body)["error"]["message"]

    play(scene)


def test_a_mistyped_key_is_told_so_whether_or_not_anybody_holds_it() -> None:
    key = new_key()

    async def scene(stage: Stage) -> None:
        mistyped = [
            key[:-1],
            key + "x",
            key[:20] + key[21:],
            "sk-op-",
            "sk-op-unknown",
            "sk-op-revoked",
            "sk-op-expired",
        ]
        (body,) = await refusals_of(stage, [f"{scheme} {one}" for one in mistyped for scheme in ("Bearer", "UserName")])
        assert json.loads(body)["error"]["code"] == "invalid_api_key"
        assert "its checksum is wrong" in json.loads(body)["error"]["message"]

    play(scene)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("PUT", "/v1/files", {}, 404, "unknown_url"),
        ("POST", "/v1//files", {}, 404, "unknown_url"),
        ("POST", "/v1/files", {}, 403, "files_not_allowed"),
        ("GET", "/v1/chat/completions", {}, 403, "stored_completions_not_allowed"),
        ("GET", "/v1/organization/costs", {}, 403, "endpoint_refused"),
        ("POST", "/v1/realtime/client_secrets", {}, 403, "endpoint_refused"),
        ("DELETE", "/v1/models/ft:gpt-4o:acme::1", {}, 403, "endpoint_refused"),
        ("GET", "/v1/responses", {"upgrade": "WebSocket", "connection": "upgrade"}, 426, "websocket_not_supported"),
        ("POST", "/v1/responses", {"content-encoding": "gzip"}, 415, "unsupported_content_encoding"),
    ],
)
def test_what_is_not_served_is_refused_in_openais_shape(
    method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call(path, None, method, headers=BEARER | headers) as response:
            assert response.status == status
            assert (await response.json())["error"]["code"] == code
            assert response.headers["x-openai-proxy-request-id"]
        assert stage.moments == []

    play(scene)


def test_a_second_content_encoding_is_noticed() -> None:
    async def scene(stage: Stage) -> None:
        headers = [*BEARER.items(), ("content-encoding", "identity"), ("content-encoding", "gzip")]
        async with stage.call(headers=headers) as response:
            assert response.status == 415

    play(scene)


def test_the_root_leads_to_the_page() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call("/", None, "GET", headers={}) as response:
            assert (response.status, response.headers["location"]) == (302, "/log")

    play(scene)


def test_a_caller_whose_teams_own_key_cannot_be_had_is_not_served_on_the_common_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []

    async def scene(stage: Stage) -> None:
        stage.access.text = f'{ACCESS}\n[teams.research]\nupstream_key = "lost"\n'
        async with stage.call() as response:
            assert response.status == 503
            assert (await response.json())["error"]["code"] == "team_key_unreadable"
        assert (stage.queue.events, seen) == ([], [])

    play(scene, answering(seen=seen), upstream_keys_dir=str(tmp_path))
    assert "upstream_key 'lost': " in capfd.readouterr().err


def test_without_an_access_file_nobody_is_let_in(capfd: pytest.CaptureFixture[str]) -> None:
    async def scene(stage: Stage) -> None:
        stage.access.text = None
        async with stage.call() as response:
            assert response.status == 503
            assert (await response.json())["error"]["code"] == "access_file_unreadable"
        async with stage.call("/healthz", None, "GET") as response:
            assert (await response.json())["access_file"] == "unreadable"

    play(scene)
    assert "the access file is not there" in capfd.readouterr().err


# What passes, and what is recorded


def test_a_call_passes_as_it_is_and_is_recorded() -> None:
    seen: list[Any] = []

    async def scene(stage: Stage) -> None:
        headers = BEARER | {
            "x-stainless-retry-count": "2", "function-execution-id": "f", "openai-organization": "o",
            "accept-encoding": "br", "user-agent": "sdk",
        }  # fmt: skip
        body = b' {"model": "gpt-4o",\n"messages":[]}'
        async with stage.call("/openai/v1/chat/completions?a=%2f&b", data=body, headers=headers) as response:
            assert await response.read() == ANSWER
            assert response.status == 200
            assert response.headers["x-request-id"] == "req_1"
            assert response.headers["x-name"].encode("utf-8", "surrogateescape") == "é€".encode()
            assert response.headers["content-length"] == str(len(ANSWER))
            assert "proxy;dur=" in response.headers["server-timing"]
            assert "set-cookie" not in response.headers
            request_id = response.headers["x-openai-proxy-request-id"]
        event = await stage.finished()
        request, sent = seen[0]
        assert (request.method, request.raw_path, sent) == ("POST", "/v1/chat/completions?a=%2f&b", body)
        got = {name.lower(): value for name, value in request.headers.items()}
        assert got.pop("host").startswith("127.0.0.1")
        assert got == {
            "x-stainless-retry-count": "2", "user-agent": "sdk", "accept": "*/*", "accept-encoding": "identity",
            "authorization": "Bearer sk-team", "content-length": str(len(body)), "x-client-request-id": request_id,
            "content-type": "application/octet-stream",
        }  # fmt: skip
        assert (event.event_id, event.user_id, event.key_id, event.team_id) == (
            request_id,
            "alice",
            "key_1",
            "research",
        )
        assert (event.operation_name, event.url_path, event.http_method) == ("chat", "/v1/chat/completions", "POST")
        assert (event.usage_source, event.usage, event.retry_count) == ("reported", USAGE, 2)
        assert (event.request_model, event.response_model, event.response_id) == ("gpt-4o", "gpt-4o-2024", "chatcmpl-1")
        assert (event.http_status_code, event.error_type, event.upstream_request_id) == (200, None, "req_1")
        assert event.duration_ms is not None
        assert event.time_to_first_chunk_ms is None

    play(scene, answering(headers={"x-request-id": "req_1", "x-name": "é€", "set-cookie": "a=b"}, seen=seen))


def test_events_are_safe_before_the_body_goes_and_before_the_answer_ends() -> None:
    moments: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        moments.append("asked")
        await request.read()
        return web.Response(body=ANSWER, content_type="application/json")

    async def scene(stage: Stage) -> None:
        stage.queue.gates = {"started": asyncio.Event(), "finished": asyncio.Event()}
        reader, writer = await stage.raw("POST /v1/chat/completions", json.dumps(CHAT).encode())
        await stage.until("started comes")
        await asyncio.sleep(0.05)
        assert moments == ["started comes"]
        stage.queue.gates["started"].set()
        await stage.until("finished comes")
        assert moments == ["started comes", "started", "asked", "finished comes"]
        await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(len(ANSWER)), 0.1)
        stage.queue.gates["finished"].set()
        assert ANSWER.endswith(await reader.read(len(ANSWER)))
        writer.close()

    play(scene, handler, moments)


def test_a_terminal_event_waits_for_its_record() -> None:
    moments: list[str] = []

    async def scene(stage: Stage) -> None:
        stage.queue.gates = {"finished": asyncio.Event()}
        async with stage.call(body=ASKED) as response:
            assert await response.content.readexactly(len(delta("a"))) == delta("a")
            moments.append("seen")
            await stage.until("finished comes")
            stage.queue.gates["finished"].set()
            assert await response.read() == LAST + DONE

    play(scene, streaming(delta("a"), moment(moments, "seen"), LAST + DONE), moments)
    assert moments[:5] == ["started comes", "started", "seen", "finished comes", "finished"]


def test_a_stream_that_was_not_asked_for_usage_shows_none() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call(body=STREAM) as response:
            assert await response.read() == delta("a") + delta("b") + DONE
            assert response.content_type == "text/event-stream"
        event = await stage.finished()
        assert (event.usage_source, event.usage, event.stream) == ("reported", USAGE, True)
        assert event.time_to_first_chunk_ms is not None

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert json.loads(await request.read()) == ASKED
        return await streaming(delta("a", usage=None), delta("b", usage=None), LAST, DONE)(request)

    play(scene, handler)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/responses/resp_1?stream=true"])
def test_each_event_passes_as_soon_as_it_comes(path: str) -> None:
    moments: list[str] = []

    async def scene(stage: Stage) -> None:
        method, body = ("GET", None) if "resp_1" in path else ("POST", STREAM)
        async with stage.call(path, body, method) as response:
            assert await response.content.readexactly(len(delta("a"))) == delta("a")
            moments.append("seen")
            assert await response.read() == delta("b")
        assert (await stage.finished()).http_status_code == 200

    play(scene, streaming(delta("a"), moment(moments, "seen"), delta("b")), moments)


def test_a_responses_stream_is_metered() -> None:
    final = {
        "type": "response.completed",
        "response": {"id": "resp_1", "usage": {"input_tokens": 1}, "tool_usage": {"a": 1}},
    }
    stream = b"event: response.completed\ndata: " + json.dumps(final).encode() + b"\n\n"

    async def scene(stage: Stage) -> None:
        async with stage.call("/v1/responses", STREAM) as response:
            assert await response.read() == stream
        event = await stage.finished()
        assert (event.usage, event.tool_usage, event.usage_source) == ({"input_tokens": 1}, {"a": 1}, "reported")

    play(scene, streaming(stream))


def test_compressed_answers_are_metered() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call(headers=BEARER | {"accept-encoding": "gzip"}) as response:
            assert await response.read() == packed
            assert response.headers["content-encoding"] == "gzip"
        assert (await stage.finished()).usage == USAGE

    packed = gzip.compress(ANSWER)
    play(scene, answering(packed, headers={"content-encoding": "gzip"}))


def test_a_compressed_stream_loses_what_was_not_asked_for() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call(body=STREAM) as response:
            assert await response.read() == delta("a") + DONE
            assert "content-encoding" not in response.headers
        assert (await stage.finished()).usage == USAGE

    packed = gzip.compress(delta("a", usage=None) + LAST + DONE)
    play(scene, streaming(packed[:20], packed[20:], headers={"content-encoding": "gzip"}))


@pytest.mark.parametrize("body", [CHAT, ASKED])
def test_garbage_that_claims_to_be_compressed_is_served_all_the_same(body: Any) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call(body=body) as response:
            assert await response.read() == ANSWER + b"more"
        event = await stage.finished()
        assert (event.usage_source, event.usage, event.http_status_code) == ("unknown", None, 200)

    kind = "text/event-stream" if body is ASKED else "application/json"
    play(scene, streaming(ANSWER, b"more", headers={"content-encoding": "gzip", "content-type": kind}))


def test_a_coding_that_cannot_be_read_passes_and_its_usage_is_unknown() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call(body=STREAM) as response:
            assert await response.read() == LAST
        assert (await stage.finished()).usage_source == "unknown"

    play(scene, streaming(LAST, headers={"content-encoding": "br"}))


@pytest.mark.parametrize(
    ("method", "path", "status", "answer", "source", "error"),
    [
        (
            "POST",
            "/v1/chat/completions",
            429,
            {"error": {"code": "rate_limit_exceeded"}},
            "none",
            "rate_limit_exceeded",
        ),
        ("POST", "/v1/chat/completions", 500, {"error": {"type": "server_error"}}, "none", "server_error"),
        ("POST", "/v1/chat/completions", 400, {"error": {"code": "x"}, "usage": USAGE}, "reported", "x"),
        ("POST", "/v1/embeddings", 200, {"data": []}, "unknown", None),
        ("GET", "/v1/responses/resp_1", 200, {"id": "resp_1", "usage": USAGE}, "none", None),
        ("GET", "/v1/models", 200, {"data": []}, "none", None),
    ],
)
def test_where_usage_comes_from_is_said(
    *, method: str, path: str, status: int, answer: Any, source: str, error: str | None
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call(path, CHAT if method == "POST" else None, method) as response:
            assert (response.status, await response.json()) == (status, answer)
        event = await stage.finished()
        assert (event.usage_source, event.error_type, event.http_status_code) == (source, error, status)
        assert event.client_disconnected is False

    play(scene, answering(json.dumps(answer).encode(), status))


def test_an_empty_answer_is_empty() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert await request.read() == b""
        assert request.headers.get("content-length") in {None, "0"}
        return web.Response(status=204)

    async def scene(stage: Stage) -> None:
        async with stage.call("/v1/responses/resp_1", None, "DELETE") as response:
            assert (response.status, await response.read()) == (204, b"")
        event = await stage.finished()
        assert (event.response_id, event.http_status_code) == ("resp_1", 204)

    play(scene, handler)


def test_a_redirect_is_the_clients_to_follow() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call() as response:
            assert (response.status, response.headers["location"]) == (307, "/elsewhere")
        await stage.finished()

    play(scene, answering(b"", 307, {"location": "/elsewhere"}))


def test_a_large_answer_comes_whole_to_a_slow_client() -> None:
    body = b'{"data":"' + MEGABYTE.encode() * 12 + b'","usage":{"prompt_tokens":1}}'

    async def scene(stage: Stage) -> None:
        async with stage.call("/v1/embeddings") as response:
            got = bytearray()
            while part := await response.content.read(1 << 18):
                got += part
                await asyncio.sleep(0)
            assert got == body
        assert (await stage.finished()).usage == {"prompt_tokens": 1}

    play(scene, answering(body))


# Large bodies


@pytest.mark.parametrize("known_length", [True, False])
def test_a_large_body_is_passed_on_and_asked_while_it_comes(*, known_length: bool) -> None:
    seen: list[Any] = []
    document = {"messages": [MEGABYTE, MEGABYTE, MEGABYTE], "model": "gpt-4o", "stream": True}

    async def scene(stage: Stage) -> None:
        text = json.dumps(document).encode()

        async def parts() -> AsyncIterator[bytes]:
            for at in range(0, len(text), 100_000):
                yield text[at : at + 100_000]

        async with stage.call(data=text if known_length else parts()) as response:
            assert await response.read() == delta("a") + DONE
        event = await stage.finished()
        assert (event.usage, event.request_model, event.stream) == (USAGE, "gpt-4o", True)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(json.loads(await request.content.read()))
        assert "content-length" not in request.headers
        return await streaming(delta("a"), LAST, DONE)(request)

    play(scene, handler)
    assert seen == [document | {"stream_options": {"include_usage": True}}]


def test_a_large_body_that_stays_as_it_is_keeps_its_length() -> None:
    seen: list[Any] = []

    async def scene(stage: Stage) -> None:
        async with stage.call("/v1/embeddings", {"input": MEGABYTE * 3, "model": "m"}) as response:
            assert response.status == 200
        event = await stage.finished()
        assert event.request_model == "m"
        request, sent = seen[0]
        assert request.headers["content-length"] == str(len(sent)) == str(len(MEGABYTE) * 3 + 27)

    play(scene, large(seen))


def large(seen: list[Any]) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        sent = await request.content.read()
        seen.append((request, sent))
        return web.Response(body=ANSWER, content_type="application/json")

    return handler


def test_background_is_refused_before_anything_is_recorded() -> None:
    async def scene(stage: Stage) -> None:
        for body in ({"background": True}, {"background": True, "input": MEGABYTE * 2}):
            async with stage.call("/v1/responses", body) as response:
                assert response.status == 403
                assert (await response.json())["error"]["code"] == "background_responses_not_allowed"
        assert stage.moments == []

    play(scene)


def test_a_refusal_names_the_setting_or_the_reason() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call("/v1/batches", {}) as response:
            message = (await response.json())["error"]["message"]
            assert message == (
                "Batches are not metered yet. The proxy's owner can allow this, for you or for your team, with "
                'allow = ["batches"] in the access file.'
            )
        async with stage.call("/v1/organization/users", None, "GET") as response:
            message = (await response.json())["error"]["message"]
            assert message == (
                "The proxy does not serve /organization: it administers OpenAI's organization, which is for its "
                "owner's own admin key."
            )

    play(scene)


def test_what_is_allowed_to_the_team_passes_and_is_recorded_as_unknown_where_it_costs() -> None:
    seen: list[Any] = []

    async def scene(stage: Stage) -> None:
        stage.access.text = f'{ACCESS}[teams.research]\nallow = ["batches"]\n'
        async with stage.call("/v1/batches", {"input_file_id": "file-1"}) as response:
            assert response.status == 200
        event = await stage.finished()
        assert (event.operation_name, event.usage_source, event.usage) == ("batches.create", "unknown", None)
        async with stage.call("/openai/v1/batches/batch_1", None, "GET") as response:
            assert response.status == 200
        event = await stage.finished()
        assert (event.operation_name, event.usage_source, event.response_id) == ("batches.retrieve", "none", "batch_1")
        assert [request.raw_path for request, _ in seen] == ["/v1/batches", "/v1/batches/batch_1"]

    play(scene, answering(b'{"id": "batch_1", "object": "batch"}', seen=seen))


@pytest.mark.parametrize(
    ("user", "team", "code"),
    [
        ("", "", "files_not_allowed"),
        ('role = "admin"\n', "", "files_not_allowed"),
        ('allow = ["lists"]\n', "", "files_not_allowed"),
        ("", '"files"', "lists_not_allowed"),
        ("", '"files", "lists"', None),
        ('allow = ["lists"]\n', '"files"', None),
        ('role = "admin"\n', '"files"', None),
    ],
)
def test_a_list_of_everybodys_objects_needs_their_permission_and_an_admin_or_lists(
    user: str, team: str, code: str | None
) -> None:
    async def scene(stage: Stage) -> None:
        asked = ACCESS.replace("[users.alice]\n", f"[users.alice]\n{user}")
        stage.access.text = f"{asked}[teams.research]\nallow = [{team}]\n"
        async with stage.call("/v1/files", None, "GET") as response:
            answer = await response.json()
            assert response.status == (403 if code else 200)
            assert answer.get("error", {}).get("code") == code

    play(scene)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-8-sig"])
def test_a_body_that_is_not_plain_utf8_is_refused(encoding: str) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call(data=json.dumps(STREAM).encode(encoding)) as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == "body_not_utf8"
        assert stage.moments == []

    play(scene)


def test_background_behind_a_large_body_never_reaches_openai_whole() -> None:
    seen: list[Any] = []

    async def scene(stage: Stage) -> None:
        async with stage.call("/v1/responses", {"input": MEGABYTE * 2, "background": True}) as response:
            assert response.status == 403
        event = await stage.finished()
        assert (event.usage_source, event.http_status_code) == ("none", 403)
        assert event.error_type == "background_responses_not_allowed"
        assert seen == []

    play(scene, large(seen))


@pytest.mark.parametrize("body", [{"background": True}, {"input": MEGABYTE * 2, "background": True}])
def test_background_passes_for_whom_it_is_allowed(body: Any) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call("/v1/responses", body, headers={"authorization": f"Bearer {TRUSTED}"}) as response:
            assert response.status == 200

    play(scene, large([]))


def test_an_early_answer_to_a_large_upload_reaches_the_client() -> None:
    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=413, body=b'{"error":{"code":"too_large"}}', content_type="application/json")

    async def scene(stage: Stage) -> None:
        reader, writer = await stage.raw("POST /v1/embeddings", b"{" + b" " * 1_100_000, length=50_000_000)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 413 " in head
        assert await reader.readexactly(30) == b'{"error":{"code":"too_large"}}'
        event = await stage.finished()
        assert (event.http_status_code, event.usage_source, event.error_type) == (413, "none", "too_large")
        writer.close()

    play(scene, handler)


# The queue


def test_a_queue_that_fails_once_is_asked_again() -> None:
    async def scene(stage: Stage) -> None:
        stage.queue.failures = 1
        async with stage.call() as response:
            assert await response.read() == ANSWER
        await stage.finished()

    moments: list[str] = []
    play(scene, moments=moments)
    assert moments[:3] == ["started comes", "started comes", "started"]


def test_events_that_the_queue_refuses_go_to_standard_error_and_the_client_is_served(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def scene(stage: Stage) -> None:
        stage.queue.failures = 1000
        async with stage.call() as response:
            assert await response.read() == ANSWER
        stage.queue.failures = 0

    play(scene)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    events = [UsageEvent.from_fields(line["usage_event"]) for line in lines]
    assert [event.event_type for event in events] == ["started", "finished"]
    assert (events[1].usage, {line["reason"] for line in lines}) == (USAGE, {"the disk is full"})


def test_a_fault_of_ours_is_an_answer_without_content(capfd: pytest.CaptureFixture[str]) -> None:
    async def scene(stage: Stage) -> None:
        stage.queue.failures, stage.queue.error = 1, RuntimeError("secret content")
        async with stage.call() as response:
            assert response.status == 500
            assert (await response.json())["error"]["code"] == "proxy_error"

    play(scene)
    logged = json.loads(capfd.readouterr().err)
    assert logged["error"].startswith("RuntimeError in publish:")
    assert "secret" not in str(logged)


def test_a_fault_of_ours_is_recorded(capfd: pytest.CaptureFixture[str]) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call() as response:
            assert response.status == 500
        event = await stage.finished()
        assert (event.usage_source, event.error_type, event.http_status_code) == ("none", "proxy_error", 500)

    play(scene, openai_api_key="sk\nteam")
    assert "sk" not in json.loads(capfd.readouterr().err)["error"]


# Upstream's troubles


def test_an_upstream_that_refuses_the_connection() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call() as response:
            assert response.status == 502
            assert (await response.json())["error"]["code"] == "upstream_unreachable"
        event = await stage.finished()
        assert (event.usage_source, event.error_type, event.http_status_code) == ("none", "upstream_unreachable", 502)

    play(scene, openai_base_url="http://127.0.0.1:1/v1")


def test_an_upstream_that_closes_before_it_answers() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        hang_up(request)
        return web.Response()

    async def scene(stage: Stage) -> None:
        async with stage.call() as response:
            assert response.status == 502
            assert (await response.json())["error"]["code"] == "upstream_disconnected"
        event = await stage.finished()
        assert (event.usage_source, event.error_type) == ("unknown", "upstream_disconnected")

    play(scene, handler)


@pytest.mark.parametrize(("body", "output_tokens"), [(ASKED, 1), (CHAT, 0)])
def test_an_upstream_that_breaks_off_is_broken_off_for_the_client(body: Any, output_tokens: int) -> None:
    kind = "text/event-stream" if body is ASKED else "application/json"

    async def scene(stage: Stage) -> None:
        async with stage.call(body=body) as response:
            arrived = await _until_broken(response.content)
        event = await stage.finished()
        assert arrived == delta("Hello") + delta("")
        assert (event.usage_source, event.http_status_code) == ("estimated", 200)
        assert event.error_type == "upstream_disconnected"
        assert event.usage == {
            "input_tokens": 10,
            "output_tokens": output_tokens,
            "total_tokens": 10 + output_tokens,
        }

    play(scene, streaming(delta("Hello"), delta(""), pause, hang_up, headers={"content-type": kind}))


async def _until_broken(content: aiohttp.StreamReader) -> bytes:
    parts = []
    try:
        while part := await content.readany():
            parts.append(part)
    except aiohttp.ClientPayloadError:
        return b"".join(parts)
    raise AssertionError("the answer came to its end")


async def pause(_request: web.BaseRequest) -> None:
    await asyncio.sleep(0.1)


def test_an_upstream_that_is_silent_before_it_answers() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        await forever(request)
        return web.Response()

    async def scene(stage: Stage) -> None:
        async with stage.call() as response:
            assert response.status == 504
            assert (await response.json())["error"]["code"] == "upstream_timeout"
        event = await stage.finished()
        assert (event.usage_source, event.error_type, event.http_status_code) == ("unknown", "upstream_timeout", 504)

    play(scene, handler, upstream_silence_seconds=0.2)


def test_an_upstream_that_falls_silent() -> None:
    async def scene(stage: Stage) -> None:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with stage.call(body=ASKED) as response:
                await response.read()
        event = await stage.finished()
        assert (event.usage_source, event.error_type, event.http_status_code) == ("estimated", "upstream_timeout", 200)

    play(scene, streaming(delta("Hello"), forever), upstream_silence_seconds=0.2)


# Clients that leave


def test_a_client_that_leaves_before_its_body_ended_costs_nothing() -> None:
    async def scene(stage: Stage) -> None:
        _, writer = await stage.raw("POST /v1/chat/completions", b"{", length=100)
        writer.transport.abort()
        async with stage.call() as response:
            assert response.status == 200
        assert len(stage.queue.events) == 2

    play(scene)


def test_a_client_that_leaves_before_anything_was_sent_costs_nothing() -> None:
    seen: list[Any] = []

    async def scene(stage: Stage) -> None:
        stage.queue.gates = {"started": asyncio.Event()}
        await stage.chat_and_leave("started comes")
        await asyncio.sleep(0.1)
        stage.queue.gates["started"].set()
        event = await stage.finished()
        assert (event.usage_source, event.client_disconnected, event.http_status_code) == ("none", True, None)
        assert event.error_type is None
        assert seen == []

    play(scene, answering(seen=seen))


def test_a_client_that_leaves_during_a_large_upload_costs_nothing() -> None:
    async def scene(stage: Stage) -> None:
        _, writer = await stage.raw("POST /v1/embeddings", b"{" + b" " * 1_100_000, length=50_000_000)
        await stage.until("asked")
        writer.transport.abort()
        event = await stage.finished()
        assert (event.usage_source, event.client_disconnected, event.error_type) == ("none", True, None)
        assert event.http_status_code is None

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        moments.append("asked")
        await request.content.read()
        return web.Response()

    moments: list[str] = []
    play(scene, handler, moments)


def waiting(moments: list[str], gate: asyncio.Event) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        moments.append("asked")
        await gate.wait()
        return web.Response(body=ANSWER, content_type="application/json")

    return handler


def test_an_answer_that_comes_soon_after_its_client_left_is_read_for_its_usage() -> None:
    moments: list[str] = []
    gate = asyncio.Event()

    async def scene(stage: Stage) -> None:
        await stage.chat_and_leave("asked")
        await asyncio.sleep(0.1)
        gate.set()
        event = await stage.finished()
        assert (event.usage_source, event.usage, event.client_disconnected) == ("reported", USAGE, True)
        assert event.http_status_code == 200

    play(scene, waiting(moments, gate), moments)


@pytest.mark.parametrize("limit", [{"drain_seconds": 0.1}, {"max_drains": 0}])
def test_an_answer_that_takes_too_long_after_its_client_left_is_estimated(limit: dict[str, Any]) -> None:
    moments: list[str] = []

    async def scene(stage: Stage) -> None:
        await stage.chat_and_leave("asked")
        event = await stage.finished()
        assert (event.usage_source, event.client_disconnected, event.error_type) == ("estimated", True, None)
        assert event.usage == {"input_tokens": 10, "output_tokens": 0, "total_tokens": 10}

    play(scene, waiting(moments, asyncio.Event()), moments, **limit)


def test_a_stream_whose_client_left_is_read_on_for_its_usage() -> None:
    moments: list[str] = []

    async def scene(stage: Stage) -> None:
        await stage.chat_and_leave("begun", STREAM)
        event = await stage.finished()
        assert (event.usage_source, event.usage, event.client_disconnected) == ("reported", USAGE, True)

    play(scene, streaming(delta("a"), "begun", pause, delta("b"), pause, LAST, DONE, moments=moments), moments)


def test_a_stream_whose_client_left_is_read_on_only_so_far() -> None:
    moments: list[str] = []

    async def scene(stage: Stage) -> None:
        await stage.chat_and_leave("begun", STREAM)
        event = await stage.finished()
        assert (event.usage_source, event.client_disconnected) == ("estimated", True)
        assert event.usage
        assert event.usage["output_tokens"] > 0

    filler = [delta("Hello " * 1000)] * 100
    play(scene, streaming(delta("a"), "begun", pause, *filler, forever, moments=moments), moments, drain_bytes=50_000)


def test_only_so_many_answers_are_read_on_at_once() -> None:
    moments: list[str] = []
    gate = asyncio.Event()

    async def scene(stage: Stage) -> None:
        for number in range(2):
            _, writer = await stage.raw("POST /v1/chat/completions", json.dumps(CHAT).encode())
            await until(lambda number=number: moments.count("asked") > number)  # type: ignore[misc] # no lambda has types
            writer.transport.abort()
            await asyncio.sleep(0.1)
        assert (await stage.finished()).usage_source == "estimated"
        gate.set()
        assert (await stage.finished()).usage_source == "reported"
        await stage.chat_and_leave("asked")
        assert (await stage.finished()).usage_source == "reported"

    play(scene, waiting(moments, gate), moments, max_drains=1)


def test_a_client_that_leaves_after_the_terminal_event_is_not_waited_for() -> None:
    moments: list[str] = []

    async def scene(stage: Stage) -> None:
        reader, writer = await stage.raw("POST /v1/chat/completions", json.dumps(ASKED).encode())
        await reader.readuntil(b"[DONE]\n\n")
        event = await stage.finished()
        assert (event.usage_source, event.client_disconnected) == ("reported", False)
        writer.transport.abort()
        await until(lambda: not stage.proxy._exchanges)  # noqa: SLF001 - that it ends is seen nowhere else

    play(scene, streaming(delta("a"), LAST, DONE, forever), moments)


def test_a_client_that_leaves_while_its_record_is_made_is_not_waited_for() -> None:
    moments: list[str] = []

    async def scene(stage: Stage) -> None:
        stage.queue.gates = {"finished": asyncio.Event()}
        await stage.chat_and_leave("finished comes", ASKED)
        await asyncio.sleep(0.1)
        stage.queue.gates["finished"].set()
        assert (await stage.finished()).usage_source == "reported"
        await until(lambda: not stage.proxy._exchanges)  # noqa: SLF001 - that it ends is seen nowhere else

    play(scene, streaming(delta("a"), LAST, DONE, forever), moments)


def test_a_large_body_whose_answer_is_lost_cannot_be_estimated() -> None:
    moments: list[str] = []

    async def scene(stage: Stage) -> None:
        body = json.dumps({"input": MEGABYTE * 2}).encode()
        _, writer = await stage.raw("POST /v1/embeddings", body)
        await stage.until("asked")
        writer.transport.abort()
        event = await stage.finished()
        assert (event.usage_source, event.usage, event.client_disconnected) == ("unknown", None, True)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await request.content.read()
        moments.append("asked")
        await forever(request)
        return web.Response()

    play(scene, handler, moments, drain_seconds=0.1)


# The end of the process


@pytest.mark.parametrize("body", [CHAT, STREAM])
def test_stopping_ends_what_waits_and_records_it(body: Any) -> None:
    moments: list[str] = []

    async def scene(stage: Stage) -> None:
        reader, writer = await stage.raw("POST /v1/chat/completions", json.dumps(body).encode())
        await stage.until("asked")
        await asyncio.sleep(0.05)
        stage.proxy.stop()
        stage.proxy.stop()
        event = await stage.finished()
        assert (event.usage_source, event.error_type) == ("estimated", "proxy_stopping")
        head = await reader.readuntil(b"\r\n")
        assert (b" 503 " in head) is (body is CHAT)
        writer.close()

    handler = (
        waiting(moments, asyncio.Event()) if body is CHAT else streaming(delta("a"), "asked", forever, moments=moments)
    )
    play(scene, handler, moments)


def test_stopping_lets_an_answer_end_whose_record_is_being_made() -> None:
    async def scene(stage: Stage) -> None:
        stage.queue.gates = {"finished": asyncio.Event()}
        async with stage.call() as response:
            await stage.until("finished comes")
            stage.proxy.stop()
            stage.queue.gates["finished"].set()
            assert await response.read() == ANSWER

    play(scene)


def test_a_request_that_begins_while_the_process_stops_costs_nothing() -> None:
    seen: list[Any] = []

    async def scene(stage: Stage) -> None:
        stage.queue.gates = {"started": asyncio.Event()}
        async with asyncio.TaskGroup() as group:
            call = group.create_task(stage.call().__aenter__())
            await stage.until("started comes")
            stage.proxy.stop()
            stage.queue.gates["started"].set()
        response = call.result()
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "proxy_stopping"
        event = await stage.finished()
        assert (event.usage_source, event.error_type) == ("none", "proxy_stopping")
        assert seen == []

    play(scene, answering(seen=seen))


# Whose turn it is


async def handed(stage: Stage, path: str, headers: Mapping[str, str], *parts: bytes) -> AsyncIterator[int]:
    """Hand a request to the proxy as a server does: yields each part's number when it is asked for, then the status."""
    asked: asyncio.Queue[int] = asyncio.Queue()
    left = list(enumerate(parts))

    async def receive() -> dict[str, Any]:
        number, part = left.pop(0)
        asked.put_nowait(number)
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            asked.put_nowait(message["status"])

    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "raw_path": path.encode(), "headers": lines}
    served = asyncio.create_task(stage.proxy(scope, receive, send))
    number = 0
    while number < HTTPStatus.OK:
        number = await asked.get()
        yield number
    await served


def test_a_crowd_without_keys_does_not_come_before_a_member() -> None:
    async def scene(stage: Stage) -> None:
        answered: list[int] = []

        async def ask(headers: Mapping[str, str]) -> None:
            answered.extend([status async for status in handed(stage, "/v1/nothing", headers, b"")])

        await ask(BEARER)
        *crowd, member = (asyncio.create_task(ask(headers)) for headers in [*[{}] * 50, BEARER])
        await member
        assert answered.count(401) < 5
        await asyncio.gather(*crowd)
        assert sorted(answered) == [401] * 50 + [404] * 2

    play(scene)


def test_large_bodies_of_a_flood_are_read_one_after_the_other() -> None:
    async def scene(stage: Stage) -> None:
        read: list[int] = []
        body = (b'{"background": true, ', b'"model": "gpt-4o", ', b'"input": "a"', b"}")

        async def ask(request: int) -> None:
            async for number in handed(stage, "/v1/responses", BEARER, *body):
                read.extend([request] if number < len(body) else [])

        async with stage.call(headers={"authorization": f"Bearer {TRUSTED}"}):
            pass  # another user is there
        await asyncio.gather(*map(ask, range(10)))
        assert read == [request for request in range(10) for _ in body]

    play(scene)


# Health, and the page


def test_health_names_what_cannot_be_reached() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call("/healthz", None, "GET", headers={}) as response:
            assert (response.status, await response.json()) == (
                200,
                {"proxy": "ok", "access_file": "ok", "upstream_keys": "ok", "queue": "ok"},
            )
        stage.queue.failures = 1
        async with stage.call("/health", None, "GET", headers={}) as response:
            assert response.status == 503
            assert (await response.json())["queue"] == "the disk is full"

    play(scene)


def test_health_counts_the_keys_at_openai_that_cannot_be_read_and_names_none(tmp_path: Path) -> None:
    (tmp_path / "research").mkdir()
    (tmp_path / "research" / "api_key").write_text("sk-of-research")

    async def scene(stage: Stage) -> None:
        teams = (f'[teams.{name}]\nupstream_key = "{name}"\n' for name in ("research", "lost"))
        stage.access.text = f"{ACCESS}\n{''.join(teams)}"
        async with stage.call("/healthz", None, "GET", headers={}) as response:
            assert response.status == 200  # the others are served, and a deployment comes before its keys
            assert (await response.json())["upstream_keys"] == "1 of 3 cannot be read"

    play(scene, upstream_keys_dir=str(tmp_path))


def test_health_says_that_an_access_file_is_broken_and_not_who_is_in_it() -> None:
    async def scene(stage: Stage) -> None:
        text = "version = 1\n[users.alice]\nrole = 1"
        stage.access.broken = AccessFileError.of(mistakes(text))
        async with stage.call("/healthz", None, "GET", headers={}) as response:
            assert response.status == 200  # requests are served
            said = (await response.json())["access_file"]
            assert said == "broken at line 3; its last good version stays in force"
        stage.access.text = text
        async with stage.call("/healthz", None, "GET", headers={}) as response:
            assert response.status == 503
            assert (await response.json())["access_file"] == "broken at line 3"

    play(scene)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"ledger":"ok"}', 200, {"log_view": "ok", "ledger": "ok"}),
        (b'{"ledger":"locked"}', 503, {"log_view": "ok", "ledger": "locked"}),
        (b"[]", 503, {"log_view": "ok", "ledger": "log_view does not say"}),
        (b"garbage", 503, {"log_view": "cannot be reached", "ledger": "not known without log_view"}),
        (None, 503, {"log_view": "cannot be reached", "ledger": "not known without log_view"}),
    ],
)
def test_health_says_what_the_other_functions_say(body: bytes | None, status: int, said: dict[str, str]) -> None:
    async def main() -> None:
        async with upstream(answering(body or b"")) as base:
            there = base if body else "http://127.0.0.1:1"
            sink = "ok" if body else "cannot be reached"

            async def scene(stage: Stage) -> None:
                async with stage.call("/healthz", None, "GET", headers={}) as response:
                    assert response.status == status
                    assert await response.json() == {
                        "proxy": "ok", "access_file": "ok", "upstream_keys": "ok", "queue": "ok",
                        "usage_sink": sink, **said,
                    }  # fmt: skip

            async with (
                asyncio.timeout(PATIENCE),
                staged(answering(), [], usage_sink_url=there, log_view_url=there) as stage,
            ):
                await scene(stage)

    asyncio.run(main())


def page(handler: Handler | None, scene: Scene) -> None:
    """Play a scene whose upstream is log_view; None: it cannot be reached."""

    async def main() -> None:
        async with upstream(handler or answering()) as base:
            there = base if handler else "http://127.0.0.1:1"
            async with asyncio.timeout(PATIENCE), staged(answering(), [], log_view_url=there) as stage:
                await scene(stage)

    asyncio.run(main())


def test_the_page_is_passed_on_with_the_callers_own_credential() -> None:
    seen: list[Any] = []

    async def scene(stage: Stage) -> None:
        headers = BEARER | {
            "cookie": "session=1",
            "x-forwarded-proto": "https",
            "x-other": "1",
            "host": "proxy.example",
        }
        async with stage.call("/log/in?a=%2f", data=b"key=1", headers=headers) as response:
            assert (response.status, await response.read()) == (303, b"page")
            assert response.headers["set-cookie"] == "session=2"
            assert response.headers["location"] == "/log"
            assert response.headers["x-openai-proxy-request-id"]
        request, sent = seen[0]
        assert (request.raw_path, sent) == ("/log/in?a=%2f", b"key=1")
        assert request.headers["authorization"] == BEARER["authorization"]
        assert request.headers["cookie"] == "session=1"
        assert request.headers["x-forwarded-host"] == "proxy.example"
        assert request.headers["x-forwarded-proto"] == "https"
        assert "x-other" not in request.headers
        async with stage.call("/log", None, "GET", headers={"x-forwarded-proto": "gopher"}) as response:
            assert response.status == 303
        assert seen[1][0].headers["x-forwarded-proto"] == "http"
        assert stage.moments == []

    page(answering(b"page", 303, {"set-cookie": "session=2", "location": "/log"}, seen), scene)


@pytest.mark.parametrize(
    "path",
    [
        "/spend",
        "//spend",
        "/log/../spend",
        "/log/%2e%2e/spend",
        "/log/%2E./spend",
        "/log/..%2fspend",
        "/log/./../spend",
        "/log/x/../../spend",
        "/log/..;/spend",
        "/log/..\\spend",
        "/log%2f..%2fspend",
        "/log/%252e%252e/spend",
    ],
)
def test_no_trick_with_a_path_reaches_what_only_the_proxy_may_ask_of_log_view(path: str) -> None:
    seen: list[Any] = []

    async def scene(stage: Stage) -> None:
        async with stage.call(path, {"instance_id": "i", "questions": []}) as response:
            assert response.status == 404
        assert seen == []

    page(answering(b"{}", 200, {}, seen), scene)


# With none in front, uvicorn believes the last entry of a server on the same machine, as one that ends TLS
@pytest.mark.parametrize(("hops", "told"), [(0, "203.0.113.7"), (1, "203.0.113.7"), (2, "forged")])
def test_the_page_is_told_from_where_a_reader_calls_and_what_google_says_of_them(hops: int, told: str) -> None:
    seen: list[Any] = []

    async def main() -> None:
        async with (
            upstream(answering(b"page", 200, {}, seen)) as there,
            asyncio.timeout(PATIENCE),
            staged(answering(), [], log_view_url=there, forwarded_hops=hops) as stage,
            stage.call("/log", None, "GET", headers=headers) as response,
        ):
            assert response.status == 200

    headers = {
        "x-forwarded-for": "forged, 203.0.113.7",
        "x-goog-iap-jwt-assertion": "a.b.c",
        "x-goog-authenticated-user-email": "accounts.google.com:boss@example.com",
        "x-serverless-authorization": "Bearer of-iap",
    }
    asyncio.run(main())
    passed = seen[0][0].headers
    assert passed.getall("x-forwarded-for") == [told]
    assert passed["x-goog-iap-jwt-assertion"] == "a.b.c"
    assert not {"x-goog-authenticated-user-email", "x-serverless-authorization"} & set(map(str.lower, passed))


def test_a_form_too_large_for_the_page_is_refused() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call("/log/in", data=b"x" * 70_000) as response:
            assert response.status == 413

    page(answering(), scene)


def test_a_page_that_cannot_be_reached_says_so() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.call("/log", None, "GET") as response:
            assert response.status == 502
            assert (await response.json())["error"]["code"] == "log_view_unreachable"

    page(None, scene)
    play(scene)


def test_a_page_that_breaks_off_is_broken_off() -> None:
    async def scene(stage: Stage) -> None:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with stage.call("/log", None, "GET") as response:
                await response.read()

    page(streaming(b"page", pause, hang_up), scene)
