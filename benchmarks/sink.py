"""How many events a second one core of the sink takes from Pub/Sub, into a store that takes 50 ms a call.

The real function under functions-framework, on one core; pushes and store on another. Beside it the same sink without
group commit. Rounds are interleaved, and medians are shown. On a shared machine trust the CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import requests

from openai_proxy.events import UsageEvent
from servers import Server, free_port, function, pin, running

_HERE = Path(__file__).resolve().parent
_TARGETS = {
    "group commit": _HERE.parent / "functions" / "usage_sink" / "main.py",
    "one row a call": _HERE / "one_row_a_call" / "main.py",
}
_THREADS = 80  # pushes at a time, as Terraform sets it for the deployed sink
_WANTED = 500
_CORES = 2


def push() -> bytes:
    """One push of Pub/Sub's: a chat completion that has ended."""
    event = UsageEvent(
        event_id=uuid.uuid4().hex,
        event_type="finished",
        event_time=datetime.now(UTC),
        user_id="ada",
        key_id="key_1",
        team_id="research",
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
    data = base64.b64encode(event.to_json()).decode()
    message = {"data": data, "messageId": event.event_id, "publishTime": "2026-11-23T12:00:00Z"}
    return json.dumps({"message": message, "subscription": "projects/demo/subscriptions/usage-sink"}).encode()


async def load(port: int, count: int) -> float:
    """Push that many events, as many at a time as the sink has threads; the seconds it took."""
    pushes = [push() for _ in range(count)]
    url = f"http://127.0.0.1:{port}/projects/demo/topics/usage-events"
    connector = aiohttp.TCPConnector(limit=_THREADS)
    async with aiohttp.ClientSession(connector=connector, headers={"content-type": "application/json"}) as session:

        async def worker() -> None:
            while pushes:
                async with session.post(url, data=pushes.pop()) as answer:
                    if answer.status != requests.codes.ok:
                        raise RuntimeError(f"the sink answered {answer.status}")

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(_THREADS)))
        return time.perf_counter() - began


def measure(server: Server, table: Server, count: int) -> tuple[float, float, float]:
    """Events a second, CPU milliseconds an event, rows a call."""
    requests.get(f"http://127.0.0.1:{table.port}/__counts", timeout=10)
    before = server.cpu_seconds()
    seconds = asyncio.run(load(server.port, count))
    cpu = server.cpu_seconds() - before
    counts = requests.get(f"http://127.0.0.1:{table.port}/__counts", timeout=10).json()
    if counts["rows"] != count:
        raise RuntimeError(f"{count} events, and {counts['rows']} rows")
    return count / seconds, cpu / count * 1e3, counts["rows"] / counts["calls"]


def main() -> int:
    """Measure, and print one table; 1 when the figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=4_000)
    given = parser.parse_args()
    cores: Sequence[int] = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    sink_core, load_core = (cores[0], cores[1]) if len(cores) >= _CORES else (None, None)
    pin(0, load_core)
    seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in _TARGETS}
    with contextlib.ExitStack() as stack:
        table_port = free_port()
        command = [sys.executable, str(_HERE / "slow_table.py"), "--port", str(table_port)]
        table = stack.enter_context(running(command, port=table_port, core=load_core, environ={}))
        environ = {
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{table_port}",
            "USAGE_STORE_URL": "bigquery://demo/openai_proxy/usage_records",
            "DEAD_LETTER_URL": "pubsub://demo/dead-letters",
            "THREADS": str(_THREADS),
        }
        sinks = {}
        for name, source in _TARGETS.items():
            port = free_port()
            command = [*function(source, "usage_sink", port=port), "--signature-type", "cloudevent"]
            sinks[name] = stack.enter_context(running(command, port=port, core=sink_core, environ=environ))
            asyncio.run(load(port, 200))
        for _ in range(given.rounds):
            for name, sink in sinks.items():
                seen[name].append(measure(sink, table, given.events))
    print(f"{'':16} {'events/s':>10} {'CPU ms/event':>14} {'rows/call':>10}")
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in seen.items()}
    for name, (rate, cpu, rows) in medians.items():
        print(f"{name:16} {rate:10.0f} {cpu:14.2f} {rows:10.1f}")
    met = medians["group commit"][0] >= _WANTED
    print(f"wanted: at least {_WANTED} events/s with group commit: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
