from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot

from openai_proxy.api.endpoints import Metering
from openai_proxy.metering.estimation import estimated_usage, is_charged_by_characters, is_charged_by_duration
from openai_proxy.metering.reading import Reading
from openai_proxy.wire.recorded_audio import RecordedAudio
from openai_proxy.wire.request_body import RequestFacts

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")  # bpe_openai's own

RECORDINGS = Path(__file__).parent.parent / "recordings"
PCM_SECOND = b"\0" * 48_000
SUBTITLES = """1
00:00:00,000 --> 00:00:03,260
Good morning.

2
00:00:03,260 --> 00:01:15,500
That is all.
"""
WEB_SUBTITLES = "WEBVTT\n\n00:00.000 --> 00:03.260\nGood morning.\n\n01:00:03.260 --> 01:01:15.500\nThat is all.\n"


def sound(name: str = "file.m4a") -> RecordedAudio:
    audio = RecordedAudio()
    audio.feed((RECORDINGS / name).read_bytes())
    return audio


def samples(seconds: int) -> RecordedAudio:
    audio = RecordedAudio()
    for _ in range(seconds):
        audio.feed(PCM_SECOND)
    return audio


def of_speech(request: dict[str, Any], audio: RecordedAudio | None = None) -> dict[str, Any] | None:
    facts = RequestFacts.of(request)
    return estimated_usage("speech", request, facts, Reading(audio=audio))


def of_transcript(facts: RequestFacts, reading: Reading, request: dict[str, Any] | None = None) -> Any:
    return estimated_usage("transcription", request or {}, facts, reading)


@pytest.mark.parametrize("metering", ["chat", "responses", "body"])
def test_text_is_estimated_by_its_tokens(metering: Metering) -> None:
    request = {"model": "gpt-4o", "input": "Hello world!"}

    assert estimated_usage(metering, request, RequestFacts.of(request), Reading(output=["Hello", " world!"])) == {
        "input_tokens": 3,
        "output_tokens": 3,
        "total_tokens": 6,
    }


@pytest.mark.parametrize("metering", ["chat", "responses", "body", "speech", "transcription"])
def test_nothing_is_estimated_of_a_request_that_was_not_kept(metering: Metering) -> None:
    assert estimated_usage(metering, {}, RequestFacts(), Reading(output=["Hello"])) is None


@pytest.mark.parametrize("metering", ["images", "unmetered", "free"])
def test_what_has_no_measure_is_not_estimated(metering: Metering) -> None:
    assert estimated_usage(metering, {"prompt": "Hello"}, RequestFacts(), Reading(output=["Hello"])) is None


@pytest.mark.parametrize("model", ["tts-1", "tts-1-hd", "tts-1-1106"])
def test_older_speech_models_are_charged_by_characters(model: str) -> None:
    assert of_speech({"model": model, "input": "Grüße, 世界 👋"}) == {"input_characters": 11}


def test_speech_is_charged_by_its_text_and_its_sound() -> None:
    request = {"model": "gpt-4o-mini-tts", "input": "Hello world!", "instructions": "Hello"}

    # 3 + 1 tokens of text; 3 seconds of sound, 20 tokens each
    assert of_speech(request, sound()) == {"input_tokens": 4, "output_tokens": 60, "total_tokens": 64}


def test_speech_in_raw_samples_is_told_by_the_request() -> None:
    request = {"model": "gpt-4o-mini-tts", "input": "Hello world!"}

    assert of_speech(request, samples(5)) == of_speech(request)
    assert of_speech({**request, "response_format": "pcm"}, samples(5)) == {
        "input_tokens": 3,
        "output_tokens": 100,
        "total_tokens": 103,
    }


@pytest.mark.parametrize(
    ("speed", "output_tokens"),
    [(None, 1200), (1, 1200), (2.0, 600), (100, 300), (0, 4800), (float("nan"), 4800), ("fast", 1200), (10**400, 300)],
)
def test_speech_that_was_not_seen_is_estimated_by_its_text(speed: object, output_tokens: int) -> None:
    # 200 tokens of English are read in a minute
    request = {"model": "gpt-4o-mini-tts", "input": " hello" * 200, "speed": speed}

    assert of_speech(request) == {
        "input_tokens": 200,
        "output_tokens": output_tokens,
        "total_tokens": 200 + output_tokens,
    }


@pytest.mark.parametrize("text", [None, 1, ["Hello"], {"a": 1}])
def test_speech_of_no_text_is_not_estimated(text: object) -> None:
    assert of_speech({"model": "gpt-4o-mini-tts", "input": text}, sound()) is None
    assert of_speech({"model": "tts-1", "input": text}) is None


@pytest.mark.parametrize("model", ["whisper-1", "gpt-transcribe", "gpt-transcribe-2026-09-01", "a new one", None])
def test_transcripts_are_charged_by_the_length_of_the_upload(model: str | None) -> None:
    facts = RequestFacts(model=model, response_format="text", upload=sound())

    assert of_transcript(facts, Reading(output=["Hello world!"])) == {"type": "duration", "seconds": 3.0}


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15"])
def test_transcripts_of_some_models_are_charged_by_tokens(model: str) -> None:
    facts = RequestFacts(model=model, response_format="text", upload=sound())

    assert of_transcript(facts, Reading(output=["Hello", " world!"]), {"model": model, "prompt": "Hello"}) == {
        "type": "tokens",
        "input_tokens": 31,
        "input_token_details": {"audio_tokens": 30, "text_tokens": 1},
        "output_tokens": 3,
        "total_tokens": 34,
    }


def test_what_openai_says_of_the_length_comes_first() -> None:
    facts = RequestFacts(model="whisper-1", response_format="verbose_json", upload=sound())

    usage = of_transcript(facts, Reading(duration_seconds=Decimal("8.47")))

    assert usage == {"type": "duration", "seconds": 8.47}


@pytest.mark.parametrize(
    ("response_format", "output", "seconds"),
    [
        ("srt", SUBTITLES, 75.5),
        ("vtt", WEB_SUBTITLES, 3675.5),
        ("srt", "no subtitles", None),
        ("text", SUBTITLES, None),  # somebody may have said so
        (None, SUBTITLES, None),
    ],
)
def test_subtitles_tell_the_length_of_an_upload_that_could_not_be_read(
    response_format: str | None, output: str, seconds: float | None
) -> None:
    upload = RecordedAudio()
    upload.feed(b"no sound")
    facts = RequestFacts(model="whisper-1", response_format=response_format, upload=upload)

    usage = of_transcript(facts, Reading(output=[output[:40], output[40:]]))

    assert usage == (seconds and {"type": "duration", "seconds": seconds})


def test_models_are_charged_as_the_price_list_has_them() -> None:
    known = set()
    for model in next(provider for provider in get_snapshot().providers if provider.id == "openai").models:
        prices = model.get_prices(datetime.now(UTC))
        if "tts" in model.id:
            assert is_charged_by_characters(model.id) == (prices.input_mchars is not None), model.id
        elif "transcribe" in model.id or "whisper" in model.id:
            assert is_charged_by_duration(model.id) == (prices.audio_hours is not None), model.id
        else:
            continue
        known.add(model.id)

    assert known >= {"tts-1", "tts-1-hd", "gpt-4o-mini-tts", "whisper-1", "gpt-transcribe", "gpt-4o-transcribe"}
