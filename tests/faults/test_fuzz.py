"""10,000 random byte strings at every door: nothing crashes, nothing is told, no secret comes out again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import aiohttp
import pytest

from exchanges import ask, bearer
from openai_proxy.access.callers import Access, AccessFileError
from openai_proxy.events import MalformedEventError, UsageEvent
from serving import CountingUpstream, Serving, serving

_HEADS, _BODIES, _QUEUED, _EVENTS, _ACCESS_FILES = 2_500, 1_000, 500, 3_500, 2_500
_KEY_CANARY = "sk-op-canaryKeyWhichNobodyMaySeeAgain"
_PROMPT_CANARY = "canary prompt which nobody may see again"
_HASH_CANARY = "c0ffee" * 10 + "beef"
_AT_ONCE = 32
_SILENCE_SECONDS = 0.2  # a head that is not complete is waited for; then the next

_HEAD = (
    f"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {_KEY_CANARY}\r\n"
    "Content-Type: application/json\r\nAccept-Encoding: gzip\r\nContent-Length: 21\r\nConnection: close\r\n"
    'X-Stainless-Retry-Count: 1\r\n\r\n{"model": "gpt-4o"}  '
).encode()
_BODY = json.dumps(
    {
        "model": "gpt-4o-mini",
        "stream": True,
        "stream_options": {"include_usage": False},
        "temperature": 1e300,
        "messages": [{"role": "user", "content": f"\u4e16\u754c {_PROMPT_CANARY} \\u0000"}],
    },
    ensure_ascii=False,
).encode()
_EVENT = UsageEvent(
    event_id="0" * 32,
    event_type="finished",
    event_time=datetime(2026, 1, 1, tzinfo=UTC),
    user_id="alice",
    key_id="key_1",
    team_id=None,
    operation_name="chat",
    http_method="POST",
    url_path="/v1/chat/completions",
    request_model="gpt-4o-mini",
    stream=False,
    retry_count=0,
    usage_source="reported",
    usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    http_status_code=200,
).to_json()
_ACCESS_FILE = f"""\
version = 1
[users.alice]
team = "research"
role = "admin"
allow = ["background_responses"]
[[users.alice.keys]]
id = "key_1"
sha256 = "{_HASH_CANARY}"
created_time = 2026-01-01T00:00:00Z
expires_time = 2026-02-01T00:00:00+01:00
""".encode()
_SPICE = (
    b"\x00", b"\xff", b"\r\n", b"\n", b'"', b"\\", b"{", b"}", b"[" * 500, b"-1", b"1e999", b"9" * 400, b"null",
    b"true", b"NaN", b"\xf0\x9f", b"\\ud800", b":", b"Transfer-Encoding: chunked\r\n", b"Upgrade: websocket\r\n",
    b"%2e%2e/", b"../", b"Content-Length: 99999999999999999999\r\n", b"Expect: 100-continue\r\n", b" ", b"\t",
)  # fmt: skip


def _mutations(seed: str, good: bytes, count: int) -> Iterator[bytes]:
    """Byte strings: some wholly random, most a good one with a few wounds; each cut out is short (see `_wound`)."""
    dice = random.Random(seed)  # noqa: S311 - the same strings each time
    for _ in range(count):
        if dice.random() < 0.1:
            yield dice.randbytes(dice.randint(0, 300))
            continue
        text = good
        for _ in range(dice.randint(1, 6)):
            text = _wound(dice, text)
        yield text


def _wound(dice: random.Random, text: bytes) -> bytes:
    """No wound moves a part of the text, so a prompt does not become, say, the name of a model."""
    place = dice.randint(0, len(text))
    kind = dice.randrange(4)
    if kind == 0:
        return text[:place] + dice.choice(_SPICE) + text[place:]
    if kind == 1:
        return text[:place] + dice.randbytes(1) + text[place + 1 :]
    if kind == 2:
        return text[:place] + text[place + dice.randint(1, 4) :]
    return text[:place] if dice.random() < 0.2 else text


@pytest.fixture(scope="module")
def proxy(upstream: CountingUpstream) -> Iterator[Serving]:
    with serving(upstream, DRAIN_SECONDS="1") as one:
        yield one


@pytest.fixture(scope="module")
def key(proxy: Serving) -> str:
    return proxy.add_user("alice")


def _assert_unharmed(proxy: Serving, answers: list[bytes]) -> None:
    told = b"\n".join(answers)
    for secret in (_KEY_CANARY, _PROMPT_CANARY, "Traceback", 'File "'):
        assert secret.encode() not in told
    assert ask(proxy.root, "GET", "/healthz", headers={}).status == 200
    written = proxy.everything_written()
    for secret in (_KEY_CANARY, _PROMPT_CANARY):
        assert secret.encode() not in written
    output = proxy.stderr.read_bytes()
    assert b"Traceback" not in output
    assert b"a process ended" not in output


@pytest.mark.e2e
def test_no_request_head_harms_the_proxy(proxy: Serving) -> None:
    heads = list(_mutations("heads", _HEAD, _HEADS))

    answers = asyncio.run(_send_all(proxy.port, heads))

    assert sum(answer.startswith(b"HTTP/1.1 401") for answer in answers) > 100
    assert not [answer for answer in answers if answer.startswith(b"HTTP/1.1 5")]
    _assert_unharmed(proxy, answers)


async def _send_all(port: int, heads: list[bytes]) -> list[bytes]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(head: bytes) -> bytes:
        async with turns:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answer = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                writer.write(head)
                while part := await asyncio.wait_for(reader.read(65_536), _SILENCE_SECONDS):
                    answer += part
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            return answer

    return await asyncio.gather(*map(one, heads))


@pytest.mark.e2e
def test_no_request_body_harms_the_proxy(proxy: Serving, key: str) -> None:
    bodies = list(_mutations("bodies", _BODY, _BODIES))

    answers = asyncio.run(_post_all(proxy.base_url, key, bodies))

    assert {status for status, _ in answers} <= {200, 400}
    _assert_unharmed(proxy, [answer for _, answer in answers])
    records = proxy.all_finished()
    assert len({record["event_id"] for record in records}) == len(records) == _BODIES


async def _post_all(base_url: str, key: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    turns = asyncio.Semaphore(_AT_ONCE)
    paths = ("/chat/completions", "/responses", "/completions", "/embeddings")
    async with aiohttp.ClientSession(headers=bearer(key)) as session:

        async def one(number: int, body: bytes) -> tuple[int, bytes]:
            async with turns, session.post(base_url + paths[number % len(paths)], data=body) as answer:
                return answer.status, await answer.read()

        return await asyncio.gather(*(one(number, body) for number, body in enumerate(bodies)))


@pytest.mark.e2e
def test_no_queued_message_blocks_the_next(proxy: Serving, key: str) -> None:
    now = time.time_ns() // 1_000_000
    rows = [(message, now, now) for message in _mutations("queued", _EVENT, _QUEUED)]
    with contextlib.closing(sqlite3.connect(proxy.queue_file, timeout=30)) as connection, connection:
        connection.executemany("INSERT INTO messages (data, publish_time, next_attempt_time) VALUES (?, ?, ?)", rows)

    got = ask(proxy.base_url, "GET", "/models", headers=bearer(key))

    event_id = got.header("x-openai-proxy-request-id")
    assert event_id is not None
    assert proxy.record(event_id)["event_type"] == "finished"
    assert proxy.dead_letters() > _QUEUED / 2
    _assert_unharmed(proxy, [])


def test_any_bytes_are_an_event_or_a_malformed_one() -> None:
    refusals = []
    for message in _mutations("events", _EVENT, _EVENTS):
        try:
            UsageEvent.from_json(message).to_json()
        except MalformedEventError as error:
            refusals.append(str(error))

    assert len(refusals) > _EVENTS / 2
    assert max(map(len, refusals)) < 200


def test_any_text_is_an_access_file_or_a_broken_one_that_tells_no_hash() -> None:
    refusals = []
    for text in _mutations("access files", _ACCESS_FILE, _ACCESS_FILES):
        try:
            Access.parse(text.decode("utf-8", "surrogateescape"))
        except AccessFileError as error:
            refusals.append(str(error))

    assert len(refusals) > _ACCESS_FILES / 2
    assert not [refusal for refusal in refusals if _HASH_CANARY[:16] in refusal]
