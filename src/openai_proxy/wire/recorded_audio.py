"""How long a recording plays, read while its bytes pass: OpenAI charges sound by its length, and often tells none.

What a file's beginning says of its length is read by `tinytag`: MP3, WAV, FLAC. What is spread over a file is read as
it passes (`passing_audio`): M4A and MP4, Ogg, WebM, AAC. 64 KB of a recording are ever held. Unknown is None.
"""

from __future__ import annotations

from decimal import Decimal
from io import SEEK_END, SEEK_SET, BytesIO

from openai_proxy.wire.passing_audio import PassingAudio

_HEAD_BYTES = 64 * 1024
_ID3_HEAD, _ID3_FOOTER = 10, 0x10
_LONGEST_SECONDS = 1_000_000  # 512 MB, OpenAI's largest file, at 4 kbit/s; what says more is broken
_PCM_SECOND = 24_000 * 2  # bytes of `response_format` pcm: 24 kHz, 16 bit, mono (OpenAI's text-to-speech guide)


class RecordedAudio:
    """One recording, of any size."""

    def __init__(self) -> None:
        self._start = b""
        self._tag: int | None = None  # bytes of an ID3v2 tag in front that have yet to pass; a cover can be megabytes
        self._size = 0
        self._head = bytearray()
        self._passing = PassingAudio()

    def feed(self, data: bytes) -> None:
        """Take the next bytes, of any length."""
        if self._tag is None:
            data = self._start = self._start + data
            if len(data) < _ID3_HEAD:
                return
            self._start, self._tag = b"", _id3_length(data)
        if self._tag:
            passed = min(self._tag, len(data))
            self._tag -= passed
            data = data[passed:]
        self._size += len(data)
        if self._size - len(data) < _HEAD_BYTES:
            self._head += data[: _HEAD_BYTES - len(self._head)]
        self._passing.feed(data)

    def seconds(self, *, raw_pcm: bool = False) -> Decimal | None:
        """How long it plays, to the millisecond; of a broken or unknown format None. It may take 20 ms.

        `raw_pcm`: it is bare samples, as OpenAI sends them for the `response_format` pcm.
        """
        if raw_pcm:
            return _told(self._size / _PCM_SECOND)
        if self._passing.known:
            return _told(self._passing.seconds)
        return _told(_by_head(bytes(self._head), self._size))


def _id3_length(start: bytes) -> int:
    """The bytes of an ID3v2 tag in front, or 0 (https://id3.org/id3v2.4.0-structure, 3.1)."""
    if not start.startswith(b"ID3"):
        return 0
    length = 0
    for byte in start[6:_ID3_HEAD]:
        length = length << 7 | byte & 0x7F
    return _ID3_HEAD + length + (_ID3_HEAD if start[5] & _ID3_FOOTER else 0)


class _Head(BytesIO):
    """The first bytes of a larger file; behind them reads find the end, and the size is the file's own."""

    def __init__(self, head: bytes, size: int) -> None:
        super().__init__(head)
        self._size = size

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        if whence == SEEK_END:
            return super().seek(max(0, self._size + offset))
        return super().seek(offset, whence)


def _by_head(head: bytes, size: int) -> float | None:
    """The seconds that a file's head tells."""
    from tinytag import TinyTag, TinyTagException  # 5 ms that only a request with sound needs

    try:
        tag = TinyTag.get(file_obj=_Head(head, size), tags=False)
    except (TinyTagException, ArithmeticError, LookupError, ValueError):
        return None  # nothing that it knows, or broken
    by_size = size * 8 / (tag.bitrate * 1000) if tag.bitrate else None
    if (tag.mime_type or "").startswith("audio/wav") and tag.is_lossless and by_size:
        # A WAV that was streamed has no length in its head, but 0 or 0xFFFFFFFF; nor can it be longer than its bytes
        return min(tag.duration or by_size, by_size)
    if tag.mime_type == "audio/mpeg" and by_size and size > len(head):
        # Where nothing tells how many frames there are, those behind the head are taken to be as large
        return max(tag.duration or 0, by_size)
    return tag.duration


def _told(seconds: float | None) -> Decimal | None:
    if seconds is None or not 0 < seconds < _LONGEST_SECONDS:
        return None
    return Decimal(seconds).quantize(Decimal("0.001")) or None  # less than half a millisecond is no recording
