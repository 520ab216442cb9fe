from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.access.callers import Access
from openai_proxy.access.changes import changes
from openai_proxy.access.events import (
    AccessEvent,
    Editor,
    MalformedAccessEventError,
    events_of,
    printable,
    schema,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVENT = AccessEvent(
    event_id="c1-001",
    event_time=NOON,
    operator="grace",
    action="user add",
    user_id="ada",
    team_id=None,
    description="ada: added",
)
SHA256 = "4" * 64
KEYS = f"""
[[users.ada.keys]]
id = "key_1"
sha256 = "{SHA256}"
created_time = 2026-01-01T00:00:00Z
"""


def told(before: str, after: str) -> list[AccessEvent]:
    made = changes(Access.parse(f"version = 1\n{before}"), Access.parse(f"version = 1\n{after}"))
    return events_of(made, Editor("grace", "user set"), now=NOON, change_id="c1")


def test_the_columns_are_the_fields_in_their_order() -> None:
    assert [column["name"] for column in schema()] == [field.name for field in fields(AccessEvent)]
    assert list(EVENT.row()) == [column["name"] for column in schema()]
    assert all(set(column) == {"name", "type", "mode", "description"} for column in schema())


def test_each_change_of_a_table_is_an_event_that_names_whose_it_is() -> None:
    events = told(
        "[users.ada]", '[users.ada]\nrole = "admin"\nteam = "law"\n[teams.law]\n[defaults]\nallow = ["files"]'
    )

    assert [(event.user_id, event.team_id, event.description) for event in events] == [
        (None, None, "defaults: allow none -> files"),
        (None, "law", "team law: added"),
        ("ada", None, "ada: team not set -> law"),
        ("ada", None, "ada: role member -> admin"),
    ]
    assert {(event.event_time, event.operator, event.action) for event in events} == {(NOON, "grace", "user set")}
    assert len({event.event_id for event in events}) == 4


def test_a_change_of_comments_is_no_event() -> None:
    assert told("[users.ada]", "# hired in May\n[users.ada]") == []


def test_no_key_and_no_hash_is_told() -> None:
    for events in (told("", f"[users.ada]{KEYS}"), told(f"[users.ada]{KEYS}", "[users.ada]")):
        assert "key_1" in events[0].description
        assert SHA256 not in events[0].to_json()


@given(st.text(max_size=20), st.none() | st.text(max_size=8), st.text(max_size=40))
def test_an_event_survives_its_line(operator: str, user_id: str | None, description: str) -> None:
    event = replace(EVENT, operator=printable(operator), user_id=user_id, description=printable(description))

    assert AccessEvent.from_json(event.to_json()) == event
    assert event.to_json().isascii()
    assert "\n" not in event.to_json()


def test_a_line_tells_its_time_in_utc() -> None:
    berlin = replace(EVENT, event_time=NOON.astimezone(timezone(timedelta(hours=1))))

    assert json.loads(berlin.to_json())["event_time"] == "2026-11-23T12:00:00+00:00"


WHOLE = json.loads(EVENT.to_json())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[]",
        "{}",
        "{",
        "[" * 100_000,
        json.dumps({name: value for name, value in WHOLE.items() if name != "user_id"}),
        json.dumps(WHOLE | {"more": "x"}),
        json.dumps(WHOLE | {"event_time": "yesterday"}),
        json.dumps(WHOLE | {"event_time": "0001-01-01T00:00:00+23:59"}),
        json.dumps(WHOLE | {"event_time": 5}),
        json.dumps(WHOLE | {"operator": None}),
        json.dumps(WHOLE | {"team_id": 5}),
    ],
)
def test_another_line_is_refused(line: str) -> None:
    with pytest.raises(MalformedAccessEventError, match="one JSON object a line"):
        AccessEvent.from_json(line)


def test_what_cannot_be_printed_is_a_question_mark() -> None:
    assert printable("a\nb\x00\x7f\ud800ü") == "a?b???ü"
    assert len(printable("x" * 3000)) == 2000
