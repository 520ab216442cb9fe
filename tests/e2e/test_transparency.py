"""A member sees through the proxy what they would see of OpenAI directly, byte for byte; OpenAI sees the team."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from exchanges import Got, ask, bearer, receive, send
from ledger_check import assert_ledger_equals
from serving import TEAM_KEY, CountingUpstream, Serving, serving, wait_for

pytestmark = pytest.mark.e2e

_QUESTION = "How many people need water on a day, and was für ein Café? \u4e16\u754c \U0001f600"
_CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": _QUESTION}]}
_STREAM = {**_CHAT, "stream": True}
_PROMPT = {"model": "gpt-3.5-turbo-instruct", "prompt": _QUESTION}
_INPUT = {"model": "gpt-5-mini", "input": _QUESTION}
# Documented as changed: what belongs to one connection, and what we add.
_OF_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "date", "server"}
_NOT_PASSED = {"set-cookie", "alt-svc"}
_OURS = {"x-openai-proxy-request-id", "server-timing"}


@dataclass(frozen=True, slots=True)
class Exchange:
    name: str
    method: str
    path: str
    body: bytes | None = None
    orders: str = ""


def _json(name: str, path: str, body: Mapping[str, Any], orders: str = "") -> Exchange:
    return Exchange(name, "POST", path, json.dumps(body, ensure_ascii=False).encode(), orders)


def _exchanges() -> Iterator[Exchange]:
    asked = {**_STREAM, "stream_options": {"include_usage": True}}
    refused = {**_STREAM, "stream_options": {"include_usage": False, "include_obfuscation": True}}
    yield _json("chat", "/chat/completions", _CHAT)
    yield _json("chat gzip", "/chat/completions", _CHAT, "gzip")
    yield _json("chat slow", "/chat/completions", _CHAT, "first=50 slow=50")
    yield _json("chat cut", "/chat/completions", _CHAT, "cut-after=1")
    yield _json("chat byte by byte", "/chat/completions", _CHAT, "split")
    yield _json("chat with a query", "/chat/completions?beta=true&x=%2F", _CHAT)
    for orders in ("", "split", "crlf", "crlf split", "comments", "comments crlf split", "deltas=0", "deltas=500"):
        yield _json(f"chat stream {orders}", "/chat/completions", _STREAM, orders)
        yield _json(f"chat stream, usage asked {orders}", "/chat/completions", asked, orders)
        yield _json(f"completion stream {orders}", "/completions", {**_PROMPT, "stream": True}, orders)
        yield _json(f"response stream {orders}", "/responses", {**_INPUT, "stream": True}, orders)
    for orders in ("", "split", "crlf"):
        yield _json(f"chat stream, usage refused {orders}", "/chat/completions", refused, orders)
    for orders in ("cut-after=3", "crlf cut-after=3", "incomplete", "failed"):
        yield _json(f"response stream {orders}", "/responses", {**_INPUT, "stream": True}, orders)
        yield _json(f"chat stream {orders}", "/chat/completions", _STREAM, orders)
    yield _json("chat stream gzip, usage asked", "/chat/completions", asked, "gzip")
    yield _json("response stream gzip", "/responses", {**_INPUT, "stream": True}, "gzip")
    yield _json("chat stream error-after=3", "/chat/completions", _STREAM, "error-after=3")
    yield _json("chat odd-header", "/chat/completions", _CHAT, "odd-header")
    yield _json("stream_options is a number", "/chat/completions", {**_STREAM, "stream_options": 5}, "fail=400")
    yield _json("stream_options is null", "/chat/completions", {**_STREAM, "stream_options": None})
    yield _json("completion", "/completions", _PROMPT)
    yield _json("response", "/responses", _INPUT)
    yield _json("response incomplete", "/responses", _INPUT, "incomplete")
    yield _json("response gzip", "/responses", _INPUT, "gzip")
    yield _json("input tokens", "/responses/input_tokens", _INPUT)
    yield _json("compact", "/responses/compact", _INPUT)
    yield _json("embedding", "/embeddings", {"model": "text-embedding-3-small", "input": _QUESTION})
    yield _json("embeddings", "/embeddings", {"model": "text-embedding-3-small", "input": [_QUESTION, "b"]}, "gzip")
    yield _json("token embeddings", "/embeddings", {"model": "text-embedding-3-small", "input": [[1, 2, 3]]})
    yield _json("moderation", "/moderations", {"model": "omni-moderation-latest", "input": _QUESTION})
    yield Exchange("models", "GET", "/models")
    yield Exchange("a model", "GET", "/models/gpt-4o-mini")
    yield Exchange("a fine-tuned model", "GET", "/models/ft:gpt-4o-mini:team::abc")
    yield Exchange("a response that is not there", "GET", "/responses/resp_none?include[]=x")
    yield Exchange("deleting it", "DELETE", "/responses/resp_none")
    yield Exchange("cancelling it", "POST", "/responses/resp_none/cancel", b"")
    yield Exchange("its items", "GET", "/responses/resp_none/input_items")
    for status in (400, 401, 404, 409, 429, 500, 502, 503):
        yield _json(f"error {status}", "/chat/completions", _CHAT, f"fail={status}")
        yield _json(f"error {status} to a stream", "/chat/completions", _STREAM, f"fail={status}")
    yield _json("no model", "/chat/completions", {"messages": []})
    yield _json("no such model", "/responses", {**_INPUT, "model": "no-such-model"})
    yield Exchange("not JSON", "POST", "/chat/completions", b'{"model": "gpt-4o-mini", "messages": [')
    yield Exchange("a list", "POST", "/chat/completions", b"[1, 2]")
    yield Exchange("no body", "POST", "/chat/completions", b"")
    yield Exchange("odd spaces", "POST", "/responses", b' {"input" :\t"a" , "model":"gpt-4o"\r\n} ')


EXCHANGES = tuple(_exchanges())


@pytest.fixture(scope="module")
def proxy(upstream: CountingUpstream) -> Iterator[Serving]:
    with serving(upstream) as one:
        yield one


@pytest.fixture(scope="module")
def key(proxy: Serving) -> str:
    return proxy.add_user("alice", "--team", "research")


def _passed_on(got: Got, *names: set[str]) -> list[tuple[str, str]]:
    dropped = _OF_A_CONNECTION.union(*names)
    return [(name, value) for name, value in got.headers if name not in dropped]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_an_exchange_is_the_same_through_the_proxy(
    upstream: CountingUpstream, proxy: Serving, key: str, exchange: Exchange
) -> None:
    orders = {"x_upstream_orders": exchange.orders} if exchange.orders else {}

    direct = ask(
        upstream.base_url, exchange.method, exchange.path, headers=bearer(TEAM_KEY, **orders), body=exchange.body
    )
    proxied = ask(proxy.base_url, exchange.method, exchange.path, headers=bearer(key, **orders), body=exchange.body)

    assert proxied.status == direct.status
    assert proxied.broken == direct.broken
    # Of an answer that breaks off, the last bytes are held back: they might have been its end.
    assert direct.body.startswith(proxied.body) if direct.broken else proxied.body == direct.body
    assert _passed_on(proxied, _OURS) == _passed_on(direct, _NOT_PASSED)
    assert proxied.header("server-timing") is not None
    event_id = proxied.header("x-openai-proxy-request-id")
    assert event_id is not None
    seen = upstream.served_as(event_id)
    assert seen["team_key"]
    (seen_directly,) = upstream.served(number=str(seen["number"] - 1))
    assert [seen[part] for part in ("method", "path", "query")] == [
        seen_directly[part] for part in ("method", "path", "query")
    ]
    assert _of_the_member(seen) == _of_the_member(seen_directly)
    if not _asks_for_usage(exchange):
        assert seen["body_sha256"] == hashlib.sha256(exchange.body or b"").hexdigest()


def _of_the_member(seen: Mapping[str, Any]) -> dict[str, str]:
    """The request headers that the upstream got, but for those of a connection, the length, and our request id."""
    ours = {"accept-encoding", "connection", "content-length", "transfer-encoding", "x-client-request-id"}
    return {name: value for name, value in seen["headers"].items() if name not in ours}


def _asks_for_usage(exchange: Exchange) -> bool:
    """Whether the proxy must ask for the usage, since the member did not: the one change to a body."""
    asked = exchange.path in {"/chat/completions", "/completions"} and b'"stream": true' in (exchange.body or b"")
    return asked and b'"include_usage": true' not in (exchange.body or b"")


def test_a_compressed_stream_loses_what_was_not_asked_for_and_nothing_else(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    body = json.dumps(_STREAM).encode()

    direct = ask(upstream.base_url, "POST", "/chat/completions", headers=bearer(TEAM_KEY), body=body)
    proxied = ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key, x_upstream_orders="gzip"), body=body)

    text = proxied.body
    if proxied.header("content-encoding") == "gzip":
        text = zlib.decompressobj(31).decompress(text)
    assert text == direct.body
    event_id = proxied.header("x-openai-proxy-request-id")
    assert event_id is not None
    assert proxy.record(event_id)["usage_source"] == "reported"


def test_all_exchanges_are_in_the_ledger_as_the_upstream_billed_them(
    proxy: Serving, upstream: CountingUpstream
) -> None:
    # The direct ones have no id of the proxy's.
    mine = [{**one, "user": "alice"} for one in upstream.served() if one["event_id"]]
    assert_ledger_equals(mine, proxy.all_finished())


def test_events_arrive_as_soon_as_they_are_sent(upstream: CountingUpstream, proxy: Serving, key: str) -> None:
    upstream.reset()
    headers = bearer(key, x_upstream_orders="gate=3 deltas=6")
    answer = send(proxy.base_url, "POST", "/chat/completions", headers=headers, body=json.dumps(_STREAM).encode())
    raw: Any = answer.raw
    pieces = raw.stream(1024, decode_content=False)

    early = b""
    while early.count(b"\n\n") < 3:  # the upstream sends no fourth before the gate opens
        early += next(pieces)
    upstream.open_gate()
    late = b"".join(pieces)

    assert early.count(b"\n\n") == 3
    assert late.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions", "/openai"],
)
def test_each_form_of_the_path_leads_to_the_same_place(
    upstream: CountingUpstream, proxy: Serving, key: str, path: str
) -> None:
    got = ask(proxy.root, "POST", path, headers=bearer(key), body=json.dumps(_CHAT).encode())

    assert got.status == 200
    event_id = got.header("x-openai-proxy-request-id")
    assert event_id is not None
    assert upstream.served_as(event_id)["path"] == "/v1/chat/completions"


def test_the_ancestors_form_of_authorization_works_with_a_key(proxy: Serving, key: str) -> None:
    headers = {"authorization": f"UserName {key}", "content-type": "application/json"}

    got = ask(proxy.root, "POST", "/openai", headers=headers, body=json.dumps(_CHAT).encode())

    assert got.status == 200


def test_the_ancestors_curl_works_as_it_was_printed(proxy: Serving) -> None:
    body = b'{"model": "gpt-4", "messages": [{"role": "user", "content": "Hello world!"}]}'
    headers = {"authorization": "UserName demo", "content-type": "application/json"}

    got = ask(proxy.root, "POST", "/openai", headers=headers, body=body)

    assert got.status == 200
    assert json.loads(got.body)["model"] == "gpt-4-0613"


def test_openai_sees_the_team_and_nothing_of_the_member(upstream: CountingUpstream, proxy: Serving, key: str) -> None:
    kept = {
        "openai-beta": "responses_multi_agent=v1",
        "idempotency-key": "idem-1",
        "x-client-request-id": "the-members-own-id",
        "x-stainless-retry-count": "1",
        "user-agent": "a-members-script/1.0",
    }
    dropped = {
        "openai-organization": "org-of-the-member",
        "openai-project": "proj-of-the-member",
        "cookie": "session=members-cookie",
        "x-forwarded-for": "203.0.113.7",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "members-host",
        "forwarded": "for=203.0.113.7",
        "proxy-authorization": "Basic members-proxy",
    }

    ask(
        proxy.base_url,
        "POST",
        "/chat/completions",
        headers={**bearer(key), **kept, **dropped},
        body=json.dumps(_CHAT).encode(),
    )

    seen = upstream.served_as("the-members-own-id")
    assert seen["team_key"]
    assert {name: seen["headers"][name] for name in kept} == kept
    assert not dropped.keys() & seen["headers"].keys()
    assert key not in json.dumps(seen)


def _refusal(got: Got) -> dict[str, Any]:
    body = json.loads(got.body)
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


def test_who_has_no_valid_key_is_refused_and_not_told_why(upstream: CountingUpstream, proxy: Serving) -> None:
    revoked, expired = proxy.add_user("mallory"), "sk-op-expired"
    proxy.cli("user", "revoke", "mallory")
    _add_expired(proxy, expired)
    canary = "sk-op-canaryCanaryCanary"
    credentials = [
        None, "", "Bearer", "Bearer ", f"Basic {canary}", canary, f"Bearer {canary}", f"UserName {canary}",
        "UserName alice", f"Bearer {revoked}", f"Bearer {expired}", "Bearer " + "k" * 5000, f"Bearer {TEAM_KEY}",
    ]  # fmt: skip
    wait_for("the revocation to be seen", lambda: not proxy.lets_in(revoked))
    upstream.reset()

    answers = []
    for credential in credentials:
        headers = {"authorization": credential} if credential is not None else {}
        answers.append(ask(proxy.base_url, "POST", "/chat/completions", headers=headers, body=b"{}"))

    assert {(got.status, got.body) for got in answers} == {(401, answers[0].body)}
    assert _refusal(answers[0])["code"] == "invalid_api_key"
    assert canary not in str(answers)
    assert upstream.served() == []


def _add_expired(proxy: Serving, key: str) -> None:
    (access_file,) = proxy.data_dir.glob("*.toml")
    created = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    expires = datetime(2026, 1, 2, tzinfo=UTC).isoformat()
    digest = hashlib.sha256(key.encode()).hexdigest()
    with access_file.open("a") as file:
        file.write(
            f'\n[users.frank]\n[[users.frank.keys]]\nid = "key_old"\nsha256 = "{digest}"\n'
            f"created_time = {created}\nexpires_time = {expires}\n"
        )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/files"),
        ("GET", "/v1/organization/costs"),
        ("POST", "/v1/realtime/client_secrets"),
        ("GET", "/v1/chat/completions"),
        ("DELETE", "/v1/models/ft:x"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1//chat/completions"),
        ("GET", "/v1/models/../organization"),
        ("GET", "/v1/models/%2e%2e%2forganization"),
        ("GET", "/v1/responses/a%2Fcancel"),
        ("POST", "/openai/extra"),
    ],
)
def test_what_is_not_served_or_not_allowed_is_refused_in_openais_words(
    upstream: CountingUpstream, proxy: Serving, key: str, method: str, path: str
) -> None:
    upstream.reset()

    got = ask(proxy.root, method, path, headers=bearer(key))

    assert got.status in {403, 404}
    assert _refusal(got)["type"] == "invalid_request_error"
    assert upstream.served() == []


def test_a_websocket_is_refused_at_once_so_that_codex_falls_back(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    upstream.reset()
    headers = bearer(
        key,
        connection="Upgrade",
        upgrade="websocket",
        sec_websocket_version="13",
        sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
    )

    got = ask(proxy.root, "GET", "/v1/responses", headers=headers)

    assert got.status == 426
    assert _refusal(got)["message"]
    assert upstream.served() == []


def test_a_large_embeddings_answer_streams_through_and_is_metered(proxy: Serving, key: str) -> None:
    body = json.dumps({"model": "text-embedding-3-small", "input": ["a b c"] * 7}).encode()

    with _constant_memory(proxy):
        event_id, length = _pass(proxy, "/embeddings", bearer(key, x_upstream_orders="big=50000000"), body)

    assert length > 49_000_000
    assert (proxy.record(event_id)["usage_source"], proxy.record(event_id)["input_tokens"]) == ("reported", 21)


@pytest.mark.parametrize("stream", [True, False], ids=["a stream's last event", "a body"])
def test_a_large_response_streams_through_and_is_metered(
    upstream: CountingUpstream, proxy: Serving, key: str, *, stream: bool
) -> None:
    body = json.dumps({**_INPUT, "stream": stream}).encode()

    with _constant_memory(proxy):
        event_id, length = _pass(proxy, "/responses", bearer(key, x_upstream_orders="big=30000000"), body)

    assert length > 30_000_000
    record = proxy.record(event_id)
    assert record["usage_source"] == "reported"
    assert record["output_tokens"] == upstream.served_as(event_id)["billed"]["output"]


def test_a_large_request_streams_through(upstream: CountingUpstream, proxy: Serving, key: str) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"model": "gpt-5-mini", "input": "'
        for _ in range(1600):
            yield b"water day " * 6554
        yield b'"}'

    with _constant_memory(proxy):
        event_id, _ = _pass(proxy, "/responses", bearer(key), pieces())

    seen = upstream.served_as(event_id)
    assert seen["body_bytes"] > 100_000_000
    assert seen["body_sha256"] == hashlib.sha256(b"".join(pieces())).hexdigest()
    assert proxy.record(event_id)["input_tokens"] == seen["billed"]["input"]
    assert proxy.record(event_id)["request_model"] == "gpt-5-mini"


def _pass(proxy: Serving, path: str, headers: dict[str, str], body: bytes | Iterator[bytes]) -> tuple[str, int]:
    """The request's id, and the answer's length."""
    got = receive(send(proxy.base_url, "POST", path, headers=headers, body=body))
    assert got.status == 200
    event_id = got.header("x-openai-proxy-request-id")
    assert event_id is not None
    return event_id, len(got.body)


@contextlib.contextmanager
def _constant_memory(proxy: Serving) -> Iterator[None]:
    """That the proxy's peak grows by less than 40 MB within; looked at on Linux only."""
    workers = [one for one in proxy.tree() if re.search(r"--target[= ]proxy\b", one.command)]
    assert workers
    measured = [one for one in workers if one.measurable]
    for one in measured:
        one.forget_peak()
    before = [one.resident_bytes for one in measured]
    yield
    grown = [one.peak_bytes - held for one, held in zip(measured, before, strict=True)]
    assert all(growth < 40_000_000 for growth in grown), f"the proxy grew by {grown} bytes"
