"""Kill any process at any moment: no request that the upstream saw is lost, and none is there twice.

All tests share one ledger and one upstream, and each compares all of both; what is left open is left by the last one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from exchanges import ask, bearer
from ledger_check import assert_ledger_equals, assert_nothing_is_open, by_event_id
from processes import Process
from serving import CountingUpstream, Serving, serving, wait_for

pytestmark = pytest.mark.e2e

_SDK_CALLS = Path(__file__).parents[1] / "sdk_calls.py"
_CALLS = 100
_SECONDS = 120


@pytest.fixture(scope="module")
def proxy(upstream: CountingUpstream) -> Iterator[Serving]:
    with serving(upstream, DRAIN_SECONDS="1", PUBLISH_TIMEOUT_SECONDS="0.5") as one:
        yield one


@contextlib.contextmanager
def _load(proxy: Serving, seed: int) -> Iterator[subprocess.Popen[str]]:
    """The team at work, in a process of its own."""
    keys = {f"{user}{seed}": proxy.add_user(f"{user}{seed}") for user in ("alice", "bob")}
    plan = {"base_url": proxy.base_url, "keys": keys, "calls": _CALLS, "concurrency": 10, "seed": seed}
    with subprocess.Popen(
        [sys.executable, _SDK_CALLS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as load:
        try:
            assert load.stdin
            load.stdin.write(json.dumps(plan))
            load.stdin.close()
            load.stdin = None
            yield load
        finally:
            load.kill()


def _outcomes(load: subprocess.Popen[str]) -> list[dict[str, Any]]:
    told, _ = load.communicate(timeout=_SECONDS)
    outcomes = [json.loads(line) for line in told.splitlines()]
    assert len(outcomes) == _CALLS
    return outcomes


def _complete(outcomes: Sequence[dict[str, Any]]) -> set[str]:
    """The requests whose members got a whole answer."""
    cut_short = {"broken", "aborted", "status", "unexpected"}
    return {one["request_id"] for one in outcomes if not cut_short & one.keys() and one.get("request_id")}


def _kill(victims: Sequence[Process]) -> int:
    """Kill them all, and say how many."""
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
    return len(victims)


def _served_more(upstream: CountingUpstream, count: int) -> None:
    """Return when so many requests have come from now on."""
    before = len(upstream.served())
    wait_for("the load to go on", lambda: len(upstream.served()) >= before + count)


def _is(pattern: str, proxy: Serving) -> Sequence[Process]:
    return [process for process in proxy.tree() if re.search(pattern, process.command)]


def test_a_locked_queue_harms_no_client_and_its_events_can_be_replayed(
    upstream: CountingUpstream, proxy: Serving, tmp_path: Path
) -> None:
    key = proxy.add_user("alice")
    question = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "water"}]}
    body = json.dumps({**question, "user": "alice"}).encode()
    assert ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key), body=body).status == 200
    statuses: list[int] = []

    def call() -> None:
        statuses.append(ask(proxy.base_url, "POST", "/chat/completions", headers=bearer(key), body=body).status)

    callers = [threading.Thread(target=call) for _ in range(6)]
    with contextlib.closing(sqlite3.connect(proxy.queue_file, timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for caller in callers:
            caller.start()
        time.sleep(3)  # longer than two tries to publish
        other.execute("ROLLBACK")
    for caller in callers:
        caller.join()
    kept = [json.loads(line) for line in proxy.stderr.read_text().splitlines() if '"usage_event"' in line]
    lines = tmp_path / "stderr"
    lines.write_bytes(proxy.stderr.read_bytes())
    for _ in range(2):
        proxy.cli("replay", str(lines))

    records = proxy.all_finished()

    assert statuses == [200] * 6
    assert kept
    assert {line["usage_event"]["event_id"] for line in kept} <= by_event_id(records).keys()
    assert len(records) == 7
    assert_ledger_equals(upstream.served(), records)


def test_nothing_is_lost_or_doubled_when_what_is_behind_the_proxy_is_killed(
    upstream: CountingUpstream, proxy: Serving
) -> None:
    patterns = (r"--target[= ]usage_sink\b", r"openai_proxy\.local\.delivery", r"--target[= ]log_view\b")
    killed: Counter[str] = Counter()
    with _load(proxy, seed=1) as load:
        _served_more(upstream, 10)
        while load.poll() is None:
            for pattern in patterns:
                killed[pattern] += _kill(_is(pattern, proxy))
            time.sleep(0.3)  # so that some of them live for a moment
        outcomes = _outcomes(load)

    assert all(killed[pattern] for pattern in patterns), killed
    assert [one for one in outcomes if "unexpected" in one] == []
    records = proxy.all_finished()
    assert_ledger_equals(upstream.served(), records)
    assert_nothing_is_open(records)
    assert _complete(outcomes) <= by_event_id(records).keys()
    assert proxy.dead_letters() == 0


def test_what_was_answered_is_recorded_when_the_proxy_is_killed_and_when_all_is(
    upstream: CountingUpstream, proxy: Serving
) -> None:
    with _load(proxy, seed=2) as load:
        _served_more(upstream, 30)
        assert _kill(_is(r"--target[= ]proxy\b", proxy))
        outcomes = _outcomes(load)
    assert any("broken" in one for one in outcomes), "the kill met no request"
    wait_for("the proxy to answer again", lambda: _is_healthy(proxy))

    with _load(proxy, seed=3) as load:
        _served_more(upstream, 30)
        assert proxy.process is not None
        family = proxy.tree()
        proxy.process.kill()
        assert _kill(family)
        proxy.process.wait()
        outcomes += _outcomes(load)
    proxy.start()

    _assert_what_was_answered_is_recorded(upstream, proxy, outcomes)


def _assert_what_was_answered_is_recorded(
    upstream: CountingUpstream, proxy: Serving, outcomes: Sequence[dict[str, Any]]
) -> None:
    """Requests whose proxy died are open, and say so; all others are as after any other day."""
    complete = _complete(outcomes)
    assert complete, "the kill came before any answer"
    records = proxy.settled()
    ledger = by_event_id(records)
    served = {one["event_id"]: one for one in upstream.served()}
    assert served.keys() <= ledger.keys(), "requests that the upstream served and the ledger has not"
    still_open = {event_id for event_id, record in ledger.items() if record["event_type"] != "finished"}
    assert not still_open & complete, "a member has a whole answer, and its record is open"
    assert all(ledger[event_id]["usage_source"] == "unknown" for event_id in still_open)
    ended = [record for record in records if record["event_id"] not in still_open]
    assert_ledger_equals([one for event_id, one in served.items() if event_id not in still_open], ended)


def _is_healthy(proxy: Serving) -> bool:
    try:
        return ask(proxy.root, "GET", "/healthz", headers={}).status == 200
    except OSError:
        return False
