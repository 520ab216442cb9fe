"""Sound of a known length, silent, in forms that every player takes; and how long such a file plays."""

from __future__ import annotations

import struct

RATE = 24_000  # samples a second, 16 bits, one channel: what OpenAI's speech has
BYTES_PER_SECOND = 2 * RATE
_UNKNOWN_LENGTH = 0xFFFFFFFF  # what OpenAI's speech has: the head is sent before the length is known
# MPEG-1 layer III, 128 kbit/s, 48 kHz, one channel, no padding, no CRC: 144 * 128000 / 48000 bytes for 1152 samples
_MP3_FRAME = bytes.fromhex("fffb94c0") + bytes(380)
MP3_FRAME_SECONDS = 0.024


def pcm(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE))


def wav(seconds: float, *, streamed: bool = False) -> bytes:
    """A WAV file; `streamed`: its head does not know its length."""
    data = pcm(seconds)
    return wav_head(None if streamed else len(data)) + data


def wav_head(data_bytes: int | None) -> bytes:
    """What stands before that many bytes of sound; None: its head does not know."""
    size, whole = (_UNKNOWN_LENGTH, _UNKNOWN_LENGTH) if data_bytes is None else (data_bytes, 36 + data_bytes)
    form = struct.pack("<HHIIHH", 1, 1, RATE, BYTES_PER_SECOND, 2, 16)
    return b"RIFF" + struct.pack("<I", whole) + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size)


def mp3(seconds: float) -> bytes:
    return _MP3_FRAME * round(seconds / MP3_FRAME_SECONDS)


def seconds_of(head: bytes, size: int) -> float:
    """How long a file of `wav` or `mp3` plays, from its head and its size; 0 for anything else."""
    if head.startswith(b"RIFF"):
        return (size - 44) / BYTES_PER_SECOND
    if head.startswith(_MP3_FRAME[:4]):
        return size / len(_MP3_FRAME) * MP3_FRAME_SECONDS
    return 0.0
