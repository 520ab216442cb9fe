"""Reads the answers with images, speech and transcripts that are no stream of events."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from openai_proxy.metering.body_meter import BodyMeter
from openai_proxy.metering.reading import Reading, told_object
from openai_proxy.wire.recorded_audio import RecordedAudio

_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,30})?")


class ImagesBody(BodyMeter):
    """Images in base64, and two usages: the image model's, and that of the model which wrote an SVG."""

    wanted = (*BodyMeter.wanted, ("svg_usage",))

    def take(self, members: Mapping[str, Any]) -> None:
        """Read a body, or members of it."""
        super().take(members)
        if usage := told_object(members.get("svg_usage")):
            self.reading.tool_usage = {"svg_usage": usage}


class TranscriptBody(BodyMeter):
    """What was said, in one of the forms of JSON; a translation tells no usage, but for its sound's duration."""

    wanted = (*BodyMeter.wanted, ("text",), ("duration",))

    def take(self, members: Mapping[str, Any]) -> None:
        """Read a body, or members of it."""
        super().take(members)
        self.reading.add_output(members.get("text"))
        duration = members.get("duration")
        if isinstance(duration, int | float | str) and _SECONDS.fullmatch(told := str(duration)):  # text: older models
            self.reading.duration_seconds = Decimal(told)


class TranscriptText:
    """What was said, as plain text or as subtitles."""

    def __init__(self) -> None:
        self.reading = Reading()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        if text := self._decoder.decode(data):
            self.reading.add_output(text)
        return data

    def finish(self) -> bytes:
        """Nothing: the text is a copy."""
        return b""


class SpokenAudio:
    """Sound: how long it plays is what can be told of its usage."""

    def __init__(self) -> None:
        self._audio = RecordedAudio()
        self.reading = Reading(audio=self._audio)

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        self._audio.feed(data)
        return data

    def finish(self) -> bytes:
        """Nothing: no sound is held back."""
        return b""
