from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from made_ledger import MadeLedger
from made_usage import usage_record
from openai_proxy.period import Period
from openai_proxy.pricing.check import check_prices
from openai_proxy.records import ListCost, UsageRecord

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = Period(NOON - timedelta(hours=12), NOON + timedelta(hours=12))


def unpriced(event_id: str, model: str, reason: str = "no price is known for this model", **event: Any) -> UsageRecord:
    made = usage_record(event_id, NOON, "ada", model)
    return replace(
        made,
        event=replace(made.event, **event),
        cost=ListCost(list_cost=None, priced=False, unpriced_reason=reason),
        units=(),
    )


def found(*records: UsageRecord) -> list[tuple[str | None, int, str]]:
    checked = check_prices(MadeLedger(records), DAY)
    return [(one.usage.model, one.usage.requests, one.remedy) for one in checked]


def test_a_ledger_in_which_everything_has_a_price_has_nothing_to_tell() -> None:
    assert found(usage_record("e1", NOON, "ada")) == []


def test_a_model_that_has_a_price_by_now_only_needs_pricing_again() -> None:
    assert found(unpriced("e1", "gpt-4.1"), unpriced("e2", "gpt-4.1")) == [("gpt-4.1", 2, "reprice")]


def test_a_model_without_a_price_needs_one() -> None:
    assert found(unpriced("e1", "no-such-model")) == [("no-such-model", 1, "add_price")]


def test_a_tier_without_a_price_needs_one_though_the_model_has_its_own() -> None:
    reason = "no price is known for this service tier of the model"

    assert found(unpriced("e1", "gpt-4.1", reason, service_tier="no-such-tier")) == [("gpt-4.1", 1, "add_price")]


def test_usage_that_is_not_understood_needs_a_program_that_does() -> None:
    reason = "the usage is not understood: prompt_tokens is no quantity"

    assert found(unpriced("e1", "gpt-4.1", reason, usage={"prompt_tokens": -1})) == [("gpt-4.1", 1, "add_price")]


def test_what_openai_did_not_tell_no_price_helps() -> None:
    silent = unpriced("e1", "gpt-4.1", "OpenAI did not tell the usage", usage=None, usage_source="unknown")

    assert found(silent) == [("gpt-4.1", 1, "none")]


def test_an_open_request_is_not_missed_yet() -> None:
    assert found(unpriced("e1", "gpt-4.1", event_type="started", usage=None, usage_source="unknown")) == []


def test_the_last_request_of_a_model_decides() -> None:
    """A price that holds from a day on does not help what came before; it helps what came after."""
    early = unpriced("e1", "o-new", event_time=NOON - timedelta(hours=1))
    late = unpriced("e2", "o-new")
    seen = []

    def price(event: Any) -> Any:
        seen.append(event.event_id)
        return replace(late, cost=usage_record("e3", NOON, "ada").cost)

    (checked,) = check_prices(MadeLedger([early, late]), DAY, price)

    assert (checked.remedy, seen) == ("reprice", ["e2"])
    assert checked.usage.first_time == NOON - timedelta(hours=1)
