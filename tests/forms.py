"""multipart/form-data (RFC 7578): written as clients do, and read in constant memory, whatever is uploaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_BOUNDARY = "a-boundary-that-stands-in-no-file"
_LARGEST_HEAD = 65_536
_HEAD_ENDS = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class File:
    """A file to upload."""

    name: str
    content: bytes
    content_type: str = "application/octet-stream"


def form(fields: Sequence[tuple[str, str | File]]) -> tuple[str, bytes]:
    """The content type and the bytes of a form."""
    return f"multipart/form-data; boundary={_BOUNDARY}", b"".join(_pieces(fields))


def _pieces(fields: Sequence[tuple[str, str | File]]) -> Iterator[bytes]:
    for name, value in fields:
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(value, File):
            head += f'; filename="{value.name}"\r\nContent-Type: {value.content_type}'
        yield f"{head}\r\n\r\n".encode()
        yield value.content if isinstance(value, File) else value.encode()
        yield b"\r\n"
    yield f"--{_BOUNDARY}--\r\n".encode()


@dataclass(slots=True)
class Part:
    """One part of a form; of its content only the head is kept."""

    name: str
    filename: str | None
    head: bytes = b""
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def text(self) -> str:
        return self.head.decode()

    @property
    def sha256(self) -> str:
        return str(self.digest.hexdigest())

    def take(self, data: bytes) -> None:
        self.head += data[: _LARGEST_HEAD - len(self.head)]
        self.size += len(data)
        self.digest.update(data)


class FormReader:
    """Reads a form as its bytes come."""

    def __init__(self, content_type: str) -> None:
        found = re.search(r'boundary="?([^";]+)', content_type)
        self._delimiter = b"\r\n--" + (found.group(1).encode() if found else b"?")
        self._rest = b"\r\n"  # the first delimiter has no line before it
        self._in_head = False
        self._part = Part("", None)  # what stands before the first delimiter belongs to nobody
        self.parts: list[Part] = []

    def feed(self, data: bytes) -> None:
        self._rest += data
        while self._step():
            pass

    @property
    def fields(self) -> Mapping[str, str]:
        """What is no file; a name that stands twice keeps its last value."""
        return {part.name: part.text for part in self.parts if part.filename is None}

    @property
    def files(self) -> Sequence[Part]:
        return [part for part in self.parts if part.filename is not None]

    def _step(self) -> bool:
        if self._in_head:
            head, ended, rest = self._rest.partition(_HEAD_ENDS)
            if not ended:
                return False
            self._part = Part(_parameter(head, "name") or "", _parameter(head, "filename"))
            self.parts.append(self._part)
            self._rest, self._in_head = rest, False
            return True
        content, ended, rest = self._rest.partition(self._delimiter)
        if not ended:
            keep = len(self._delimiter) - 1
            content, rest = self._rest[:-keep], self._rest[-keep:]
        self._part.take(content)
        self._rest, self._in_head = rest, bool(ended)
        return bool(ended)


def _parameter(head: bytes, name: str) -> str | None:
    found = re.search(rf'[; ]{name}="([^"]*)"', head.decode("utf-8", "replace"))
    return found.group(1) if found else None
