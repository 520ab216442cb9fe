"""Reads the streams of images, of speech and of transcripts: the usage stands in the event that ends each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai_proxy.metering.reading import told_object
from openai_proxy.metering.stream_meter import StreamMeter
from openai_proxy.wire.json_members import Path


class MediaStream(StreamMeter):
    """Events with base64 in them: all but small ones are only searched for their members."""

    wanted: tuple[Path, ...] = (("type",), ("usage",), ("error",))
    largest_whole = 16 * 1024  # parsing takes 1 us a kilobyte of base64, searching a tenth of that

    def event(self, event: Mapping[str, Any]) -> None:
        """Read an event."""
        if event.get("type") == "error" or isinstance(event.get("error"), dict):
            self.reading.take_error(event)


class ImagesStream(MediaStream):
    """Images, each with an event and a usage of its own; the stream ends when its connection does."""

    def __init__(self) -> None:
        super().__init__()
        self._completed = 0

    def event(self, event: Mapping[str, Any]) -> None:
        """Read an event."""
        super().event(event)
        if event.get("type") in ("image_generation.completed", "image_edit.completed"):
            self._completed += 1
            usage, known = told_object(event.get("usage")), self.reading.usage
            if self._completed == 1:
                self.reading.usage = usage
            else:  # where one image's is not told, nor is that of all
                self.reading.usage = _sum(known, usage) if known and usage else None


class SpeechStream(MediaStream):
    """Sound in base64."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Read an event."""
        super().event(event)
        if event.get("type") == "speech.audio.done":
            self.reading.take({"usage": event.get("usage")})
            self.reading.ended = True


class TranscriptStream(MediaStream):
    """The text of what was said."""

    wanted = (*MediaStream.wanted, ("text",))
    largest_whole = StreamMeter.largest_whole  # text, and little of it

    def event(self, event: Mapping[str, Any]) -> None:
        """Read an event."""
        super().event(event)
        kind = event.get("type")
        if kind == "transcript.text.delta":
            self.reading.add_output(event.get("delta"))
        elif kind == "transcript.text.done":
            if not self.reading.output:
                self.reading.add_output(event.get("text"))
            self.reading.take({"usage": event.get("usage")})
            self.reading.ended = True


def _sum(one: Mapping[str, Any], other: Mapping[str, Any], levels: int = 2) -> dict[str, Any]:
    """Two usages with their numbers added; what is no number stays to be seen."""
    total = dict(one)
    for name, value in other.items():
        known = total.get(name, 0)
        if isinstance(known, int) and isinstance(value, int):
            total[name] = known + value
        elif isinstance(known, dict) and isinstance(value, dict) and levels > 1:
            total[name] = _sum(known, value, levels - 1)
        elif isinstance(known, int):
            total[name] = value
    return total
