"""Cuts a byte stream into server-sent events, however it comes in packets, without changing a byte.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. Lines end with LF, CRLF
or CR; a blank line ends an event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LARGEST_WHOLE = 256 * 1024
"""Bytes of an event that is given whole; a larger one is given in parts, as it comes."""

# Possessive: the CR of a CRLF is no line end by itself
_BLANK_LINE = re.compile(rb"(?:\r\n?+|\n)(?:\r\n?+|\n)")
_LINE = re.compile(rb"([^\r\n]*+)(\r\n|\n|\r|\Z)")
_LONGEST_BLANK = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """An event's raw bytes, its closing blank line included, or a part of them where the event is a large one."""

    raw: bytes
    first: bool
    last: bool

    @property
    def whole(self) -> bool:
        """Whether this is one event, all of it."""
        return self.first and self.last


class EventSplitter:
    """A push splitter: the pieces' bytes, joined, and then those of `rest()`, are the bytes fed."""

    def __init__(self, largest_whole: int = LARGEST_WHOLE) -> None:
        self._largest_whole = largest_whole
        self._buffer = b""
        self._begun = False  # a part of the event at hand was given out

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that these bytes complete."""
        searched = max(0, len(self._buffer) - _LONGEST_BLANK)
        buffer = self._buffer + data if self._buffer else data
        pieces = []
        start = 0
        for end in _ends_of_blank_lines(buffer, searched):
            pieces.append(Piece(buffer[start:end], not self._begun, last=True))
            self._begun = False
            start = end
        self._buffer = buffer[start:]
        given = len(self._buffer) - _LONGEST_BLANK  # a blank line may be cut
        if given > (0 if self._begun else self._largest_whole):
            pieces.append(Piece(self._buffer[:given], not self._begun, last=False))
            self._buffer = self._buffer[given:]
            self._begun = True
        return pieces

    def rest(self) -> Piece | None:
        """What is left when the stream has ended without a blank line."""
        rest, self._buffer = self._buffer, b""
        return Piece(rest, not self._begun, last=True) if rest else None


def _ends_of_blank_lines(buffer: bytes, at: int) -> Iterator[int]:
    """Where each blank line from here on ends."""
    if buffer.find(b"\r", at) < 0:  # nearly always; `find` is many times as fast, most of all for one byte
        while (line := buffer.find(b"\n", at)) >= 0 and (found := buffer.find(b"\n\n", line)) >= 0:
            at = found + 2
            yield at
        return
    while match := _BLANK_LINE.search(buffer, at):
        at = match.end()
        if at == len(buffer) and match[0] in {b"\n\r", b"\r\n\r"}:
            return  # the LF of this CRLF may be in the next packet
        yield at


def data_of(event: bytes) -> bytes:
    """The data of one whole event: its data lines joined by LF, without their field name."""
    one_line = event.endswith(b"\n\n") and event.find(b"\n") == len(event) - 2 and b"\r" not in event
    if one_line and event.startswith(b"data: "):  # nearly always
        return event[6:-2]
    lines = []
    for match in _LINE.finditer(event):
        name, colon, value = match[1].partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" ") if colon else b"")
    return b"\n".join(lines)


class DataReader:
    """The data of one large event, part by part; line ends between its data lines are kept."""

    def __init__(self) -> None:
        self._line = b""  # the line at hand, as far as its field's name is not read
        self._in_data: bool | None = None  # None: not read yet

    def feed(self, part: bytes) -> bytes:
        """What of these bytes is data."""
        if self._in_data is not None and b"\n" not in part and b"\r" not in part:  # nearly always
            return part if self._in_data else b""
        found = []
        for match in _LINE.finditer(self._line + part if self._in_data is None else part):
            text, ending = match[1], match[2]
            if self._in_data is None:
                self._line = text
                if len(text) < len(b"data: ") and not ending:
                    break
                self._in_data = text.startswith(b"data:")
                text = text[5:].removeprefix(b" ")
            if self._in_data:
                found += [text, b"\n" if ending else b""]
            if ending:
                self._line, self._in_data = b"", None
        return b"".join(found)
