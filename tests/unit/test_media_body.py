from __future__ import annotations

import json
import struct
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import ImagesResponse
from openai.types.audio import TranscriptionVerbose, TranslationVerbose

from meters import HELD, PACKET, fed, filled, most_held
from openai_proxy.metering.media_body import ImagesBody, SpokenAudio, TranscriptBody, TranscriptText
from openai_proxy.metering.reading import LARGEST_OUTPUT
from packets import Places, cut, every_two, places

USAGE = {
    "total_tokens": 300, "input_tokens": 28, "output_tokens": 272,
    "input_tokens_details": {"text_tokens": 8, "image_tokens": 20},
    "output_tokens_details": {"text_tokens": 0, "image_tokens": 272},
}  # fmt: skip
SVG_USAGE = {"model": "gpt-5.6", "input_tokens": 5, "output_tokens": 7, "reasoning_tokens": 0, "total_tokens": 12}
IMAGES = {"created": 1, "data": [{"b64_json": "QUJD"}], "svg_usage": SVG_USAGE, "usage": USAGE}
SEGMENT = {
    "id": 0, "avg_logprob": -0.1, "compression_ratio": 1.0, "start": 0.0, "end": 8.47, "no_speech_prob": 0.0,
    "seek": 0, "temperature": 0.0, "text": "duration", "tokens": [1],
}  # fmt: skip
TRANSLATION = {
    "task": "translate", "language": "english", "duration": 8.470000267028809, "text": 'Hi "é"', "segments": [SEGMENT],
}  # fmt: skip
SECONDS = {"type": "duration", "seconds": 9}


def test_the_bodies_of_these_tests_are_bodies_of_the_sdk() -> None:
    images = ImagesResponse.model_validate(IMAGES)
    verbose = TranscriptionVerbose.model_validate(TRANSLATION | {"usage": SECONDS})

    assert images.usage
    assert images.svg_usage
    assert verbose.usage
    assert TranslationVerbose.model_validate(TRANSLATION).duration == pytest.approx(8.47)


def test_every_cut_of_an_images_body_gives_both_usages() -> None:
    text = json.dumps(IMAGES, indent=1).encode()

    for packets in every_two(text):
        meter = ImagesBody()
        assert fed(meter, packets) == text
        assert meter.reading.usage == USAGE
        assert meter.reading.tool_usage == {"svg_usage": SVG_USAGE}


@pytest.mark.parametrize("svg_usage", [None, 5, {}, [], "x"])
def test_an_images_body_without_an_author_has_one_usage(svg_usage: object) -> None:
    meter = ImagesBody()
    meter.feed(json.dumps(IMAGES | {"svg_usage": svg_usage}).encode())

    assert meter.reading.tool_usage is None


@pytest.mark.parametrize("first", ["usage", "data"])
def test_images_of_30_mb_are_read_and_not_held(first: str) -> None:
    data, usage = '"data":[{"b64_json":"HERE"}]', f'"usage":{json.dumps(USAGE)}'
    members = [usage, data] if first == "usage" else [data, usage]
    head, _, tail = f'{{"created":1,{",".join(members)}}}'.encode().partition(b"HERE")
    meter = ImagesBody()

    held = most_held(meter, filled(head, tail, 30_000_000, b"QUJD"))

    assert held < HELD
    assert meter.reading.usage == USAGE


def test_every_cut_of_a_transcript_gives_its_text_and_its_duration() -> None:
    text = json.dumps(TRANSLATION | {"usage": SECONDS}, indent=1).encode()

    for packets in every_two(text):
        meter = TranscriptBody()
        assert fed(meter, packets) == text
        assert meter.reading.output == ['Hi "é"']
        assert meter.reading.duration_seconds == Decimal("8.470000267028809")
        assert meter.reading.usage == SECONDS


ODD: list[object] = [None, True, -1, -0.5, 1e30, 1e999, float("nan"), "", "x", "1e3", [], {}, 10**12]


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (12, Decimal(12)),
        (0, Decimal(0)),
        ("8.470000019073486", Decimal("8.470000019073486")),
        *[(odd, None) for odd in ODD],
    ],
)
def test_a_duration_is_a_number_of_seconds_or_is_not_known(duration: object, seconds: Decimal | None) -> None:
    meter = TranscriptBody()
    meter.feed(json.dumps({"text": "", "duration": duration}).encode())

    assert meter.reading.duration_seconds == seconds


def test_a_transcript_of_many_segments_is_read_and_not_held() -> None:
    segment = json.dumps(SEGMENT).encode() + b","
    tail = json.dumps(SEGMENT).encode() + b'],"usage":{"type":"duration","seconds":9}}'
    meter = TranscriptBody()

    held = most_held(meter, filled(b'{"duration":9,"text":"Hi","segments":[', tail, 5_000_000, segment))

    assert held < HELD
    assert meter.reading.usage == SECONDS
    assert meter.reading.output == ["Hi"]


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60).map(str.encode) | st.binary(max_size=60), places)
def test_a_plain_transcript_is_kept_however_it_is_cut(data: bytes, where: Places | None) -> None:
    meter = TranscriptText()

    assert fed(meter, cut(data, where)) == data
    assert data.decode("utf-8", "replace").startswith("".join(meter.reading.output))
    assert len(data.decode("utf-8", "replace")) - len("".join(meter.reading.output)) <= 1  # a character that is cut off


def test_subtitles_are_kept_up_to_a_limit() -> None:
    meter = TranscriptText()
    subtitle = b"1\n00:00:00,000 --> 00:00:08,470\nHello\n\n"

    held = most_held(meter, filled(b"", b"", 30_000_000, subtitle))

    assert LARGEST_OUTPUT <= meter.reading.output_length <= LARGEST_OUTPUT + PACKET
    assert held < 2 * LARGEST_OUTPUT


def wav(seconds: int) -> bytes:
    """Silence: 8,000 samples a second of one byte (http://soundfile.sapp.org/doc/WaveFormat/)."""
    size = 8_000 * seconds
    form = struct.pack("<IHHIIHH", 16, 1, 1, 8_000, 8_000, 1, 8)
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size)
    return head + b"\x80" * size


def test_speech_passes_and_tells_how_long_it_plays() -> None:
    sound = wav(3)
    for packets in ([sound], [*cut(sound[:5000], None), sound[5000:]]):
        meter = SpokenAudio()
        assert fed(meter, packets) == sound
        assert meter.reading.audio
        assert meter.reading.audio.seconds() == Decimal(3)


def test_speech_of_30_mb_is_not_held() -> None:
    meter = SpokenAudio()

    assert most_held(meter, filled(wav(1), b"", 30_000_000, b"\x80" * 64)) < HELD
