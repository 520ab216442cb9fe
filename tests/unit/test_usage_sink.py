from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from openai_proxy.events import UsageEvent
from openai_proxy.ports import QueueError, StoreError
from openai_proxy.records import TokenCounts, UsageRecord
from openai_proxy.usage_sink import UsageSink

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVENT = UsageEvent(
    event_id="e1",
    event_type="finished",
    event_time=NOON,
    user_id="ada",
    key_id="key_1",
    team_id=None,
    operation_name="chat",
    http_method="POST",
    url_path="/v1/chat/completions",
    request_model="gpt-4o",
    stream=False,
    retry_count=0,
    usage_source="reported",
    response_model="gpt-4o-2024-08-06",
    usage={"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
)


class ListStore:
    def __init__(self, refused: Mapping[str, str] | None = None, error: StoreError | None = None) -> None:
        self.records: list[UsageRecord] = []
        self._refused, self._error = refused or {}, error

    def add(self, records: Sequence[UsageRecord]) -> Mapping[str, str]:
        self.check()
        self.records += records
        return self._refused

    def check(self) -> None:
        if self._error:
            raise self._error

    def close(self) -> None:
        """Nothing is open."""


class ListDeadLetters:
    def __init__(self, error: QueueError | None = None) -> None:
        self.kept: list[tuple[bytes, str]] = []
        self._error = error

    def add(self, message: bytes, reason: str) -> None:
        if self._error:
            raise self._error
        self.kept.append((message, reason))


def sink(store: ListStore, dead_letters: ListDeadLetters, token: str | None = None) -> UsageSink:
    return UsageSink(store, dead_letters, token=token, clock=lambda: NOON)


def envelope(data: bytes, /, **fields: Any) -> dict[str, Any]:
    message = {"data": base64.b64encode(data).decode(), "messageId": "7", "publishTime": "2026-11-23T12:00:00.5Z"}
    return {"message": message | fields}


def test_an_event_becomes_a_counted_and_priced_record() -> None:
    store, dead_letters = ListStore(), ListDeadLetters()

    sink(store, dead_letters).receive(envelope(EVENT.to_json()))

    [record] = store.records
    assert dead_letters.kept == []
    assert (record.event, record.tokens) == (EVENT, TokenCounts(input_tokens=1000, output_tokens=100))
    assert (record.cost.list_cost, record.cost.sku_price_id) == (Decimal("0.0035"), "gpt-4o")
    assert [(unit.unit, unit.quantity, unit.list_cost) for unit in record.units] == [
        ("input_tokens", Decimal(1000), Decimal("0.0025")),
        ("output_tokens", Decimal(100), Decimal("0.001")),
    ]
    assert record.price_revision == 0
    assert (record.message_id, record.publish_time, record.stored_time) == (
        "7",
        NOON.replace(microsecond=500_000),
        NOON,
    )


def test_an_unpriced_event_is_a_record_with_a_reason() -> None:
    store = ListStore()
    event = {**json.loads(EVENT.to_json()), "service_tier": "ultrafast"}

    sink(store, ListDeadLetters()).record(json.dumps(event).encode(), message_id="7", publish_time=NOON)

    [record] = store.records
    assert (record.cost.list_cost, record.cost.priced, bool(record.cost.unpriced_reason)) == (None, False, True)


def test_usage_without_a_list_cost_is_logged_by_model_and_reason(capsys: pytest.CaptureFixture[str]) -> None:
    told = sink(ListStore(), ListDeadLetters())
    for event in (EVENT, replace(EVENT, response_model="smollm2"), replace(EVENT, usage=None, usage_source="unknown")):
        told.record(event.to_json(), message_id="7", publish_time=NOON)

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line) == {
        "severity": "WARNING",
        "message": "usage has no list cost",
        "request_id": "e1",
        "user_id": "ada",
        "response_model": "smollm2",
        "unpriced_reason": "no price is known for this model",
    }


def test_a_malformed_event_is_a_dead_letter_with_its_reason_and_no_error() -> None:
    store, dead_letters = ListStore(), ListDeadLetters()
    message = EVENT.to_json().replace(b'"stream":false', b'"stream":"no"')

    sink(store, dead_letters).receive(envelope(message))

    assert store.records == []
    assert dead_letters.kept == [(message, "usage event field 'stream': expected true or false")]


def test_a_record_that_the_store_refuses_is_a_dead_letter_with_its_reason() -> None:
    dead_letters = ListDeadLetters()

    sink(ListStore(refused={"e1": "too large"}), dead_letters).receive(envelope(EVENT.to_json()))

    assert dead_letters.kept == [(EVENT.to_json(), "too large")]


def test_a_store_that_fails_has_the_message_delivered_again() -> None:
    dead_letters = ListDeadLetters()

    with pytest.raises(StoreError, match="full"):
        sink(ListStore(error=StoreError("full")), dead_letters).receive(envelope(EVENT.to_json()))

    assert dead_letters.kept == []


def test_a_dead_letter_that_cannot_be_kept_has_the_message_delivered_again() -> None:
    with pytest.raises(QueueError, match="full"):
        sink(ListStore(), ListDeadLetters(QueueError("full"))).receive(envelope(b"nonsense"))


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "text",
        {},
        {"message": None},
        {"message": []},
        envelope(b"x", data=None),
        envelope(b"x", data="not base64!"),
        envelope(b"x", data="😀"),
        envelope(b"x", messageId=7),
        envelope(b"x", messageId=""),
        envelope(b"x", messageId="é"),
        envelope(b"x", messageId="7" * 257),
        envelope(b"x", publishTime=None),
        envelope(b"x", publishTime="noon"),
        envelope(b"x", publishTime="2026-11-23T12:00:00"),
        envelope(b"x", publishTime="0001-01-01T00:00:00+14:00"),
    ],
)
def test_a_broken_envelope_is_a_dead_letter(broken: Any) -> None:
    dead_letters = ListDeadLetters()

    sink(ListStore(), dead_letters).receive(broken)

    reason = "the push envelope has no right data, messageId or publishTime"
    assert dead_letters.kept == [(json.dumps(broken).encode(), reason)]


def test_a_body_that_was_no_json_is_kept_as_it_came() -> None:
    dead_letters = ListDeadLetters()

    sink(ListStore(), dead_letters).receive(b"{broken")

    assert dead_letters.kept[0][0] == b"{broken"


def test_only_the_right_authorization_may_write() -> None:
    guarded = sink(ListStore(), ListDeadLetters(), token="right")

    assert guarded.authorize("Bearer right")
    assert not any(
        guarded.authorize(wrong) for wrong in (None, "", "right", "Bearer wrong", "Bearer right ", "é\ud800")
    )


def test_everything_may_write_where_the_platform_checks() -> None:
    assert sink(ListStore(), ListDeadLetters()).authorize(None)


def test_the_clock_is_utc() -> None:
    store = ListStore()

    UsageSink(store, ListDeadLetters()).receive(envelope(EVENT.to_json()))

    assert store.records[0].stored_time.tzinfo is UTC


def test_an_event_that_was_only_logged_is_recorded_from_its_log_entry() -> None:
    """The proxy's own line, as Cloud Logging's sink publishes it; a log's numbers may all be floating-point ones."""
    store, dead_letters = ListStore(), ListDeadLetters()
    logged = json.loads(EVENT.to_json()) | {"retry_count": 0.0, "schema_version": 1.0}
    entry = {
        "insertId": "1",
        "jsonPayload": {"message": "the queue did not accept a usage event", "usage_event": logged},
        "resource": {"type": "cloud_run_revision"},
        "timestamp": "2026-11-23T12:00:00Z",
    }

    UsageSink(store, dead_letters).record(json.dumps(entry).encode(), message_id="7", publish_time=NOON)

    assert [record.event for record in store.records] == [EVENT]
    assert dead_letters.kept == []


@pytest.mark.parametrize("payload", [{"message": "another line"}, "text", None, {"usage_event": {"event_id": "e1"}}])
def test_a_log_entry_without_a_whole_event_is_a_dead_letter(payload: object) -> None:
    store, dead_letters = ListStore(), ListDeadLetters()

    UsageSink(store, dead_letters).record(
        json.dumps({"jsonPayload": payload}).encode(), message_id="7", publish_time=NOON
    )

    assert store.records == []
    assert len(dead_letters.kept) == 1


def test_an_event_that_speaks_of_a_payload_is_an_event() -> None:
    store = ListStore()
    event = replace(EVENT, usage={"jsonPayload": {"usage_event": 1.5}})

    UsageSink(store, ListDeadLetters()).record(event.to_json(), message_id="7", publish_time=NOON)

    assert [record.event for record in store.records] == [event]
