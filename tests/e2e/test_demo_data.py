"""A folder that `demo-data` filled, and the page over it, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

import ledger_check
from openai_proxy.events import UsageEvent
from openai_proxy.records import TokenCounts
from serving import Serving

pytestmark = pytest.mark.e2e

COMMAND = Path(sys.executable).with_name("openai-proxy")


@dataclass(frozen=True, slots=True)
class Demo:
    """The filled folder, served; what the command said, and what it said meanwhile."""

    serving: Serving
    said: dict[str, Any]
    progress: str

    def page(self, role: str) -> dict[str, Any]:
        """/log of all time, as one of those whose keys were shown."""
        (key,) = (one["key"] for one in self.said["keys"] if one["role"] == role)
        url = f"{self.serving.root}/log?format=json&period=all"
        answer = requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        answer.raise_for_status()
        page: dict[str, Any] = answer.json()
        return page


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo") / "data"
    command = [str(COMMAND), "demo-data", "--records", "21000", "--json", "--data-dir", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    serving = Serving(folder, {"OPENAI_API_KEY": "sk-team", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    try:
        serving.start()
        yield Demo(serving, json.loads(done.stdout), done.stderr)
    finally:
        serving.stop()


def test_long_work_says_how_far_it_is(demo: Demo) -> None:
    assert demo.progress == "20,000 of 21,000 requests are made ...\n"


def test_the_command_line_and_the_page_agree_on_what_was_made(demo: Demo) -> None:
    records = demo.serving.usage()
    total = sum((Decimal(one["list_cost"]) for one in records if one["list_cost"] is not None), Decimal(0))

    assert len(ledger_check.by_event_id(records)) == len(records) == demo.said["records"] == 21_000
    assert Decimal(demo.said["list_cost"]) == total > 100
    totals = demo.page("admin")["totals"]
    assert (totals["requests"], Decimal(totals["list_cost"])) == (21_000, total)
    sources = Counter(one["usage_source"] for one in records)
    assert min(sources[source] for source in ("reported", "none", "estimated", "unknown")) > 10
    assert sources["reported"] > 0.9 * len(records)
    assert 0 < totals["open"] < totals["unpriced"] < totals["requests"] / 20
    assert 0.01 < totals["errors"] / totals["requests"] < 0.05


def test_each_record_is_whole(demo: Demo) -> None:
    parts = {"cache_read_input_tokens": "input_tokens", "reasoning_output_tokens": "output_tokens"}
    for one in demo.serving.usage():
        assert one.keys() >= set(UsageEvent.__slots__) | set(TokenCounts.__slots__)
        units = [Decimal(unit["list_cost"] or 0) for unit in one["units"]]
        assert sum(units) == Decimal(one["list_cost"] or 0)
        assert (one["list_cost"] is None) == (one["unpriced_reason"] is not None) == (not one["priced"])
        for part, whole in parts.items():
            assert (one[part] or 0) <= (one[whole] or 0)
        assert one["event_time"] <= one["publish_time"] <= one["stored_time"]


def test_the_member_whose_key_is_shown_sees_what_is_theirs(demo: Demo) -> None:
    own = [one for one in demo.serving.usage() if one["user_id"] == "ivo"]

    page = demo.page("member")

    assert page["totals"]["requests"] == len(own) > 1000
    assert {one["user_id"] for one in page["latest"]} == {"ivo"}


def test_who_may_call_is_in_the_log_of_changes(demo: Demo) -> None:
    log = json.loads(demo.serving.cli("access", "log", "--json"))

    assert {one["action"] for one in log} == {"demo-data"}
    assert {one["user_id"] for one in log if one["user_id"]} >= {"vera", "ivo", "nightly-evals"}
