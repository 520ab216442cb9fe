from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meters import fed
from openai_proxy.api.endpoints import Metering
from openai_proxy.metering.body_meter import BodyMeter, ObjectMeter
from openai_proxy.metering.chat_stream import ChatStream, UnaskedUsageFilter
from openai_proxy.metering.media_body import ImagesBody, SpokenAudio, TranscriptBody, TranscriptText
from openai_proxy.metering.media_stream import ImagesStream, SpeechStream, TranscriptStream
from openai_proxy.metering.meters import EVENT_STREAM, NoMeter, meter_for
from openai_proxy.metering.reading import Reading
from openai_proxy.metering.responses_meters import ResponsesBody, ResponsesStream
from openai_proxy.wire.decoding import Decoder
from packets import Places, cut, places

JSON = "application/json"
CHOSEN: Sequence[tuple[Metering, str, type]] = (
    ("chat", EVENT_STREAM, ChatStream),
    ("chat", JSON, BodyMeter),
    ("responses", EVENT_STREAM, ResponsesStream),
    ("responses", JSON, ResponsesBody),
    ("body", EVENT_STREAM, NoMeter),
    ("body", JSON, BodyMeter),
    ("body", "application/problem+json", BodyMeter),
    ("body", "audio/mpeg", NoMeter),
    ("images", EVENT_STREAM, ImagesStream),
    ("images", JSON, ImagesBody),
    ("images", "text/html", NoMeter),
    ("speech", EVENT_STREAM, SpeechStream),
    ("speech", JSON, BodyMeter),
    ("speech", "audio/mpeg", SpokenAudio),
    ("speech", "application/octet-stream", SpokenAudio),
    ("speech", "text/html", NoMeter),
    ("transcription", EVENT_STREAM, TranscriptStream),
    ("transcription", JSON, TranscriptBody),
    ("transcription", "text/plain", TranscriptText),
    ("transcription", "text/vtt", TranscriptText),
    ("transcription", "application/x-subrip", TranscriptText),
    ("transcription", "application/octet-stream", NoMeter),
    ("free", EVENT_STREAM, NoMeter),
    ("free", JSON, ObjectMeter),
    ("free", "application/octet-stream", NoMeter),
    ("unmetered", JSON, ObjectMeter),
    ("unmetered", "text/plain", NoMeter),
)


@pytest.mark.parametrize(("metering", "content_type", "kind"), CHOSEN)
def test_the_meter_is_chosen_by_endpoint_and_media_type(metering: Metering, content_type: str, kind: type) -> None:
    assert type(meter_for(metering, content_type, unasked=False)) is kind


@pytest.mark.parametrize(("metering", "content_type", "kind"), CHOSEN)
def test_only_a_chat_stream_is_edited_and_only_where_usage_was_not_asked_for(
    metering: Metering, content_type: str, kind: type
) -> None:
    edited = metering == "chat" and content_type == EVENT_STREAM

    assert type(meter_for(metering, content_type, unasked=True)) is (UnaskedUsageFilter if edited else kind)


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
"""What a member may be that ought to be something else."""

ITEMS: Sequence[Mapping[str, Any]] = (
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1", "status": "completed"},
    {"type": "shell_call", "environment": {"type": "container_reference", "container_id": "cntr_2"}},
    {"type": "image_generation_call", "status": "completed", "svg_usage": {"input_tokens": 1, "model": "gpt-5"}},
)
TOOLS = (
    {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}},
    {"type": "shell", "environment": {"type": "container_auto", "memory_limit": None}},
    {"type": "image_generation", "model": "gpt-image-1-mini"},
)
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_tokens_details": {"text_tokens": 1}}
ANSWER: Mapping[str, Any] = {
    "id": "resp_1", "model": "gpt-5", "service_tier": "default", "error": None, "output": ITEMS, "tools": TOOLS,
    "usage": USAGE, "tool_usage": {"web_search": {"num_requests": 1}}, "svg_usage": {"input_tokens": 1},
    "text": "said", "duration": 1.5, "choices": [{"delta": {"content": "a"}}], "delta": "a",
}  # fmt: skip
KINDS = (
    "response.completed", "response.output_item.done", "response.output_text.delta", "error", "speech.audio.done",
    "image_generation.completed", "image_edit.completed", "transcript.text.delta", "transcript.text.done",
)  # fmt: skip


def wounded(document: Any, wounds: Sequence[tuple[float, Any]]) -> Any:
    """The document with the value at some places replaced."""
    text = json.dumps(document)
    for place, value in wounds:
        ways = list(all_ways(json.loads(text)))
        way = ways[min(len(ways) - 1, int(place * len(ways)))]
        copy = json.loads(text)
        inner = copy
        for step in way[:-1]:
            inner = inner[step]
        inner[way[-1]] = value
        text = json.dumps(copy)
    return json.loads(text)


def all_ways(value: Any, way: tuple[Any, ...] = ()) -> Any:
    """The steps to each value of a document."""
    if way:
        yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in inner:
        yield from all_ways(member, (*way, step))


def stated(reading: Reading) -> tuple[object, ...]:
    """Everything that a reading says, but for the sound."""
    return (
        reading.usage, reading.tool_usage, reading.tool_calls, reading.model, reading.response_id,
        reading.service_tier, reading.error_type, reading.ended, "".join(reading.output), reading.duration_seconds,
    )  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    chosen=st.sampled_from([(metering, content_type) for metering, content_type, _ in CHOSEN]),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    wounds=st.lists(st.tuples(st.floats(0, 1), odd), max_size=3),
    end=st.sampled_from(["\n", "\r\n"]),
    where=places,
    coded=st.booleans(),
)
def test_whatever_is_wrong_in_an_answer_it_passes_and_reads_the_same_however_it_is_cut(
    *,
    chosen: tuple[Metering, str],
    kinds: list[str],
    wounds: list[tuple[float, Any]],
    end: str,
    where: Places | None,
    coded: bool,
) -> None:
    metering, content_type = chosen
    events = [wounded({"type": kind, "response": ANSWER, "item": ITEMS[0], **ANSWER}, wounds) for kind in kinds]
    data = json.dumps(events[0]).encode()
    if content_type == EVENT_STREAM:
        data = "".join(f"event: x{end}data: {json.dumps(event)}{end}{end}" for event in events).encode()
    cut_meter, whole_meter = (meter_for(metering, content_type, unasked=False) for _ in range(2))

    if coded:  # as `exchange` does: the client gets the coded bytes, the meter what they say
        decoder = Decoder()
        packets = [part for packet in cut(gzip.compress(data), where) for part in decoder.feed(packet)]
    else:
        packets = cut(data, where)

    assert fed(cut_meter, packets) == data
    assert fed(whole_meter, [data]) == data
    assert stated(cut_meter.reading) == stated(whole_meter.reading)
    for told in (cut_meter.reading.usage, cut_meter.reading.tool_usage, cut_meter.reading.tool_calls):
        json.dumps(told, allow_nan=False)  # an event can carry it


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([(metering, content_type) for metering, content_type, _ in CHOSEN]),
    st.binary(max_size=80) | st.text(alphabet='data: {}[]",:\\\n\r01eE-', max_size=80).map(str.encode),
    places,
)
def test_garbage_passes_and_says_nothing_of_cost(
    chosen: tuple[Metering, str], garbage: bytes, where: Places | None
) -> None:
    meter = meter_for(*chosen, unasked=False)

    assert fed(meter, cut(garbage, where)) == garbage
    assert (meter.reading.usage, meter.reading.tool_usage, meter.reading.tool_calls) == (None, None, None)


def test_each_meter_reads_its_part_of_one_answer() -> None:
    """Nothing that is free or not metered has a usage, though its body may tell one: a batch that is retrieved does."""
    read = {
        (metering, content_type): meter_for(metering, content_type, unasked=False)
        for metering, content_type, _ in CHOSEN
        if content_type == JSON
    }
    for meter in read.values():
        fed(meter, [json.dumps(ANSWER).encode()])

    readings = {metering: meter.reading for (metering, _), meter in read.items()}
    assert {metering for metering, reading in readings.items() if reading.usage == USAGE} == {
        "chat", "responses", "body", "images", "speech", "transcription",
    }  # fmt: skip
    assert all(readings[metering].usage is None for metering in ("free", "unmetered"))
    assert {metering for metering, reading in readings.items() if reading.tool_calls} == {"responses"}
    assert readings["images"].tool_usage == {"svg_usage": {"input_tokens": 1}}
    assert {m for m, reading in readings.items() if reading.duration_seconds == Decimal("1.5")} == {"transcription"}
    assert {reading.response_id for reading in readings.values()} == {"resp_1"}


def test_no_meter_passes_everything() -> None:
    assert fed(NoMeter(), [b"a", b"b"]) == b"ab"
