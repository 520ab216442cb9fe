"""What OpenAI would answer at /audio: sound for text, text for sound, in each of their forms; pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from openai_wire import ApiError, Event, Json, Question, Reply, Stream, Usage, answer, data, tokens
from sound import MP3_FRAME_SECONDS, mp3, pcm, seconds_of, wav

_CHARACTERS_PER_SECOND = 15
# What OpenAI's prices a minute come to: speech is a token each 50 ms, heard sound one each 100 ms
SPOKEN_TOKENS_PER_SECOND = 20
HEARD_TOKENS_PER_SECOND = 10
_PIECE = 4800
_SOUNDS: Mapping[str, tuple[str, Callable[[float], bytes]]] = {
    "mp3": ("audio/mpeg", mp3),
    "wav": ("audio/wav", lambda seconds: wav(seconds, streamed=True)),
    "pcm": ("audio/pcm", pcm),
    # Not real: what the proxy cannot measure
    "opus": ("audio/opus", lambda seconds: b"OggS" + bytes(round(4000 * seconds))),
    "aac": ("audio/aac", lambda seconds: b"\xff\xf1" + bytes(round(8000 * seconds))),
    "flac": ("audio/flac", lambda seconds: b"fLaC" + bytes(round(20_000 * seconds))),
}


def speech(question: Question) -> Reply:
    """Sound for a text: bytes, which tell no usage, or events, whose last one does."""
    text = str(question.body.get("input", ""))
    frames = max(1, round(len(text) / _CHARACTERS_PER_SECOND / MP3_FRAME_SECONDS))
    seconds = frames * MP3_FRAME_SECONDS
    content_type, make = _SOUNDS[question.body.get("response_format") or "mp3"]
    sound = make(seconds)
    if question.model.startswith("tts-1"):
        usage = Usage(units={"input_characters": len(text)})
        return Reply(_pieces(sound), usage, told=False, content_type=content_type)
    asked = f"{text} {question.body.get('instructions') or ''}"
    usage = Usage(input=len(asked.split()), output=round(SPOKEN_TOKENS_PER_SECOND * seconds))
    if question.body.get("stream_format") == "sse":
        return Reply(Stream(_spoken(question, sound, usage)), usage)
    return Reply(_pieces(sound), usage, told=False, content_type=content_type)


def _pieces(sound: bytes) -> Iterable[bytes]:
    return [sound[start : start + _PIECE] for start in range(0, len(sound), _PIECE)]


def _spoken(question: Question, sound: bytes, usage: Usage) -> Iterator[Event]:
    pieces = list(_pieces(sound))
    for number, piece in enumerate(pieces):
        count = usage.output * (number + 1) // len(pieces) - usage.output * number // len(pieces)
        yield Event(data({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()}), count)
    told = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }
    yield Event(data(question.told({"type": "speech.audio.done", "usage": told})))


def written(question: Question) -> Reply:
    """Text for sound. Whisper is billed by the second, others by tokens; plain texts and translations tell nothing."""
    if not question.files:
        raise ApiError(400, "you must provide a file")
    seconds = _heard(question)
    given = answer(question)
    by_seconds = question.model in {"whisper-1", "gpt-transcribe"}
    usage, told = _by_seconds(seconds) if by_seconds else _by_tokens(question, seconds, given.usage.output)
    form = question.body.get("response_format") or "json"
    if form in {"text", "srt", "vtt"}:
        plain = _plain(form, given.text.strip(), seconds)
        return Reply([plain.encode()], usage, told=False, content_type="text/plain; charset=utf-8")
    if question.streams:
        return Reply(Stream(_heard_events(question, given.words, told)), usage)
    whole: dict[str, Any] = {"text": given.text.strip()}
    if form == "verbose_json":
        whole = {"task": "transcribe", "language": "english", "duration": seconds, **whole, "segments": []}
    if form == "diarized_json":
        segment = {"id": "seg_0", "speaker": "A", "start": 0.0, "end": seconds, "text": given.text.strip()}
        segments = [{"type": "transcript.text.segment", **segment}]
        whole = {"task": "transcribe", "duration": seconds, **whole, "segments": segments}
    if question.path == "/audio/translations":
        return Reply(whole, usage, told=False)
    return Reply(question.told(whole | {"usage": told}), usage)


def _heard(question: Question) -> float:
    (sound,) = (file for file in question.files if file.name == "file")
    return round(seconds_of(sound.head, sound.size), 3)


def _by_seconds(seconds: float) -> tuple[Usage, Json]:
    """Whole seconds are told and billed: Whisper's are rounded up."""
    whole = math.ceil(seconds)
    return Usage(units={"audio_seconds": whole}), {"type": "duration", "seconds": whole}


def _by_tokens(question: Question, seconds: float, said: int) -> tuple[Usage, Json]:
    heard, read = round(HEARD_TOKENS_PER_SECOND * seconds), len(str(question.body.get("prompt") or "").split())
    usage = Usage(input=heard + read, output=said, units={"input_audio_tokens": heard})
    return usage, {
        "type": "tokens",
        "input_tokens": usage.input,
        "input_token_details": {"audio_tokens": heard, "text_tokens": read},
        "output_tokens": said,
        "total_tokens": usage.input + said,
    }


def _plain(form: str, text: str, seconds: float) -> str:
    if form == "text":
        return text + "\n"
    end = f"{int(seconds // 60):02}:{int(seconds % 60):02}"
    if form == "srt":
        return f"1\n00:00:00,000 --> 00:{end},000\n{text}\n\n\n"
    return f"WEBVTT\n\n00:00.000 --> {end}.000\n{text}\n\n"


def _heard_events(question: Question, words: Iterable[str], told: Json) -> Iterator[Event]:
    text = "".join(words)
    if "diarize" in question.model:
        segment = {"id": "seg_0", "speaker": "A", "start": 0.0, "end": _heard(question), "text": text}
        yield Event(data({"type": "transcript.text.segment", **segment}))
    for word in words:
        yield Event(data({"type": "transcript.text.delta", "delta": word}), tokens(word))
    yield Event(data(question.told({"type": "transcript.text.done", "text": text, "usage": told})))


REPLIES: Mapping[str, Callable[[Question], Reply]] = {
    "/audio/speech": speech,
    "/audio/transcriptions": written,
    "/audio/translations": written,
}
