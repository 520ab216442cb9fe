"""A fast upstream: chat completions from a bare asyncio protocol, so that what is measured is the proxy.

An answer of 1 KB, or, when the request has `x-chunks: COUNT/RATE`, a stream of COUNT chunks, RATE of them a second.
Each chunk's id is the moment it was sent, in nanoseconds of the monotonic clock, which all processes share.
`GET /__counts` tells what was served.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from functools import partial
from typing import cast

import uvloop

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKS = re.compile(rb"\r\nx-chunks: *(\d+)/(\d+)", re.IGNORECASE)
_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 150,
    "total_tokens": 170,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
_COMPLETION = {
    "id": "chatcmpl-benchmark",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "word " * 110, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": _USAGE,
    "service_tier": "default",
}
_BODY = json.dumps(_COMPLETION).encode()
_UNARY = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_benchmark\r\n"
    b"openai-processing-ms: 1\r\ncontent-length: %d\r\n\r\n" % len(_BODY)
) + _BODY
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_benchmark\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_CHUNK = (
    b'data: {"id":"chatcmpl-%d","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]%b}\n\n'
)
_USAGE_CHUNK = (
    b'data: {"id":"chatcmpl-end","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"gpt-4o-mini-2024-07-18","choices":[],"usage":%b}\n\n' % json.dumps(_USAGE).encode()
)
_counts = {"requests": 0, "chunks": 0}


class _Server(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own, which only walks like one

    def connection_lost(self, _error: Exception | None) -> None:
        """End the stream that may be going."""
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[: end + 2]
            length = _CONTENT_LENGTH.search(head)
            whole = end + 4 + int(length[1] if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /__counts"):
            text = json.dumps(_counts).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text))
            return
        _counts["requests"] += 1
        chunks = _CHUNKS.search(head)
        if chunks is None:
            self._transport.write(_UNARY)
            return
        self._transport.write(_STREAM_HEAD)
        usage_asked = b'"include_usage"' in body
        begin = asyncio.get_running_loop().time()
        self._chunk(begin, 1 / int(chunks[2]), 0, int(chunks[1]), usage_asked=usage_asked)

    def _chunk(self, begin: float, period: float, number: int, count: int, *, usage_asked: bool) -> None:
        if number == count:
            last = (_USAGE_CHUNK if usage_asked else b"") + b"data: [DONE]\n\n"
            self._transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))
            self._timer = None
            return
        event = _CHUNK % (time.monotonic_ns(), b',"usage":null' if usage_asked else b"")
        self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        _counts["chunks"] += 1
        loop = asyncio.get_running_loop()
        following = partial(self._chunk, begin, period, number + 1, count, usage_asked=usage_asked)
        self._timer = loop.call_at(begin + (number + 1) * period, following)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
