from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from openai_proxy.api.endpoints import Metering
from openai_proxy.api.refusals import DISCONNECTED, TIMED_OUT, UNREACHABLE
from openai_proxy.events import UsageEvent
from openai_proxy.forwarding.outcome import Outcome
from openai_proxy.metering.reading import Reading
from openai_proxy.wire.request_body import BodyEditor, WholeBody

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")  # bpe_openai's own

STARTED = UsageEvent(
    event_id="e", event_type="started", event_time=datetime(2026, 11, 1, tzinfo=UTC), user_id="alice", key_id="key_1",
    team_id=None, operation_name="chat", http_method="POST", url_path="/v1/chat/completions", request_model=None,
    stream=False, retry_count=0, usage_source="unknown", upstream_region="eu",
)  # fmt: skip
ZEROS = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def finished(metering: Metering, *, body: bytes = b"", **known: Any) -> UsageEvent:
    reader = WholeBody()
    reader.feed(body)
    facts: dict[str, Any] = {"reader": reader, "sent": True, "status": 200} | known
    return asyncio.run(Outcome(metering=metering, **facts).finished(STARTED))


def told(event: UsageEvent) -> tuple[Mapping[str, Any] | None, str]:
    return event.usage, event.usage_source


@pytest.mark.parametrize("metering", ["chat", "responses", "body", "images", "speech", "transcription"])
def test_what_openai_reports_stands_as_it_is(metering: Metering) -> None:
    for usage in (ZEROS, {"seconds": 5}):
        for more in ({}, {"status": 400}, {"cut_short": True}):
            assert told(finished(metering, reading=Reading(usage=usage), **more)) == (usage, "reported")


@pytest.mark.parametrize("metering", ["chat", "responses", "body", "images", "speech", "transcription", "unmetered"])
def test_what_openai_refused_or_never_saw_costs_nothing(metering: Metering) -> None:
    for known in (
        {"status": 400},
        {"status": 500},
        {"status": 429, "failure": DISCONNECTED, "cut_short": True},
        {"sent": False, "status": None, "failure": UNREACHABLE},
    ):
        assert told(finished(metering, **known)) == (None, "none")


@pytest.mark.parametrize("garbage", ["free of charge", [], {}, 0, {"input_tokens": float("inf")}])
def test_a_usage_that_cannot_be_read_is_not_replaced_by_an_estimate(garbage: Any) -> None:
    reading = Reading(output=["Hello"])
    reading.take({"usage": None})
    assert told(finished("chat", body=b'{"messages": []}', reading=reading))[1] == "estimated"

    reading.take({"usage": garbage})
    assert told(finished("chat", body=b'{"messages": []}', reading=reading)) == (None, "unknown")


def test_what_is_free_costs_nothing_whatever_its_answer_says() -> None:
    reading = Reading(usage={"input_tokens": 5}, tool_usage={"web_search": {}}, output=["x"])

    event = finished("free", reading=reading, cut_short=True)

    assert (*told(event), event.tool_usage) == (None, "none", None)


@pytest.mark.parametrize("usage", [None, {"input_tokens": 5}])
def test_what_cannot_be_metered_is_unknown_once_openai_took_it(usage: Any) -> None:
    for known in ({}, {"cut_short": True}, {"status": None}, {"status": None, "failure": DISCONNECTED}):
        assert told(finished("unmetered", reading=Reading(usage=usage), **known)) == (None, "unknown")


def test_text_is_estimated_where_its_end_was_lost() -> None:
    body = b'{"model":"gpt-4o","input":"Hello world!"}'
    output = Reading(output=["Hello"])

    assert told(finished("responses", body=body)) == (None, "unknown")
    assert finished("responses", body=body, cut_short=True).usage_source == "estimated"
    event = finished("responses", body=body, reading=output)
    assert told(event) == ({"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}, "estimated")


def test_what_went_wrong_is_told_beside_openais_own_status() -> None:
    error = Reading(error_type="rate_limit_exceeded")

    for known, status, error_type in (
        ({"status": None, "failure": TIMED_OUT}, 504, "upstream_timeout"),
        ({"status": 200, "failure": TIMED_OUT, "cut_short": True}, 200, "upstream_timeout"),
        ({"status": 429, "reading": error}, 429, "rate_limit_exceeded"),
        ({"status": None}, None, None),
    ):
        event = finished("chat", **known)
        assert (event.http_status_code, event.error_type) == (status, error_type)


def test_calls_of_tools_are_told_unless_they_cost_nothing() -> None:
    reading = Reading(usage=ZEROS, tool_calls={"web_searches": 2})

    assert finished("responses", reading=reading).tool_calls == {"web_searches": 2}
    assert finished("free", reading=reading).tool_calls is None


def test_what_was_not_kept_cannot_be_estimated() -> None:
    large = BodyEditor()
    large.feed(b'{"model":"gpt-4o","input":"Hello world!","tools":[]}')

    assert told(finished("chat", cut_short=True)) == (None, "unknown")
    assert told(finished("responses", reader=large, cut_short=True)) == (None, "unknown")


def test_sound_that_ended_well_is_estimated_all_the_same() -> None:
    body = b'{"model":"tts-1","input":"Hello world!"}'

    assert told(finished("speech", body=body)) == ({"input_characters": 12}, "estimated")
    reading = Reading(duration_seconds=Decimal("1.5"), output=["Hello"])
    event = finished("transcription", body=b'{"model":"whisper-1"}', reading=reading)
    assert told(event) == ({"type": "duration", "seconds": 1.5}, "estimated")
    assert told(finished("transcription", body=b'{"model":"whisper-1"}')) == (None, "unknown")


def test_sound_is_unknown_where_openai_never_answered() -> None:
    body = b'{"model":"tts-1","input":"Hello world!"}'

    assert told(finished("speech", body=body, status=None, failure=DISCONNECTED)) == (None, "unknown")
    event = finished("speech", body=body, failure=DISCONNECTED, cut_short=True)
    assert told(event) == ({"input_characters": 12}, "estimated")


def test_images_are_not_estimated() -> None:
    body = b'{"model":"gpt-image-1","prompt":"a cat"}'

    assert told(finished("images", body=body, cut_short=True)) == (None, "unknown")
    assert told(finished("images", body=body)) == (None, "unknown")


def test_an_estimate_that_fails_leaves_the_usage_unknown(capfd: pytest.CaptureFixture[str]) -> None:
    reading = Reading(output=[5])  # type: ignore[list-item] # what no meter would give

    assert told(finished("chat", body=b'{"prompt":"x"}', reading=reading)) == (None, "unknown")
    assert "no estimate could be made" in capfd.readouterr().err


def test_the_window_of_a_background_request_and_the_region_are_told() -> None:
    body = b'{"model":"gpt-5","background":true,"background_options":{"completion_window":"2h"}}'

    event = finished("responses", body=body)

    assert (event.completion_window, event.upstream_region, event.request_model) == ("2h", "eu", "gpt-5")
    assert told(event) == (None, "unknown")
