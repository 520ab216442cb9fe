from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meters import HELD, PACKET, fed, filled, most_held
from openai_proxy.metering.responses_meters import ResponsesBody, ResponsesStream
from packets import Places, cut, every_two, places


def responses_stream(kind: str, response: Any, end: str = "\n") -> bytes:
    events: list[tuple[str, Any]] = [
        ("response.created", {"response": {"id": "resp_1", "model": "gpt-5", "usage": None}}),
        ("response.output_text.delta", {"delta": "Hello é"}),
        (kind, {"response": response}),
    ]
    return "".join(
        f"event: {name}{end}data: {json.dumps({'type': name} | data)}{end}{end}" for name, data in events
    ).encode()


RESPONSE = {
    "id": "resp_1", "model": "gpt-5-2025-08-07", "service_tier": "flex", "error": None,
    "usage": {"input_tokens": 3, "output_tokens": 2}, "tool_usage": {"web_search": {"num_requests": 1}},
}  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["response.completed", "response.incomplete", "response.failed"]),
    st.sampled_from(["\n", "\r\n"]),
    places,
)
def test_usage_is_read_from_each_terminal_event(kind: str, end: str, where: Places | None) -> None:
    stream = responses_stream(kind, RESPONSE, end)
    meter = ResponsesStream()

    assert fed(meter, cut(stream, where)) == stream
    reading = meter.reading
    assert reading.usage == RESPONSE["usage"]
    assert reading.tool_usage == RESPONSE["tool_usage"]
    assert (reading.model, reading.response_id, reading.service_tier) == ("gpt-5-2025-08-07", "resp_1", "flex")
    assert reading.output == ["Hello é"]
    assert reading.ended


def test_a_failed_response_names_its_error() -> None:
    meter = ResponsesStream()
    meter.feed(responses_stream("response.failed", RESPONSE | {"error": {"code": "rate_limit_exceeded"}}))

    assert meter.reading.error_type == "rate_limit_exceeded"
    assert meter.reading.usage == RESPONSE["usage"]


@pytest.mark.parametrize(("code", "error_type"), [("server_error", "server_error"), (None, "error"), ("", "error")])
def test_an_error_event_names_itself(code: str | None, error_type: str) -> None:
    meter = ResponsesStream()
    meter.feed(f"data: {json.dumps({'type': 'error', 'code': code, 'message': 'secret'})}\n\n".encode())

    assert meter.reading.error_type == error_type


@pytest.mark.parametrize("kind", ["response.completed", "response.in_progress"])
def test_a_final_event_of_30_mb_is_read_and_not_held(kind: str) -> None:
    head = f'event: {kind}\ndata: {{"type":"{kind}","response":{{"id":"resp_1","output":["'.encode()
    tail = b'"],"model":"gpt-5","usage":{"input_tokens":3},"tool_usage":null}}\n\n'
    meter = ResponsesStream()

    held = most_held(meter, filled(head, tail, 30_000_000))

    assert held < HELD + 3 * PACKET
    assert meter.reading.usage == {"input_tokens": 3}
    assert (meter.reading.model, meter.reading.response_id) == ("gpt-5", "resp_1")
    assert meter.reading.ended is (kind == "response.completed")


def test_a_large_final_event_without_its_blank_line_is_read() -> None:
    head = b'data: {"type":"response.completed","response":{"output":["'
    meter = ResponsesStream()
    for packet in filled(head, b'"],"usage":{"input_tokens":3}}}', 400_000):
        meter.feed(packet)
    meter.finish()

    assert meter.reading.usage == {"input_tokens": 3}
    assert meter.reading.ended


ITEMS: Any = [
    {"id": "rs_1", "type": "reasoning", "summary": []},
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"query": 'é"]}', "type": "search"}},
    {"id": "ws_2", "type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "u"}},
    {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["\\"], "results": None},
    {"id": "ci_1", "type": "code_interpreter_call", "status": "completed", "code": "1", "container_id": "cntr_1"},
    {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "aGk="},
    {"id": "msg_1", "type": "message", "content": [{"type": "web_search_call", "text": "an item in an item is none"}]},
]  # fmt: skip
TOOLS: Any = [
    {"type": "web_search", "filters": None},
    {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"], "memory_limit": "4g"}},
    {"type": "image_generation", "model": "gpt-image-1-mini", "size": "auto"},
    {"type": "function", "name": "f", "parameters": {"type": "code_interpreter", "container": {"type": "auto"}}},
]
CALLS = {
    "web_searches": 1, "file_searches": 1, "containers_4g": 1, "image_generations": 1,
    "image_model": "gpt-image-1-mini",
}  # fmt: skip
WITH_ITEMS = RESPONSE | {"output": ITEMS, "tools": TOOLS}
PADDING = "x" * 300_000  # makes an event or a body too large to be read whole


def item_events(items: Any, end: str = "\n", *, padding: str = "") -> bytes:
    """The beginning of a stream, up to its items."""
    head = {"type": "response.created", "response": {"id": "resp_1", "output": [], "tools": TOOLS, "usage": None}}
    events = [head] + [
        {"item": item | {"result": padding}, "output_index": place, "type": "response.output_item.done"}
        for place, item in enumerate(items)
    ]
    return "".join(f"event: {one['type']}{end}data: {json.dumps(one)}{end}{end}" for one in events).encode()


def terminal_event(items: Any, end: str = "\n", *, padding: str = "") -> bytes:
    response = {"padding": padding, **WITH_ITEMS, "output": items}
    event = {"response": response, "type": "response.completed"}
    return f"event: response.completed{end}data: {json.dumps(event)}{end}{end}".encode()


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["\n", "\r\n"]), places)
def test_items_are_counted_once_though_a_stream_tells_them_twice(end: str, where: Places | None) -> None:
    stream = item_events(ITEMS, end) + terminal_event(ITEMS, end)
    meter = ResponsesStream()

    assert fed(meter, cut(stream, where)) == stream
    assert meter.reading.tool_calls == CALLS
    assert meter.reading.usage == RESPONSE["usage"]
    assert meter.reading.ended


@pytest.mark.parametrize("padding", ["", PADDING])
@pytest.mark.parametrize("packet", [1000, PACKET, 1 << 24])
def test_items_are_counted_by_their_own_events_or_by_the_last_one(padding: str, packet: int) -> None:
    """A stream may be cut before its last event; a server may leave the items out of either."""
    for stream in (
        item_events(ITEMS, padding=padding),
        item_events([]) + terminal_event(ITEMS, padding=padding),
        item_events(ITEMS, padding=padding) + terminal_event([], padding=padding),
        item_events(ITEMS[:3], padding=padding) + terminal_event(ITEMS, padding=padding),
        item_events(ITEMS, padding=padding) + terminal_event(ITEMS, padding=padding),
        item_events(ITEMS) + terminal_event(ITEMS, padding=PADDING)[:-100_000],
    ):
        meter = ResponsesStream()

        assert fed(meter, [stream[at : at + packet] for at in range(0, len(stream), packet)]) == stream
        assert meter.reading.tool_calls == CALLS


def test_an_item_that_is_only_added_is_not_counted_yet() -> None:
    meter = ResponsesStream()
    meter.feed(item_events(ITEMS).replace(b"output_item.done", b"output_item.added"))

    assert meter.reading.tool_calls is None


@pytest.mark.parametrize("item", [None, 5, [ITEMS[1]], "x", {}])
def test_an_item_that_is_none_is_not_counted(item: object) -> None:
    meter = ResponsesStream()
    meter.feed(f"data: {json.dumps({'type': 'response.output_item.done', 'item': item})}\n\n".encode())

    assert meter.reading.tool_calls is None


def test_every_cut_of_a_large_body_counts_the_same() -> None:
    text = json.dumps(WITH_ITEMS, indent=1, ensure_ascii=False).encode()

    for packets in every_two(text):
        meter = ResponsesBody()
        assert fed(meter, packets) == text
        assert meter.reading.tool_calls == CALLS
        assert meter.reading.usage == RESPONSE["usage"]
        assert meter.reading.tool_usage == RESPONSE["tool_usage"]


@pytest.mark.parametrize("order", [["output", "tools"], ["tools", "output"]])
def test_a_body_of_30_mb_with_images_is_counted_and_not_held(order: list[str]) -> None:
    items = [item | {"result": "HERE"} if item["type"] == "image_generation_call" else item for item in ITEMS]
    members = {"output": items, "tools": TOOLS}
    body = {"id": "resp_1", **{name: members[name] for name in order}, "usage": {"input_tokens": 3}}
    head, _, tail = json.dumps(body).encode().partition(b"HERE")
    meter = ResponsesBody()

    held = most_held(meter, filled(head, tail, 30_000_000, b"QUJD"))

    assert held < HELD
    assert meter.reading.tool_calls == CALLS
    assert meter.reading.usage == {"input_tokens": 3}


def test_an_image_of_30_mb_in_an_item_of_its_own_is_counted_and_not_held() -> None:
    head = b'data: {"type":"response.output_item.done","item":{"type":"image_generation_call","result":"'
    meter = ResponsesStream()
    meter.feed(item_events([]))

    held = most_held(meter, filled(head, b'","status":"completed"}}\n\n', 30_000_000, b"QUJD"))

    assert held < HELD + 3 * PACKET
    assert meter.reading.tool_calls == {"image_generations": 1, "image_model": "gpt-image-1-mini"}


def test_a_body_of_many_items_is_counted_and_not_held() -> None:
    item = json.dumps(ITEMS[1]).encode() + b","
    packet = item * 50
    meter = ResponsesBody()

    held = most_held(meter, [b'{"output":[', *[packet] * 100, b'{"type":"message"}],"tools":[]}'])

    assert held < HELD
    assert meter.reading.tool_calls == {"web_searches": 5_000}


def test_a_body_that_is_cut_counts_the_items_that_came_whole() -> None:
    text = json.dumps({"output": [ITEMS[1], ITEMS[3] | {"text": PADDING}]}).encode()
    meter = ResponsesBody()
    meter.feed(text[:-1000])
    meter.finish()

    assert meter.reading.tool_calls == {"web_searches": 1}


def test_an_error_event_may_hold_its_error() -> None:
    meter = ResponsesStream()
    meter.feed(b'data: {"type":"error","error":{"type":"invalid_request_error","code":null,"message":"secret"}}\n\n')

    assert meter.reading.error_type == "invalid_request_error"
