"""A ledger in memory, for tests that need no file: the port's behaviour, or a failure at will."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from openai_proxy.ports import (
    GroupBy,
    Period,
    Spend,
    SpendQuestion,
    StoreError,
    Tag,
    TagValues,
    UnpricedUsage,
    UsageTotal,
)
from openai_proxy.records import UsageRecord

_COLUMNS = {
    "user": "user_id",
    "team": "team_id",
    "key": "key_id",
    "operation": "operation_name",
    "end_user": "end_user_id",
}
_SCOPES = {"user": "user_id", "team": "team_id", "organization": None}
_EVER, _NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_OF_UNPRICED = ("model", "service_tier", "usage_source", "unpriced_reason")


@dataclass(slots=True)
class MemoryLedger:
    kept: Sequence[UsageRecord] = ()
    broken: bool = False
    asked_user_ids: list[str | None] = field(default_factory=list)

    def records(
        self, period: Period, *, user_id: str | None, limit: int | None, tag: Tag | None = None
    ) -> Iterator[Mapping[str, Any]]:
        self.check()
        self.asked_user_ids.append(user_id)
        rows = sorted((record.row() for record in self.kept), key=lambda row: row["event_time"], reverse=True)
        inside = [row for row in rows if period.since <= row["event_time"] < period.until]
        tagged = [row for row in inside if tag is None or (row["tags"] or {}).get(tag.name) == tag.value]
        yield from [row for row in tagged if user_id in {None, row["user_id"]}][:limit]

    def totals(
        self, period: Period, *, user_id: str | None, by: Sequence[GroupBy], tag: Tag | None = None
    ) -> Sequence[UsageTotal]:
        groups: dict[tuple[str | None, ...], list[Mapping[str, Any]]] = {}
        for row in self.records(period, user_id=user_id, limit=None, tag=tag):
            groups.setdefault(tuple(_value(row, name) for name in by), []).append(row)
        return [_total(group, rows) for group, rows in sorted(groups.items(), key=lambda item: str(item[0]))]

    def unpriced(self, period: Period) -> Sequence[UnpricedUsage]:
        groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        for row in self.records(period, user_id=None, limit=None):
            if row["event_type"] == "finished" and not row["priced"]:
                model = row["response_model"] or row["request_model"]
                group = (model, row["service_tier"], row["usage_source"], row["unpriced_reason"])
                groups.setdefault(group, []).append(row)
        return [
            UnpricedUsage(**dict(zip(_OF_UNPRICED, group, strict=True)), **_requests(rows))
            for group, rows in sorted(groups.items(), key=lambda item: (-len(item[1]), str(item[0])))
        ]

    def revisions(self, event_id: str, period: Period) -> Sequence[Mapping[str, Any]]:
        return [row for row in self.records(period, user_id=None, limit=None) if row["event_id"] == event_id]

    def spend(self, questions: Sequence[SpendQuestion], *, instance_id: str, active_since: datetime) -> Spend:
        rows = list(self.records(Period(_EVER, _NEVER), user_id=None, limit=None))
        others = [row for row in rows if row["instance_id"] not in {None, instance_id}]
        return Spend(
            amounts=tuple(_spent(rows, question, instance_id) for question in questions),
            other_instances=len({row["instance_id"] for row in others if row["event_time"] >= active_since}),
        )

    def check(self) -> None:
        if self.broken:
            raise StoreError("the ledger was told to fail")


def _spent(rows: Sequence[Mapping[str, Any]], question: SpendQuestion, instance_id: str) -> Decimal:
    name = _SCOPES[question.scope_kind]
    return sum(
        (
            (row["reserved_cost"] or Decimal(0)) if row["list_cost"] is None else row["list_cost"]
            for row in rows
            if row["event_time"] >= question.since
            and (name is None or row[name] == question.scope_name)
            and not (row["instance_id"] == instance_id and row["event_time"] >= question.own_since)
        ),
        Decimal(0),
    )


def _requests(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, last = rows[-1], rows[0]
    return {
        "requests": len(rows),
        "first_time": first["event_time"],
        "last_time": last["event_time"],
        "last_event_id": last["event_id"],
    }


def _value(row: Mapping[str, Any], name: GroupBy) -> str | None:
    if isinstance(name, TagValues):
        return (row["tags"] or {}).get(name.name)
    if name == "day":
        return f"{row['event_time']:%Y-%m-%d}"
    found: str | None = row["response_model"] or row["request_model"] if name == "model" else row[_COLUMNS[name]]
    return found


def _total(group: tuple[str | None, ...], rows: Sequence[Mapping[str, Any]]) -> UsageTotal:
    def tokens(name: str) -> int:
        return sum(row[name] or 0 for row in rows)

    return UsageTotal(
        group=group,
        requests=len(rows),
        input_tokens=tokens("input_tokens"),
        cache_read_input_tokens=tokens("cache_read_input_tokens"),
        output_tokens=tokens("output_tokens"),
        reasoning_output_tokens=tokens("reasoning_output_tokens"),
        list_cost=format(sum((row["list_cost"] or Decimal(0) for row in rows), Decimal(0)), "f"),
        unpriced=sum(not row["priced"] for row in rows),
        estimated=sum(row["usage_source"] == "estimated" for row in rows),
        open=sum(row["event_type"] == "started" for row in rows),
        errors=sum(bool(row["error_type"]) or (row["http_status_code"] or 0) >= 400 for row in rows),
    )
