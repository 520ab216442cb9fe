"""The client's side of one request, over ASGI: its body in, an answer out, and the moment it leaves.

Interface: https://asgi.readthedocs.io/en/latest/specs/www.html.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from openai_proxy.api.refusals import Refusal
from openai_proxy.wire.headers import REQUEST_ID, Header, from_raw

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientGoneError(Exception):
    """The client left while its request was being read."""


class Client:
    """One request and its answer. `turn` returns when another part of its body may be read, after the first."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._receive = receive
        self._send = send
        self.request_id = request_id
        self.method: str = scope["method"]
        self.scheme: str = scope.get("scheme", "http")
        self.peer: str = (scope.get("client") or ("",))[0]
        self.raw_path: str = (scope.get("raw_path") or b"/").partition(b"?")[0].decode("latin-1")
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.headers: list[Header] = from_raw(scope["headers"])
        self.turn: Callable[[], Awaitable[None]] | None = None
        self.body_read = asyncio.Event()
        self.answer_begun = False
        self._is_partly_read = False

    @property
    def body_ended(self) -> bool:
        """Whether the body was read to its end."""
        return self.body_read.is_set()

    async def read(self) -> bytes:
        """The next bytes of the body, or none when it has ended.

        Raises:
            ClientGoneError: the client left before its body ended.
        """
        while not self.body_ended:
            if self.turn and self._is_partly_read:
                await self.turn()
            message = await self._receive()
            self._is_partly_read = True
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            if not message.get("more_body", False):
                self.body_read.set()
            if message.get("body"):
                return bytes(message["body"])
        return b""

    async def left(self) -> None:
        """Return when the client has left. The body must have been read to its end: then nothing else can come."""
        await self._receive()

    async def begin(self, status: int, headers: Iterable[Header]) -> None:
        """Send the status and the headers; our own request id goes with every answer."""
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        lines.append((REQUEST_ID.encode(), self.request_id.encode()))
        self.answer_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def send(self, data: bytes, *, more: bool = True) -> None:
        """Send a part of the answer; waits while the client reads slowly."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, status: int, body: bytes, headers: Iterable[Header]) -> None:
        """Send a whole answer."""
        await self.begin(status, [*headers, ("content-length", str(len(body)))])
        await self.send(body, more=False)

    async def refuse(self, refusal: Refusal) -> None:
        """Send an answer of our own."""
        await self.answer(refusal.status, refusal.body, [("content-type", "application/json"), *refusal.headers])
