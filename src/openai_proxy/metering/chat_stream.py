"""Reads the stream of a chat completion, and takes out what the client had not asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openai_proxy.metering.stream_meter import StreamMeter
from openai_proxy.wire.sse import Piece


class ChatStream(StreamMeter):
    """Chunks of chat completions and completions; the usage stands in a last chunk without choices."""

    wanted = (("usage",), ("model",), ("id",), ("service_tier",))

    def event(self, event: Mapping[str, Any]) -> None:
        """Read a chunk."""
        reading = self.reading
        if reading.response_id is None or event.get("usage") or "error" in event:  # the others repeat the first one
            reading.take(event)
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                reading.add_output(choice.get("text"))
                self._delta(choice.get("delta"))

    def _delta(self, delta: object) -> None:
        if not isinstance(delta, dict):
            return
        for name in ("content", "refusal", "reasoning_content"):
            self.reading.add_output(delta.get(name))
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                self.reading.add_output(function.get("name"))
                self.reading.add_output(function.get("arguments"))


# Inside a JSON string the quotes would be escaped, so this is always a member and its comma
_NULL_USAGE = re.compile(rb',\s*"usage"\s*:\s*null(?=\s*[,}])|(\{\s*)"usage"\s*:\s*null\s*,\s*')
_USUAL_NULL_USAGE = b',"usage":null'
_LONGEST_NULL_USAGE = 64  # held back of a large chunk, in case a packet cuts the member


class UnaskedUsageFilter(ChatStream):
    """A chat stream whose usage we asked for and the client did not: what that added is taken out again.

    That is the chunk that has usage and no choices, and `"usage":null` in the others. Whole events are passed on as
    they complete; all other bytes are OpenAI's.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        """The events that these bytes complete, less what the client had not asked for."""
        return b"".join(self._passed(piece) for piece in self._events.feed(data))

    def finish(self) -> bytes:
        """What was left without a blank line."""
        rest = self._events.rest()
        return self._passed(rest) if rest else b""

    def _passed(self, piece: Piece) -> bytes:
        if not piece.whole:
            self._read(piece)
            text = _NULL_USAGE.sub(rb"\1", self._tail + piece.raw)
            keep = 0 if piece.last else min(len(text), _LONGEST_NULL_USAGE)
            self._tail = text[len(text) - keep :]
            return text[: len(text) - keep]
        self._only_usage = False
        self._read(piece)
        if self._only_usage:
            return b""
        raw = piece.raw.replace(_USUAL_NULL_USAGE, b"")
        return _NULL_USAGE.sub(rb"\1", raw) if b'"usage"' in raw else raw

    def event(self, event: Mapping[str, Any]) -> None:
        """Read a chunk."""
        super().event(event)
        self._only_usage = isinstance(event.get("usage"), dict) and not event.get("choices")
