from __future__ import annotations

import io
import wave
from decimal import Decimal

import pytest

from openai_proxy.recorded_audio import RecordedAudio


def wav(seconds: float, *, rate: int = 24_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(b"\0\0" * round(seconds * rate))
    return file.getvalue()


def seconds_of(data: bytes, *, step: int = 65_536, raw_pcm: bool = False) -> Decimal | None:
    audio = RecordedAudio()
    for start in range(0, len(data), step):
        audio.feed(data[start : start + step])
    return audio.seconds(raw_pcm=raw_pcm)


@pytest.mark.parametrize("seconds", [0.1, 1, 12.5, 60])
def test_a_wav_file_tells_its_length(seconds: float) -> None:
    assert seconds_of(wav(seconds)) == pytest.approx(Decimal(str(seconds)), rel=Decimal("0.01"))


@pytest.mark.parametrize("told", [0, 0xFFFF_FFFF, 0x7FFF_FFFF])
def test_the_length_of_a_streamed_wav_is_that_of_its_bytes(told: int) -> None:
    whole = wav(12.5)
    streamed = whole[:40] + told.to_bytes(4, "little") + whole[44:]

    assert seconds_of(streamed) == pytest.approx(Decimal("12.5"), rel=Decimal("0.01"))


def test_raw_samples_are_counted_by_their_bytes() -> None:
    assert seconds_of(b"\0" * 48_000 * 3, raw_pcm=True) == 3


@pytest.mark.parametrize("data", [b"", b"RIFF", b"no sound at all", b"\xff" * 1000, b"\0" * 1000])
def test_the_length_of_what_is_no_sound_is_unknown(data: bytes) -> None:
    assert seconds_of(data) is None
