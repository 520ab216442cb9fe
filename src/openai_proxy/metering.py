"""Reads what an answer says of its usage while its bytes pass, and takes out what the client had not asked for.

Where usage stands: reference openai-api.md, 2.1. Everything here is incremental and bounded: an answer is never held.
"""

from __future__ import annotations

import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from openai_proxy.endpoints import Metering
from openai_proxy.json_members import MemberScanner, Path
from openai_proxy.sse import DataReader, EventSplitter, Piece, data_of

EVENT_STREAM = "text/event-stream"

_LONGEST_TEXT = 256
_LARGEST_OUTPUT = 2 * 1024 * 1024  # characters of deltas kept for an estimate; 128k tokens are about 0.5 MB
_LARGEST_DECODED = 256 * 1024  # of one step of decompression
_LARGEST_WHOLE = 64 * 1024  # of a body that is parsed at once, when it came in one part
_BODY_ENDS = (b"}", b"}\n")
_HEAD, _GZIP = 2, b"\x1f\x8b"  # the bytes that tell the codings apart


@dataclass(slots=True)
class Reading:
    """What was read so far: `usage` is OpenAI's object, verbatim; `output` the deltas' text, kept to estimate from."""

    usage: Mapping[str, Any] | None = None
    tool_usage: Mapping[str, Any] | None = None
    model: str | None = None
    response_id: str | None = None
    service_tier: str | None = None
    error_type: str | None = None
    ended: bool = False  # a stream's terminal event has passed
    output: list[str] = field(default_factory=list)
    output_length: int = 0

    def take(self, members: Mapping[str, Any]) -> None:
        """Take the members of a body, or of a stream's event, that say something."""
        self.usage = _object(members.get("usage")) or self.usage
        self.tool_usage = _object(members.get("tool_usage")) or self.tool_usage
        self.model = _text(members.get("model")) or self.model
        self.response_id = _text(members.get("id")) or self.response_id
        self.service_tier = _text(members.get("service_tier")) or self.service_tier
        error = members.get("error")
        if isinstance(error, dict):
            self.error_type = _text(error.get("code")) or _text(error.get("type")) or "error"

    def add_output(self, text: object) -> None:
        """Keep a delta's text."""
        if isinstance(text, str) and self.output_length < _LARGEST_OUTPUT:
            self.output.append(text)
            self.output_length += len(text)


class Meter(Protocol):
    """Takes an answer's bytes as they come, gives the bytes that the client shall get now."""

    reading: Reading

    def feed(self, data: bytes) -> bytes:
        """The bytes to send on."""

    def finish(self) -> bytes:
        """What was held back when the answer ended."""


class NoMeter:
    """For answers that say nothing of usage: sound, images, what is encoded in a way that cannot be read."""

    def __init__(self) -> None:
        self.reading = Reading()

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data

    def finish(self) -> bytes:
        """Nothing."""
        return b""


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
            whole = _value(data) if len(data) <= _LARGEST_WHOLE and data.endswith(_BODY_ENDS) else None
            if isinstance(whole, dict):  # nearly always: the body came in one part
                self.reading.take(whole)
                return data
            self._scanner = MemberScanner(_BODY_MEMBERS)
        self.reading.take({path[0]: _value(raw) for path, raw in self._scanner.feed(data) if path})
        return data

    def finish(self) -> bytes:
        """Nothing: the scanner's bytes were copies."""
        return b""


class StreamMeter(ABC):
    """Server-sent events; a subclass knows what they mean."""

    wanted: tuple[Path, ...] = ()
    """The members to look for in an event too large to be read whole."""

    def __init__(self) -> None:
        self.reading = Reading()
        self._events = EventSplitter()
        self._reader, self._scanner = DataReader(), MemberScanner(self.wanted)  # of the large event at hand

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
            self._reader, self._scanner = DataReader(), MemberScanner(self.wanted)
        for path, raw in self._scanner.feed(self._reader.feed(piece.raw)):
            if path:
                self.large_member(path, _value(raw))
        if piece.last:
            self.large_end()

    def _read_data(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.reading.ended = True
        elif data:
            event = _value(data)
            if isinstance(event, dict):
                self.event(event)

    @abstractmethod
    def event(self, event: Mapping[str, Any]) -> None:
        """Read one event's data."""

    @abstractmethod
    def large_member(self, path: Path, value: object) -> None:
        """Read one wanted member of a large event."""

    def large_end(self) -> None:  # noqa: B027 - only one kind of stream needs it
        """A large event has ended."""


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

    def large_member(self, path: Path, value: object) -> None:
        """Read a member of a large chunk."""
        self.reading.take({path[0]: value})

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
            self.reading.error_type = _text(event.get("code")) or "error"
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


class Decoder:
    """Undoes gzip or deflate (with or without zlib's head: RFC 1950, 2.2) of an answer, a bounded step at a time.

    Raises:
        ValueError: from `feed`, when the bytes are not of that coding.
    """

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip or zlib, whichever comes
        self._head = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded bytes."""
        if len(self._head) < _HEAD:
            data = self._head + data
            self._head = data[:_HEAD]
            if len(data) < _HEAD:
                return
            if self._head != _GZIP and (data[0] % 16 != zlib.DEFLATED or int.from_bytes(self._head) % 31):
                self._inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        while data and not self._inflate.eof:
            try:
                decoded = self._inflate.decompress(data, _LARGEST_DECODED)
            except zlib.error:
                raise ValueError("not gzip or deflate") from None
            data = self._inflate.unconsumed_tail
            yield decoded


def _object(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT else None


_parse = json.JSONDecoder().decode  # `json.loads` would look for UTF-16 first


def _value(raw: bytes) -> object:
    try:
        return _parse(str(raw, "utf-8"))
    except (ValueError, RecursionError):
        return None


def meter_for(metering: Metering, content_type: str, *, unasked: bool) -> Meter:
    """The meter of an answer, by its endpoint and its media type. `unasked`: we asked for its usage, not the client."""
    if content_type == EVENT_STREAM:
        if metering == "chat":
            return UnaskedUsageFilter() if unasked else ChatStream()
        return ResponsesStream() if metering == "responses" else NoMeter()
    return BodyMeter() if content_type.endswith("json") else NoMeter()
