from __future__ import annotations

import pytest

from openai_proxy.access.policy import UNLIMITED, Policy


@pytest.mark.parametrize(
    ("models", "denied", "permitted", "refused"),
    [
        (None, (), ["gpt-5", "", "ft:gpt-4o:acme::x"], []),
        ((), (), [], ["gpt-5", ""]),
        (("gpt-*", "text-embedding-3-small"), (), ["gpt-5", "gpt-", "text-embedding-3-small"], ["gpt", "o3", "GPT-5"]),
        (None, ("*-pro",), ["gpt-5", "pro"], ["gpt-5-pro", "-pro"]),
        (("gpt-*",), ("*-pro*",), ["gpt-5"], ["gpt-5-pro-2026-01-01", "o3"]),
        (("gpt-[45]?*",), (), ["gpt-4o"], ["gpt-4", "gpt-6o"]),
        (("gpt-5.1",), (), ["gpt-5.1"], ["gpt-5x1", "gpt-5.1\n", "a\ngpt-5.1"]),
    ],
)
def test_a_model_is_permitted_that_is_allowed_and_not_denied(
    models: tuple[str, ...] | None, denied: tuple[str, ...], permitted: list[str], refused: list[str]
) -> None:
    policy = Policy(models=models, denied_models=denied)

    assert [model for model in permitted + refused if policy.permits(model)] == permitted


def test_without_a_policy_nothing_is_limited() -> None:
    assert Policy() == UNLIMITED
    assert UNLIMITED.permits("anything")
    assert UNLIMITED.budgets == ()
