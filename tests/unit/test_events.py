from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.events import MalformedEventError, UsageEvent

EVENT = UsageEvent(
    event_id="01J-e.1:a@b+c",
    event_type="finished",
    event_time=datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=UTC),
    user_id="ada@example.org",
    key_id="key_1",
    team_id="research",
    operation_name="chat",
    http_method="POST",
    url_path="/v1/chat/completions",
    request_model="gpt-4o",
    stream=True,
    retry_count=2,
    usage_source="reported",
    response_model="gpt-4o-2024-08-06",
    response_id="chatcmpl-1",
    service_tier="default",
    usage={"prompt_tokens": 8, "prompt_tokens_details": {"cached_tokens": 0}},
    tool_usage={"web_search": {"num_requests": 1}},
    tool_calls={"file_searches": 1},
    completion_window="2h",
    upstream_region="eu",
    upstream_key="research",
    instance_id="i1",
    reserved_cost=Decimal("0.000000001"),
    budget_state="checked",
    tags={"project": "apollo 11"},
    end_user_id="guest 7",
    http_status_code=200,
    error_type="rate_limit",
    client_disconnected=True,
    upstream_request_id="req_1",
    duration_ms=900,
    time_to_first_chunk_ms=100,
    upstream_ms=880,
)


def changed(**values: Any) -> str:
    return json.dumps(json.loads(EVENT.to_json()) | values)


def test_an_event_comes_back_as_it_was_written() -> None:
    assert UsageEvent.from_json(EVENT.to_json()) == EVENT


def test_an_event_is_one_line_of_ascii() -> None:
    text = replace(EVENT, request_model="line\nbreak 😀 \u2028").to_json()

    assert text.isascii()
    assert b"\n" not in text
    assert UsageEvent.from_json(text).request_model == "line\nbreak 😀 \u2028"


def test_no_field_can_hold_a_prompt_an_answer_or_a_key() -> None:
    names = {field.name for field in fields(UsageEvent)}

    assert not names & {"prompt", "messages", "input", "content", "answer", "output", "key", "authorization", "body"}


def test_times_are_milliseconds_in_utc() -> None:
    there = datetime(2026, 11, 23, 13, 0, 0, 123999, tzinfo=timezone(timedelta(hours=1)))

    assert UsageEvent.from_json(replace(EVENT, event_time=there).to_json()) == EVENT


def test_fields_that_have_a_default_may_be_missing() -> None:
    needed = {field for field in json.loads(EVENT.to_json()) if field not in _defaulted()}
    short = {name: value for name, value in json.loads(EVENT.to_json()).items() if name in needed}

    assert UsageEvent.from_fields(short).usage is None


def test_events_of_version_1_are_still_read() -> None:
    added = {
        "tool_calls", "completion_window", "upstream_region", "instance_id", "reserved_cost", "budget_state", "tags",
        "end_user_id", "upstream_key",
    }  # fmt: skip
    old = {name: value for name, value in json.loads(EVENT.to_json()).items() if name not in added}

    event = UsageEvent.from_fields(old | {"schema_version": 1})

    assert {name for name in added if getattr(event, name) is not None} == set()
    assert event.response_id == EVENT.response_id


def _defaulted() -> set[str]:
    return {
        "response_model",
        "response_id",
        "service_tier",
        "usage",
        "tool_usage",
        "tool_calls",
        "completion_window",
        "upstream_region",
        "upstream_key",
        "instance_id",
        "reserved_cost",
        "budget_state",
        "tags",
        "end_user_id",
        "http_status_code",
        "error_type",
        "client_disconnected",
        "upstream_request_id",
        "duration_ms",
        "time_to_first_chunk_ms",
        "upstream_ms",
    }


@pytest.mark.parametrize("name", sorted(set(json.loads(EVENT.to_json())) - _defaulted()))
def test_every_other_field_must_be_there(name: str) -> None:
    short = json.loads(EVENT.to_json())
    del short[name]

    with pytest.raises(MalformedEventError, match=name):
        UsageEvent.from_fields(short)


NESTED: dict[str, Any] = {}
for _ in range(30_000):
    NESTED = {"a": NESTED}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema_version", 3),
        ("schema_version", True),
        ("reserved_cost", 1),
        ("reserved_cost", "-1"),
        ("reserved_cost", "1e3"),
        ("reserved_cost", "0.0000000001"),
        ("budget_state", "fine"),
        ("upstream_key", "../x"),
        ("tags", {"Project": "a"}),
        ("tags", {"project": ""}),
        ("tags", {"project": "a\n"}),
        ("tags", {f"n{number}": "a" for number in range(6)}),
        ("tags", ["a"]),
        ("event_id", ""),
        ("event_id", "a b"),
        ("event_id", "a" * 129),
        ("event_id", "a\n"),
        ("event_id", 7),
        ("event_type", "ended"),
        ("event_type", []),
        ("event_time", "yesterday"),
        ("event_time", "2026-11-23T12:00:00"),
        ("event_time", "0001-01-01T00:00:00+14:00"),
        ("event_time", 1700000000),
        ("user_id", None),
        ("url_path", None),
        ("url_path", "/" * 513),
        ("request_model", 4),
        ("stream", 1),
        ("retry_count", -1),
        ("retry_count", True),
        ("retry_count", 1.0),
        ("retry_count", 2**53 + 1),
        ("usage_source", "guessed"),
        ("usage", []),
        ("usage", {"a": float("nan")}),
        ("usage", {"a": "b" * 65_536}),
        ("usage", NESTED),
        ("client_disconnected", None),
        ("http_status_code", "200"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(name: str, value: Any) -> None:
    with pytest.raises(MalformedEventError, match=f"'{name}'"):
        UsageEvent.from_fields(json.loads(EVENT.to_json()) | {name: value})


@pytest.mark.parametrize("text", ["", "no JSON", b"\xff\xfe\xfd", "[" * 100_000, '"text"', "[]", "null", "9" * 5000])
def test_what_is_no_object_is_no_event(text: bytes | str) -> None:
    with pytest.raises(MalformedEventError, match="one JSON object"):
        UsageEvent.from_json(text)


def test_a_field_of_a_later_version_is_refused_without_its_name() -> None:
    with pytest.raises(MalformedEventError, match="has 1 fields that version 2 has not") as raised:
        UsageEvent.from_json(changed(prompt="secret"))

    assert "prompt" not in str(raised.value)


@given(st.binary(max_size=300))
def test_random_bytes_are_an_event_or_malformed(data: bytes) -> None:
    with pytest.raises(MalformedEventError):
        UsageEvent.from_json(data)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(json.loads(EVENT.to_json()))), _VALUES, max_size=4))
def test_an_event_that_is_read_can_be_written_again(values: dict[str, Any]) -> None:
    try:
        event = UsageEvent.from_json(changed(**values))
    except MalformedEventError:
        return

    assert UsageEvent.from_json(event.to_json()).event_id == event.event_id
