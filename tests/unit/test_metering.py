from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.body_meter import BodyMeter, ObjectMeter
from openai_proxy.chat_stream import ChatStream, UnaskedUsageFilter
from openai_proxy.decoding import Decoder
from openai_proxy.metering import EVENT_STREAM, Meter, NoMeter, meter_for
from openai_proxy.responses_meters import ResponsesStream
from packets import Places, cut, every_two, places

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 0}}
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06", "service_tier": "default"}
LARGE = 64 * 1024
HELD = 1024 * 1024

contents = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ['{"a":1,"usage":null}', ',"usage":null', '"usage":null,', "[DONE]", "data: x\n\n", '{"choices":[]}']
    ),
)


def fed(meter: Meter, packets: Sequence[bytes]) -> bytes:
    return b"".join([meter.feed(packet) for packet in packets] + [meter.finish()])


def chat_stream(
    deltas: Sequence[str], *, asked: bool, end: str, compact: bool, place: str, done: bool = True, usage: Any = USAGE
) -> bytes:
    """What OpenAI sends: with usage asked for, `"usage":null` in each chunk, and a chunk with the usage alone."""

    def chunk(choices: Sequence[Any], usage: Any) -> str:
        members = [*HEAD.items(), ("choices", choices)]
        if asked:
            members.insert({"front": 0, "middle": 3, "end": len(members)}[place], ("usage", usage))
        separators = (",", ":") if compact else (", ", ": ")
        return f"data: {json.dumps(dict(members), separators=separators)}{end}{end}"

    parts = [chunk([{"index": 0, "delta": {"content": delta}, "finish_reason": None}], None) for delta in deltas]
    if asked:
        parts.append(chunk([], usage))
    if done:
        parts.append(f"data: [DONE]{end}{end}")
    return "".join(parts).encode()


streams = st.fixed_dictionaries(
    {
        "end": st.sampled_from(["\n", "\r\n"]),
        "compact": st.booleans(),
        "place": st.sampled_from(["front", "middle", "end"]),
        "done": st.booleans(),
    }
)


@settings(deadline=None, max_examples=100)
@given(st.lists(contents, max_size=5), streams, places)
def test_the_client_gets_exactly_what_it_would_have_got_unasked(
    deltas: list[str], form: dict[str, Any], where: Places | None
) -> None:
    meter = UnaskedUsageFilter()

    out = fed(meter, cut(chat_stream(deltas, asked=True, **form), where))

    assert out == chat_stream(deltas, asked=False, **form)
    assert meter.reading.usage == USAGE
    assert meter.reading.ended is form["done"]
    assert "".join(meter.reading.output) == "".join(deltas)
    assert (meter.reading.model, meter.reading.response_id, meter.reading.service_tier) == (
        "gpt-4o-2024-08-06",
        "chatcmpl-1",
        "default",
    )


def test_every_cut_of_one_chat_stream() -> None:
    form: dict[str, Any] = {"end": "\r\n", "compact": True, "place": "middle"}
    asked = chat_stream(["é\n\n", ',"usage":null'], asked=True, **form)
    unasked = chat_stream(["é\n\n", ',"usage":null'], asked=False, **form)

    for packets in every_two(asked):
        assert fed(UnaskedUsageFilter(), packets) == unasked


@pytest.mark.parametrize("place", ["front", "middle", "end"])
@pytest.mark.parametrize("packet", [1000, LARGE, 1 << 22])
def test_a_chunk_too_large_to_be_held_is_filtered_as_well(place: str, packet: int) -> None:
    form: dict[str, Any] = {"end": "\n", "compact": True, "place": place}
    deltas = ["x" * 1_000_000, ',"usage":null' * 50_000]
    asked = chat_stream(deltas, asked=True, **form)
    meter = UnaskedUsageFilter()

    out = fed(meter, [asked[at : at + packet] for at in range(0, len(asked), packet)])

    assert out == chat_stream(deltas, asked=False, **form)
    assert meter.reading.usage == USAGE


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 1), places)
def test_a_stream_cut_in_an_event_loses_nothing_but_what_was_unasked(end: float, where: Places | None) -> None:
    form: dict[str, Any] = {"end": "\n", "compact": True, "place": "end"}
    asked, unasked = (chat_stream(["a", "b"], asked=asked, **form) for asked in (True, False))
    asked = asked[: round(end * len(asked))]

    out = fed(UnaskedUsageFilter(), cut(asked, where))

    whole = out[: out.rfind(b"\n\n") + 2] if b"\n\n" in out else b""
    assert unasked.startswith(whole)
    assert len(asked) - len(out) <= asked.count(b',"usage":null') * 13 + len(asked.rpartition(b'"choices":[]')[0])


def test_a_usage_chunk_without_its_blank_line_is_read_and_taken_out() -> None:
    asked = chat_stream(["a"], asked=True, end="\n", compact=True, place="end", done=False)
    meter = UnaskedUsageFilter()

    out = fed(meter, [asked[:-2]])

    assert out == chat_stream(["a"], asked=False, end="\n", compact=True, place="end", done=False)
    assert meter.reading.usage == USAGE


def test_a_large_chunk_without_its_blank_line_passes() -> None:
    asked = chat_stream(["x" * 400_000], asked=True, end="\n", compact=True, place="end", done=False)
    asked = asked[: asked.index(b"\n\n")]

    assert fed(UnaskedUsageFilter(), cut(asked, [0.9])) == asked.replace(b',"usage":null', b"")


def test_what_the_client_asked_for_passes_untouched() -> None:
    asked = chat_stream(["a", "b"], asked=True, end="\n", compact=True, place="end")
    meter = ChatStream()

    assert fed(meter, cut(asked, None)) == asked
    assert meter.reading.usage == USAGE


def test_usage_beside_choices_stays_in() -> None:
    chunk = b'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}\n\n'
    meter = UnaskedUsageFilter()

    assert fed(meter, [chunk]) == chunk
    assert meter.reading.usage == {"prompt_tokens": 1}


def test_deltas_of_all_kinds_are_kept_to_estimate_from() -> None:
    choices = [
        {"delta": {"content": "a", "refusal": "b", "reasoning_content": "c"}},
        {"delta": {"tool_calls": [{"function": {"name": "d", "arguments": "e"}}, {"function": None}, 5]}},
        {"text": "f", "delta": None},
        "strange",
    ]
    meter = ChatStream()
    meter.feed(f'data: {json.dumps({"choices": choices})}\n\ndata: {{"choices":5}}\n\ndata: 7\n\ndata: {{\n\n'.encode())

    assert "".join(meter.reading.output) == "abcdef"


def test_comments_pass() -> None:
    meter = UnaskedUsageFilter()

    assert fed(meter, [b": keep-alive\n\ndata: [DONE]\n\n"]) == b": keep-alive\n\ndata: [DONE]\n\n"
    assert meter.reading.ended


def test_the_deltas_kept_are_bounded() -> None:
    meter = ChatStream()
    event = json.dumps({"choices": [{"delta": {"content": "x" * 100_000}}]})
    for _ in range(50):
        meter.feed(f"data: {event}\n\n".encode())

    assert meter.reading.output_length <= 2_200_000


def test_an_error_in_a_stream_names_itself() -> None:
    meter = ChatStream()
    meter.feed(b'data: {"error":{"message":"secret","type":"server_error","code":null}}\n\n')

    assert meter.reading.error_type == "server_error"


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


def most_held(meter: Meter, packets: Iterator[bytes]) -> int:
    """The most memory that a meter held at any time, beyond the packet at hand."""
    tracemalloc.start()
    try:
        for packet in packets:
            meter.feed(packet)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def filled(head: bytes, tail: bytes, size: int) -> Iterator[bytes]:
    filler = b"\\n\xc3\xa9x" * (LARGE // 5)
    yield head
    for _ in range(size // len(filler)):
        yield filler
    yield tail


@pytest.mark.parametrize("kind", ["response.completed", "response.in_progress"])
def test_a_final_event_of_30_mb_is_read_and_not_held(kind: str) -> None:
    head = f'event: {kind}\ndata: {{"type":"{kind}","response":{{"id":"resp_1","output":["'.encode()
    tail = b'"],"model":"gpt-5","usage":{"input_tokens":3},"tool_usage":null}}\n\n'
    meter = ResponsesStream()

    held = most_held(meter, filled(head, tail, 30_000_000))

    assert held < HELD + 3 * LARGE
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


def test_an_embeddings_body_of_50_mb_is_read_and_not_held() -> None:
    head = b'{"object":"list","data":[{"embedding":"'
    tail = b'"}],"model":"text-embedding-3-small","usage":{"prompt_tokens":9,"total_tokens":9}}'
    meter = BodyMeter()

    held = most_held(meter, filled(head, tail, 50_000_000))

    assert held < HELD
    assert meter.reading.usage == {"prompt_tokens": 9, "total_tokens": 9}
    assert meter.reading.model == "text-embedding-3-small"


@pytest.mark.parametrize("usage", [None, 5, [], "x"])
def test_usage_that_is_no_object_is_none(usage: object) -> None:
    body = json.dumps({"id": 5, "model": "m" * 300, "usage": usage, "error": "x", "service_tier": ""}).encode()
    meter = BodyMeter()

    assert fed(meter, [body]) == body
    reading = meter.reading
    assert (reading.usage, reading.model, reading.response_id, reading.error_type) == (None, None, None, None)


def test_an_explicit_zero_is_kept() -> None:
    meter = BodyMeter()
    meter.feed(b'{"usage":{"prompt_tokens":0}}')

    assert meter.reading.usage == {"prompt_tokens": 0}


def test_an_errors_code_or_else_its_type_is_its_name() -> None:
    for error, name in (({"code": "c", "type": "t"}, "c"), ({"type": "t"}, "t"), ({}, "error")):
        meter = BodyMeter()
        meter.feed(json.dumps({"error": error}).encode())
        assert meter.reading.error_type == name


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


@settings(deadline=None, max_examples=100)
@given(
    st.binary(max_size=200) | st.binary(max_size=4).map(lambda data: data * 300_000),
    st.sampled_from([gzip.compress, zlib.compress, raw_deflate]),
    places,
)
def test_a_decoder_undoes_each_coding_however_it_is_cut(
    data: bytes, compress: Callable[[bytes], bytes], where: Places | None
) -> None:
    decoder = Decoder()

    steps = [step for packet in cut(compress(data), where) for step in decoder.feed(packet)]

    assert b"".join(steps) == data
    assert all(len(step) <= 256 * 1024 for step in steps)
    assert list(decoder.feed(b"what follows is not of it")) == []


@pytest.mark.parametrize("garbage", [b"\x1f\x8bgarbage that claims", b"\x78\x9cgarbage", b"\xff\xff\xff\xff\xff\xff"])
@pytest.mark.parametrize("where", [None, []])
def test_garbage_is_told_from_a_coding(garbage: bytes, where: Places | None) -> None:
    decoder = Decoder()

    with pytest.raises(ValueError, match="not gzip or deflate"):
        list(chain.from_iterable(decoder.feed(packet) for packet in cut(garbage, where)))


@pytest.mark.parametrize(
    ("metering", "content_type", "unasked", "kind"),
    [
        ("chat", EVENT_STREAM, True, UnaskedUsageFilter),
        ("chat", EVENT_STREAM, False, ChatStream),
        ("chat", "application/json", True, BodyMeter),
        ("responses", EVENT_STREAM, True, ResponsesStream),
        ("body", EVENT_STREAM, False, NoMeter),
        ("free", EVENT_STREAM, False, NoMeter),
        ("free", "application/json", False, ObjectMeter),
        ("body", "application/problem+json", False, BodyMeter),
        ("body", "audio/mpeg", False, NoMeter),
    ],
)
def test_the_meter_is_chosen_by_endpoint_and_media_type(
    metering: Any, content_type: str, *, unasked: bool, kind: type
) -> None:
    assert type(meter_for(metering, content_type, unasked=unasked)) is kind


def test_no_meter_passes_everything() -> None:
    assert fed(NoMeter(), [b"a", b"b"]) == b"ab"
