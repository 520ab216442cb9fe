"""LangChain's ChatOpenAI and OpenAIEmbeddings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clients.member import Member, assert_told_as_recorded

pytestmark = [pytest.mark.clients, pytest.mark.e2e]


def test_langchain_works_as_ever_and_the_ledger_has_all_its_calls(member: Member, newest: Path) -> None:
    told = member.calls(newest, "-m", "clients.langchain_calls")

    records = member.ledger()
    assert_told_as_recorded(told, records)
    assert Counter(record["operation_name"] for record in records) == {"chat": 8, "responses": 2, "embeddings": 2}
