"""What a budget refuses, in OpenAI's own words where it has some, so that SDKs do not try again."""

from __future__ import annotations

from decimal import Decimal

from openai_proxy.api.refusals import Refusal
from openai_proxy.budgets.book import Exceeded
from openai_proxy.budgets.text import begins_anew, dollars, named

_NO_RETRY = (("x-should-retry", "false"),)  # openai-python, `_should_retry`: it decides, whatever the status is

NOT_KNOWN = Refusal(
    503,
    "What is left of your budget is not known: the proxy cannot ask its ledger. Its owner finds the reason in its log.",
    kind="server_error",
    code="budget_not_known",
)


def over_budget(exceeded: Exceeded, amount: Decimal) -> Refusal:
    """A request that may cost more than is left; `amount` is what it may cost."""
    message = (
        f"You exceeded your current quota: of {named(exceeded.budget)}, {dollars(exceeded.committed)} are spent or held"
        f" by requests that are under way, and this request may cost {dollars(amount)}. {begins_anew(exceeded.resets)}"
        " The proxy's owner can raise it."
    )
    return Refusal(429, message, kind="insufficient_quota", code="insufficient_quota", headers=_NO_RETRY)


def without_price(model: str | None, reason: str | None) -> Refusal:
    """A request whose cost nobody can know."""
    what = f"The model {model!r}" if model else "A request without a model"
    message = (
        f"{what} cannot be used under a budget: {reason or 'no price is known'}. Use another model, or ask the proxy's"
        " owner: `openai-proxy prices check` says what helps."
    )
    return Refusal(403, message, code="model_without_price", headers=_NO_RETRY)
