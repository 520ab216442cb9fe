from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from openai_proxy.access.budget import Budget, BudgetPeriod, Scope, ScopeKind
from openai_proxy.budgets.book import Exceeded
from openai_proxy.budgets.refusals import over_budget, without_price


def exceeded(kind: ScopeKind = "user", name: str = "ada", period: BudgetPeriod = "month") -> Exceeded:
    resets = None if period == "total" else datetime(2026, 12, 1, tzinfo=UTC)
    return Exceeded(Budget(Scope(kind, name), Decimal(20), period), Decimal("19.876543"), resets)


def test_it_says_whose_budget_how_much_what_is_spent_and_when_it_begins_anew() -> None:
    refusal = over_budget(exceeded(), Decimal("0.25"))

    assert refusal.status == 429
    assert json.loads(refusal.body)["error"] == {
        "message": (
            "You exceeded your current quota: of the budget of user ada, 20.00 USD a month, 19.88 USD are spent or held"
            " by requests that are under way, and this request may cost 0.25 USD. It begins anew at"
            " 2026-12-01T00:00:00Z. The proxy's owner can raise it."
        ),
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
    assert ("x-should-retry", "false") in refusal.headers


@pytest.mark.parametrize(
    ("kind", "period", "says"),
    [
        ("team", "day", "the budget of team ada, 20.00 USD a day"),
        ("organization", "week", "the budget of all users together, 20.00 USD a week"),
        ("user", "total", "20.00 USD in total"),
    ],
)
def test_each_kind_of_budget_is_named(kind: ScopeKind, period: BudgetPeriod, says: str) -> None:
    assert says in over_budget(exceeded(kind, period=period), Decimal(1)).message


def test_a_total_does_not_begin_anew() -> None:
    assert "It does not begin anew." in over_budget(exceeded(period="total"), Decimal(1)).message


@pytest.mark.parametrize(
    ("amount", "says"),
    [("0", "0.00"), ("0.000012345", "0.000012"), ("0.0019", "0.0019"), ("0.10", "0.10"), ("1234.5", "1234.50")],
)
def test_small_amounts_are_not_rounded_to_nothing(amount: str, says: str) -> None:
    assert f"may cost {says} USD." in over_budget(exceeded(), Decimal(amount)).message


def test_a_model_without_a_price_is_named_with_the_reason() -> None:
    refusal = without_price("dall-e-3", "no price is known for this model")

    assert (refusal.status, refusal.code) == (403, "model_without_price")
    assert "The model 'dall-e-3' cannot be used under a budget: no price is known for this model." in refusal.message
    assert "A request without a model" in without_price(None, None).message
