"""Made-up usage records: one at a time for tests, or a month of a small team for a picture of the page."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from openai_proxy.events import UsageEvent
from openai_proxy.records import ListCost, TokenCounts, UsageRecord, UsedUnit

LATER_COLUMNS = {
    *("tool_calls", "completion_window", "upstream_region", "units", "price_revision"),
    *("instance_id", "reserved_cost", "budget_state", "tags", "end_user_id", "upstream_key"),
}
"""What a ledger of the first version has not."""

_UNPRICED = ListCost(list_cost=None, priced=False, unpriced_reason="model not in the price table")
# model, path, what a request's input and output tokens are about, dollars per million of each
_MODELS = (
    ("gpt-5.1", "/v1/responses", 6_000, 900, "1.25", "10"),
    ("gpt-5-mini", "/v1/chat/completions", 2_500, 400, "0.25", "2"),
    ("gpt-5-mini", "/v1/responses", 3_000, 500, "0.25", "2"),
    ("gpt-4.1", "/v1/chat/completions", 1_800, 300, "2", "8"),
    ("text-embedding-3-small", "/v1/embeddings", 9_000, 0, "0.02", "0"),
)
_USERS = ("ada", "ada", "ada", "grace", "grace", "linus", "nightly-evals")


def usage_record(event_id: str, event_time: datetime, user_id: str, model: str = "gpt-4.1") -> UsageRecord:
    """One reported and priced chat completion."""
    event = UsageEvent(
        event_id=event_id,
        event_type="finished",
        event_time=event_time,
        user_id=user_id,
        key_id=f"key_{user_id}",
        team_id="research",
        operation_name="chat",
        http_method="POST",
        url_path="/v1/chat/completions",
        request_model=model,
        stream=False,
        retry_count=0,
        usage_source="reported",
        response_model=model,
        usage={"prompt_tokens": 1000, "completion_tokens": 100},
        http_status_code=200,
        duration_ms=1840,
    )
    tokens = TokenCounts(input_tokens=1000, cache_read_input_tokens=200, output_tokens=100, reasoning_output_tokens=40)
    return UsageRecord(
        event=event,
        tokens=tokens,
        cost=ListCost(list_cost=Decimal("0.0028"), priced=True, sku_price_id=f"{model}@2025-04-14"),
        message_id=event_id,
        publish_time=event_time,
        stored_time=event_time,
        units=_units(tokens, "2", "8"),
    )


def _units(tokens: TokenCounts, input_price: str, output_price: str) -> tuple[UsedUnit, ...]:
    """Reported tokens, at prices in dollars a million; the cached ones cost what all input costs."""
    return (
        _unit("input_tokens", tokens.input_tokens, input_price),
        _unit("cache_read_tokens", tokens.cache_read_input_tokens, None),
        _unit("output_tokens", tokens.output_tokens, output_price),
    )


def _unit(unit: str, quantity: int | None, price: str | None) -> UsedUnit:
    used = Decimal(quantity or 0)
    charged = used if price else Decimal(0)
    return UsedUnit(
        unit=unit,
        quantity=used,
        usage_source="reported",
        charged_quantity=charged,
        list_unit_price=Decimal(price) if price else None,
        pricing_block_size=1_000_000 if price else None,
        list_cost=Decimal(price or 0) * charged / 1_000_000,
    )


def month(now: datetime) -> Iterator[UsageRecord]:
    """Thirty days of a team of four, always the same but for `now`; a few requests went wrong, as they do."""
    rolls = random.Random(2)  # noqa: S311 - a picture, not a secret
    for number in range(1_150):
        days = rolls.betavariate(1, 1.6) * 29
        time = now - timedelta(days=days, seconds=rolls.random() * 3600)
        if time.weekday() >= 5 and rolls.random() < 0.8:  # people rest
            continue
        yield _picked(rolls, usage_record(f"made-{number}", time, rolls.choice(_USERS)))
    for number, minutes in enumerate((2, 9, 14, 31, 40, 44, 58, 63, 77, 81, 93)):
        record = _picked(rolls, usage_record(f"fresh-{number}", now - timedelta(minutes=minutes), rolls.choice(_USERS)))
        yield _odd(number, record)


def _picked(rolls: random.Random, record: UsageRecord) -> UsageRecord:
    model, path, usual_input, usual_output, input_price, output_price = rolls.choice(_MODELS)
    tokens = TokenCounts(
        input_tokens=(taken := int(usual_input * rolls.lognormvariate(0, 0.7))),
        cache_read_input_tokens=int(taken * rolls.choice((0, 0, 0.4, 0.8))) if usual_output else 0,
        output_tokens=(given := int(usual_output * rolls.lognormvariate(0, 0.7))),
        reasoning_output_tokens=int(given * rolls.choice((0, 0.3, 0.6)))
        if "5" in model.split(".", maxsplit=1)[0]
        else 0,
    )
    units = _units(tokens, input_price, output_price)
    cost = replace(record.cost, list_cost=sum((unit.list_cost or Decimal(0) for unit in units), Decimal(0)))
    event = replace(
        record.event,
        url_path=path,
        operation_name=path.split("/")[2],
        request_model=model,
        response_model=model,
        stream=usual_output > 0 and rolls.random() < 0.5,
        duration_ms=180 + given * 14,
    )
    return replace(record, event=event, tokens=tokens, cost=cost, units=units)


def _odd(number: int, record: UsageRecord) -> UsageRecord:
    if number == 0:
        event = replace(
            record.event,
            event_type="started",
            usage_source="unknown",
            response_model=None,
            http_status_code=None,
            duration_ms=None,
        )
        cost = replace(_UNPRICED, unpriced_reason="the request is open")
        return replace(record, event=event, tokens=TokenCounts(), cost=cost, units=())
    if number == 2:
        event = replace(record.event, usage_source="estimated", client_disconnected=True, stream=True)
        return replace(record, event=event)
    if number == 5:
        model = "ft:gpt-4.1-mini:acme:triage:C4x"
        event = replace(record.event, request_model=model, response_model=model)
        units = tuple(
            UsedUnit(unit=unit.unit, quantity=unit.quantity, usage_source="reported") for unit in record.units
        )
        return replace(record, event=event, cost=_UNPRICED, units=units)
    if number == 7:
        event = replace(
            record.event, usage_source="none", http_status_code=429, error_type="rate_limit_exceeded", duration_ms=92
        )
        free = ListCost(list_cost=Decimal(0), priced=True)
        return replace(record, event=event, tokens=TokenCounts(), cost=free, units=())
    return record
