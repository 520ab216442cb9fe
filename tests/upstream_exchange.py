"""One answer of the test upstream on its way out: as ordered, and counted."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import hashlib
import json
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict

import openai_wire as wire
from upstream_orders import Orders, Served

_EVENT_STREAM = "text/event-stream; charset=utf-8"
_LARGEST_PIECE = 65_536


@dataclass(slots=True)
class Gates:
    """What an answer may wait at: `whole` until it is opened, `steps` once for each event."""

    whole: asyncio.Event = field(default_factory=asyncio.Event)
    steps: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def close(self) -> None:
        self.whole.clear()
        self.steps = asyncio.Semaphore(0)


class Exchange:
    """One answer on its way out, and the count of it."""

    def __init__(self, request: web.Request, served: Served, orders: Orders, gates: Gates) -> None:
        self.request = request
        self.served = served
        self.orders = orders
        self._gates = gates

    async def reply(self, reply: wire.Reply) -> web.StreamResponse:
        """Answer; who hangs up a stream early pays for what was sent."""
        content, usage, served = reply.content, reply.usage, self.served
        served.response_model = reply.model
        served.told = reply.told and not (self.orders.liar or self.orders.unread)
        if isinstance(content, wire.Stream):
            served.billed = dataclasses.replace(usage, output=0, reasoning=0).tokens()
            answered = await self._send(200, _EVENT_STREAM, self._paced(content))
            if served.completed:
                served.billed, served.units = usage.tokens(), usage.units
            return answered
        served.billed, served.units, served.tokens_sent = usage.tokens(), usage.units, usage.output
        await asyncio.sleep(self.orders.slow / 1000)
        pieces = [wire.pretty(content)] if isinstance(content, Mapping) else content
        return await self._send(200, reply.content_type, self._plain(pieces))

    async def error(self, status: int, message: str | None = None, code: str | None = None) -> web.StreamResponse:
        """Answer an error in OpenAI's shape; 502 comes from the edge before it, which speaks HTML."""
        self.served.told = status >= 400  # a redirection says nothing of what it costs
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
        headers = self._headers(status)
        headers["content-type"] = content_type
        if self.orders.gzip or self.orders.deflate:
            whole = b"".join([piece async for piece in pieces])
            whole = gzip.compress(whole, mtime=0) if self.orders.gzip else zlib.compress(whole)
            pieces = self._plain([whole[: len(whole) // 2], whole[len(whole) // 2 :]])
            headers["content-encoding"] = "gzip" if self.orders.gzip else "deflate"
        if self.orders.liar or self.orders.unread:
            headers["content-encoding"] = "gzip" if self.orders.liar else "zstd"
        cut, streamed = self.orders.cut_after is not None, content_type.startswith(("text/event-stream", "audio/"))
        if not streamed and not self.orders.big:
            whole = b"".join([piece async for piece in pieces])
            size = self.orders.chunks
            parts = [whole[start : start + size] for start in range(0, len(whole), size)] if size else [whole]
            if not size:
                headers["content-length"] = str(len(whole))
            pieces = self._plain([whole[: len(whole) // 2]] if cut else parts)
        out = web.StreamResponse(status=status, headers=headers)
        try:
            await out.prepare(self.request)
            async for piece in pieces:
                await self._write(out, piece)
            if cut:
                return self.drop()
            await out.write_eof()
        except ConnectionError:
            return out
        self.served.completed = self.orders.error_after is None
        return out

    async def _write(self, out: web.StreamResponse, piece: bytes) -> None:
        if not self.orders.split:
            await out.write(piece)
            return
        for byte in piece:
            await out.write(bytes((byte,)))
            await asyncio.sleep(0)

    def _headers(self, status: int) -> CIMultiDict[str]:
        unique = hashlib.sha256(f"{self.served.path} {self.served.model} {self.served.user}".encode()).hexdigest()
        headers = CIMultiDict(
            {
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
        )
        if status == 429:
            headers.extend({"retry-after": "1", "retry-after-ms": "5", "x-should-retry": "true"})
        if 300 <= status < 400:
            headers["location"] = "https://example.com/elsewhere?a=b%2Fc"
        if self.orders.odd_header:
            headers["x-odd"] = "\u4e16\u754c"
        if self.orders.odd_headers:
            for name, value in _ODD_HEADERS:
                headers.add(name, value)
        return headers

    async def _plain(self, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def _paced(self, stream: wire.Stream) -> AsyncIterator[bytes]:
        deltas = 0
        for number, event in enumerate(stream.events):
            if self.orders.gate == number:
                await self._gates.whole.wait()
            if self.orders.step and number:
                await self._gates.steps.acquire()
            await asyncio.sleep(self.orders.slow / 1000)
            data = b": keep-alive\n\n" + event.data if self.orders.comments and event.tokens else event.data
            if self.orders.crlf:
                data = data.replace(b"\n", b"\r\n")
            for start in range(0, len(data), _LARGEST_PIECE):
                yield data[start : start + _LARGEST_PIECE]
            # The consumer comes back only when the event was written.
            self.served.tokens_sent += event.tokens
            self.served.billed = {**self.served.billed, "output": self.served.tokens_sent}
            deltas += bool(event.tokens)
            if event.tokens and deltas == self.orders.cut_after:
                return
            if event.tokens and deltas == self.orders.error_after:
                yield wire.error_event()
                return


_ODD_HEADERS = (
    ("x-repeated", "one"),
    ("x-repeated", "two, three"),
    ("x-repeated", "one"),
    ("x-empty", ""),
    ("x-long", "a" * 8000),
    ("x-quoted", '"a \\" b"; c=d, (e)'),
    ("X-MiXeD-CaSe", "Kept AS it is"),
    ("etag", 'W/"abc"'),
    ("vary", "Origin, Accept-Encoding"),
    ("access-control-expose-headers", "X-Request-ID"),
    ("content-disposition", 'attachment; filename="a b.txt"'),
    ("cache-control", "no-store"),
)
