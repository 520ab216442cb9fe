"""Where each name and value of a TOML text stands; `tomllib` tells places of broken syntax only.

Pure. Only for a text that `tomllib` has read: what it allows is not checked again.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Names of tables and values; numbers, from 0, in lists."""

_TOKEN = re.compile(
    r"""
    (?P<blank>  [ \t]+ | \#[^\n]* )
  | (?P<text>   \"\"\" (?: [^"\\] | \\. | "{1,2}(?!") )* "{3,5}
              | ''' (?: [^'] | '{1,2}(?!') )* '{3,5}
              | " (?: [^"\\\n] | \\. )* "
              | ' [^'\n]* ' )
  | (?P<mark>   [\[\]{}=,.\n] )
  | (?P<bare>   [^\s\[\]{}=,.\"'\#]+ )
    """,
    re.VERBOSE | re.DOTALL,
)


def positions(text: str) -> Mapping[Path, tuple[int, int]]:
    """Line and column, both from 1, of each name as it first appears, and of each member of a list."""
    scan = _Scan(text.replace("\r\n", "\n"))
    scan.document()
    lines = [0, *(found.end() for found in re.finditer("\n", scan.text))]
    return {path: _line_and_column(lines, offset) for path, offset in scan.found.items()}


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.found: dict[Path, int] = {}
        self._tokens = [token for token in _TOKEN.finditer(text) if token.lastgroup != "blank"]
        self._at = 0
        self._lengths: dict[Path, int] = {}  # of lists made by [[headers]]

    def document(self) -> None:
        table: Path = ()
        while self._at < len(self._tokens):
            if self._mark("\n"):
                continue
            if self._mark("["):
                listed = self._mark("[")
                table = self._header(listed=listed)
            else:
                self._pair(table)

    def _header(self, *, listed: bool) -> Path:
        path: Path = ()
        while not self._mark("]"):
            if self._mark("."):
                continue
            offset, name = self._name()
            path = (*path, name)
            self.found.setdefault(path, offset)
            last = self._peek() == "]"
            if path in self._lengths or (listed and last):
                if listed and last:
                    self._lengths[path] = self._lengths.get(path, 0) + 1
                path = (*path, self._lengths[path] - 1)
                self.found.setdefault(path, offset)
        if listed:
            self._mark("]")
        return path

    def _pair(self, path: Path) -> None:
        while not self._mark("="):
            if self._mark("."):
                continue
            offset, name = self._name()
            path = (*path, name)
            self.found.setdefault(path, offset)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._mark("["):
            number = 0
            while not self._mark("]"):
                if self._mark(",") or self._mark("\n"):
                    continue
                self.found[*path, number] = self._tokens[self._at].start()
                self._value((*path, number))
                number += 1
        elif self._mark("{"):
            while not self._mark("}"):
                if not self._mark(",") and not self._mark("\n"):
                    self._pair(path)
        else:
            while self._peek() not in {"", "\n", ",", "]", "}"}:  # 1.5 and 2026-05-01 12:00:00 are several
                self._at += 1

    def _name(self) -> tuple[int, str]:
        token = self._tokens[self._at]
        self._at += 1
        text = token.group()
        return token.start(), next(iter(tomllib.loads(f"{text} = 0"))) if token.lastgroup == "text" else text

    def _mark(self, mark: str) -> bool:
        found = self._peek() == mark
        self._at += found
        return found

    def _peek(self) -> str:
        """The next token; nothing at the end."""
        return self._tokens[self._at].group() if self._at < len(self._tokens) else ""


def _line_and_column(lines: list[int], offset: int) -> tuple[int, int]:
    line = bisect_right(lines, offset)
    return line, offset - lines[line - 1] + 1
