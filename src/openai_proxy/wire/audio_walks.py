"""Formats of sound whose length is spread over the file, or stands at its end: how to walk through one.

Such a file is a row of pieces that each tell their own size, so a walk steps from one piece's head to the next. Where
the file breaks off, or is none, a walk ends with the length that it knew.
"""

from __future__ import annotations

import struct
from collections.abc import Generator

Walk = Generator[tuple[float | None, int, int], bytes, None]
"""Yields the seconds so far, the bytes to step over, and how many to be sent then; these are not stepped over yet."""

START_BYTES = 8
"""The bytes of a file that tell its format."""


def walk_of(start: bytes) -> Walk | None:
    """The walk through a file that starts so, or None where its format is none of these."""
    if start.startswith(b"OggS"):
        return _ogg()
    if start.startswith(b"fLaC"):
        return _flac()
    if start.startswith(b"\x1a\x45\xdf\xa3"):
        return _webm()
    if start[4:] == b"ftyp":
        return _mp4()
    return _adts() if _is_adts(start) else None


# AAC in ADTS, ISO/IEC 13818-7, 6.2: frames, each with a head of 7 bytes, of one to four blocks of 1024 samples
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_ADTS_HEAD, _ADTS_SAMPLES = 7, 1024
_ADTS_MASK, _ADTS_SYNC = 0xFFF6, 0xFFF0


def _is_adts(head: bytes) -> bool:
    sync = int.from_bytes(head[:2], "big") & _ADTS_MASK
    return sync == _ADTS_SYNC and (head[2] >> 2) & 15 < len(_ADTS_RATES)


def _adts() -> Walk:
    samples, rate, size = 0, 1, 0
    while _is_adts(head := (yield samples / rate, size, _ADTS_HEAD)):
        rate = _ADTS_RATES[(head[2] >> 2) & 15]
        size = max(_ADTS_HEAD, (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5)
        samples += _ADTS_SAMPLES * ((head[6] & 3) + 1)
    yield None, 0, 0  # it was none, or broke


# FLAC, RFC 9639, 8.2: the head tells the length, but a stream's does not: then its frames are counted, by their numbers
_FLAC_HEAD = struct.Struct(">8xHH6xQ")  # smallest and largest block; 20 bits of rate, 8 of form, 36 of length
_FLAC_SYNC = b"\xff\xf8"  # of frames of one size but for the last, 9.1; what writes streams makes these
_FLAC_STEP, _FLAC_FRAME_HEAD, _FLAC_NUMBER = 64, 16, 4
_MOST_FRAMES = 0x10FFFF


def _flac() -> Walk:
    block, _, numbers = _FLAC_HEAD.unpack((yield None, 0, _FLAC_HEAD.size))
    rate, samples = numbers >> 44, numbers & (1 << 36) - 1
    size = _FLAC_HEAD.size
    if rate and samples:
        yield samples / rate, size, 0
        return
    frame = 0
    while rate and frame < _MOST_FRAMES:
        data = yield samples / rate, size, _FLAC_STEP + _FLAC_FRAME_HEAD
        size, at = _FLAC_STEP, data.find(_FLAC_SYNC)
        while 0 <= at < _FLAC_STEP:
            number = chr(frame).encode("utf-8", "surrogatepass")  # 9.1.5: coded as UTF-8 codes a character
            end = at + _FLAC_NUMBER + len(number)
            if data[at + _FLAC_NUMBER : end] == number:
                frame += 1
                width = {6: 1, 7: 2}.get(data[at + 2] >> 4, 0)  # 9.1.1: an odd size stands behind the number, less one
                samples += int.from_bytes(data[end : end + width], "big") + 1 if width else block
            at = data.find(_FLAC_SYNC, at + 1)


# Ogg, RFC 3533, 6: pages; a page's granule position counts the samples up to its end
_PAGE = struct.Struct("<4sBBqIIIB")
_NO_GRANULE = -1
_LONGEST_CODEC = 30


def _ogg() -> Walk:
    seconds, rate, before, sound, size = None, 0, 0, None, 0
    while True:
        magic, _, _, granule, stream, _, _, segments = _PAGE.unpack((yield seconds, size, _PAGE.size))
        if magic != b"OggS":
            return
        size = segments + sum((yield seconds, _PAGE.size, segments))
        if sound is None:
            rate, before = _ogg_codec((yield seconds, segments, _LONGEST_CODEC))
            sound, size = (stream if rate else None), size - segments
        elif stream == sound and granule != _NO_GRANULE:
            seconds = max(0, granule - before) / rate


def _ogg_codec(head: bytes) -> tuple[int, int]:
    """Samples a second, and those before the sound; zeros of no codec that is known here."""
    if head.startswith(b"OpusHead"):  # RFC 7845, 5.1: whatever its rate was, 48 kHz
        return 48_000, int.from_bytes(head[10:12], "little")
    if head.startswith(b"\x01vorbis"):  # Vorbis I, 4.2.2
        return int.from_bytes(head[12:16], "little"), 0
    if head.startswith(b"\x7fFLAC"):  # RFC 9639, 10.1 and 8.2: 20 bits
        return int.from_bytes(head[27:30], "big") >> 4, 0
    return 0, 0


# MP4 and M4A, ISO/IEC 14496-12, 4.2 and 8.2.2: boxes; `mvhd` in `moov`, before or behind the sound, has the length
_BOX_HEAD, _LARGE_BOX_HEAD = 8, 16
_MOVIE_HEAD = 40
_LARGE = 1


def _mp4() -> Walk:
    size = 0
    while True:
        head = yield None, size, _LARGE_BOX_HEAD
        size, kind = struct.unpack_from(">I4s", head)
        start = _BOX_HEAD
        if size == _LARGE:
            start, size = _LARGE_BOX_HEAD, int.from_bytes(head[_BOX_HEAD:], "big")
        if kind == b"moov":
            size = start
        elif kind == b"mvhd":
            yield _movie_seconds((yield None, 0, _MOVIE_HEAD)), 0, 0
            return
        if size < start:  # to the end of the file, or broken
            return


def _movie_seconds(box: bytes) -> float | None:
    unit, length = struct.unpack_from(">IQ", box, 28) if box[8] == 1 else struct.unpack_from(">II", box, 20)
    # All ones: unknown. A fragmented file says 0.
    return length / unit if unit and length not in {0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF} else None


# WebM, RFC 8794 and RFC 9559: elements, of which the first four here are gone into. A live recording tells no length,
# but each block's time in its cluster, and the cluster's
_INSIDE = {b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x1f\x43\xb6\x75", b"\xa0"}  # segment, info, cluster, group
_SCALE, _CLUSTER_TIME, _LENGTH, _BLOCKS = b"\x2a\xd7\xb1", b"\xe7", b"\x44\x89", (b"\xa3", b"\xa1")
_READ = {_SCALE, _CLUSTER_TIME, _LENGTH, *_BLOCKS}
_ELEMENT_HEAD, _LONGEST_ID, _LONGEST_NUMBER = 12, 4, 8
_NANOSECONDS = 1e9


def _webm() -> Walk:
    seconds, size = None, 0
    numbers = {_SCALE: 1_000_000, _CLUSTER_TIME: 0}
    while element := _element((yield seconds, size, _ELEMENT_HEAD)):
        kind, start, size = element
        if kind not in _READ:
            size = start + (0 if kind in _INSIDE else size)
            continue
        value = yield seconds, start, min(size, _LONGEST_NUMBER)
        if kind == _LENGTH:
            yield _number(value) * numbers[_SCALE] / _NANOSECONDS, 0, 0
            return
        if kind in _BLOCKS:
            seconds = (numbers[_CLUSTER_TIME] + _block_time(value)) * numbers[_SCALE] / _NANOSECONDS
        else:
            numbers[kind] = int.from_bytes(value, "big")


def _element(head: bytes) -> tuple[bytes, int, int] | None:
    """An element's id, its head's bytes, its size; None of what is none, or has no size where it must have one."""
    id_width = _width(head[0])
    size_width = _width(head[min(id_width, _LONGEST_ID)])
    if id_width > _LONGEST_ID or size_width > _LONGEST_NUMBER:
        return None
    kind, start = head[:id_width], id_width + size_width
    unknown = (1 << 7 * size_width) - 1
    size = int.from_bytes(head[id_width:start], "big") & unknown
    return None if size == unknown and kind not in _INSIDE else (kind, start, size)


def _width(first: int) -> int:
    """The bytes of a number whose first byte is this: one more than its leading zeros (RFC 8794, 4.1)."""
    return 9 - first.bit_length()


def _number(value: bytes) -> float:
    forms = {4: ">f", 8: ">d"}
    return float(struct.unpack(forms[len(value)], value)[0]) if len(value) in forms else 0.0


def _block_time(block: bytes) -> int:
    """A block's time within its cluster; its track's number stands before it."""
    track = _width(block[0]) if block else 0
    return int.from_bytes(block[track : track + 2], "big", signed=True)
