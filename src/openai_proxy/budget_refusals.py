"""What a budget refuses, in OpenAI's own words where it has some, so that SDKs do not try again."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from openai_proxy.budget_book import Exceeded
from openai_proxy.budgets import Budget
from openai_proxy.refusals import Refusal

_NO_RETRY = (("x-should-retry", "false"),)  # openai-python, `_should_retry`: it decides, whatever the status is
_PERIODS = {"day": "a day", "week": "a week", "month": "a month", "total": "in total"}

NOT_KNOWN = Refusal(
    503,
    "What is left of your budget is not known: the proxy cannot ask its ledger. Its owner finds the reason in its log.",
    kind="server_error",
    code="budget_not_known",
)


def over_budget(exceeded: Exceeded, amount: Decimal) -> Refusal:
    """A request that may cost more than is left; `amount` is what it may cost."""
    budget, resets = exceeded.budget, exceeded.resets
    message = (
        f"You exceeded your current quota: of the budget {_whose(budget)}, {_dollars(budget.amount)}"
        f" {_PERIODS[budget.period]}, {_dollars(exceeded.committed)} are spent or held by requests that are under way,"
        f" and this request may cost {_dollars(amount)}. {_when(resets)} The proxy's owner can raise it."
    )
    return Refusal(429, message, kind="insufficient_quota", code="insufficient_quota", headers=_NO_RETRY)


def without_price(model: str | None, reason: str | None) -> Refusal:
    """A request whose cost nobody can know."""
    named = f"The model {model!r}" if model else "A request without a model"
    message = (
        f"{named} cannot be used under a budget: {reason or 'no price is known'}. Use another model, or ask the proxy's"
        " owner: `openai-proxy prices check` says what helps."
    )
    return Refusal(403, message, code="model_without_price", headers=_NO_RETRY)


def _whose(budget: Budget) -> str:
    kind, name = budget.scope.kind, budget.scope.name
    return "of all users together" if kind == "organization" else f"of {kind} {name}"


def _when(resets: datetime | None) -> str:
    return f"It begins anew at {resets.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}." if resets else "It does not begin anew."


def _dollars(amount: Decimal) -> str:
    """To the cent; what is less than ten cents, to its second digit."""
    digits = 2 if abs(amount) >= Decimal("0.1") or not amount else max(2, 1 - amount.adjusted())
    whole, _, cents = f"{amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):f}".partition(".")
    return f"{whole}.{cents.rstrip('0').ljust(2, '0')} USD"
