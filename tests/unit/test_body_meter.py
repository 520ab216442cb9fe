from __future__ import annotations

import json

import pytest

from meters import HELD, PACKET, fed, filled, most_held
from openai_proxy.metering.body_meter import BodyMeter, ObjectMeter
from packets import every_two


def test_an_embeddings_body_of_50_mb_is_read_and_not_held() -> None:
    head = b'{"object":"list","data":[{"embedding":"'
    tail = b'"}],"model":"text-embedding-3-small","usage":{"prompt_tokens":9,"total_tokens":9}}'
    meter = BodyMeter()

    held = most_held(meter, filled(head, tail, 50_000_000))

    assert held < HELD
    assert meter.reading.usage == {"prompt_tokens": 9, "total_tokens": 9}
    assert meter.reading.model == "text-embedding-3-small"


@pytest.mark.parametrize("usage", [None, 5, [], "x"])
def test_usage_that_is_no_object_is_none(usage: object) -> None:
    body = json.dumps({"id": 5, "model": "m" * 300, "usage": usage, "error": "x", "service_tier": ""}).encode()
    meter = BodyMeter()

    assert fed(meter, [body]) == body
    reading = meter.reading
    assert (reading.usage, reading.model, reading.response_id, reading.error_type) == (None, None, None, None)


def test_an_explicit_zero_is_kept() -> None:
    meter = BodyMeter()
    meter.feed(b'{"usage":{"prompt_tokens":0}}')

    assert meter.reading.usage == {"prompt_tokens": 0}


def test_an_errors_code_or_else_its_type_is_its_name() -> None:
    for error, name in (({"code": "c", "type": "t"}, "c"), ({"type": "t"}, "t"), ({}, "error")):
        meter = BodyMeter()
        meter.feed(json.dumps({"error": error}).encode())
        assert meter.reading.error_type == name


def test_an_object_that_tells_no_usage_is_known_by_its_id() -> None:
    body = {"id": "batch_1", "object": "batch", "model": "gpt-5", "usage": {"input_tokens": 0, "output_tokens": 0}}
    text = json.dumps(body, indent=1).encode()

    for packets in every_two(text):
        meter = ObjectMeter()
        assert fed(meter, packets) == text
        assert (meter.reading.response_id, meter.reading.model, meter.reading.usage) == ("batch_1", "gpt-5", None)


def test_the_error_of_an_object_names_itself() -> None:
    meter = ObjectMeter()
    meter.feed(b'{"error":{"code":"invalid_file","type":"x","message":"secret"}}')

    assert meter.reading.error_type == "invalid_file"


@pytest.mark.parametrize("packet", [1000, PACKET, 1 << 20])
def test_only_the_first_bytes_of_an_object_are_searched(packet: int) -> None:
    """A file that is downloaded may be 512 MB of JSON."""
    text = b'{"id":"file-1","data":"' + b"x" * 100_000 + b'","model":"gpt-5"}'
    meter = ObjectMeter()

    assert fed(meter, [text[at : at + packet] for at in range(0, len(text), packet)]) == text
    assert (meter.reading.response_id, meter.reading.model) == ("file-1", None)


@pytest.mark.parametrize("usage", [{"x": 1e999}, {"x": "y" * 100_000}])
def test_a_usage_that_no_event_can_carry_is_none(usage: object) -> None:
    meter = BodyMeter()
    meter.feed(json.dumps({"usage": usage}).encode())

    assert meter.reading.usage is None


def test_a_usage_nested_however_deeply_can_be_written_again() -> None:
    meter = BodyMeter()
    meter.feed(b'{"usage":' + b'{"x":' * 900 + b"1" + b"}" * 900 + b"}")

    json.dumps(meter.reading.usage)
