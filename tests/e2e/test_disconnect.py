"""Who hangs up early is metered all the same; and whatever OpenAI does, the request has its record."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from exchanges import ask, bearer, send
from serving import CountingUpstream, Serving, free_port, serving, wait_for

pytestmark = pytest.mark.e2e

_WORDS = "how many people need water on a day and what is the way to the house of an answer " * 8
_QUESTIONS: Mapping[str, Mapping[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": _WORDS}]},
    "/responses": {"input": _WORDS},
    "/completions": {"prompt": _WORDS},
}


@pytest.fixture(scope="module")
def proxy(upstream: CountingUpstream) -> Iterator[Serving]:
    settings = {"DRAIN_SECONDS": "1", "DRAIN_BYTES": "300000", "MAX_DRAINS": "8", "UPSTREAM_SILENCE_SECONDS": "2"}
    with serving(upstream, **settings) as one:
        yield one


@pytest.fixture(scope="module")
def key(proxy: Serving) -> str:
    return proxy.add_user("alice")


def _chat(orders: str, *, stream: bool = True) -> bytes:
    """A body whose model is the orders: so the record and the upstream's entry can be found by it."""
    messages = [{"role": "user", "content": _WORDS}]
    return json.dumps({"model": f"gpt-4o-mini+{orders}", "messages": messages, "stream": stream}).encode()


def _leave_after(proxy: Serving, key: str, path: str, body: bytes, events: int) -> str:
    """The id of a stream that was left after some events."""
    answer = send(proxy.base_url, "POST", path, headers=bearer(key), body=body)
    raw: Any = answer.raw
    seen = b""
    pieces = raw.stream(1024, decode_content=False)
    while seen.count(b"\n\n") < events:
        seen += next(pieces)
    answer.close()
    return answer.headers["x-openai-proxy-request-id"]


def _leave_at_once(proxy: Serving, key: str, body: bytes) -> None:
    with contextlib.suppress(requests.Timeout):
        requests.post(proxy.base_url + "/chat/completions", headers=bearer(key), data=body, timeout=0.25)
        raise AssertionError("the answer came before the client could leave")


def _record_of(proxy: Serving, orders: str) -> dict[str, Any]:
    """The final record of the one request with these orders."""

    def found() -> dict[str, Any] | None:
        records = [one for one in proxy.settled() if one["request_model"] == f"gpt-4o-mini+{orders}"]
        return next((one for one in records if one["event_type"] == "finished"), None)

    return wait_for("the request's final record", found)


def _served(upstream: CountingUpstream, event_id: str) -> dict[str, Any]:
    """What the upstream has of a request, once it has let go of it."""

    def ended() -> dict[str, Any] | None:
        seen = upstream.served_as(event_id)
        return seen if seen["ended"] else None

    return wait_for("the upstream to be left", ended)


def _assert_as_billed(record: dict[str, Any], seen: dict[str, Any]) -> None:
    assert seen["completed"]
    assert record["usage_source"] == "reported"
    counted = [
        record[name] or 0
        for name in ("input_tokens", "cache_read_input_tokens", "output_tokens", "reasoning_output_tokens")
    ]
    assert counted == list(seen["billed"].values())


def _assert_plausible(record: dict[str, Any], seen: dict[str, Any]) -> None:
    """An estimate within a tenth of what the upstream had sent when it was left."""
    assert record["usage_source"] == "estimated"
    assert record["input_tokens"] == pytest.approx(seen["billed"]["input"], rel=0.1)
    assert record["output_tokens"] == pytest.approx(seen["tokens_sent"], rel=0.1, abs=3)
    assert record["priced"]


@pytest.mark.parametrize("left_after", [1, 5, 38])
def test_the_rest_of_a_stream_is_read_for_a_client_that_left(
    upstream: CountingUpstream, proxy: Serving, key: str, left_after: int
) -> None:
    body = _chat(f"deltas=40+slow=10+left={left_after}")

    event_id = _leave_after(proxy, key, "/chat/completions", body, left_after)

    record = proxy.record(event_id)
    _assert_as_billed(record, _served(upstream, event_id))
    assert record["client_disconnected"]
    assert record["http_status_code"] == 200


def test_the_rest_of_a_response_is_read_for_a_client_that_left(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    body = json.dumps({"model": "gpt-5-mini+deltas=40+slow=10", "input": _WORDS, "stream": True}).encode()

    event_id = _leave_after(proxy, key, "/responses", body, 5)

    record = proxy.record(event_id)
    _assert_as_billed(record, _served(upstream, event_id))
    assert record["client_disconnected"]


@pytest.mark.parametrize("path", _QUESTIONS)
def test_a_long_stream_is_closed_and_estimated_when_its_client_left(
    upstream: CountingUpstream, proxy: Serving, key: str, path: str
) -> None:
    question = _QUESTIONS[path]
    body = json.dumps({"model": "gpt-4o-mini+deltas=100000+slow=5", "stream": True, **question}).encode()

    event_id = _leave_after(proxy, key, path, body, 60)

    seen = _served(upstream, event_id)
    assert not seen["completed"]
    record = proxy.record(event_id)
    _assert_plausible(record, seen)
    assert record["client_disconnected"]


def test_a_fast_long_stream_is_closed_after_the_bytes_allowed(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    event_id = _leave_after(proxy, key, "/chat/completions", _chat("deltas=100000"), 3)

    seen = _served(upstream, event_id)
    assert not seen["completed"]
    record = proxy.record(event_id)
    assert record["usage_source"] == "estimated"
    # The upstream's count runs ahead by what the sockets between hold, so only a floor and a ceiling are certain.
    assert 100 < record["output_tokens"] <= seen["tokens_sent"]


def test_more_clients_that_left_than_may_be_waited_for_are_estimated_at_once(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    ids = [
        _leave_after(proxy, key, "/chat/completions", _chat(f"deltas=3000+slow=50+number={number}"), 2)
        for number in range(12)
    ]

    for event_id in ids:
        assert not _served(upstream, event_id)["completed"]
        assert proxy.record(event_id)["usage_source"] == "estimated"


def test_an_answer_in_one_piece_is_read_for_a_client_that_left(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    orders = "first=500+slow=100"

    _leave_at_once(proxy, key, _chat(orders, stream=False))

    record = _record_of(proxy, orders)
    _assert_as_billed(record, _served(upstream, record["event_id"]))
    assert record["client_disconnected"]


def test_a_stream_is_read_for_a_client_that_left_before_it_began(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    orders = "first=500+slow=3+deltas=9"

    _leave_at_once(proxy, key, _chat(orders))

    record = _record_of(proxy, orders)
    _assert_as_billed(record, _served(upstream, record["event_id"]))
    assert record["client_disconnected"]


def test_an_upstream_that_never_answers_is_let_go_when_the_client_left(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    orders = "hang+left"

    _leave_at_once(proxy, key, _chat(orders, stream=False))

    record = _record_of(proxy, orders)
    assert _served(upstream, record["event_id"])["completed"] is False
    assert record["usage_source"] in {"estimated", "unknown"}
    assert record["client_disconnected"]


@pytest.mark.parametrize("sent_bytes", [300, 2_000_000])
def test_a_client_that_left_while_it_sent_its_request_costs_nothing(
    upstream: CountingUpstream, proxy: Serving, key: str, sent_bytes: int
) -> None:
    model = f"gpt-4o-mini+half={sent_bytes}"
    before = {one["event_id"] for one in upstream.served()}
    head = (
        f"POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {sent_bytes * 2}\r\n\r\n"
        f'{{"model": "{model}", "input": "'
    )

    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(head.encode() + b"water day " * (sent_bytes // 10))
        time.sleep(0.3)  # so that the proxy has begun with what it has

    seen = [one["event_id"] for one in upstream.served() if one["event_id"] not in before]
    ledger = {record["event_id"]: record for record in proxy.all_finished()}
    assert len(seen) == (sent_bytes > 1_000_000)  # a body that is not large is read first
    for event_id in seen:
        assert ledger[event_id]["usage_source"] == "none"
        assert ledger[event_id]["client_disconnected"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "one piece"])
def test_an_upstream_that_breaks_off_has_a_record_that_says_so(
    upstream: CountingUpstream, proxy: Serving, key: str, *, stream: bool
) -> None:
    orders = f"deltas=60+slow=2+cut-after=50+stream={int(stream)}"

    got = ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key), body=_chat(orders, stream=stream))

    assert got.broken
    record = _record_of(proxy, orders)
    assert record["error_type"] == "upstream_disconnected"
    assert record["http_status_code"] == 200
    assert not record["client_disconnected"]
    if stream:
        _assert_plausible(record, _served(upstream, record["event_id"]))
    else:
        assert record["usage_source"] in {"estimated", "unknown"}


def test_a_stream_that_ends_with_an_error_has_a_record_that_says_so(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    orders = "deltas=60+error-after=50"

    got = ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key), body=_chat(orders))

    assert not got.broken
    record = _record_of(proxy, orders)
    assert (record["http_status_code"], record["error_type"]) == (200, "server_error")
    _assert_plausible(record, _served(upstream, record["event_id"]))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "one piece"])
def test_an_upstream_that_closes_without_an_answer_is_a_502(proxy: Serving, key: str, *, stream: bool) -> None:
    orders = f"refuse+stream={int(stream)}"

    got = ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key), body=_chat(orders, stream=stream))

    assert got.status == 502
    assert json.loads(got.body)["error"]["code"] == "upstream_disconnected"
    record = _record_of(proxy, orders)
    assert (record["http_status_code"], record["error_type"]) == (502, "upstream_disconnected")
    assert record["usage_source"] in {"estimated", "unknown"}  # OpenAI may have begun


def test_an_upstream_that_is_silent_for_too_long_is_a_504(upstream: CountingUpstream, proxy: Serving, key: str) -> None:
    orders = "hang+waited"

    got = ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key), body=_chat(orders))

    assert got.status == 504
    assert json.loads(got.body)["error"]["code"] == "upstream_timeout"
    record = _record_of(proxy, orders)
    assert (record["http_status_code"], record["error_type"]) == (504, "upstream_timeout")
    assert record["usage_source"] in {"estimated", "unknown"}
    assert not _served(upstream, record["event_id"])["completed"]


def test_an_upstream_that_falls_silent_in_a_stream_is_let_go(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    upstream.reset()
    orders = "gate=20+deltas=30"

    got = ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key), body=_chat(orders))

    assert got.broken
    record = _record_of(proxy, orders)
    assert (record["http_status_code"], record["error_type"]) == (200, "upstream_timeout")
    _assert_plausible(record, _served(upstream, record["event_id"]))


def test_an_upstream_that_cannot_be_reached_costs_nothing() -> None:
    with serving(f"http://127.0.0.1:{free_port()}/v1") as proxy:
        key = proxy.add_user("alice")

        got = ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key), body=_chat("never"))

        (record,) = proxy.all_finished()
    assert got.status == 502
    assert json.loads(got.body)["error"]["code"] == "upstream_unreachable"
    assert (record["http_status_code"], record["error_type"]) == (502, "upstream_unreachable")
    assert (record["usage_source"], record["user_id"]) == ("none", "alice")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "one piece"])
def test_an_answer_that_cannot_be_read_is_passed_on_and_its_usage_is_not_known(
    upstream: CountingUpstream, proxy: Serving, key: str, *, stream: bool
) -> None:
    orders = f"liar+stream={int(stream)}"

    ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key), body=_chat(orders, stream=stream))

    record = _record_of(proxy, orders)
    assert _served(upstream, record["event_id"])["team_key"]
    assert record["usage_source"] in {"estimated", "unknown"}
