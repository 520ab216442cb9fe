"""Chooses how to read what an answer says of its usage while its bytes pass.

Everything here is incremental and bounded: an answer is never held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from openai_proxy.api.endpoints import Metering
from openai_proxy.metering.body_meter import BodyMeter, ObjectMeter
from openai_proxy.metering.chat_stream import ChatStream, UnaskedUsageFilter
from openai_proxy.metering.media_body import ImagesBody, SpokenAudio, TranscriptBody, TranscriptText
from openai_proxy.metering.media_stream import ImagesStream, SpeechStream, TranscriptStream
from openai_proxy.metering.reading import Reading
from openai_proxy.metering.responses_meters import ResponsesBody, ResponsesStream

EVENT_STREAM = "text/event-stream"


class Meter(Protocol):
    """Takes an answer's bytes as they come, gives the bytes that the client shall get now."""

    reading: Reading

    def feed(self, data: bytes) -> bytes:
        """The bytes to send on."""

    def finish(self) -> bytes:
        """What was held back when the answer ended."""


class NoMeter:
    """For answers that say nothing of usage: files, images, what is encoded in a way that cannot be read."""

    def __init__(self) -> None:
        self.reading = Reading()

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data

    def finish(self) -> bytes:
        """Nothing."""
        return b""


_STREAMS: Mapping[Metering, Callable[[], Meter]] = {
    "chat": ChatStream,
    "responses": ResponsesStream,
    "images": ImagesStream,
    "speech": SpeechStream,
    "transcription": TranscriptStream,
}
_BODIES: Mapping[Metering, Callable[[], Meter]] = {
    "responses": ResponsesBody,
    "images": ImagesBody,
    "transcription": TranscriptBody,
    "free": ObjectMeter,
    "unmetered": ObjectMeter,
}
_SUBTITLES = "application/x-subrip"


def meter_for(metering: Metering, content_type: str, *, unasked: bool) -> Meter:
    """The meter of an answer, by its endpoint and its media type. `unasked`: we asked for its usage, not the client."""
    if content_type == EVENT_STREAM:
        if metering == "chat" and unasked:
            return UnaskedUsageFilter()
        return _STREAMS.get(metering, NoMeter)()
    if content_type.endswith("json"):
        return _BODIES.get(metering, BodyMeter)()
    if metering == "speech" and (content_type.startswith("audio/") or content_type == "application/octet-stream"):
        return SpokenAudio()
    if metering == "transcription" and (content_type.startswith("text/") or content_type == _SUBTITLES):
        return TranscriptText()
    return NoMeter()
