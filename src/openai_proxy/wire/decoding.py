"""Undoes an answer's content coding while its bytes pass, so that it can be read; the client gets what OpenAI sent."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_LARGEST_DECODED = 256 * 1024  # of one step of decompression
_HEAD, _GZIP = 2, b"\x1f\x8b"  # the bytes that tell the codings apart


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
