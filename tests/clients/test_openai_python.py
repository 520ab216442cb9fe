"""The official SDK for Python, the newest and the newest 2.x: all that it offers to call with works as ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clients.member import Member, assert_told_as_recorded

pytestmark = [pytest.mark.clients, pytest.mark.e2e]


_ERRORS = {
    "unknown_model": ["NotFoundError", "model_not_found", 0],
    "in_the_background": ["PermissionDeniedError", "background_responses_not_allowed", 0],
    "with_a_key_of_nobody": ["AuthenticationError", "invalid_api_key", 0],
}
"""The SDK's own exception, its code, and how often the SDK tried again."""


@pytest.mark.parametrize(("script", "errors"), [("openai_sync", _ERRORS), ("openai_async", {})])
def test_a_program_works_as_ever_and_the_ledger_has_all_its_calls(
    member: Member, openai_python: Path, script: str, errors: Mapping[str, Any]
) -> None:
    told = member.calls(openai_python, "-m", f"clients.{script}")

    records = member.ledger()
    assert_told_as_recorded(told, records)
    assert {one["call"]: one["error"] for one in told if "error" in one} == errors
    # One call that the SDK tried three times is three records
    tries = Counter(record["retry_count"] for record in records)
    assert (tries[1], tries[2], max(tries)) == (1, 1, 2)
