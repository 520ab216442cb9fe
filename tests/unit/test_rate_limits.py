"""What a refused request is told, and what becomes of the limits when their store is out of reach."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import openai
import pytest

from openai_proxy.adapters.memory_limits import MemoryLimits
from openai_proxy.api.refusals import Refusal
from openai_proxy.limits.rate_limit_refusal import go_duration, rate_limit_refusal
from openai_proxy.limits.rate_limits import (
    Admission,
    Ask,
    RateLimits,
    RateLimitStoreError,
    Standing,
    TooMany,
)

MINUTE_IS_FULL = Standing(Ask("requests", 3, 1), used=3, wait_seconds=20.0, resets_seconds=59.5)
ROOM_FOR_TOKENS = Standing(Ask("tokens", 1000, 150), used=400, wait_seconds=0.0, resets_seconds=0.0061)
NO_PLACE = Standing(Ask("concurrent_requests", 8, 1), used=8, wait_seconds=29.0, resets_seconds=29.0)


def refusal(*standings: Standing) -> Refusal:
    return rate_limit_refusal("ada", TooMany(standings))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.0001, "1ms"),
        (0.006, "6ms"),
        (0.12, "120ms"),
        (1.0, "1s"),
        (8.64, "8.64s"),
        (18.642, "18.642s"),
        (59.9991, "1m0s"),
        (360.0, "6m0s"),
        (432.0, "7m12s"),
        (3600.0, "1h0m0s"),
        (90061.5, "25h1m1.5s"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def test_the_refusal_has_openais_shape_words_and_headers() -> None:
    one = refusal(MINUTE_IS_FULL, ROOM_FOR_TOKENS)

    assert one.status == 429
    assert json.loads(one.body)["error"] == {
        "message": "Rate limit reached for ada on requests per min (RPM): Limit 3, Used 3, Requested 1. "
        "Please try again in 20s. The proxy's owner sets this limit.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert dict(one.headers) == {
        "retry-after": "20",
        "retry-after-ms": "20000",
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "59.5s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "600",
        "x-ratelimit-reset-tokens": "7ms",
    }


def test_a_wait_is_rounded_up_so_that_there_is_room_after_it() -> None:
    one = refusal(Standing(Ask("tokens", 100, 50), used=100, wait_seconds=1.0001, resets_seconds=1.0001))

    assert dict(one.headers)["retry-after"] == "2"
    assert dict(one.headers)["retry-after-ms"] == "1001"
    assert one.kind == "tokens"


def test_who_has_no_place_is_asked_to_come_back_soon() -> None:
    one = refusal(NO_PLACE)

    assert "on requests at a time: Limit 8, Used 8, Requested 1. Please try again in 1s." in one.message
    assert one.kind == "requests"
    assert dict(one.headers) == {"retry-after": "1", "retry-after-ms": "1000"}


def test_a_request_that_no_wait_makes_room_for_is_not_to_be_tried_again() -> None:
    one = refusal(Standing(Ask("tokens", 1000, 1500), used=0, wait_seconds=None, resets_seconds=0.0), NO_PLACE)

    assert "Request too large for ada on tokens per min (TPM): Limit 1000, Requested 1500." in one.message
    assert dict(one.headers)["x-should-retry"] == "false"
    assert "retry-after" not in dict(one.headers)


class _Door(BaseHTTPRequestHandler):
    """Answers with the refusals first, then as OpenAI does."""

    refusals: ClassVar[list[Refusal]]
    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        type(self).asked += 1
        if self.refusals:
            one = self.refusals.pop(0)
            self._answer(one.status, one.body, one.headers)
        else:
            answer = {"id": "x", "object": "chat.completion", "created": 0, "model": "gpt-4o", "choices": []}
            self._answer(200, json.dumps(answer).encode(), ())

    def _answer(self, status: int, body: bytes, headers: Sequence[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("content-type", "application/json"), ("content-length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Says nothing."""


def asked_through(*refusals: Refusal) -> tuple[int, Exception | None]:
    """How often the official SDK asks at a door that refuses so, and what it raises in the end."""

    class Door(_Door):
        pass

    Door.refusals = list(refusals)
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        client = openai.OpenAI(api_key="sk-op-x", base_url=f"http://127.0.0.1:{server.server_port}/v1")
        with client:
            try:
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}])
            except openai.APIStatusError as error:
                return Door.asked, error
            finally:
                server.shutdown()
        return Door.asked, None


def test_the_official_sdk_comes_back_by_itself() -> None:
    soon = Standing(Ask("requests", 3, 1), used=3, wait_seconds=0.02, resets_seconds=0.05)

    assert asked_through(refusal(soon), refusal(soon)) == (3, None)


def test_the_official_sdk_does_not_come_back_in_vain() -> None:
    asked, error = asked_through(
        refusal(Standing(Ask("tokens", 10, 11), used=0, wait_seconds=None, resets_seconds=0.0))
    )

    assert asked == 1
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "rate_limit_exceeded"
    assert error.type == "tokens"


class Line:
    """A store that may be out of reach; while it is not, it counts in memory."""

    def __init__(self) -> None:
        self.works = True
        self.asked = 0
        self._behind = MemoryLimits()

    async def take(self, user_id: str, name: str, asks: Sequence[Ask]) -> Sequence[Standing]:
        self._reach()
        return await self._behind.take(user_id, name, asks)

    async def end(self, user_id: str, name: str, correction: int) -> None:
        self._reach()
        await self._behind.end(user_id, name, correction)

    async def close(self) -> None:
        """Nothing is open."""

    def _reach(self) -> None:
        self.asked += 1
        if not self.works:
            raise RateLimitStoreError("ConnectionError")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def ask(limits: RateLimits, rpm: int = 2) -> Admission | TooMany:
    return await limits.admit(
        "ada", requests_per_minute=rpm, tokens_per_minute=None, concurrent_requests=None, tokens=10
    )


def test_while_the_shared_store_is_out_of_reach_each_instance_counts_for_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def scene() -> None:
        clock, line = Clock(), Line()
        limits = RateLimits(MemoryLimits(clock), line, clock=clock)
        assert isinstance(await ask(limits), Admission)
        line.works = False
        assert isinstance(await ask(limits), Admission)
        assert isinstance(await ask(limits), Admission)
        assert isinstance(await ask(limits), TooMany)
        line.works = True
        clock.now += 10
        assert isinstance(await ask(limits), Admission)
        assert isinstance(await ask(limits), TooMany)

    asyncio.run(scene())
    (line,) = capsys.readouterr().err.splitlines()
    assert "RATE_LIMIT_URL cannot be reached" in json.loads(line)["message"]


def test_a_store_that_is_out_of_reach_is_not_asked_by_every_request_and_told_of_once_a_minute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def scene() -> None:
        clock, line = Clock(), Line()
        limits = RateLimits(MemoryLimits(clock), line, clock=clock)
        before = await ask(limits, rpm=10**6)
        assert isinstance(before, Admission)
        line.works, line.asked = False, 0
        for _ in range(1500):
            clock.now += 0.1
            admission = await ask(limits, rpm=10**6)
            assert isinstance(admission, Admission)
            await admission.end(5)
        await before.end(5)
        assert line.asked <= 40

    asyncio.run(scene())
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_an_end_that_cannot_be_told_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> None:
        line = Line()
        limits = RateLimits(MemoryLimits(), line)
        admission = await ask(limits)
        assert isinstance(admission, Admission)
        line.works = False
        await admission.end(5)
        await limits.close()

    asyncio.run(scene())
    assert "cannot be reached" in capsys.readouterr().err
