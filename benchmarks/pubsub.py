"""What acknowledging two events a request in Pub/Sub costs the proxy, on the emulator: CPU time per unary request.

Beside it the same proxy whose queue accepts at once. Rounds are interleaved, and medians are shown. The proxy has one
core; load, upstream and emulator share the others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from emulator import PROJECT, TOPIC, pubsub_emulator
from openai_proxy.keys import key_hash, new_key
from servers import Server, free_port, function, pin, running

_HERE = Path(__file__).resolve().parent
_WITH, _WITHOUT = "Pub/Sub, acknowledged", "no accounting"
_TARGETS = {
    _WITH: _HERE.parent / "functions" / "proxy" / "main.py",
    _WITHOUT: _HERE / "no_accounting" / "main.py",
}
_CONNECTIONS = (1, 8, 64)
_WANTED = 1.6  # times the CPU without accounting
_CORES = 2


def measure(server: Server, key: str, connections: int, count: int) -> tuple[float, float]:
    """CPU milliseconds a request, and its p50 in milliseconds."""
    command = [sys.executable, str(_HERE / "load.py"), "closed", "--port", str(server.port), "--key", key]
    command += ["--connections", str(connections), "--count", str(count)]
    before = server.cpu_seconds()
    seen = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    if seen["failed"]:
        raise RuntimeError(f"{seen['failed']} requests failed")
    return (server.cpu_seconds() - before) / count * 1e3, seen["latency_p50_ms"]


def main() -> int:
    """Measure, and print one table; 1 when the figure is missed under the full load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=2_000)
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    proxy_core, load_core = (cores[0], cores[1]) if len(cores) >= _CORES else (None, None)
    pin(0, load_core)
    key = new_key()
    seen: dict[tuple[int, str], list[tuple[float, float]]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        access = folder / "access.toml"
        access.write_text(
            f'version = 1\n[[users.bench.keys]]\nid = "key_bench"\nsha256 = "{key_hash(key)}"\n'
            "created_time = 2026-01-01T00:00:00Z\n"
        )
        host = stack.enter_context(pubsub_emulator())
        upstream_port = free_port()
        command = [sys.executable, str(_HERE / "raw_upstream.py"), str(upstream_port)]
        stack.enter_context(running(command, port=upstream_port, core=load_core, environ={}))
        environ = {
            "OPENAI_API_KEY": "sk-of-the-team",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
            "ACCESS_FILE": str(access),
            "USAGE_QUEUE_URL": f"pubsub://{PROJECT}/{TOPIC}",
            "PUBSUB_EMULATOR_HOST": host,
        }
        proxies = {}
        for name, source in _TARGETS.items():
            port = free_port()
            running_one = running(function(source, "proxy", port=port), port=port, core=proxy_core, environ=environ)
            proxies[name] = stack.enter_context(running_one)
            measure(proxies[name], key, 8, 500)
        for _ in range(given.rounds):
            for connections in _CONNECTIONS:
                for name, proxy in proxies.items():
                    figures = measure(proxy, key, connections, given.requests)
                    seen.setdefault((connections, name), []).append(figures)
    print(f"{'connections':>11}  {'':22} {'CPU ms/request':>14} {'times':>6} {'p50, ms':>8}")
    met = False
    for connections in _CONNECTIONS:
        medians = {
            name: [statistics.median(column) for column in zip(*seen[connections, name], strict=True)]
            for name in _TARGETS
        }
        for name, (cpu, latency) in medians.items():
            times = cpu / medians[_WITHOUT][0]
            print(f"{connections:11}  {name:22} {cpu:14.3f} {times:6.2f} {latency:8.2f}")
            if name == _WITH:
                met = times <= _WANTED
                print(f"{'':11}  wanted: at most {_WANTED} times: {'met' if met else 'missed'}")
    print("Each call to Pub/Sub costs about 0.25 ms, whatever the client library: few requests at a time share none.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
