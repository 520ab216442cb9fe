"""A test upstream: OpenAI's wire format on a real socket, and its own count of what it served.

Run it with `python tests/upstream.py --port 0 --port-file F --team-key KEY`. A request orders trouble with words in
its `x-upstream-orders` header, or in its model's name after `+` (or as the whole name): see `Orders`.
`GET /__served` tells what was served (`?event_id=X`: that one), `POST /__reset` forgets it, `POST /__open` opens the
gate that `gate` waits at.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gzip
import hashlib
import json
import re
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

import openai_wire as wire


@dataclass(frozen=True, slots=True)
class Orders:
    """What to do otherwise than well. `gpt-4o+slow=5+deltas=40` and `fail-429` are models that order something."""

    fail: int = 0  # answer this status
    flaky: int = 0  # with `fail`: only until the SDK has tried this often
    hang: int = 0  # never answer
    refuse: int = 0  # drop the connection instead of answering
    cut_after: int | None = None  # drop the connection after that many deltas; unary: in the middle of the body
    first: int = 0  # ms before the answer's head
    slow: int = 0  # ms before each event; unary: before the body
    gate: int | None = None  # wait before event number N until POST /__open
    gzip: int = 0  # compress, asked or not
    error_after: int | None = None  # a stream's last event after that many deltas is an error
    odd_header: int = 0  # a header of the answer has bytes beyond Latin-1
    liar: int = 0  # say that it is compressed, and it is not
    crlf: int = 0  # end lines with CR LF
    split: int = 0  # write each byte by itself
    comments: int = 0  # a comment before each delta
    deltas: int | None = None  # this many content deltas
    big: int = 0  # bytes of filler: embeddings' data, a Response's last event
    incomplete: int = 0  # a Response ends as incomplete
    failed: int = 0  # a Response ends as failed

    @classmethod
    def of(cls, header: str, model: str) -> Orders:
        known = {one.name for one in dataclasses.fields(cls)}
        given: dict[str, Any] = {}
        for word in header.split() + model.split("+"):
            found = re.fullmatch(r"(.+?)(?:[-=](\d+))?", word)
            name = found.group(1).replace("-", "_") if found else ""
            if found and name in known:
                given[name] = int(found.group(2) or 1)
        return cls(**given)


@dataclass(slots=True, kw_only=True)
class Served:
    """One request as the upstream saw it; `billed` is what OpenAI would put on the bill.

    `completed`: all was written; `ended`: that, or the connection is gone.
    """

    number: int
    event_id: str | None
    method: str
    path: str
    query: str
    team_key: bool
    headers: Mapping[str, str]
    user: str | None = None
    model: str | None = None
    stream: bool = False
    asked_usage: bool | None = None
    body_bytes: int = 0
    body_sha256: str | None = None
    status: int | None = None
    response_model: str | None = None
    billed: Mapping[str, int] = field(default_factory=lambda: dataclasses.asdict(wire.Usage()))
    tokens_sent: int = 0
    completed: bool = False
    ended: bool = False


class Upstream:
    """Serves, and counts."""

    def __init__(self, team_key: str) -> None:
        self._team_key = team_key
        self._served: list[Served] = []
        self._responses: dict[str, wire.Json] = {}
        self._gate = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/__served", self._tell)
        app.router.add_post("/__reset", self._reset)
        app.router.add_post("/__open", self._open)
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _tell(self, request: web.Request) -> web.Response:
        wanted = request.query.items()
        told = [one for one in self._served if all(str(getattr(one, name)) == value for name, value in wanted)]
        return web.json_response([dataclasses.asdict(one) for one in told])

    async def _reset(self, _: web.Request) -> web.Response:
        self._served.clear()
        self._gate.clear()
        return web.Response()

    async def _open(self, _: web.Request) -> web.Response:
        self._gate.set()
        return web.Response()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        served = Served(
            number=len(self._served),
            event_id=request.headers.get("x-client-request-id"),
            method=request.method,
            path=request.path,
            query=request.rel_url.raw_query_string,
            team_key=request.headers.get("authorization") == f"Bearer {self._team_key}",
            headers={
                name.lower(): "the team's" if name.lower() == "authorization" else value
                for name, value in request.headers.items()
            },
        )
        if not served.team_key:
            served.headers = {**served.headers, "authorization": "another"}
        self._served.append(served)
        try:
            return await self._answer(request, served)
        finally:
            served.ended = True

    async def _answer(self, request: web.Request, served: Served) -> web.StreamResponse:
        raw = await self._body(request, served)
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            body = None
        if isinstance(body, dict):
            served.user, served.model = body.get("user"), body.get("model")
            served.stream = body.get("stream") is True
            if served.stream:
                options = body.get("stream_options")
                served.asked_usage = isinstance(options, dict) and options.get("include_usage") is True
        model = str(served.model or "")
        orders = Orders.of(request.headers.get("x-upstream-orders", ""), model)
        exchange = _Exchange(request, served, orders, self._gate)
        if orders.hang:
            await asyncio.Event().wait()
        if orders.refuse:
            return exchange.drop()
        await asyncio.sleep(orders.first / 1000)
        retries = int(request.headers.get("x-stainless-retry-count") or 0)
        if orders.fail and not (orders.flaky and retries >= orders.flaky):
            return await exchange.error(orders.fail)
        if not served.team_key:
            return await exchange.error(401)
        if not isinstance(body, dict):
            return await exchange.error(400)
        return await self._route(exchange, body)

    async def _body(self, request: web.Request, served: Served) -> bytes:
        digest = hashlib.sha256()
        pieces = []
        async for piece in request.content.iter_any():
            digest.update(piece)
            served.body_bytes += len(piece)
            pieces.append(piece)
        served.body_sha256 = digest.hexdigest()
        return b"".join(pieces)

    async def _route(self, exchange: _Exchange, body: wire.Json) -> web.StreamResponse:
        method, path = exchange.served.method, exchange.served.path.removeprefix("/v1")
        if method == "POST" and path in {"/responses", "/embeddings", *_CREATES}:
            return await self._create(exchange, path, body)
        if path.startswith("/responses/") and path.count("/") in {2, 3}:
            return await self._stored_response(exchange, *path.split("/")[2:])
        if method == "GET" and path == "/models":
            return await exchange.unary(wire.models())
        if method == "GET" and path.startswith("/models/"):
            return await exchange.unary(wire.model(path.removeprefix("/models/")))
        return await exchange.error(404, f"Invalid URL ({method} /v1{path})", "unknown_url")

    async def _create(self, exchange: _Exchange, path: str, body: wire.Json) -> web.StreamResponse:
        orders, asked_usage = exchange.orders, exchange.served.asked_usage is True
        if "model" not in body:
            return await exchange.error(400, "you must provide a model parameter")
        if str(body["model"]).startswith("no-such"):
            return await exchange.error(404)
        given = wire.answer(path, body, deltas=orders.deltas)
        if path == "/responses":
            return await self._create_response(exchange, body, given)
        if path == "/embeddings":
            return await exchange.pieces(wire.embeddings(given, body, padding=orders.big), given)
        if exchange.served.stream:
            events = wire.chat_events if path == "/chat/completions" else wire.completion_events
            return await exchange.events(given, events(given, include_usage=asked_usage))
        return await exchange.unary(_CREATES[path](given), None if path in _FREE else given)

    async def _create_response(self, exchange: _Exchange, body: wire.Json, given: wire.Answer) -> web.StreamResponse:
        orders = exchange.orders
        end = "incomplete" if orders.incomplete else "failed" if orders.failed else "completed"
        self._responses[f"resp_{given.unique}"] = wire.response(given, body, status=end)
        if body.get("stream") is True:
            return await exchange.events(given, wire.response_events(given, body, end=end, padding=orders.big))
        if body.get("background") is True:
            return await exchange.unary(wire.response(given, body, status="queued"))
        return await exchange.unary(wire.response(given, body, status=end, padding=orders.big), given)

    async def _stored_response(self, exchange: _Exchange, name: str, rest: str = "") -> web.StreamResponse:
        stored = self._responses.get(name)
        if stored is None:
            return await exchange.error(404, f"Response with id '{name}' not found.", "not_found")
        if rest == "input_items":
            listed: wire.Json = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
            return await exchange.unary(listed)
        if rest == "cancel":
            return await exchange.error(400, "Cannot cancel a synchronous response.")
        if exchange.served.method == "DELETE":
            return await exchange.unary({"id": name, "object": "response.deleted", "deleted": True})
        return await exchange.unary(stored)


class _Exchange:
    """One answer on its way out, and the count of it."""

    def __init__(self, request: web.Request, served: Served, orders: Orders, gate: asyncio.Event) -> None:
        self.request = request
        self.served = served
        self.orders = orders
        self._gate = gate

    async def unary(self, body: wire.Json, given: wire.Answer | None = None) -> web.StreamResponse:
        """Answer a JSON body, billed as `given`."""
        return await self.pieces([wire.pretty(body)], given)

    async def pieces(self, pieces: Iterable[bytes], given: wire.Answer | None) -> web.StreamResponse:
        if given:
            self.served.billed = dataclasses.asdict(given.usage)
            self.served.tokens_sent = given.usage.output
            self.served.response_model = None if self.served.path.endswith("/compact") else given.model  # as its body
        await asyncio.sleep(self.orders.slow / 1000)
        return await self._send(200, "application/json", self._plain(pieces))

    async def events(self, given: wire.Answer, events: Iterator[wire.Event]) -> web.StreamResponse:
        """Answer server-sent events; who hangs up early pays for what was sent."""
        self.served.response_model = given.model
        self.served.billed = dataclasses.asdict(dataclasses.replace(given.usage, output=0, reasoning=0))
        answered = await self._send(200, "text/event-stream; charset=utf-8", self._paced(events))
        if self.served.completed:
            self.served.billed = dataclasses.asdict(given.usage)
        return answered

    async def error(self, status: int, message: str | None = None, code: str | None = None) -> web.StreamResponse:
        """Answer an error in OpenAI's shape; 502 comes from the edge before it, which speaks HTML."""
        if status == 502:
            page = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>\r\n"
            return await self._send(502, "text/html", self._plain([page]))
        body = json.dumps(wire.error(status, message, code), indent=4).encode() + b"\n"
        return await self._send(status, "application/json", self._plain([body]))

    def drop(self) -> web.StreamResponse:
        """Break the connection, as a crash would: nothing says that the answer has ended."""
        if self.request.transport:
            self.request.transport.abort()
        return web.Response()

    async def _send(self, status: int, content_type: str, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
        self.served.status = status
        headers = self._headers(status) | {"content-type": content_type}
        if self.orders.gzip:
            whole = gzip.compress(b"".join([piece async for piece in pieces]), mtime=0)
            pieces = self._plain([whole[: len(whole) // 2], whole[len(whole) // 2 :]])
            headers["content-encoding"] = "gzip"
        if self.orders.odd_header:
            headers["x-odd"] = "\u4e16\u754c"
        if self.orders.liar:
            headers["content-encoding"] = "gzip"
        cut = self.orders.cut_after is not None
        streamed = content_type.startswith("text/event-stream")
        if not streamed and not self.orders.big:
            whole = b"".join([piece async for piece in pieces])
            headers["content-length"] = str(len(whole))
            pieces = self._plain([whole[: len(whole) // 2]] if cut else [whole])
        out = web.StreamResponse(status=status, headers=headers)
        try:
            await out.prepare(self.request)
            async for piece in pieces:
                if self.orders.split:
                    for byte in piece:
                        await out.write(bytes((byte,)))
                        await asyncio.sleep(0)
                else:
                    await out.write(piece)
            if cut:
                return self.drop()
            await out.write_eof()
        except ConnectionError:
            return out
        self.served.completed = self.orders.error_after is None
        return out

    def _headers(self, status: int) -> dict[str, str]:
        unique = hashlib.sha256(f"{self.served.path} {self.served.model} {self.served.user}".encode()).hexdigest()
        headers = {
            "x-request-id": f"req_{unique[:32]}",
            "openai-processing-ms": str(int(unique[:2], 16)),
            "openai-version": "2020-10-01",
            "openai-organization": "the-team",
            "openai-project": "proj_made_up",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-reset-requests": "6ms",
            "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
            "cf-ray": unique[:16],
            "set-cookie": f"__cf_bm={unique}; path=/; HttpOnly; Secure",
            "alt-svc": 'h3=":443"; ma=86400',
        }
        if status == 429:
            headers |= {"retry-after": "1", "retry-after-ms": "5", "x-should-retry": "true"}
        return headers

    async def _plain(self, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def _paced(self, events: Iterator[wire.Event]) -> AsyncIterator[bytes]:
        deltas = 0
        for number, event in enumerate(events):
            if self.orders.gate == number:
                await self._gate.wait()
            await asyncio.sleep(self.orders.slow / 1000)
            data = b": keep-alive\n\n" + event.data if self.orders.comments and event.tokens else event.data
            if self.orders.crlf:
                data = data.replace(b"\n", b"\r\n")
            for start in range(0, len(data), wire.PIECE_BYTES):
                yield data[start : start + wire.PIECE_BYTES]
            # The consumer comes back only when the event was written.
            self.served.tokens_sent += event.tokens
            self.served.billed = {**self.served.billed, "output": self.served.tokens_sent}
            deltas += bool(event.tokens)
            if event.tokens and deltas == self.orders.cut_after:
                return
            if event.tokens and deltas == self.orders.error_after:
                yield wire.error_event()
                return


_CREATES = {
    "/chat/completions": wire.chat_completion,
    "/completions": wire.completion,
    "/moderations": wire.moderation,
    "/responses/compact": wire.compaction,
    "/responses/input_tokens": wire.input_token_count,
}
_FREE = {"/moderations", "/responses/input_tokens"}


async def _run(port: int, port_file: Path, team_key: str) -> None:
    # A handler that is cancelled when its client leaves is how OpenAI stops generating then.
    runner = web.AppRunner(Upstream(team_key).app(), handler_cancellation=True, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    half_written = port_file.with_suffix(".part")
    half_written.write_text(str(runner.addresses[0][1]))
    half_written.rename(port_file)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--team-key", required=True)
    given = parser.parse_args()
    try:
        asyncio.run(_run(given.port, given.port_file, given.team_key))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
