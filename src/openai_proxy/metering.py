"""Chooses how to read what an answer says of its usage while its bytes pass.

Everything here is incremental and bounded: an answer is never held.
"""

from __future__ import annotations

from typing import Protocol

from openai_proxy.body_meter import BodyMeter
from openai_proxy.chat_stream import ChatStream, UnaskedUsageFilter
from openai_proxy.endpoints import Metering
from openai_proxy.reading import Reading
from openai_proxy.responses_stream import ResponsesStream

EVENT_STREAM = "text/event-stream"


class Meter(Protocol):
    """Takes an answer's bytes as they come, gives the bytes that the client shall get now."""

    reading: Reading

    def feed(self, data: bytes) -> bytes:
        """The bytes to send on."""

    def finish(self) -> bytes:
        """What was held back when the answer ended."""


class NoMeter:
    """For answers that say nothing of usage: sound, images, what is encoded in a way that cannot be read."""

    def __init__(self) -> None:
        self.reading = Reading()

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data

    def finish(self) -> bytes:
        """Nothing."""
        return b""


def meter_for(metering: Metering, content_type: str, *, unasked: bool) -> Meter:
    """The meter of an answer, by its endpoint and its media type. `unasked`: we asked for its usage, not the client."""
    if content_type == EVENT_STREAM:
        if metering == "chat":
            return UnaskedUsageFilter() if unasked else ChatStream()
        return ResponsesStream() if metering == "responses" else NoMeter()
    return BodyMeter() if content_type.endswith("json") else NoMeter()
