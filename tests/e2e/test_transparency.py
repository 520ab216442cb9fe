"""A member sees through the proxy what they would see of OpenAI directly, byte for byte; OpenAI sees the team."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from exchanges import Got, ask, bearer, receive, send
from ledger_check import assert_ledger_equals
from openai_proxy.api.endpoints import ENDPOINTS
from openai_proxy.api.permissions import PERMISSIONS
from openai_proxy.keys import new_key
from processes import constant_memory
from recorded_exchanges import CHAT, EXCHANGES, INPUT, STREAM, Exchange
from serving import TEAM_KEY, CountingUpstream, Serving, serving, wait_for

pytestmark = pytest.mark.e2e

# Documented as changed: what belongs to one connection, and what we add.
_OF_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "date", "server"}
_NOT_PASSED = {"set-cookie", "alt-svc"}
_OURS = {"x-openai-proxy-request-id", "server-timing"}
_MOST_GROWTH = 40_000_000


@pytest.fixture(scope="module")
def proxy(upstream: CountingUpstream) -> Iterator[Serving]:
    with serving(upstream) as one:
        one.allow_team("research", *PERMISSIONS)
        yield one


@pytest.fixture(scope="module")
def key(proxy: Serving) -> str:
    return proxy.add_user("alice", "--team", "research")


@pytest.fixture(scope="module")
def guest_key(proxy: Serving) -> str:
    """Of somebody to whom nothing is allowed that is not allowed to all."""
    return proxy.add_user("guest")


def _passed_on(got: Got, *names: set[str]) -> list[tuple[str, str]]:
    dropped = _OF_A_CONNECTION.union(*names)
    return [(name, value) for name, value in got.headers if name not in dropped]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_an_exchange_is_the_same_through_the_proxy(
    upstream: CountingUpstream, proxy: Serving, key: str, exchange: Exchange
) -> None:
    direct, proxied = _both_ways(upstream, proxy, key, exchange)

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
    if not exchange.asks_for_usage:
        assert seen["body_sha256"] == hashlib.sha256(exchange.body or b"").hexdigest()


def _of_the_member(seen: Mapping[str, Any]) -> dict[str, str]:
    """The request headers that the upstream got, but for those of a connection, the length, and our request id."""
    ours = {"accept-encoding", "connection", "content-length", "transfer-encoding", "x-client-request-id"}
    return {name: value for name, value in seen["headers"].items() if name not in ours}


def _both_ways(upstream: CountingUpstream, proxy: Serving, key: str, exchange: Exchange) -> tuple[Got, Got]:
    """The answer to the same request, asked directly and then through the proxy; so is what it needs before."""
    path = exchange.path
    if exchange.made:
        made = _both_ways(upstream, proxy, key, exchange.made)
        ids = {json.loads(got.body)["id"] for got in made}
        assert len(ids) == 1
        path = path.replace("{id}", *ids)
    more = {"x_upstream_orders": exchange.orders} if exchange.orders else {}
    more["content_type"] = exchange.content_type
    direct = ask(upstream.base_url, exchange.method, path, headers=bearer(TEAM_KEY, **more), body=exchange.body)
    proxied = ask(proxy.base_url, exchange.method, path, headers=bearer(key, **more), body=exchange.body)
    return direct, proxied


def test_there_are_exchanges_of_every_endpoint_that_the_upstream_serves() -> None:
    asked = {re.sub(r"/(none|resp_none|ft:.*|gpt-.*)$", "/{id}", one.path.partition("?")[0]) for one in EXCHANGES}

    assert len(EXCHANGES) >= 200
    assert len({one.name for one in EXCHANGES}) == len(EXCHANGES)
    assert {endpoint.path for endpoint in ENDPOINTS if endpoint.permission is None} - asked == {"/images/variations"}


def test_a_compressed_stream_loses_what_was_not_asked_for_and_nothing_else(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    body = json.dumps(STREAM).encode()

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


_EVENTS_COME_SINGLY = [
    one for one in EXCHANGES if "stream" in one.name and one.orders in {"", "crlf", "comments"} and not one.made
]


@pytest.mark.parametrize("exchange", _EVENTS_COME_SINGLY, ids=lambda exchange: exchange.name)
def test_an_event_reaches_the_client_before_the_next_is_sent(
    upstream: CountingUpstream, proxy: Serving, key: str, exchange: Exchange
) -> None:
    upstream.reset()
    path, orders = exchange.path, f"step {exchange.orders}".strip()
    headers = bearer(key, x_upstream_orders=orders, content_type=exchange.content_type)
    dropped = 1 if exchange.asks_for_usage else 0  # the event that tells the usage, which nobody had asked for

    answer = send(proxy.base_url, "POST", path, headers=headers, body=exchange.body)
    raw: Any = answer.raw
    packets = raw.stream(1_000_000, decode_content=False)
    events = []
    while True:
        event = _next_event(packets)
        if not event:
            break
        events.append(event)
        upstream.step()  # the upstream sends no other before
        if dropped and b'"finish_reason":"stop"' in event:
            upstream.step()

    direct, proxied = _both_ways(upstream, proxy, key, exchange)
    assert b"".join(events) == proxied.body == direct.body
    assert events


def _next_event(packets: Iterator[bytes]) -> bytes:
    """All that comes up to the end of an event; a comment before one comes with it."""
    held = b""
    for packet in packets:
        held += packet
        if held.endswith((b"}\n\n", b"}\r\n\r\n", b"[DONE]\n\n", b"[DONE]\r\n\r\n")):
            return held
    return held


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions", "/openai"],
)
def test_each_form_of_the_path_leads_to_the_same_place(
    upstream: CountingUpstream, proxy: Serving, key: str, path: str
) -> None:
    got = ask(proxy.root, "POST", path, headers=bearer(key), body=json.dumps(CHAT).encode())

    assert got.status == 200
    event_id = got.header("x-openai-proxy-request-id")
    assert event_id is not None
    assert upstream.served_as(event_id)["path"] == "/v1/chat/completions"


def test_the_ancestors_form_of_authorization_works_with_a_key(proxy: Serving, key: str) -> None:
    headers = {"authorization": f"UserName {key}", "content-type": "application/json"}

    got = ask(proxy.root, "POST", "/openai", headers=headers, body=json.dumps(CHAT).encode())

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
        body=json.dumps(CHAT).encode(),
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
    revoked, expired = proxy.add_user("mallory"), new_key()
    proxy.cli("user", "revoke", "mallory")
    _add_expired(proxy, expired)
    canary = new_key()
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
    created = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    expires = datetime(2026, 1, 2, tzinfo=UTC).isoformat()
    digest = hashlib.sha256(key.encode()).hexdigest()
    with proxy.access_file.open("a") as file:
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
    upstream: CountingUpstream, proxy: Serving, guest_key: str, method: str, path: str
) -> None:
    upstream.reset()

    got = ask(proxy.root, method, path, headers=bearer(guest_key))

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

    with constant_memory(proxy.named("--target=proxy"), most_growth=_MOST_GROWTH):
        event_id, length = _pass(proxy, "/embeddings", bearer(key, x_upstream_orders="big=50000000"), body)

    assert length > 49_000_000
    assert (proxy.record(event_id)["usage_source"], proxy.record(event_id)["input_tokens"]) == ("reported", 21)


@pytest.mark.parametrize("stream", [True, False], ids=["a stream's last event", "a body"])
def test_a_large_response_streams_through_and_is_metered(
    upstream: CountingUpstream, proxy: Serving, key: str, *, stream: bool
) -> None:
    body = json.dumps({**INPUT, "stream": stream}).encode()

    with constant_memory(proxy.named("--target=proxy"), most_growth=_MOST_GROWTH):
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

    with constant_memory(proxy.named("--target=proxy"), most_growth=_MOST_GROWTH):
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
