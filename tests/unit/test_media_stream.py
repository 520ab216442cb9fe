from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import ImageEditStreamEvent, ImageGenStreamEvent
from openai.types.audio import TranscriptionStreamEvent
from pydantic import TypeAdapter

from meters import HELD, fed, filled, most_held
from openai_proxy.metering.media_stream import ImagesStream, SpeechStream, TranscriptStream
from openai_proxy.metering.stream_meter import StreamMeter
from packets import Places, cut, every_two, places

Event = Mapping[str, Any]

IMAGE = {"background": "opaque", "created_at": 1, "output_format": "png", "quality": "low", "size": "1024x1024"}
IMAGE_USAGE = {
    "total_tokens": 300, "input_tokens": 28, "output_tokens": 272,
    "input_tokens_details": {"text_tokens": 8, "image_tokens": 20},
}  # fmt: skip
TOKENS = {
    "type": "tokens", "input_tokens": 14, "input_token_details": {"text_tokens": 10, "audio_tokens": 4},
    "output_tokens": 2, "total_tokens": 16,
}  # fmt: skip
SPEECH_USAGE = {"input_tokens": 9, "output_tokens": 100, "total_tokens": 109}


def images(kind: str, count: int = 1, *, base64: str = "QUJD") -> Sequence[Event]:
    partial = {"type": f"{kind}.partial_image", "b64_json": base64, "partial_image_index": 0, **IMAGE}
    completed = {"type": f"{kind}.completed", "b64_json": base64, **IMAGE, "usage": IMAGE_USAGE}
    return [partial, completed] * count


def speech(*, base64: str = "QUJD") -> Sequence[Event]:
    return [
        {"type": "speech.audio.delta", "audio": base64},
        {"type": "speech.audio.delta", "audio": base64},
        {"type": "speech.audio.done", "usage": SPEECH_USAGE},
    ]


def transcript(usage: Any = TOKENS, *, deltas: bool = True) -> Sequence[Event]:
    parts = [{"type": "transcript.text.delta", "delta": part} for part in ("Hello", " é😀")]
    return [*(parts if deltas else []), {"type": "transcript.text.done", "text": "Hello é😀", "usage": usage}]


def stream(events: Sequence[Event], end: str = "\n") -> bytes:
    return "".join(
        f"event: {event['type']}{end}data: {json.dumps(event, ensure_ascii=False)}{end}{end}" for event in events
    ).encode()


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (images("image_generation"), ImageGenStreamEvent),
        (images("image_edit"), ImageEditStreamEvent),
        (transcript(), TranscriptionStreamEvent),
    ],
)
def test_the_events_of_these_tests_are_events_of_the_sdk(events: Sequence[Event], kind: Any) -> None:
    for event in events:
        assert TypeAdapter(kind).validate_python(event).type == event["type"]


SAMPLES = st.sampled_from(
    [
        (ImagesStream, images("image_generation"), IMAGE_USAGE),
        (ImagesStream, images("image_edit"), IMAGE_USAGE),
        (SpeechStream, speech(), SPEECH_USAGE),
        (TranscriptStream, transcript(), TOKENS),
    ]
)


@settings(deadline=None, max_examples=60)
@given(SAMPLES, st.sampled_from(["\n", "\r\n", "\r"]), places)
def test_usage_is_read_from_the_event_that_ends_it(
    sample: tuple[type[StreamMeter], Sequence[Event], Event], end: str, where: Places | None
) -> None:
    kind, events, usage = sample
    data = stream(events, end)
    meter = kind()

    assert fed(meter, cut(data, where)) == data
    assert meter.reading.usage == usage


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_cut_of_each_stream(end: str) -> None:
    for kind, events, usage in (
        (ImagesStream, images("image_generation"), IMAGE_USAGE),
        (SpeechStream, speech(), SPEECH_USAGE),
        (TranscriptStream, transcript(), TOKENS),
    ):
        data = stream(events, end)
        for packets in every_two(data):
            meter: StreamMeter = kind()
            assert fed(meter, packets) == data
            assert meter.reading.usage == usage


def test_streams_of_sound_end_with_their_last_event_and_those_of_images_with_their_connection() -> None:
    for kind, events, ended in (
        (ImagesStream, images("image_generation"), False),
        (SpeechStream, speech(), True),
        (TranscriptStream, transcript(), True),
    ):
        meter: StreamMeter = kind()
        meter.feed(stream(events[:-1]))
        assert not meter.reading.ended
        meter.feed(stream(events[-1:]))
        assert meter.reading.ended is ended


@pytest.mark.parametrize("base64", ["QUJD", "QUJD" * 5_000, "QUJD" * 100_000])
def test_the_usages_of_several_images_are_added(base64: str) -> None:
    meter = ImagesStream()
    meter.feed(stream(images("image_generation", 3, base64=base64)))

    assert meter.reading.usage == {
        "total_tokens": 900, "input_tokens": 84, "output_tokens": 816,
        "input_tokens_details": {"text_tokens": 24, "image_tokens": 60},
    }  # fmt: skip


@pytest.mark.parametrize("untold", [None, 5, "x", [], {}, {"input_tokens": 1e999}])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_where_one_image_tells_no_usage_that_of_all_is_not_known(untold: Any, place: int) -> None:
    completed: list[Any] = [images("image_edit")[-1]] * 3
    completed[place] = completed[place] | {"usage": untold}
    meter = ImagesStream()
    meter.feed(stream(completed))

    assert meter.reading.usage is None


@pytest.mark.parametrize(
    ("first", "second", "total"),
    [
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 3, "b": 3}),
        ({"a": 1}, {"a": "2"}, {"a": "2"}),
        ({"a": None}, {"a": 2}, {"a": None}),
        ({"a": {"b": 1, "c": {"d": 1}}}, {"a": {"b": 1, "c": {"d": 1}}}, {"a": {"b": 2, "c": {"d": 1}}}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_what_is_no_number_is_not_added_but_stays_to_be_seen(first: Any, second: Any, total: Any) -> None:
    meter = ImagesStream()
    meter.feed(stream([{"type": "image_edit.completed", "usage": usage} for usage in (first, second)]))

    assert meter.reading.usage == total


@pytest.mark.parametrize("kind", [ImagesStream, SpeechStream, TranscriptStream])
@pytest.mark.parametrize(
    ("event", "error_type"),
    [
        ({"type": "error", "error": {"type": "image_error", "code": "moderation_blocked"}}, "moderation_blocked"),
        ({"type": "error", "error": {"type": "server_error", "code": None}}, "server_error"),
        ({"type": "error", "code": "rate_limit_exceeded"}, "rate_limit_exceeded"),
        ({"type": "error"}, "error"),
        ({"error": {"type": "server_error"}, "x": "x" * 300_000}, "server_error"),
        ({"type": "x", "error": None}, None),
    ],
)  # fmt: skip
def test_an_error_names_itself(kind: type[StreamMeter], event: Event, error_type: str | None) -> None:
    meter = kind()
    meter.feed(f"data: {json.dumps(event)}\n\n".encode())

    assert meter.reading.error_type == error_type


def test_the_text_of_a_transcript_is_kept_to_estimate_from() -> None:
    for events in (transcript(None), transcript(None, deltas=False), transcript(None)[:-1]):
        meter = TranscriptStream()
        meter.feed(stream(events))
        assert "".join(meter.reading.output) == "Hello é😀"
        assert meter.reading.usage is None


@pytest.mark.parametrize(
    ("kind", "head", "tail", "usage"),
    [
        (
            ImagesStream,
            b'event: image_generation.completed\ndata: {"type":"image_generation.completed","b64_json":"',
            b'","usage":' + json.dumps(IMAGE_USAGE).encode() + b"}\n\n",
            IMAGE_USAGE,
        ),
        (
            ImagesStream,
            b'data: {"usage":' + json.dumps(IMAGE_USAGE).encode() + b',"b64_json":"',
            b'","type":"image_edit.completed"}\r\n\r\n',
            IMAGE_USAGE,
        ),
        (
            ImagesStream,
            b'data: {"type":"image_generation.partial_image","usage":{"input_tokens":1},"b64_json":"',
            b'"}\n\n',
            None,
        ),
        (SpeechStream, b'data: {"type":"speech.audio.delta","audio":"', b'"}\n\n' + stream(speech()), SPEECH_USAGE),
        (
            TranscriptStream,
            b'data: {"type":"transcript.text.done","text":"',
            b'","usage":' + json.dumps(TOKENS).encode() + b"}",  # without its blank line
            TOKENS,
        ),
    ],
)
def test_an_event_of_30_mb_is_read_and_not_held(
    kind: type[StreamMeter], head: bytes, tail: bytes, usage: Event | None
) -> None:
    meter = kind()

    held = most_held(meter, filled(head, tail, 30_000_000, b"QUJD"))

    assert held < 2 * HELD
    assert meter.reading.usage == usage
