"""Measures every figure that the README states, and prints one table (`make bench`).

The proxy has one core, the upstream and the load generator another. Each figure stands beside a direct call and a bare
relay in the same run: rounds are interleaved, and medians are shown. On a shared machine trust the CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from openai_proxy.keys import key_hash, new_key
from servers import CPU_SOURCE, Server, free_port, function, pin, running

_HERE = Path(__file__).resolve().parent
_PROXY_SOURCE = _HERE.parent / "functions" / "proxy" / "main.py"
_PYTHON = sys.executable
_COMMAND = Path(_PYTHON).with_name("openai-proxy")

PROXY, UNCOUNTED, RELAY, DIRECT = "proxy", "proxy, no accounting", "bare relay", "direct"
_TARGETS = (PROXY, UNCOUNTED, RELAY, DIRECT)
_DISK = "disk"
_Measured = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds, requests, chunks."""

    rounds: int
    open_requests: int
    closed_requests: int
    streams: int
    chunks: int
    memory_requests: tuple[int, int, int]


_FULL = Size(5, 400, 3_000, 200, 300, (2_000, 10_000, 20_000))
_QUICK = Size(1, 40, 300, 20, 50, (200, 400, 600))


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: its cells by target, what the issue asks for, and whether the proxy keeps it."""

    figure: str
    cells: Mapping[str, str]
    wanted: str = ""
    met: bool | None = None


class Bench:
    """The servers of one run, and the loads put on them."""

    def __init__(self, size: Size, folder: Path, servers: contextlib.ExitStack) -> None:
        self.size = size
        self._folder = folder
        self._servers = servers
        self.load_before = os.getloadavg()[0]
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.proxy_core = cores[0] if len(cores) > 1 else None
        self.load_core = cores[1] if len(cores) > 1 else None
        pin(0, self.load_core)  # and the load generators that it starts
        self._key = new_key()
        self._upstream_port = free_port()
        self._base_url = f"http://127.0.0.1:{self._upstream_port}/v1"
        self.targets: dict[str, Server] = {DIRECT: self._start([_PYTHON, str(_HERE / "raw_upstream.py")], {})}

    def start(self) -> None:
        """Start the functions, and let each warm up."""
        access = self._folder / "access.toml"
        access.write_text(
            f'version = 1\n[[users.bench.keys]]\nid = "key_bench"\nsha256 = "{key_hash(self._key)}"\n'
            "created_time = 2026-01-01T00:00:00Z\n"
        )
        environ = {
            "OPENAI_API_KEY": "sk-of-the-team",
            "OPENAI_BASE_URL": self._base_url,
            "ACCESS_FILE": str(access),
            "USAGE_QUEUE_URL": f"sqlite:///{self._folder / 'queue.db'}",
        }
        for name, source, target in (
            (PROXY, _PROXY_SOURCE, "proxy"),
            (UNCOUNTED, _HERE / "no_accounting" / "main.py", "proxy"),
            (RELAY, _HERE / "bare_relay" / "main.py", "relay"),
        ):
            self.targets[name] = self._start(function(source, target, port=0), environ)
        for name in _TARGETS:
            self.load(name, "closed", count=200, connections=8)

    def load(self, name: str, kind: str, **options: int | bool) -> dict[str, float]:
        """Put one load on one target; what the load generator saw, and `cpu_seconds` of the target's processes."""
        return self.load_server(self.targets[name], self._key, kind, **options)

    def load_server(self, server: Server, key: str, kind: str, **options: int | bool) -> dict[str, float]:
        """Put one load on one server.

        Raises:
            RuntimeError: a request was not answered with 200.
        """
        command = [_PYTHON, str(_HERE / "load.py"), kind, "--port", str(server.port), "--key", key]
        for option, value in options.items():
            flag = "--" + option.replace("_", "-")
            command += [flag] if value is True else [flag, str(value)] if value else []
        began = server.cpu_seconds()
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        seen: dict[str, float] = json.loads(printed)
        if seen["failed"]:
            raise RuntimeError(f"{seen['failed']} of {seen['requests']} requests failed under the load {kind!r}")
        return seen | {"cpu_seconds": server.cpu_seconds() - began}

    def rounds(self, names: Sequence[str], measure: Callable[[str], _Measured], rounds: int) -> dict[str, _Measured]:
        """Measure each target in turn, round after round; the median of every value."""
        seen: dict[str, list[_Measured]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names:
                _progress(f"round {number + 1} of {rounds}: {name}")
                seen[name].append(measure(name))
        return {name: _medians(values) for name, values in seen.items()}

    @contextlib.contextmanager
    def serve(self, data_dir: Path, key: str | None = None) -> Iterator[tuple[Server, str, float]]:
        """A whole `openai-proxy serve`: the server, a member's key, the seconds until its first proxied answer."""
        environ = {"OPENAI_API_KEY": "sk-of-the-team", "OPENAI_BASE_URL": self._base_url}
        if key is None:
            add = [str(_COMMAND), "user", "add", "bench", "--json", "--data-dir", str(data_dir)]
            key = json.loads(subprocess.run(add, check=True, stdout=subprocess.PIPE).stdout)["key"]
        port = free_port()
        command = [str(_COMMAND), "serve", "--port", str(port), "--data-dir", str(data_dir)]
        began = time.monotonic()
        with running(command, port=port, core=self.proxy_core, environ=environ) as server:
            while not _answered(port, key):
                time.sleep(0.01)
            yield server, key, time.monotonic() - began

    def synced_writes(self) -> _Measured:
        """What the disk of the queue alone costs: synced writes of 4 KB at 50 a second, as the queue's commits."""
        times = []
        with (self._folder / "sync").open("wb", buffering=0) as file:
            for _ in range(self.size.open_requests // 4):
                time.sleep(0.02)
                began = time.perf_counter()
                file.write(bytes(4096))
                os.fsync(file.fileno())
                times.append((time.perf_counter() - began) * 1e3)
        return {"latency_p50_ms": statistics.median(times), "latency_p99_ms": sorted(times)[len(times) * 99 // 100]}

    def _start(self, command: Sequence[str], environ: Mapping[str, str]) -> Server:
        """Start the upstream, whose port is known, or a function, whose port is its last argument."""
        if environ:
            port = free_port()
            command, core = [*command[:-1], str(port)], self.proxy_core
        else:
            port, core = self._upstream_port, self.load_core
            command = [*command, str(port)]
        return self._servers.enter_context(running(command, port=port, core=core, environ=environ))


def _medians(rounds: Sequence[_Measured]) -> _Measured:
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def _answered(port: int, key: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        answer = requests.post(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            headers={"Authorization": f"Bearer {key}"},
            json={"model": "gpt-4o-mini", "messages": []},
            timeout=5,
        )
        return answer.ok
    return False


def latency(bench: Bench) -> list[Row]:
    """Unary calls at 50 requests/s."""

    def measure(name: str) -> _Measured:
        if name == _DISK:
            return bench.synced_writes()
        return bench.load(name, "open", rate=50, count=bench.size.open_requests)

    seen = bench.rounds((*_TARGETS, _DISK), measure, bench.size.rounds)
    rows = []
    for part, most in (50, 3), (99, 15):
        value = {name: one[f"latency_p{part}_ms"] for name, one in seen.items() if name != _DISK}
        met = value[PROXY] - value[DIRECT] <= most
        rows.append(Row(f"unary at 50/s: p{part}, ms (added)", _with_added(value), f"added <= {most}", met))
    disk = seen[_DISK]
    syncs = f"{disk['latency_p50_ms']:.2f} / {disk['latency_p99_ms']:.2f}"
    return [*rows, Row("one synced write of 4 KB alone: p50 / p99, ms (a call waits for two)", {PROXY: syncs})]


def _with_added(value: Mapping[str, float]) -> dict[str, str]:
    """Each delay, in milliseconds, and what it is more than the direct one."""
    direct = value[DIRECT]
    return {name: f"{ms:.2f}" + (f" ({ms - direct:+.2f})" if name != DIRECT else "") for name, ms in value.items()}


def throughput(bench: Bench) -> list[Row]:
    """Unary calls as fast as they are answered."""
    seen = bench.rounds(
        _TARGETS,
        lambda name: bench.load(name, "closed", connections=64, count=bench.size.closed_requests),
        bench.size.rounds,
    )
    rate = {name: one["requests"] / one["seconds"] for name, one in seen.items()}
    cpu = {name: f"{one['cpu_seconds'] / one['requests'] * 1e6:,.0f}" for name, one in seen.items() if name != DIRECT}
    return [
        Row(
            "unary, 64 connections: requests/s on one core",
            {name: f"{value:,.0f}" for name, value in rate.items()},
            ">= 800; without accounting >= 1,500",
            rate[PROXY] >= 800 and rate[UNCOUNTED] >= 1_500,
        ),
        Row("unary, 64 connections: CPU µs/request", cpu),
    ]


def streams(bench: Bench) -> list[Row]:
    """Streams of 50 chunks/s each."""
    size = bench.size

    def measure(name: str) -> _Measured:
        return bench.load(name, "streams", connections=size.streams, count=size.chunks, rate=50, include_usage=True)

    many = bench.rounds((PROXY, RELAY, DIRECT), measure, max(1, size.rounds - 2))
    value = {name: one["delay_p99_ms"] for name, one in many.items()}
    cpu = {name: one["cpu_seconds"] / one["chunks"] * 1e6 for name, one in many.items() if name != DIRECT}
    title = f"{size.streams} streams of 50 chunks/s"
    return [
        Row(
            f"{title}: p99 delay of a chunk, ms (added)",
            _with_added(value),
            "added < 50",
            value[PROXY] - value[DIRECT] < 50,
        ),
        Row(
            f"{title}: CPU µs/chunk",
            {RELAY: f"{cpu[RELAY]:.0f}", PROXY: f"{cpu[PROXY]:.0f} ({cpu[PROXY] / cpu[RELAY]:.2f} times the relay's)"},
            "<= 2 times the bare relay's",
            cpu[PROXY] <= 2 * cpu[RELAY],
        ),
    ]


def memory(bench: Bench) -> list[Row]:
    """The worker's resident memory after so many unary requests."""
    found = []
    served = 0
    for total in bench.size.memory_requests:
        _progress(f"memory after {total:,} requests")
        bench.load(PROXY, "closed", connections=64, count=total - served)
        served = total
        found.append(bench.targets[PROXY].resident_mb())
    relay = f"{bench.targets[RELAY].resident_mb():.0f}"
    totals = " / ".join(f"{total:,}" for total in bench.size.memory_requests)
    flat = found[2] - found[1] <= 0.02 * found[1]  # an allocator's noise
    return [
        Row(
            f"RSS of the worker after {totals} requests, MB",
            {PROXY: " / ".join(f"{mb:.1f}" for mb in found), RELAY: relay},
            "< 110, and flat",
            found[1] < 110 and flat,
        )
    ]


def serve(bench: Bench) -> list[Row]:
    """The whole `openai-proxy serve`, its sink and its delivery worker beside the proxy on the one core."""
    if not _COMMAND.exists():
        return [Row("`serve` to first proxied answer, s", {PROXY: "`openai-proxy` is not installed"}, "< 3", met=False)]
    starts = []
    with tempfile.TemporaryDirectory() as folder:
        data_dir, key = Path(folder, "data"), None
        for number in range(bench.size.rounds):
            _progress(f"serve, start {number + 1}")
            with bench.serve(data_dir, key) as (server, key, seconds):
                starts.append(seconds)
                if number == bench.size.rounds - 1:
                    _progress("serve, under load")
                    slow = bench.load_server(server, key, "open", rate=50, count=bench.size.open_requests)
                    fast = bench.load_server(server, key, "closed", connections=64, count=bench.size.closed_requests)
    return [
        Row(
            "`serve` to first proxied answer, s",
            {PROXY: f"{statistics.median(starts):.2f}"},
            "< 3",
            statistics.median(starts) < 3,
        ),
        Row(
            "all of `serve` on that core: unary at 50/s, p50 / p99, ms",
            {PROXY: f"{slow['latency_p50_ms']:.2f} / {slow['latency_p99_ms']:.2f}"},
        ),
        Row(
            "all of `serve` on that core: unary, 64 connections, requests/s",
            {PROXY: f"{fast['requests'] / fast['seconds']:,.0f}"},
        ),
        Row(
            "all of `serve` on that core: CPU µs/request, all processes, while the load lasts",
            {PROXY: f"{fast['cpu_seconds'] / fast['requests'] * 1e6:,.0f}"},
        ),
    ]


FIGURES = {
    one.__name__: one for one in (memory, latency, throughput, streams, serve)
}  # memory: of workers that are new


def _print(rows: Sequence[Row], bench: Bench) -> None:
    print(f"\n| | {' | '.join(_TARGETS)} | wanted | met |\n|---|{'---|' * (len(_TARGETS) + 2)}")
    for row in rows:
        cells = " | ".join(row.cells.get(name, "-") for name in _TARGETS)
        met = {None: "", True: "yes", False: "**no**"}[row.met]
        print(f"| {row.figure} | {cells} | {row.wanted} | {met} |")
    pinned = "the proxy on one, upstream and load on another" if bench.proxy_core is not None else "nothing pinned"
    print(
        f"\n{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()}), "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {pinned}; "
        f"load average before {bench.load_before:.1f}, after {os.getloadavg()[0]:.1f}.\n"
        f"Medians of {bench.size.rounds} interleaved rounds. CPU time from {CPU_SOURCE}. Streams ask for their usage.\n"
        "The relay and both proxies run under `functions-framework`; the queue is consumed in the rows of `serve` only."
    )


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _terminated(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Measure, print, stop everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"only these: {', '.join(FIGURES)}")
    parser.add_argument("--quick", action="store_true", help="a smoke run: its figures mean little")
    options = parser.parse_args()
    if unknown := set(options.figures) - FIGURES.keys():
        parser.error(f"no figure is called {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    signal.signal(signal.SIGTERM, _terminated)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as servers:
        try:
            bench = Bench(_QUICK if options.quick else _FULL, Path(folder), servers)
            bench.start()
            rows = [row for name in options.figures or FIGURES for row in FIGURES[name](bench)]
            _progress("")
            _print(rows, bench)
        except KeyboardInterrupt:
            return 130
        except RuntimeError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
