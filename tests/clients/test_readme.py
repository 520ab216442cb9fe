"""What the README prints is what a newcomer types."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from clients.member import Member

pytestmark = [pytest.mark.clients, pytest.mark.e2e]

_HERE = Path(__file__).parent
_README = (_HERE.parents[1] / "README.md").read_text()


def _printed(pattern: str, member: Member) -> str:
    """A piece of the README, with this proxy's address and this member's key."""
    found: list[str] = re.findall(pattern, _README, re.MULTILINE | re.DOTALL)
    (text,) = found
    return text.replace("http://localhost:8080", member.proxy.root).replace("sk-op-...", member.key)


def test_the_curl_works_and_the_ledger_has_it(member: Member) -> None:
    command = _printed(r"^curl http://localhost:8080/openai .*?}'$", member)

    answer = json.loads(member.run("bash", "-c", command, settings={}))

    (record,) = replace(member, user_id="demo").ledger()
    assert answer["model"] == record["response_model"] == "gpt-4-0613"
    assert answer["usage"]["completion_tokens"] == record["output_tokens"]


def test_the_members_two_settings_work(member: Member, newest: Path) -> None:
    program = _printed(r"^```python\n(.*?)^```$", member)

    member.run(newest, "-c", program, settings={})

    (record,) = member.ledger()
    assert record["operation_name"] == "responses"
    assert record["priced"]


def test_the_table_of_clients_names_the_versions_that_are_tested() -> None:
    locked = {name: _pinned("newest.txt", name) for name in ("openai", "langchain-openai", "llm")}
    locked["openai"] += ", " + _pinned("sdk2.txt", "openai")
    packages = json.loads((_HERE / "package.json").read_text())["dependencies"]

    for name, version in [*locked.items(), *packages.items()]:
        assert re.search(rf"`{name}`(?: for \w+)? {re.escape(version)}\b", _README), f"{name} {version}"


def _pinned(lock: str, name: str) -> str:
    found: list[str] = re.findall(rf"^{name}==(\S+)", (_HERE / lock).read_text(), re.MULTILINE)
    (version,) = found
    return version
