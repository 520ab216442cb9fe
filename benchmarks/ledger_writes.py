"""What writing into the embedded ledger takes, and how much of it keeps the roll-up of days.

The real store and real files, both halves of each request. Rounds are interleaved, and medians are shown. On a shared
machine trust the CPU time.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.events import UsageEvent
from openai_proxy.records import ListCost, TokenCounts, UsageRecord
from page import LEDGER, forget_days

_REQUESTS = 5_000
_ROUNDS = 5
_TOGETHER = (1, 40)  # records a commit: one caller, and what the sink's threads add at the same time
_BEGIN = datetime(2026, 11, 23, tzinfo=UTC)


def main() -> None:
    """Print the table."""
    chance = random.Random(1)  # noqa: S311 - no secret; seeded: the same usage each time
    records = [half for number in range(_REQUESTS) for half in halves(number, chance)]
    print("| records a commit | | records/s | CPU, µs a record |")
    print("| --- | --- | ---: | ---: |")
    for together in _TOGETHER:
        seen: dict[str, list[tuple[float, float]]] = {"as it is": [], "without usage_days": []}
        for _ in range(_ROUNDS):
            for name, rounds in seen.items():
                rounds.append(measure(records, together, rolled_up=name == "as it is"))
        for name, rounds in seen.items():
            rate, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"| {together} | {name} | {rate:,.0f} | {cpu:.0f} |")


def measure(records: Sequence[UsageRecord], together: int, *, rolled_up: bool) -> tuple[float, float]:
    """Records a second, and microseconds of CPU a record."""
    with tempfile.TemporaryDirectory(prefix="openai-proxy-bench-") as name, closing(_store(Path(name))) as store:
        if not rolled_up:
            forget_days(Path(name))
        cpu, began = time.process_time(), time.perf_counter()
        for first in range(0, len(records), together):
            store.add(records[first : first + together])
        cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    return len(records) / seconds, cpu / len(records) * 1e6


def _store(folder: Path) -> SqliteStore:
    store = SqliteStore(folder / LEDGER)
    store.check()  # makes the tables
    return store


def halves(number: int, chance: random.Random) -> tuple[UsageRecord, UsageRecord]:
    """A request as it starts and as it ends, half a minute after the one before."""
    user = chance.randrange(20)
    event = UsageEvent(
        event_id=f"{number:032x}",
        event_type="finished",
        event_time=_BEGIN + number * timedelta(seconds=30),
        user_id=f"user{user}",
        key_id=f"key_{user}",
        team_id=f"team{user % 4}",
        operation_name="chat",
        http_method="POST",
        url_path="/v1/chat/completions",
        request_model="gpt-4o-mini",
        stream=True,
        retry_count=0,
        usage_source="reported",
        response_model="gpt-4o-mini-2024-07-18",
        usage={"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 10}},
        http_status_code=200,
        duration_ms=900,
    )
    ended = UsageRecord(
        event=event,
        tokens=TokenCounts(input_tokens=100, cache_read_input_tokens=10, output_tokens=20),
        cost=ListCost(list_cost=Decimal("0.0000277"), priced=True),
        message_id=str(number),
        publish_time=event.event_time,
        stored_time=event.event_time,
    )
    opened = replace(
        event, event_type="started", response_model=None, usage_source="unknown", usage=None, http_status_code=None
    )
    unpriced = ListCost(list_cost=None, priced=False, unpriced_reason="the request is open")
    return replace(ended, event=opened, tokens=TokenCounts(), cost=unpriced), ended


if __name__ == "__main__":
    main()
