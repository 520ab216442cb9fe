"""The official SDK for JavaScript, and the Vercel AI SDK."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clients.member import Member, assert_told_as_recorded

pytestmark = [pytest.mark.clients, pytest.mark.e2e]


def test_the_official_sdk_works_as_ever_and_the_ledger_has_all_its_calls(member: Member, node: Path) -> None:
    told = member.calls("node", node / "openai_node.mjs")

    records = member.ledger()
    assert_told_as_recorded(told, records)
    tries = Counter(record["retry_count"] for record in records)
    assert (tries[1], tries[2], max(tries)) == (1, 1, 2)


def test_the_vercel_ai_sdk_works_as_ever_and_the_ledger_has_all_its_calls(member: Member, node: Path) -> None:
    told = member.calls("node", node / "ai_sdk.mjs")

    records = member.ledger()
    assert_told_as_recorded(told, records)
    operations = Counter(record["operation_name"] for record in records if record["usage_source"] == "reported")
    assert operations == {"responses": 2, "chat": 2, "embeddings": 1}  # it asks for responses unless told otherwise
    assert [record["http_status_code"] for record in records].count(503) == 3
