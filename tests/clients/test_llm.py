"""The command line `llm`: with the two settings, and with a model of its own that names our address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.member import Member, assert_told_as_recorded
from clients.told import Told

pytestmark = [pytest.mark.clients, pytest.mark.e2e]


@pytest.fixture
def llm(newest: Path) -> Path:
    return newest.with_name("llm")


def test_llm_works_with_two_settings(member: Member, llm: Path) -> None:
    printed = [
        member.run(llm, "prompt", "-m", "gpt-4o-mini", "how many people need water"),
        member.run(llm, "prompt", "-m", "gpt-4o-mini", "--no-stream", "how many people need a house"),
        member.run(llm, "prompt", "-m", "gpt-5-mini", "--continue", "and on a day"),
    ]
    vector = member.run(llm, "embed", "-m", "3-small", "-c", "the water of a day", "-f", "json")

    records = member.ledger()
    assert all(text.strip() for text in printed)
    assert len(json.loads(vector)) == 4
    assert len(records) == 4
    assert_told_as_recorded(_logged(member, llm), records)


def test_llm_works_with_models_of_its_own_that_name_our_address(member: Member, llm: Path) -> None:
    address = {"model_name": "gpt-4o-mini", "api_base": member.proxy.base_url, "api_key_name": "team"}
    models = [{"model_id": "by-chat", **address}, {"model_id": "by-responses", "responses": True, **address}]
    folder = Path(member.run(llm, "logs", "path").strip()).parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "extra-openai-models.yaml").write_text(json.dumps(models))  # JSON is YAML
    (folder / "keys.json").write_text(json.dumps({"team": member.key}))

    for model_id in ("by-chat", "by-responses"):
        assert member.run(llm, "prompt", "-m", model_id, "how many people need water", settings={}).strip()

    records = member.ledger()
    assert {record["operation_name"] for record in records} == {"chat", "responses"}
    assert_told_as_recorded(_logged(member, llm), records)


def _logged(member: Member, llm: Path) -> list[Told]:
    """What it keeps of each answer's usage in its own log."""
    logs = json.loads(member.run(llm, "logs", "list", "--json", "-n", "0"))
    return [{"call": one["model"], "tokens": [one["input_tokens"], one["output_tokens"]]} for one in logs]
