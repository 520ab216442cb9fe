"""What was read of an answer while its bytes passed. Where usage stands: reference openai-api.md, 2.1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from openai_proxy.wire.recorded_audio import RecordedAudio

LARGEST_OUTPUT = 2 * 1024 * 1024
"""Characters of output that are kept to estimate from; 128k tokens are about 0.5 MB."""

_LONGEST_TEXT = 256
_LARGEST_OBJECT = 60 * 1024  # bytes; a usage event has a place for 64 KB


@dataclass(slots=True)
class Reading:
    """What was read so far.

    `usage` and `tool_usage` are OpenAI's objects, verbatim; `tool_calls` is what was counted of the output items
    (`tool_calls.ToolCalls.counted`). The rest is to estimate from, where OpenAI told no usage: `output`, the text of
    deltas and of transcripts, up to `LARGEST_OUTPUT`; `audio`, the sound of a speech; `duration_seconds`, the length of
    the sound that was transcribed, if that is told.
    """

    usage: Mapping[str, Any] | None = None
    usage_unreadable: bool = False  # OpenAI told one that is no object, or none that an event can carry
    tool_usage: Mapping[str, Any] | None = None
    tool_calls: Mapping[str, Any] | None = None
    model: str | None = None
    response_id: str | None = None
    service_tier: str | None = None
    error_type: str | None = None
    ended: bool = False  # a stream's terminal event has passed
    output: list[str] = field(default_factory=list)
    output_length: int = 0
    audio: RecordedAudio | None = None
    duration_seconds: Decimal | None = None

    def take(self, members: Mapping[str, Any]) -> None:
        """Take the members of a body, or of a stream's event, that say something."""
        if (usage := members.get("usage")) is not None:
            self.usage = told_object(usage) or self.usage
            self.usage_unreadable = self.usage is None
        self.tool_usage = told_object(members.get("tool_usage")) or self.tool_usage
        self.model = short_text(members.get("model")) or self.model
        self.response_id = short_text(members.get("id")) or self.response_id
        self.service_tier = short_text(members.get("service_tier")) or self.service_tier
        error = members.get("error")
        if isinstance(error, dict):
            self.error_type = short_text(error.get("code")) or short_text(error.get("type")) or "error"

    def take_error(self, event: Mapping[str, Any]) -> None:
        """Take the name of the error that a stream's event is."""
        self.error_type = short_text(event.get("code")) or "error"
        self.take({"error": event.get("error")})

    def add_output(self, text: object) -> None:
        """Keep a delta's text."""
        if isinstance(text, str) and self.output_length < LARGEST_OUTPUT:
            self.output.append(text)
            self.output_length += len(text)


def short_text(value: object) -> str | None:
    """A name or an id, or None for what is none."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT else None


def told_object(value: object) -> Mapping[str, Any] | None:
    """An object that says something and that an event can carry, or None."""
    if not isinstance(value, dict) or not value:
        return None
    try:
        fits = len(json.dumps(value, allow_nan=False)) <= _LARGEST_OBJECT
    except (ValueError, RecursionError):  # 1e999, or nested too deeply to be written again
        return None
    return value if fits else None
