"""Reads a TOML text of many small tables in a fifth of `tomllib`'s time, and to the same document.

Pure. `tomllib` reads all that stands before the first `[[list]]`, in any form. From there on each line must be a
header, a pair or a comment by itself; then the text means what its lines mean, one after the other. A line that is not,
as one that opens a list of several lines, is found out since it is no TOML alone: then `tomllib` reads the whole text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_BARE = r"[A-Za-z0-9_-]+"
_TEXT = r'"[^"\\\x00-\x1f\x7f]*"'  # without escapes
_NAME = rf"(?:{_BARE}|{_TEXT})"
_TIME = r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ"
_END = r"[ \t]*(?:#[^\x00-\x08\x0a-\x1f\x7f]*)?$"  # perhaps a comment
_LINE = re.compile(
    rf"^(?:({_BARE}) = (?:({_TEXT})|({_TIME})|(true|false)){_END}"
    rf"|\[\[({_NAME})\.({_NAME})\.({_NAME})\]\]{_END}"
    rf"|\[({_NAME})\.({_NAME})\]{_END}"
    r"|(.+))",
    re.MULTILINE | re.ASCII,
)
_TABLE = re.compile(rf"^\[({_NAME})\.({_NAME})\]{_END}", re.MULTILINE)


def loads(text: str) -> dict[str, Any]:
    """What `tomllib.loads` gives. Values may be shared between tables, so they are to be read only.

    Raises:
        ValueError: the text is not TOML, or holds a number of thousands of digits.
        RecursionError: it is nested too deeply.
    """
    try:
        return _by_lines(text)
    except (ValueError, KeyError, RecursionError):
        return tomllib.loads(text)


def _by_lines(text: str) -> dict[str, Any]:
    """The document; `ValueError` or `KeyError` where it cannot be had so, whether the text is TOML or not."""
    begin = text.find("\n[[") + 1
    document = _Document(text[:begin])
    known: dict[str, Mapping[str, Any]] = {}  # lines that recur, as a list of budgets does
    table: dict[str, Any] = {}
    for name, words, time, flag, first, second, third, outer, inner, other in _LINE.findall(text, begin):
        if name:
            _add(table, name, words[1:-1] if words else datetime.fromisoformat(time) if time else flag == "true")
        elif third:
            table = document.listed(first, second, third)
        elif inner:
            table = document.table(outer.strip('"'), inner.strip('"'))
        else:
            if other not in known:
                known[other] = _pair(other)
            for key, value in known[other].items():
                _add(table, key, value)
    return document.names


class _Document:
    """What headers add to: only tables that headers alone have made; TOML forbids it for most others."""

    def __init__(self, head: str) -> None:
        if not head or '"""' in head or "'''" in head:
            raise ValueError("no lists, or perhaps a header inside a text")
        self.names = tomllib.loads(head)
        self._tables: dict[str, dict[str, dict[str, Any]]] = {}
        self._lists: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for outer, inner in _TABLE.findall(head):
            name, last = outer.strip('"'), inner.strip('"')
            self._tables.setdefault(name, {})[last] = self.names[name][last]

    def table(self, outer: str, inner: str) -> dict[str, Any]:
        """The new table of `[outer.inner]`."""
        if outer not in self._tables:
            self._tables[outer] = {}
            _add(self.names, outer, {})
        table = self._tables[outer][inner] = {}
        _add(self.names[outer], inner, table)
        return table

    def listed(self, *quoted: str) -> dict[str, Any]:
        """The new table of `[[first.second.third]]`."""
        found = self._lists.get(quoted)
        if found is None:
            first, second, third = (name.strip('"') for name in quoted)
            found = self._lists[quoted] = []
            _add(self._tables[first][second], third, found)
        found.append({})
        return found[-1]


def _pair(line: str) -> Mapping[str, Any]:
    """What a line says alone: a pair, or nothing if it is a comment."""
    if line.lstrip().startswith("["):
        raise ValueError("a header of another form")
    return tomllib.loads(line)


def _add(table: dict[str, Any], name: str, value: object) -> None:
    if name in table:
        raise ValueError("a name twice")
    table[name] = value
