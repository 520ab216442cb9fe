"""Reads the answers with images, speech and transcripts that are no stream of events."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from openai_proxy.body_meter import BodyMeter
from openai_proxy.json_members import Path
from openai_proxy.reading import Reading, told_object
from openai_proxy.recorded_audio import RecordedAudio

_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,30})?")


class ImagesBody(BodyMeter):
    """Images in base64, and two usages: the image model's, and that of the model which wrote an SVG."""

    wanted = (*BodyMeter.wanted, ("svg_usage",))

    def body(self, body: Mapping[str, Any]) -> None:
        """Read a whole body."""
        super().body(body)
        self._take_svg(body.get("svg_usage"))

    def member(self, path: Path, value: object) -> None:
        """Read one wanted member of a large one."""
        super().member(path, value)
        if path == ("svg_usage",):
            self._take_svg(value)

    def _take_svg(self, usage: object) -> None:
        if usage := told_object(usage):
            self.reading.tool_usage = {"svg_usage": usage}


class TranscriptBody(BodyMeter):
    """What was said, in one of the forms of JSON; a translation tells no usage, but for its sound's duration."""

    wanted = (*BodyMeter.wanted, ("text",), ("duration",))

    def body(self, body: Mapping[str, Any]) -> None:
        """Read a whole body."""
        super().body(body)
        self._take(body)

    def member(self, path: Path, value: object) -> None:
        """Read one wanted member of a large one."""
        super().member(path, value)
        self._take({path[0]: value})

    def _take(self, members: Mapping[str, Any]) -> None:
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
