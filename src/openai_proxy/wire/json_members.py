"""Finds chosen members of one JSON object while its bytes pass, in constant memory.

A body may be 512 MB, an answer's last event 30 MB; only the wanted values are ever held, and those up to a limit.
The scanner trusts that the JSON is well formed: where it is not, it finds nothing more and lets everything pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from functools import cache
from typing import Any

Path = tuple[str, ...]
"""The names that lead to a member; `ELEMENT` stands for each element of an array."""

ELEMENT = "[]"

Piece = tuple[Path | None, bytes]
"""`(path, value)`: one wanted value, whole, as JSON text; `((), b"}")`: the object's end; `((..., ELEMENT), b"}")`: the
end of an array's element that was looked into; `(None, bytes)`: all else."""

_LARGEST_VALUE = 256 * 1024
_LONGEST_KEY = 1024

# Possessive, so that no input makes them back-track
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|(?>"(?:[^"\\]++|\\.)*+"))*+', re.DOTALL)  # atomic: cpython#106052
_SCALAR = re.compile(rb"[^,}\]\s]*+")
_MEMBER = re.compile(rb'[,\s]*+"((?:[^"\\]++|\\.)*+)"\s*+:\s*+(?=.)', re.DOTALL)  # up to a value's first byte
_QUOTE, _BACKSLASH, _COMMA, _COLON = b'"\\,:'
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY, _CLOSE_ARRAY = b"{}[]"

_More = Generator[None, None, None]


class _BrokenError(Exception):
    """The bytes are no JSON object."""


class MemberScanner:
    """A push scanner: `feed` it the bytes as they come; the pieces' bytes, joined, are the bytes fed."""

    def __init__(self, wanted: Sequence[Path], largest_value: int = _LARGEST_VALUE) -> None:
        self._wanted, self._objects, self._arrays = _sets(tuple(wanted))
        self._largest_value = largest_value
        self._data = b""
        self._at = 0
        self._given = 0  # up to where the data was given out or is held
        self._held: bytearray | None = None
        self._pieces: list[Piece] = []
        self._scan = self._root()
        self.done = False  # the object has ended
        self.broken = False  # it is none

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that these bytes complete; a value that is not whole yet is held back."""
        self._data, self._at, self._given, self._pieces = data, 0, 0, []
        if not (self.done or self.broken):
            try:
                next(self._scan)
            except StopIteration:
                self.done = True
            except _BrokenError:
                self.broken = True
        rest = data[self._given :]
        if self._held is None:
            if rest:
                self._pieces.append((None, rest))
        else:
            self._held += rest
            if self.broken or len(self._held) > self._largest_value:
                self._pieces.append((None, self.held()))
        return self._pieces

    def held(self) -> bytes:
        """What is held back, given up: at the input's end, or where a value is larger than may be held."""
        held, self._held = bytes(self._held or b""), None
        return held

    def _root(self) -> _More:
        if (yield from self._next()) != _OPEN_OBJECT:
            raise _BrokenError
        self._at += 1
        yield from self._object(())
        self._give_before(self._at - 1)
        self._give((), self._at)

    def _object(self, path: Path) -> _More:
        """Read the members after an opening brace, up to and with the closing one."""
        while True:
            if match := _MEMBER.match(self._data, self._at):  # nearly always: the key is not cut
                self._at = match.end()
                member = (*path, _text(match[1]))
            else:
                character = yield from self._next()
                self._at += 1
                if character == _CLOSE_OBJECT:
                    return
                if character == _COMMA:
                    continue
                if character != _QUOTE:
                    raise _BrokenError
                member = (*path, (yield from self._key()))
                if (yield from self._next()) != _COLON:
                    raise _BrokenError
                self._at += 1
                yield from self._next()
            yield from self._member(member, self._data[self._at])

    def _array(self, path: Path) -> _More:
        """Read the elements after an opening bracket, up to and with the closing one."""
        element = (*path, ELEMENT)
        while True:
            character = yield from self._next()
            if character == _CLOSE_ARRAY:
                self._at += 1
                return
            if character == _COMMA:
                self._at += 1
            elif character == _CLOSE_OBJECT:
                raise _BrokenError
            elif character == _OPEN_OBJECT and element in self._objects:
                self._at += 1
                yield from self._object(element)
                self._give_before(self._at - 1)
                self._give(element, self._at)
            else:
                yield from self._member(element, character)

    def _member(self, path: Path, first: int) -> _More:
        """Read one value, whose first character is at hand: hold it, look into it, or pass over it."""
        if path in self._wanted:
            self._give_before(self._at)
            self._held = bytearray()
            yield from self._value(first)
            if self._held is not None:
                value = self._held + self._data[self._given : self._at]
                self._held = None
                self._given = self._at
                self._pieces.append((path, bytes(value)))
        elif path in self._objects and first == _OPEN_OBJECT:
            self._at += 1
            yield from self._object(path)
        elif path in self._arrays and first == _OPEN_ARRAY:
            self._at += 1
            yield from self._array(path)
        else:
            yield from self._value(first)

    def _value(self, first: int) -> _More:
        """Pass over one value, whose first character is at hand."""
        if first == _QUOTE:
            self._at += 1
            yield from self._string()
        elif first in {_OPEN_OBJECT, _OPEN_ARRAY}:
            yield from self._nested()
        else:
            yield from self._run(_SCALAR)

    def _nested(self) -> _More:
        depth = 0
        while True:
            yield from self._run(_TO_BRACKET)
            character = self._data[self._at]
            self._at += 1
            if character == _QUOTE:  # a string that these bytes cut
                yield from self._string()
            elif character in {_OPEN_OBJECT, _OPEN_ARRAY}:
                depth += 1
            else:
                depth -= 1
                if not depth:
                    return

    def _string(self) -> _More:
        """Pass over the rest of a string, up to and with its closing quote."""
        while True:
            data, at = self._data, self._at
            end = data.find(b'"', at)
            if data.find(b"\\", at, end if end >= 0 else len(data)) >= 0:  # rarely, and `find` is ten times as fast
                match = _STRING.match(data, at)
                end = match.end() if match else at
                if data[end : end + 1] == b"\\":  # at the cut: it takes the next byte with it
                    self._at = len(data)
                    while self._at == len(self._data):
                        yield
                    self._at += 1
                    continue
            if 0 <= end < len(data):
                self._at = end + 1
                return
            self._at = len(data)
            yield

    def _key(self) -> Generator[None, None, str]:
        """Read a key after its opening quote."""
        text = bytearray()
        escaped = False
        while True:
            while self._at == len(self._data):
                yield
            byte = self._data[self._at]
            self._at += 1
            if byte == _QUOTE and not escaped:
                return _text(bytes(text))
            text.append(byte)
            escaped = byte == _BACKSLASH and not escaped
            if len(text) > _LONGEST_KEY:
                raise _BrokenError

    def _next(self) -> Generator[None, None, int]:
        """The next character that is no space; the position stays on it."""
        yield from self._run(_SPACE)
        return self._data[self._at]

    def _run(self, pattern: re.Pattern[bytes]) -> _More:
        """Pass over what the pattern matches, however it is cut; a byte stands behind it when this returns."""
        while True:
            match = pattern.match(self._data, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._data):
                return
            yield

    def _give_before(self, end: int) -> None:
        if end > self._given:
            self._give(None, end)

    def _give(self, path: Path | None, end: int) -> None:
        self._pieces.append((path, self._data[self._given : end]))
        self._given = end


_parse = json.JSONDecoder().decode  # `json.loads` would look for UTF-16 first


def value_of(text: bytes) -> object:
    """The value of a JSON text, or None where it is none."""
    try:
        return _parse(str(text, "utf-8"))
    except (ValueError, RecursionError):
        return None


def put(document: dict[str, Any], path: Path, value: object) -> None:
    """Set a member of a document, and the objects that lead to it."""
    for name in path[:-1]:
        inner = document.get(name)
        if not isinstance(inner, dict):
            inner = document[name] = {}
        document = inner
    document[path[-1]] = value


@cache  # there are a handful, and a scanner a request
def _sets(wanted: tuple[Path, ...]) -> tuple[frozenset[Path], frozenset[Path], frozenset[Path]]:
    """The wanted paths, and the paths of objects and of arrays that lead to one."""
    ways = {(path[:length], path[length]) for path in wanted for length in range(1, len(path))}
    arrays = frozenset(way for way, following in ways if following == ELEMENT)
    return frozenset(wanted), frozenset(way for way, _ in ways) - arrays, arrays


def _text(key: bytes) -> str:
    """A key's text, from between its quotes."""
    if b"\\" not in key:
        return key.decode("utf-8", "replace")
    try:
        return str(json.loads(b'"' + key + b'"'))
    except ValueError:
        raise _BrokenError from None
