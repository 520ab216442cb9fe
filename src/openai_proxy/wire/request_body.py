"""What a request's JSON says that matters here, and the two changes made: usage is asked for, and nothing is stored.

Chat streams are asked for their usage; where a team's answers may not be stored at OpenAI, `store` becomes false.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from openai_proxy.wire.json_members import MemberScanner, Path, value_of

if TYPE_CHECKING:
    from openai_proxy.wire.recorded_audio import RecordedAudio

_WANTED: tuple[Path, ...] = (
    ("model",), ("stream",), ("stream_options",), ("background",), ("background_options",), ("response_format",),
    ("safety_identifier",), ("user",),
    # What a large request may cost at most, for a caller with a budget (budgets/reserved_cost.py)
    ("max_tokens",), ("max_completion_tokens",), ("max_output_tokens",), ("n",), ("modalities",), ("service_tier",),
    ("max_tool_calls",), ("tools",), ("size",), ("partial_images",), ("speed",),
)  # fmt: skip
_WANTED_UNSTORED = (*_WANTED, ("store",))
_OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_MOST_TOKENS = 10_000_000  # what is more is a mistake, which OpenAI refuses
_LONGEST_NAME = 256  # of a model, a format, a window, a user: an e-mail address has 254 at most, OpenAI takes 128
_NOT_TRUE = (None, False, 0)  # OpenAI might take anything else for true
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ASK = {"include_usage": True}


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The facts of a request's body; of a body that cannot be read, nothing is known.

    `completion_window` is the time that a background request agrees to wait, for less money; `end_user` for whom an
    application says that it asks; `output_limit` the most tokens that an answer may have, by the largest limit that is
    set, since nobody knows which one holds; `upload` the sound of an upload that is priced by its length.
    """

    model: str | None = None
    stream: bool = False
    usage_asked: bool = False
    background: bool = False
    completion_window: str | None = None
    response_format: str | None = None
    end_user: str | None = None
    output_limit: int | None = None
    upload: RecordedAudio | None = None

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> RequestFacts:
        """Read the top-level members of a JSON body."""
        options, background_options = members.get("stream_options"), members.get("background_options")
        background = members.get("background") not in _NOT_TRUE
        window = background_options.get("completion_window") if isinstance(background_options, dict) else None
        return cls(
            model=_name(members.get("model")),
            stream=members.get("stream") is True,
            usage_asked=isinstance(options, dict) and options.get("include_usage") is True,
            background=background,
            completion_window=_name(window) if background else None,  # it lowers the price of nothing else
            response_format=_name(members.get("response_format")),
            end_user=user_name(members.get("safety_identifier")) or user_name(members.get("user")),
            output_limit=max(filter(None, (_tokens(members.get(name)) for name in _OUTPUT_LIMITS)), default=None),
        )


class RequestReader(Protocol):
    """Passes a body on in constant memory, and reads its facts on the way."""

    @property
    def is_whole(self) -> bool:
        """Whether `members` are all that can be known, and not a few of a body too large to be kept."""

    @property
    def facts(self) -> RequestFacts:
        """The facts found so far."""

    def feed(self, data: bytes) -> bytes:
        """The bytes to send for these."""

    def finish(self) -> bytes:
        """What was held back when the input ended."""

    def members(self) -> Mapping[str, Any]:
        """What is known of the request by name; may take a while."""


def is_plain_utf8(head: bytes) -> bool:
    """Whether a body that begins so is UTF-8 without a byte order mark, as RFC 8259 (8.1) demands of JSON.

    Some parsers take UTF-16 and UTF-32 as well; what is asked for in these would escape the changes made here.
    """
    return not head.startswith(_BYTE_ORDER_MARKS) and b"\0" not in head[:4]


def parse(body: bytes) -> Mapping[str, Any]:
    """The body's members, or none where it is no JSON object."""
    members = value_of(body)
    return members if isinstance(members, dict) else {}


def user_name(value: object) -> str | None:
    """A user as a client names them, or None where that can be no name."""
    name = _name(value)
    return name if name and name.isprintable() and not name.isspace() else None


class UnreadBody:
    """A body of which nothing is read: none at all, a file, what a browser's call begins with (SDP)."""

    is_whole = True
    facts = RequestFacts()

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data

    def finish(self) -> bytes:
        """Nothing."""
        return b""

    def members(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}


class WholeBody:
    """A JSON body that is given as a whole, to one `feed`; it is parsed at once, and scanned only to be changed."""

    def __init__(self, *, asks: bool = False, unstored: bool = False) -> None:
        self._asks = asks
        self._unstored = unstored
        self._body = b""
        self._scanned: BodyEditor | None = None  # what our parser refuses
        self.facts = RequestFacts()

    @property
    def is_whole(self) -> bool:
        """Whether it was parsed, and not only searched."""
        return self._scanned is None

    def feed(self, data: bytes) -> bytes:
        """The whole body, changed where it must be."""
        self._body = data
        if members := parse(data):
            self.facts = RequestFacts.of(members)
        else:  # what this parser refuses (deep nesting, 5000 digits) another one may take, and run in the background
            self._scanned = BodyEditor()
            self._scanned.feed(data)
            self.facts = self._scanned.facts
        asks = self._asks and self.facts.stream and not self.facts.usage_asked
        if not (asks or self._unstored):
            return data
        editor = BodyEditor(asks=asks, unstored=self._unstored, stream=self.facts.stream)
        return editor.feed(data) + editor.finish()

    def finish(self) -> bytes:
        """Nothing: it was whole."""
        return b""

    def members(self) -> Mapping[str, Any]:
        """All of it; parsed once more, because what is parsed takes ten times the memory."""
        return self._scanned.members() if self._scanned else parse(self._body)


class BodyEditor:
    """A JSON body that comes in parts.

    `asks` says whether this endpoint's streams must be asked for their usage, `unstored` whether `store` must be
    false. `stream` is whether the body asks for a stream, or None while that is not known (a body too large to be read
    first): then an object of `stream_options` is taken as a sign.
    """

    is_whole = False

    def __init__(self, *, asks: bool = False, unstored: bool = False, stream: bool | None = None) -> None:
        self._asks = asks
        self._unstored = unstored
        self._stream = stream
        self._found: dict[str, Any] = {}
        self._empty = unstored  # no member has been seen; nobody looks where a member decides (`stream`)
        self._settled = False  # the stream options have been seen, and are as they must be
        self._scanner = MemberScanner(_WANTED_UNSTORED if unstored else _WANTED)
        self._facts: RequestFacts | None = None  # of what was found, once somebody asks

    @property
    def facts(self) -> RequestFacts:
        """The facts found so far."""
        if self._facts is None:
            self._facts = RequestFacts.of(self._found)
        return self._facts

    def feed(self, data: bytes) -> bytes:
        """The bytes to send for these; a value that is not whole yet waits for its rest."""
        out = []
        for path, raw in self._scanner.feed(data):
            piece = raw
            if path:
                piece = self._member(path[0], raw)
            elif path == ():
                piece = self._missing() + raw
            elif self._empty:
                self._empty = raw.strip() in {b"", b"{"}
            out.append(piece)
        return b"".join(out)

    def finish(self) -> bytes:
        """What was held back when the input ended inside a value."""
        return self._scanner.held()

    def members(self) -> Mapping[str, Any]:
        """The members found so far, of those that matter."""
        return self._found

    def _member(self, name: str, raw: bytes) -> bytes:
        """Read a wanted member; the value to send for its own."""
        value = self._found[name] = _value(raw)
        self._facts = None
        if name == "store":
            return b"false"
        if name == "stream_options" and self._asks:
            self._settled = self._streams(value)
            return (self._settled and _asking(value)) or raw
        return raw

    def _missing(self) -> bytes:
        """The members to add before the object's end; of two with one name, parsers take the last."""
        added = []
        if self._asks and self.facts.stream and not self._settled:
            added.append(b'"stream_options":' + _json(_ASK))
        if self._unstored and "store" not in self._found:
            added.append(b'"store":false')
        return b"".join(b"," + member for member in added).removeprefix(b"," if self._empty else b"")

    def _streams(self, options: object) -> bool:
        """Whether the body asks for a stream, as far as can be said where its stream options stand."""
        if self._stream is not None:
            return self._stream
        return self.facts.stream if "stream" in self._found else options is not None


def _asking(options: object) -> bytes | None:
    """Stream options that ask for usage, where these do not."""
    if options is None:
        return _json(_ASK)
    if isinstance(options, dict) and options.get("include_usage") is not True:
        return _json(options | _ASK)
    return None


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME else None


def _tokens(value: object) -> int | None:
    return min(value, _MOST_TOKENS) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _value(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return Ellipsis  # no JSON; OpenAI will say so


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
