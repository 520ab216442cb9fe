"""What a request's JSON says that matters here, and the one change made: chat streams are asked for their usage."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openai_proxy.json_members import MemberScanner

_WANTED = (("model",), ("stream",), ("stream_options",), ("background",))
_LONGEST_MODEL = 256
_NOT_TRUE = (None, False, 0)  # OpenAI might take anything else for true
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ASK = {"include_usage": True}


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The facts of a request's body; of a body that is no JSON object, nothing is known."""

    model: str | None = None
    stream: bool = False
    usage_asked: bool = False
    background: bool = False

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> RequestFacts:
        """Read the top-level members of a body."""
        model, options = members.get("model"), members.get("stream_options")
        return cls(
            model=model if isinstance(model, str) and 0 < len(model) <= _LONGEST_MODEL else None,
            stream=members.get("stream") is True,
            usage_asked=isinstance(options, dict) and options.get("include_usage") is True,
            background=members.get("background") not in _NOT_TRUE,
        )


def is_plain_utf8(head: bytes) -> bool:
    """Whether a body that begins so is UTF-8 without a byte order mark, as RFC 8259 (8.1) demands of JSON.

    Some parsers take UTF-16 and UTF-32 as well; a stream asked for in these would escape the one change made here.
    """
    return not head.startswith(_BYTE_ORDER_MARKS) and b"\0" not in head[:4]


def parse(body: bytes) -> Mapping[str, Any]:
    """The body's members, or none where it is no JSON object."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def facts_of(body: bytes) -> RequestFacts:
    """The facts of a whole body."""
    members = parse(body)
    if members:
        return RequestFacts.of(members)
    # What this parser refuses (deep nesting, 5000 digits) another one may take, and run it in the background
    scan = BodyEditor(asks=False)
    scan.feed(body)
    return scan.facts


class BodyEditor:
    """Passes a body on in constant memory, reads its facts, and asks chat streams for their usage.

    `asks` says whether this endpoint's streams must be asked. `stream` is whether the body asks for a stream, or None
    while that is not known (a body too large to be read first): then an object of `stream_options` is taken as a sign.
    """

    def __init__(self, *, asks: bool, stream: bool | None = None) -> None:
        self._asks = asks
        self._stream = stream
        self._members: dict[str, Any] = {}
        self._settled = False  # the stream options have been seen, and are as they must be
        self._scanner = MemberScanner(_WANTED)

    @property
    def facts(self) -> RequestFacts:
        """The facts found so far."""
        return RequestFacts.of(self._members)

    def feed(self, data: bytes) -> bytes:
        """The bytes to send for these; a value that is not whole yet waits for its rest."""
        out = []
        for path, raw in self._scanner.feed(data):
            piece = raw
            if path:
                value = self._members[path[0]] = _value(raw)
                if path == ("stream_options",) and self._asks:
                    self._settled = self._streams(value)
                    piece = (self._settled and _asking(value)) or raw
            elif path == () and self._asks and self.facts.stream and not self._settled:
                piece = b',"stream_options":' + _json(_ASK) + raw
            out.append(piece)
        return b"".join(out)

    def finish(self) -> bytes:
        """What was held back when the input ended inside a value."""
        return self._scanner.held()

    def _streams(self, options: object) -> bool:
        """Whether the body asks for a stream, as far as can be said where its stream options stand."""
        if self._stream is not None:
            return self._stream
        return self.facts.stream if "stream" in self._members else options is not None


def _asking(options: object) -> bytes | None:
    """Stream options that ask for usage, where these do not."""
    if options is None:
        return _json(_ASK)
    if isinstance(options, dict) and options.get("include_usage") is not True:
        return _json(options | _ASK)
    return None


def _value(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return Ellipsis  # no JSON; OpenAI will say so


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
