from __future__ import annotations

import io
import struct
import tracemalloc
import wave
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.wire.recorded_audio import RecordedAudio

RECORDINGS = Path(__file__).parent.parent / "recordings"
# What FFmpeg decodes of each: recordings/README.md
LENGTHS = {
    "adts.aac": "3.2",
    "constant.mp3": "3.096",
    "fast_start.m4a": "3",
    "file.flac": "3",
    "file.m4a": "3",
    "file.webm": "3",
    "flac.ogg": "3",
    "opus.ogg": "3",
    "streamed.flac": "3",
    "streamed.mp3": "3.096",
    "streamed.webm": "3",
    "variable.mp3": "3.096",
    "vorbis.ogg": "3",
}
MEBIBYTE = 1024 * 1024
ONE_PER_CENT = Decimal("0.01")


def recording(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


def wav(seconds: float, *, rate: int = 24_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(b"\0\0" * round(seconds * rate))
    return file.getvalue()


def seconds_of(data: bytes | Iterable[bytes], *, step: int = 65_536, raw_pcm: bool = False) -> Decimal | None:
    audio = RecordedAudio()
    for part in _cut(data, step) if isinstance(data, bytes) else data:
        audio.feed(part)
    return audio.seconds(raw_pcm=raw_pcm)


def _cut(data: bytes, step: int) -> Iterator[bytes]:
    for start in range(0, len(data), step):
        yield data[start : start + step]


def about(seconds: str) -> object:
    return pytest.approx(Decimal(seconds), rel=ONE_PER_CENT)


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("step", [1, 7, 1000, 65_536])
def test_a_recording_tells_its_length_however_it_is_cut(name: str, step: int) -> None:
    assert seconds_of(recording(name), step=step) == about(LENGTHS[name])


@pytest.mark.parametrize("seconds", ["0.1", "1", "12.5", "60"])
def test_a_wav_file_tells_its_length(seconds: str) -> None:
    assert seconds_of(wav(float(seconds))) == about(seconds)


@pytest.mark.parametrize("told", [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0xFFFF_FFDB])
def test_the_length_of_a_streamed_wav_is_that_of_its_bytes(told: int) -> None:
    whole = wav(12.5)
    streamed = whole[:40] + told.to_bytes(4, "little") + whole[44:]

    assert seconds_of(streamed) == about("12.5")


def test_a_wav_file_of_8_bit_law_tells_its_length() -> None:
    form = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 7, 1, 8000, 8000, 1, 8, 0)
    body = b"WAVE" + form + struct.pack("<4sII4sI", b"fact", 4, 80_000, b"data", 80_000) + b"\x7f" * 80_000

    assert seconds_of(b"RIFF" + struct.pack("<I", len(body)) + body) == 10


def test_what_was_cut_off_does_not_count() -> None:
    assert seconds_of(wav(10)[: 44 + 3 * 48_000]) == about("3")


def test_raw_samples_are_counted_by_their_bytes() -> None:
    assert seconds_of(b"\0" * 48_000 * 3, raw_pcm=True) == 3


@pytest.mark.parametrize("name", ["constant.mp3", "streamed.mp3", "adts.aac", "file.flac"])
@pytest.mark.parametrize("step", [1, 65_536, 10**9])
def test_a_cover_in_front_of_the_sound_does_not_hide_it(name: str, step: int) -> None:
    size = 300_000 if step == 1 else 3 * MEBIBYTE
    length = bytes(size >> 7 * place & 0x7F for place in (3, 2, 1, 0))
    cover = b"ID3\x04\0\0" + length + b"\xff\xfb" * (size // 2)

    assert seconds_of(cover + recording(name), step=step) == about(LENGTHS[name])


@pytest.mark.parametrize("long_size", [False, True])
def test_the_length_behind_the_sound_is_found_however_much_stands_before_it(*, long_size: bool) -> None:
    whole = recording("file.m4a")
    head, rest = whole[:28], whole[whole.index(b"moov") - 4 :]
    size = 10 * MEBIBYTE
    box = struct.pack(">I4sQ", 1, b"mdat", size) if long_size else struct.pack(">I4s", size, b"mdat")

    assert seconds_of(head + box + b"\0" * (size - len(box)) + rest) == about("3")


def test_long_streams_are_counted_to_their_end() -> None:
    frames = recording("streamed.mp3")
    frames = frames[frames.index(b"\xff\xf3") :]

    assert seconds_of([recording("adts.aac")] * 1000) == about("3200")
    assert seconds_of([frames] * 1000) == about("3096")


def test_a_long_recording_of_a_browser_has_a_length_by_its_last_block() -> None:
    whole = recording("streamed.webm")
    start = whole.index(b"\x1f\x43\xb6\x75")
    # Clusters of one block each, all of unknown size, as Chrome writes them
    head, block = b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7 + b"\xe7\x84", b"\xa3\xa0\x81\0\0\x80" + b"o" * 28
    clusters = [head + (at * 20).to_bytes(4, "big") + block for at in range(60 * 50)]

    assert seconds_of([whole[:start], *clusters]) == about("60")


def test_memory_stays_bounded() -> None:
    part = b"\0" * MEBIBYTE
    tracemalloc.start()
    try:
        for start in (wav(1), recording("constant.mp3"), recording("opus.ogg"), recording("file.webm"), b"no sound"):
            audio = RecordedAudio()
            audio.feed(start)
            for _ in range(100):
                audio.feed(part)
            audio.seconds()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 2 * MEBIBYTE


@pytest.mark.parametrize("data", [b"", b"RIFF", b"no sound at all", b"\xff" * 1000, b"\0" * 1000, b"ID3" * 100])
def test_the_length_of_what_is_no_sound_is_unknown(data: bytes) -> None:
    assert seconds_of(data) is None


@pytest.mark.parametrize(
    "data",
    [
        recording("fragmented.mp4"),  # its fragments alone tell
        recording("file.m4a")[:2000],  # what tells stands at the end
        recording("adts.aac") + b"\0" * 100,  # no frame follows, so the others may have been none
        b"\x1a\x45\xdf\xa3\x80" * 3 + b"\xec\x80" * 3_000_000,  # heads without end
    ],
)
def test_the_length_of_a_broken_recording_is_unknown(data: bytes) -> None:
    assert seconds_of(data) is None


@pytest.mark.parametrize("name", [*LENGTHS, "fragmented.mp4"])
def test_a_recording_that_breaks_off_plays_no_longer_than_the_whole(name: str) -> None:
    whole = recording(name)

    for end in range(0, len(whole), 97):
        assert (seconds_of(whole[:end]) or 0) <= Decimal("3.3")


STARTS = [recording(name)[:size] for name in (*LENGTHS, "fragmented.mp4") for size in (8, 40, 200, 2000)]


@given(
    start=st.sampled_from([b"", b"RIFF\0\0\0\0WAVEfmt ", b"RIFF\0\0\0\0WAVEdata", b"ID3\4\0\0", wav(0.001), *STARTS]),
    parts=st.lists(st.binary(max_size=300), max_size=8),
    damage=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
)
def test_whatever_comes_nothing_is_raised(start: bytes, parts: list[bytes], damage: list[tuple[int, int]]) -> None:
    broken = bytearray(start)
    for at, value in damage:
        if at < len(broken):
            broken[at] = value

    seconds = seconds_of([bytes(broken), *parts])

    assert seconds is None or seconds > 0
