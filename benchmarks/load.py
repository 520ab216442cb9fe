"""A load generator on bare asyncio protocols: one kind of load on one address; prints what it saw as one JSON object.

`closed`: CONNECTIONS ask again as soon as they are answered, until COUNT answers. `open`: RATE requests a second at
random moments, whether answers come or not; a latency begins at the moment that was due. `streams`: CONNECTIONS streams
of COUNT chunks, RATE a second each; a chunk's delay begins when the upstream sent it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SENT_NS = re.compile(rb'"chatcmpl-(\d+)"')
_LONGEST_SENT = 40
_OK = b"HTTP/1.1 200"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_ANSWER_SECONDS = 60.0  # a load that goes on for longer after its last request has hung


@dataclass(slots=True)
class _Seen:
    """What came back; times in seconds."""

    latencies: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0

    def report(self) -> dict[str, float]:
        return {
            "requests": len(self.latencies),
            "chunks": len(self.delays),
            "failed": self.failed,
            "seconds": self.seconds,
            **{f"latency_p{part}_ms": _percentile(self.latencies, part) * 1e3 for part in (50, 99)},
            **{f"delay_p{part}_ms": _percentile(self.delays, part) * 1e3 for part in (50, 99)},
        }


def _percentile(values: Sequence[float], part: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * part // 100)] if values else 0.0


class _Connection(asyncio.Protocol):
    """One keep-alive connection; `ask` calls back when its answer has ended."""

    def __init__(self, seen: _Seen) -> None:
        self._seen = seen
        self._transport: asyncio.Transport
        self._buffer = b""
        self._needed: int | None = None  # bytes of the body; None: no head yet; -1: chunked
        self._began = 0.0
        self._done: Callable[[], None] | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own, which only walks like one

    def ask(self, request: bytes, began: float, done: Callable[[], None]) -> None:
        self._buffer, self._needed, self._began, self._done = b"", None, began, done
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data
        if self._needed is None:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _CONTENT_LENGTH.search(buffer[: end + 2])
            self._needed = int(length[1]) if length else -1
            if not buffer.startswith(_OK):
                self._seen.failed += 1
            buffer = self._buffer = buffer[end + 2 :] if self._needed < 0 else buffer[end + 4 :]
        if self._needed >= 0:
            if len(buffer) >= self._needed:
                self._end()
            return
        now = time.monotonic_ns()
        consumed = 0
        for match in _SENT_NS.finditer(buffer):
            self._seen.delays.append((now - int(match[1])) / 1e9)
            consumed = match.end()
        if buffer.endswith(_LAST_CHUNK):
            self._end()
        else:
            self._buffer = buffer[max(consumed, len(buffer) - _LONGEST_SENT) :]

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed = True
        if self._done:
            self._seen.failed += 1
            self._end()

    def _end(self) -> None:
        self._seen.latencies.append(time.monotonic() - self._began)
        done, self._done = self._done, None
        if done:
            done()


@dataclass(frozen=True, slots=True)
class _Target:
    port: int
    request: bytes

    async def connect(self, seen: _Seen) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(seen), "127.0.0.1", self.port)
        return connection


async def _closed(target: _Target, connections: int, count: int) -> _Seen:
    seen = _Seen()
    left = count
    ended = asyncio.Event()

    def ask(connection: _Connection) -> None:
        nonlocal left
        if left > 0 and not connection.closed:
            left -= 1
            connection.ask(target.request, time.monotonic(), lambda: ask(connection))
        elif len(seen.latencies) >= count or connection.closed:
            ended.set()

    opened = [await target.connect(seen) for _ in range(connections)]
    began = time.monotonic()
    for connection in opened:
        ask(connection)
    await ended.wait()
    seen.seconds = time.monotonic() - began
    return seen


async def _open(target: _Target, rate: int, count: int) -> _Seen:
    seen = _Seen()
    idle: list[_Connection] = []
    asked: set[asyncio.Task[None]] = set()
    moments = random.Random(1)  # noqa: S311 - no secret; seeded: the same moments for every target

    async def ask(due: float) -> None:
        while idle and idle[-1].closed:
            idle.pop()
        connection = idle.pop() if idle else await target.connect(seen)
        answered = asyncio.Event()
        connection.ask(target.request, due, answered.set)
        await answered.wait()
        idle.append(connection)

    began = due = time.monotonic()
    for _ in range(count):
        due += moments.expovariate(rate)
        await asyncio.sleep(due - time.monotonic())
        task = asyncio.create_task(ask(due))
        asked.add(task)
        task.add_done_callback(asked.discard)
    await asyncio.gather(*asked)
    seen.seconds = time.monotonic() - began
    return seen


async def _streams(target: _Target, connections: int) -> _Seen:
    seen = _Seen()
    began = time.monotonic()

    async def ask(number: int) -> None:
        await asyncio.sleep(number / connections)  # so that they neither begin nor tick together
        connection = await target.connect(seen)
        answered = asyncio.Event()
        connection.ask(target.request, time.monotonic(), answered.set)
        await answered.wait()

    await asyncio.gather(*(ask(number) for number in range(connections)))
    seen.seconds = time.monotonic() - began
    return seen


def _request(options: argparse.Namespace) -> bytes:
    said = "Say something. "
    content = said * (options.body_bytes // len(said) or 10)
    body: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}]}
    chunks = ""
    if options.kind == "streams":
        body["stream"] = True
        if options.include_usage:
            body["stream_options"] = {"include_usage": True}
        chunks = f"x-chunks: {options.count}/{options.rate}\r\n"
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {options.key}\r\n"
        f"content-type: application/json\r\naccept: application/json\r\nuser-agent: OpenAI/Python 3.54.0\r\n"
        f"x-stainless-retry-count: 0\r\n{chunks}content-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def _load(options: argparse.Namespace) -> _Seen:
    target = _Target(options.port, _request(options))
    if options.kind == "closed":
        return await _closed(target, options.connections, options.count)
    if options.kind == "open":
        return await _open(target, options.rate, options.count)
    return await _streams(target, options.connections)


async def _main(options: argparse.Namespace) -> None:
    expected = options.count / options.rate if options.rate else _ANSWER_SECONDS
    async with asyncio.timeout(expected + _ANSWER_SECONDS):
        print(json.dumps((await _load(options)).report()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["closed", "open", "streams"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--body-bytes", type=int, default=0)
    parser.add_argument("--include-usage", action="store_true")
    uvloop.run(_main(parser.parse_args()))
