"""What is wrong with an access file, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from openai_proxy.access.fields import shown
from openai_proxy.access.toml_positions import Path, positions

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_REASON = re.compile(r"(?:[A-Za-z /-]|'[^']')+")  # no more of the text than one character


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake; `place` is the path of names, empty for the whole file. Never shows a hash or a key."""

    line: int
    column: int
    place: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.what}"

    @property
    def what(self) -> str:
        """The message, and what it is about."""
        return f"{self.place}: {self.message}" if self.place else self.message


class AccessFileError(ValueError):
    """The access file cannot be read or is broken. `mistakes` are all that were found, in the text's order."""

    def __init__(self, message: str, mistakes: Sequence[Mistake] = ()) -> None:
        super().__init__(message)
        self.mistakes = tuple(mistakes)

    @property
    def where(self) -> str:
        """Where it is broken, for those who may not know who is in it."""
        return f"broken at line {self.mistakes[0].line}" if self.mistakes else "unreadable"

    @classmethod
    def of(cls, mistakes: Sequence[Mistake]) -> AccessFileError:
        """The error that tells the first mistake, and how many there are."""
        more = f" (and {len(mistakes) - 1} more: openai-proxy access check)" if len(mistakes) > 1 else ""
        return cls(f"the access file, {mistakes[0]}{more}", mistakes)


def not_toml(text: str, error: Exception) -> Mistake:
    """Where TOML broke. The parser's own reason may quote the text, which may hold a hash, so not all is told."""
    if isinstance(error, RecursionError):
        return Mistake(1, 1, "", "not TOML: nested too deeply")
    found = _PLACE.search(str(error))
    reason = str(error)[: found.start()] if found else ""
    told = reason if _REASON.fullmatch(reason) else "a wrong value or a name twice"
    end = (text.count("\n") + 1, len(text) - text.rfind("\n"))
    line, column = (int(found[1]), int(found[2])) if found and found[1] else end if found else (1, 1)
    return Mistake(line, column, "", f"not TOML: {told[:1].lower()}{told[1:]}")


def located(text: str, found: Iterable[tuple[Path, str]]) -> list[Mistake]:
    """What was found at paths of the document, with its place; what is missing stands where it is missed."""
    try:
        places = positions(text)
    except RecursionError:
        places = {}
    mistakes = []
    for path, message in found:
        known = path
        while known and known not in places:
            known = known[:-1]
        line, column = places.get(known, (1, 1))
        mistakes.append(Mistake(line, column, _dotted(path), message))
    return sorted(mistakes)


def _dotted(path: Path) -> str:
    place = ""
    for part in path:
        if isinstance(part, int):
            place += f"[{part}]"
        else:
            name = part if _BARE.fullmatch(part) and shown(part) == repr(part) else f"({shown(part)})"
            place += f".{name}" if place else name
    return place
