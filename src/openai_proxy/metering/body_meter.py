"""Reads a JSON body while it passes, in constant memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai_proxy.metering.reading import Reading
from openai_proxy.wire.json_members import MemberScanner, Path, value_of

_LARGEST_WHOLE = 64 * 1024  # of a body that is parsed at once, when it came in one part
_BODY_ENDS = (b"}", b"}\n")
_HEAD_BYTES = 64 * 1024  # OpenAI puts an object's id first


class BodyMeter:
    """A JSON body: its top-level members, unless a subclass wants others."""

    wanted: tuple[Path, ...] = (
        ("usage",), ("tool_usage",), ("model",), ("id",), ("service_tier",), ("error",),
    )  # fmt: skip
    """The members to look for in a body that does not come in one small part."""

    def __init__(self) -> None:
        self.reading = Reading()
        self._scanner: MemberScanner | None = None

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        if self._scanner is None:
            whole = value_of(data) if len(data) <= _LARGEST_WHOLE and data.endswith(_BODY_ENDS) else None
            if isinstance(whole, dict):  # nearly always: the body came in one part
                self.take(whole)
                return data
            self._scanner = MemberScanner(self.wanted)
        for path, raw in self._scanner.feed(data):
            if path:
                self.member(path, value_of(raw))
        return data

    def finish(self) -> bytes:
        """Nothing: the scanner's bytes were copies."""
        return b""

    def take(self, members: Mapping[str, Any]) -> None:
        """Read a whole body, or those of its members that have come."""
        self.reading.take(members)

    def member(self, path: Path, value: object) -> None:
        """Read one wanted member of a large body."""
        self.take({path[0]: value})


class ObjectMeter:
    """A JSON body that tells no usage, or one that is not to be paid here: what object it is, by its first bytes."""

    def __init__(self) -> None:
        self.reading = Reading()
        self._scanner = MemberScanner((("id",), ("model",), ("error",)))
        self._left = _HEAD_BYTES

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        if self._left > 0:
            for path, raw in self._scanner.feed(data[: self._left]):
                if path:
                    self.reading.take({path[0]: value_of(raw)})
            self._left -= len(data)
        return data

    def finish(self) -> bytes:
        """Nothing: the scanner's bytes were copies."""
        return b""
