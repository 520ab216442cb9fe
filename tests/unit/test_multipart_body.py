from __future__ import annotations

import logging
from decimal import Decimal
from io import BytesIO
from typing import Any
from wave import open as open_wave

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.wire.multipart_body import MultipartBody
from openai_proxy.wire.recorded_audio import RecordedAudio
from openai_proxy.wire.request_body import RequestFacts
from packets import Places, cut, every_two, places

FORM = "multipart/form-data; boundary=xyz"


def form(*parts: tuple[str, bytes], end: bytes = b"--xyz--\r\n") -> bytes:
    return b"".join(b"--xyz\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts) + end


def field(name: str, value: bytes) -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="{name}"', value


def file(name: str, data: bytes) -> tuple[str, bytes]:
    return (
        f'Content-Disposition: form-data; name="{name}"; filename="a; name=\\"model\\".wav"\r\nContent-Type: audio/wav',
        data,
    )


def wave(seconds: float) -> bytes:
    written = BytesIO()
    with open_wave(written, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(round(seconds * 8000) * 2))
    return written.getvalue()


def read(body: bytes, where: Places | None = (), content_type: str = FORM, **options: Any) -> MultipartBody:
    reader = MultipartBody(content_type, **options)
    out = b"".join(reader.feed(packet) for packet in cut(body, where)) + reader.finish()
    assert out == body
    return reader


UPLOAD = (
    field("model", b"whisper-1"),
    file("file", wave(12.5)),
    field("prompt", "über".encode()),
    field("response_format", b"srt"),
    field("stream", b"true"),
    field("user", b"ada"),
)


def assert_known(reader: MultipartBody) -> None:
    facts = reader.facts
    assert (facts.model, facts.stream, facts.response_format) == ("whisper-1", True, "srt")
    assert facts.end_user == "ada"
    assert facts.upload
    assert facts.upload.seconds() == Decimal("12.5")
    assert reader.members()["prompt"] == "über"


@settings(deadline=None, max_examples=30)
@given(places.filter(lambda where: where is not None))
def test_a_form_is_read_however_it_is_cut(where: Places) -> None:
    assert_known(read(form(*UPLOAD), where, upload=RecordedAudio()))


def test_every_cut_of_one_form_is_read_the_same() -> None:
    body = form(field("model", b"m"), file("file", b"\r\n--xy\r\n--xyz-\r--"), field("prompt", b"p"))

    for packets in every_two(body):
        reader = MultipartBody(FORM)
        assert b"".join(map(reader.feed, packets)) + reader.finish() == body
        assert (reader.facts.model, reader.members()) == ("m", {"model": "m", "prompt": "p"})


def test_the_form_of_a_real_client_is_read() -> None:
    request = requests.Request(
        "POST",
        "http://x",
        data={"model": "whisper-1", "prompt": "über", "response_format": "srt", "stream": "true", "user": "ada"},
        files={"file": ("sound.wav", wave(12.5), "audio/wav")},
    ).prepare()
    assert isinstance(request.body, bytes)

    assert_known(read(request.body, [0.5], request.headers["content-type"], upload=RecordedAudio()))


@settings(deadline=None, max_examples=100)
@given(body=st.binary(max_size=60), where=places, content_type=st.sampled_from([FORM, "multipart/form-data"]))
def test_what_is_no_form_passes_and_nothing_is_known(body: bytes, where: Places | None, content_type: str) -> None:
    reader = read(body, where, content_type, upload=RecordedAudio())

    assert (reader.facts, reader.members()) == (RequestFacts(), {})


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(*UPLOAD, end=b""), FORM),
        (form(*UPLOAD, end=b"--xyz"), FORM),
        (form(*UPLOAD)[:-40], FORM),
        (form(*UPLOAD).replace(b"--xyz\r\n", b"--xyz?\r\n", 1), FORM),
        (form(field("model", b"m"), ("\u00e9: \r\nx", b"")), FORM),
        (form(field("model", b"m"), ("x: " + "y" * 5000, b"")), FORM),
        (form(*UPLOAD), "multipart/form-data"),
        (form(*UPLOAD), "multipart/form-data; boundary="),
        (form(*UPLOAD), "multipart/form-data; boundary=" + "x" * 300),
        (form(*UPLOAD), "multipart/form-data; boundary=abc"),
    ],
)
def test_of_a_malformed_form_nothing_is_known(
    body: bytes, content_type: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    for where in ([], [0.1, 0.5], None):
        reader = read(body, where, content_type, upload=RecordedAudio())
        assert (reader.facts, reader.members()) == (RequestFacts(), {})

    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_an_epilogue_is_nothing() -> None:
    assert read(form(field("model", b"m")) + b"--xyz\r\nsomething").facts.model == "m"


@pytest.mark.parametrize("name", ["model", "response_format", "prompt", "stream", "user"])
def test_a_field_is_of_a_sane_length(name: str) -> None:
    reader = read(form(field(name, b"1" * 65_537), field("x", b"y")), [0.5])

    assert (reader.facts, reader.members()) == (RequestFacts(), {})


def test_an_end_user_is_a_name() -> None:
    assert read(form(field("user", b"a\nb"))).facts.end_user is None


def test_a_name_that_comes_twice_is_not_known() -> None:
    reader = read(
        form(
            field("model", b"cheap"),
            field("prompt", b"a"),
            file("file", wave(1)),
            field("model", b"dear"),
            file("file", wave(1000)),
            field("model", b"cheap"),
        ),
        upload=RecordedAudio(),
    )

    assert (reader.facts, reader.members()) == (RequestFacts(), {"prompt": "a"})


@pytest.mark.parametrize(
    "head",
    [
        "content-disposition:form-data; name=model",
        "Content-Type: text/plain\r\nCONTENT-DISPOSITION:  form-data ;name=model",
        'Content-Disposition: form-data; NAME="model"',
    ],
)
def test_a_field_is_found_however_its_head_is_written(head: str) -> None:
    assert read(form((head, b"gpt-image-1")), None).facts.model == "gpt-image-1"


@pytest.mark.parametrize(
    "part",
    [
        ("Content-Type: text/plain", b"m"),
        ("Content-Disposition: form-data", b"m"),
        ('Content-Disposition: form-data; name="Model"', b"m"),
        ('Content-Disposition: form-data; name="x"; filename="model"', b"m"),
        ("Content-Disposition: form-data; name*=utf-8''model", b"m"),
        field("model", b""),
    ],
)
def test_another_part_is_not_the_model(part: tuple[str, bytes]) -> None:
    assert read(form(part)).facts == RequestFacts()


@pytest.mark.parametrize(("value", "stream"), [(b"true", True), (b"True", True), (b"1", True), (b"false", False)])
def test_a_stream_is_asked_for_in_words(value: bytes, *, stream: bool) -> None:
    assert read(form(field("stream", value))).facts.stream is stream


def test_a_model_that_is_no_text_is_none_of_openais() -> None:
    assert read(form(field("model", b"gpt\xff"))).facts.model == "gpt\ufffd"
