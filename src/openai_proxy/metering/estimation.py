"""Estimates what a request used where OpenAI told no usage: of text by its tokens, of sound by how long it plays.

It may take a second, so it belongs in a thread. What cannot be estimated is None, and the ledger says that it is
unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from openai_proxy.api.endpoints import Metering
from openai_proxy.metering.reading import Reading
from openai_proxy.metering.text_estimation import tokens_of_text, usage_of_text
from openai_proxy.wire.request_body import RequestFacts

# "1 token per 100 ms" of a user's sound, "1 token per 50 ms" of an assistant's:
# https://developers.openai.com/api/docs/guides/realtime-costs. The prices agree: gpt-4o-mini-tts has 12 USD for a
# million tokens, "about 0.015 USD a minute", which is 21 a second.
_HEARD_TOKENS_PER_SECOND = 10
_SPOKEN_TOKENS_PER_SECOND = 20
# Where no sound was seen: English read at 150 words a minute is 200 tokens of text, and 1200 of sound. One of a book in
# Chinese was charged as 6.3: https://github.com/p0n1/epub_to_audiobook/issues/128
_SPOKEN_TOKENS_PER_TEXT_TOKEN = 6
_SLOWEST, _FASTEST = 0.25, 4.0  # `speed`, SDK's SpeechCreateParams

_CUE_ENDS = re.compile(r"--> *(?:(\d+):)?(\d\d):(\d\d)[.,](\d{3})")  # WebVTT, 4.1; SubRip has the comma
_SUBTITLES = {"srt", "vtt"}


def estimated_usage(
    metering: Metering, request: Mapping[str, Any], facts: RequestFacts, reading: Reading
) -> dict[str, Any] | None:
    """A usage object by our own count, or None where what it needs is not known.

    Args:
        metering: where the usage should have stood.
        request: the members of the request's body; empty where they were not kept.
        facts: what else is known of the request; the sound of an upload.
        reading: what was read of the answer.

    Returns:
        Of text and of speech by tokens `{"input_tokens", "output_tokens", "total_tokens"}`, of speech by characters
        `{"input_characters"}`, of a transcript OpenAI's `{"type": "duration", "seconds"}` or `{"type": "tokens", ...}`.
    """
    if metering == "transcription":
        return _of_transcript(request, facts, reading)
    if not request:
        return None
    if metering == "speech":
        return _of_speech(request, facts, reading)
    return usage_of_text(request, reading.output) if metering in {"chat", "responses", "body"} else None


def is_charged_by_characters(model: str) -> bool:
    """Whether a speech model is charged by the characters of its input, and not by tokens."""
    return model.startswith("tts-1")


def is_charged_by_duration(model: str) -> bool:
    """Whether a model of transcripts is charged by the sound's duration; `gpt-4o` ones alone are by tokens."""
    return not model.startswith("gpt-4o")


def _of_speech(request: Mapping[str, Any], facts: RequestFacts, reading: Reading) -> dict[str, Any] | None:
    model, text, instructions = facts.model or "", request.get("input"), request.get("instructions")
    if not isinstance(text, str):
        return None
    if is_charged_by_characters(model):
        return {"input_characters": len(text)}  # Unicode code points; OpenAI says "characters" and no more
    text_tokens = tokens_of_text(text, model)
    seconds = reading.audio.seconds(raw_pcm=facts.response_format == "pcm") if reading.audio else None
    if seconds is None:
        output_tokens = math.ceil(text_tokens * _SPOKEN_TOKENS_PER_TEXT_TOKEN / _speed(request.get("speed")))
    else:
        output_tokens = math.ceil(seconds * _SPOKEN_TOKENS_PER_SECOND)
    input_tokens = text_tokens + (tokens_of_text(instructions, model) if isinstance(instructions, str) else 0)
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }


def _speed(told: object) -> float:
    return min(_FASTEST, max(_SLOWEST, told)) if isinstance(told, int | float) else 1.0


def _of_transcript(request: Mapping[str, Any], facts: RequestFacts, reading: Reading) -> dict[str, Any] | None:
    model, output, prompt = facts.model or "", "".join(reading.output), request.get("prompt")
    seconds = reading.duration_seconds or (facts.upload.seconds() if facts.upload else None)
    if seconds is None and facts.response_format in _SUBTITLES:
        seconds = _last_cue(output)
    if seconds is None:
        return None
    if is_charged_by_duration(model):
        return {"type": "duration", "seconds": float(seconds)}
    audio_tokens = math.ceil(seconds * _HEARD_TOKENS_PER_SECOND)
    text_tokens = tokens_of_text(prompt, model) if isinstance(prompt, str) else 0
    output_tokens = tokens_of_text(output, model)
    return {
        "type": "tokens",
        "input_tokens": audio_tokens + text_tokens,
        "input_token_details": {"audio_tokens": audio_tokens, "text_tokens": text_tokens},
        "output_tokens": output_tokens,
        "total_tokens": audio_tokens + text_tokens + output_tokens,
    }


def _last_cue(subtitles: str) -> Decimal | None:
    """The seconds at which the last subtitle ends: the sound plays no shorter."""
    ends = [
        Decimal(int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)) + Decimal(milliseconds) / 1000
        for hours, minutes, seconds, milliseconds in _CUE_ENDS.findall(subtitles)
    ]
    return max(ends, default=None)
