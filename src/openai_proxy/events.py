"""Usage events: what the proxy says of one request, before anybody has priced it.

Two events share one `event_id`: `started` is accepted by the queue before OpenAI sees the request's body,
`finished` before the answer ends (DESIGN 4.2). Prompts, answers and keys have no field here, so none can leak.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal, cast

SCHEMA_VERSION = 2
_READABLE_VERSIONS = (1, 2)  # what 2 added may be missing

EventType = Literal["started", "finished"]

UsageSource = Literal["reported", "estimated", "unknown", "none"]
"""`reported` by OpenAI; `estimated` by us from what passed; `unknown`: open, or never told; `none`: nothing to pay."""


BudgetState = Literal["checked", "unreachable"]
"""Whether a request with a budget was held against it: `unreachable`: the ledger could not be asked in time."""


class MalformedEventError(ValueError):
    """The bytes are no usage event; the message names the field, never its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """One request of one member, as the proxy saw it begin (`started`) or end (`finished`).

    Times are aware UTC, `*_ms` are whole milliseconds. `usage` and `tool_usage` are OpenAI's own objects, verbatim;
    where `usage_source` is `estimated`, `usage` is ours: in the shape of the Responses API, or, for
    sound, with `input_characters`. `tool_calls` is what we counted of an answer's output items (`tool_calls`),
    `completion_window` what a background request agreed to wait, `upstream_region` the data residency of its address.
    `reserved_cost` is the most that it was thought to cost, in USD, where a budget had to hold it. `tags` (at most
    `MOST_TAGS`) and `end_user_id` are what a caller said; `instance_id` is the proxy's process. `upstream_key` is the
    name of the team's own key at OpenAI, by which the bill can be compared; None: the common one.
    """

    event_id: str
    event_type: EventType
    event_time: datetime
    user_id: str
    key_id: str
    team_id: str | None
    operation_name: str
    http_method: str
    url_path: str
    request_model: str | None
    stream: bool
    retry_count: int
    usage_source: UsageSource
    response_model: str | None = None
    response_id: str | None = None
    service_tier: str | None = None
    usage: Mapping[str, Any] | None = None
    tool_usage: Mapping[str, Any] | None = None
    tool_calls: Mapping[str, Any] | None = None
    completion_window: str | None = None
    upstream_region: str | None = None
    upstream_key: str | None = None
    instance_id: str | None = None
    reserved_cost: Decimal | None = None
    budget_state: BudgetState | None = None
    tags: Mapping[str, str] | None = None
    end_user_id: str | None = None
    http_status_code: int | None = None
    error_type: str | None = None
    client_disconnected: bool = False
    upstream_request_id: str | None = None
    duration_ms: int | None = None
    time_to_first_chunk_ms: int | None = None
    upstream_ms: int | None = None

    def to_json(self) -> bytes:
        """Write the event as the queue carries it: one JSON object, UTF-8, without line breaks."""
        fields = dict(zip(_CHECKS, _values_of(self), strict=True))
        fields["event_time"] = self.event_time.astimezone(UTC).isoformat(timespec="milliseconds")
        if self.reserved_cost is not None:
            fields["reserved_cost"] = format(self.reserved_cost, "f")
        fields["schema_version"] = SCHEMA_VERSION
        return _to_text(fields).encode()

    @classmethod
    def from_json(cls, data: bytes | str) -> UsageEvent:
        """Read an event that `to_json` wrote.

        Raises:
            MalformedEventError: not JSON, another schema version, a missing, unknown or ill-typed field.
        """
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError):
            raise MalformedEventError("a usage event must be one JSON object; this is not JSON") from None
        return cls.from_fields(fields)

    @classmethod
    def from_fields(cls, fields: object) -> UsageEvent:
        """Read an event from parsed JSON.

        Raises:
            MalformedEventError: as `from_json`.
        """
        if not isinstance(fields, dict):
            raise MalformedEventError("a usage event must be one JSON object")
        version = fields.get("schema_version")
        if version not in _READABLE_VERSIONS or isinstance(version, bool):
            raise MalformedEventError(f"usage event field 'schema_version': not one of {_READABLE_VERSIONS}")
        unknown = sorted(str(name)[:64] for name in fields.keys() - _CHECKS.keys() - {"schema_version"})
        if unknown:
            raise MalformedEventError(f"usage event has {len(unknown)} fields that version {SCHEMA_VERSION} has not")
        values: dict[str, Any] = {}
        for name, check in _CHECKS.items():
            if name not in fields and name not in _DEFAULTED:
                raise MalformedEventError(f"usage event field {name!r} is missing")
            if name in fields:
                values[name] = check(name, fields[name])
        return cls(**values)


_Check = Callable[[str, object], object]

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+-]{1,128}")
MOST_TAGS = 5
TAG_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
TAG_VALUE = re.compile(r"[A-Za-z0-9 ._:/@+-]{1,64}")
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")  # within BigQuery's NUMERIC
_LONGEST_TEXT = 512
_LARGEST_OBJECT = 65_536  # bytes; OpenAI's usage objects have some hundreds
_LARGEST_INT = 2**53  # exact in every JSON reader and in BigQuery's INT64


def _identifier(name: str, value: object) -> str:
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise MalformedEventError(f"usage event field {name!r}: expected 1 to 128 letters, digits or . _ : @ + -")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise MalformedEventError(f"usage event field {name!r}: expected text of at most {_LONGEST_TEXT} characters")
    return value


def _whole(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_INT:
        raise MalformedEventError(f"usage event field {name!r}: expected a whole number from 0")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise MalformedEventError(f"usage event field {name!r}: expected true or false")
    return value


def _time(name: str, value: object) -> datetime:
    try:
        time = datetime.fromisoformat(cast("str", value))
    except (TypeError, ValueError):
        raise MalformedEventError(f"usage event field {name!r}: expected an RFC 3339 time") from None
    if time.tzinfo is None:
        raise MalformedEventError(f"usage event field {name!r}: expected a time with its zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise MalformedEventError(f"usage event field {name!r}: out of range") from None


def _object(name: str, value: object) -> Mapping[str, Any]:
    try:
        fits = isinstance(value, dict) and len(json.dumps(value, allow_nan=False)) <= _LARGEST_OBJECT
    except (ValueError, RecursionError):  # NaN, Infinity, or nested too deeply to be written again
        fits = False
    if not fits:
        raise MalformedEventError(
            f"usage event field {name!r}: expected a JSON object of at most {_LARGEST_OBJECT} bytes"
        )
    return cast("Mapping[str, Any]", value)


def _amount(name: str, value: object) -> Decimal:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise MalformedEventError(f"usage event field {name!r}: expected an amount in USD as decimal text")
    return Decimal(value)


def _tags(name: str, value: object) -> Mapping[str, Any]:
    if (
        not isinstance(value, dict)
        or len(value) > MOST_TAGS
        or not all(
            TAG_NAME.fullmatch(tag) and isinstance(text, str) and TAG_VALUE.fullmatch(text)
            for tag, text in value.items()
        )
    ):
        raise MalformedEventError(f"usage event field {name!r}: expected at most {MOST_TAGS} names with values")
    return value


def _one_of(*allowed: str) -> _Check:
    def check(name: str, value: object) -> object:
        if value not in allowed:
            raise MalformedEventError(f"usage event field {name!r}: expected one of {', '.join(allowed)}")
        return value

    return check


def _nullable(check: _Check) -> _Check:
    return lambda name, value: None if value is None else check(name, value)


_CHECKS: Mapping[str, _Check] = {
    "event_id": _identifier,
    "event_type": _one_of("started", "finished"),
    "event_time": _time,
    "user_id": _identifier,
    "key_id": _identifier,
    "team_id": _nullable(_identifier),
    "operation_name": _identifier,
    "http_method": _identifier,
    "url_path": _text,
    "request_model": _nullable(_text),
    "stream": _flag,
    "retry_count": _whole,
    "usage_source": _one_of("reported", "estimated", "unknown", "none"),
    "response_model": _nullable(_text),
    "response_id": _nullable(_text),
    "service_tier": _nullable(_text),
    "usage": _nullable(_object),
    "tool_usage": _nullable(_object),
    "tool_calls": _nullable(_object),
    "completion_window": _nullable(_text),
    "upstream_region": _nullable(_text),
    "upstream_key": _nullable(_identifier),
    "instance_id": _nullable(_identifier),
    "reserved_cost": _nullable(_amount),
    "budget_state": _nullable(_one_of("checked", "unreachable")),
    "tags": _nullable(_tags),
    "end_user_id": _nullable(_text),
    "http_status_code": _nullable(_whole),
    "error_type": _nullable(_text),
    "client_disconnected": _flag,
    "upstream_request_id": _nullable(_text),
    "duration_ms": _nullable(_whole),
    "time_to_first_chunk_ms": _nullable(_whole),
    "upstream_ms": _nullable(_whole),
}
_values_of = attrgetter(*_CHECKS)
_to_text = json.JSONEncoder(separators=(",", ":")).encode
_DEFAULTED = {field.name for field in dataclasses.fields(UsageEvent) if field.default is not dataclasses.MISSING}
