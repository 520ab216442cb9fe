"""The promise: 300 calls of five members with the official SDK, and the ledger equals the upstream's own count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ledger_check import assert_ledger_equals, assert_nothing_is_open, by_event_id, table
from serving import CountingUpstream, Serving, serving

pytestmark = pytest.mark.e2e

_SDK_CALLS = Path(__file__).parents[1] / "sdk_calls.py"
_USERS = ("alice", "bob", "carol", "dave", "erin")


@pytest.fixture(params=["the newest SDK", "the newest SDK 2.x"])
def python(request: pytest.FixtureRequest) -> str:
    """A Python that has the SDK."""
    if request.param == "the newest SDK":
        return sys.executable
    if os.environ.get("OPENAI_PROXY_SDK2") != "1":
        pytest.skip("OPENAI_PROXY_SDK2=1 installs openai 2.x into a virtual environment of its own")
    assert request.config.cache is not None
    folder = request.config.cache.mkdir("openai-2.x")
    found = folder / "bin" / "python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([found, "-m", "pip", "install", "--quiet", "openai<3"], check=True)
        (folder / "installed").touch()
    return str(found)


def calls(python: str, proxy: Serving, keys: dict[str, str], **more: Any) -> list[dict[str, Any]]:
    """How each call of a plan ended, as its member saw it."""
    plan = {"base_url": proxy.base_url, "keys": keys, "calls": 300, "concurrency": 20, "seed": 2, **more}
    done = subprocess.run(
        [python, _SDK_CALLS], input=json.dumps(plan), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_ledger_equals_what_the_upstream_served(upstream: CountingUpstream, python: str) -> None:
    upstream.reset()
    with serving(upstream, DRAIN_SECONDS="1") as proxy:
        proxy.allow_team("research", "files")
        keys = {user: proxy.add_user(user, "--team", "research") for user in _USERS}

        outcomes = calls(python, proxy, keys, media=True)

        records = proxy.all_finished()
        served = upstream.served()
        summed = json.loads(proxy.cli("usage", "--json", "--by", "user,model"))
        dead_letters = proxy.dead_letters()

    print("\n" + table(served, records))  # noqa: T201 - seen with `pytest -s`
    assert [one for one in outcomes if "unexpected" in one] == []
    assert len(outcomes) == 300
    assert_nothing_is_open(records)
    assert_ledger_equals(served, records)
    assert _told_to_members(outcomes) == _of_the_same(outcomes, records)
    assert sum(row["requests"] for row in summed) == len(records)
    assert sum(row["output_tokens"] for row in summed) == sum(record["output_tokens"] or 0 for record in records)
    assert dead_letters == 0
    assert {"reported", "estimated", "none"} <= Counter(record["usage_source"] for record in records).keys()
    assert max(record["retry_count"] for record in records) == 2


def _told_to_members(outcomes: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Input and output tokens, by request id, of those calls whose answer said it."""
    told = {one["request_id"]: one["usage"] for one in outcomes if one.get("usage") and one.get("request_id")}
    return {
        request_id: (
            usage["prompt_tokens"] if "prompt_tokens" in usage else usage["input_tokens"],
            usage.get("completion_tokens", usage.get("output_tokens", 0)),
        )
        for request_id, usage in told.items()
    }


def _of_the_same(outcomes: list[dict[str, Any]], records: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    ledger = by_event_id(records)
    asked = {one["request_id"] for one in outcomes if one.get("usage") and one.get("request_id")}
    return {one: (ledger[one]["input_tokens"], ledger[one]["output_tokens"] or 0) for one in asked}
