"""Reads the stream of a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai_proxy.json_members import Path
from openai_proxy.reading import short_text
from openai_proxy.stream_meter import StreamMeter

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponsesStream(StreamMeter):
    """Events of the Responses API; the usage stands in the terminal one, whichever of the three it is."""

    wanted = (
        ("type",), ("response", "usage"), ("response", "tool_usage"), ("response", "model"), ("response", "id"),
        ("response", "service_tier"), ("response", "error"),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._large_type: object = None

    def event(self, event: Mapping[str, Any]) -> None:
        """Read an event."""
        kind = event.get("type")
        response = event.get("response")
        if isinstance(response, dict):
            self.reading.take(response)
        elif kind == "error":
            self.reading.error_type = short_text(event.get("code")) or "error"
        elif isinstance(kind, str) and kind.endswith(".delta"):
            self.reading.add_output(event.get("delta"))
        if kind in _TERMINAL:
            self.reading.ended = True

    def large_member(self, path: Path, value: object) -> None:
        """Read a member of a large event."""
        if path == ("type",):
            self._large_type = value
        else:
            self.reading.take({path[1]: value})

    def large_end(self) -> None:
        """A large event has ended: a terminal one, if its type says so."""
        if self._large_type in _TERMINAL:
            self.reading.ended = True
        self._large_type = None
