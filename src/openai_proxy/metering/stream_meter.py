"""Reads a stream of server-sent events while it passes; what the events mean, each kind of stream knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from openai_proxy.metering.reading import Reading
from openai_proxy.wire.json_members import MemberScanner, Path, put, value_of
from openai_proxy.wire.sse import LARGEST_WHOLE, DataReader, EventSplitter, Piece, data_of


class StreamMeter(ABC):
    """Server-sent events; a subclass knows what they mean.

    An event too large to be read whole comes to it as well, once it has ended, with its wanted members alone.
    """

    wanted: tuple[Path, ...] = ()
    """The members to look for in a large event."""
    largest_whole = LARGEST_WHOLE
    """Bytes of an event that is read whole."""

    def __init__(self) -> None:
        self.reading = Reading()
        self._events = EventSplitter(self.largest_whole)
        self._reader: DataReader  # of the large event at hand, as the next two
        self._scanner: MemberScanner
        self._large: dict[str, Any]

    def feed(self, data: bytes) -> bytes:
        """All of it, at once."""
        for piece in self._events.feed(data):
            self._read(piece)
        return data

    def finish(self) -> bytes:
        """Nothing is held; an event without its blank line is read all the same."""
        if rest := self._events.rest():
            self._read(rest)
        return b""

    def _read(self, piece: Piece) -> None:
        if piece.whole:
            self._read_data(data_of(piece.raw))
            return
        if piece.first:
            self._reader, self._scanner, self._large = DataReader(), MemberScanner(self.wanted), {}
        for path, raw in self._scanner.feed(self._reader.feed(piece.raw)):
            if path:
                self.large_member(path, value_of(raw))
        if piece.last:
            self.event(self._large)

    def _read_data(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.reading.ended = True
        elif data:
            event = value_of(data)
            if isinstance(event, dict):
                self.event(event)

    @abstractmethod
    def event(self, event: Mapping[str, Any]) -> None:
        """Read one event's data, or what was wanted of it."""

    def large_member(self, path: Path, value: object) -> None:
        """Keep one wanted member of a large event until it ends."""
        put(self._large, path, value)
