"""Reads a JSON body while it passes, in constant memory."""

from __future__ import annotations

from openai_proxy.json_members import MemberScanner, Path, value_of
from openai_proxy.reading import Reading

_LARGEST_WHOLE = 64 * 1024  # of a body that is parsed at once, when it came in one part
_BODY_ENDS = (b"}", b"}\n")

_BODY_MEMBERS: tuple[Path, ...] = (
    ("usage",), ("tool_usage",), ("model",), ("id",), ("service_tier",), ("error",),
)  # fmt: skip


class BodyMeter:
    """A JSON body: its top-level members."""

    def __init__(self) -> None:
        self.reading = Reading()
        self._scanner: MemberScanner | None = None

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        if self._scanner is None:
            whole = value_of(data) if len(data) <= _LARGEST_WHOLE and data.endswith(_BODY_ENDS) else None
            if isinstance(whole, dict):  # nearly always: the body came in one part
                self.reading.take(whole)
                return data
            self._scanner = MemberScanner(_BODY_MEMBERS)
        self.reading.take({path[0]: value_of(raw) for path, raw in self._scanner.feed(data) if path})
        return data

    def finish(self) -> bytes:
        """Nothing: the scanner's bytes were copies."""
        return b""
