"""Measures what one user's flood does to another's requests, and prints one table.

A quiet user asks at random moments, alone and while another user keeps 50 connections busy; rounds are interleaved. The
proxy has one core, the upstream and the loads another. `p99 under the flood / p99 alone` is what is wanted below 2.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from openai_proxy.keys import key_hash, new_key
from servers import Server, free_port, function, pin, running

_HERE = Path(__file__).resolve().parent
_PROXY_SOURCE = _HERE.parent / "functions" / "proxy" / "main.py"
_ENDLESS = 10**9
_FLOOD_BEGINS_SECONDS = 0.5
_MOST = 2.0


@dataclass(frozen=True, slots=True)
class Flood:
    """What another does all the while: a user, or a stranger whose key opens nothing."""

    name: str
    options: tuple[str, ...]
    by: str = "loud"


_FLOODS = (
    Flood("50 connections, small requests", ("closed", "--connections", "50")),
    Flood("50 connections, bodies of 200 KB", ("closed", "--connections", "50", "--body-bytes", "200000")),
    Flood("50 connections, bodies of 1 MB", ("closed", "--connections", "50", "--body-bytes", "1000000")),
    Flood("50 connections without a key of ours", ("closed", "--connections", "50"), by="stranger"),
)


class Scene:
    """One proxy with two users, pinned beside one upstream and the loads."""

    def __init__(self, folder: Path, servers: contextlib.ExitStack) -> None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        proxy_core, load_core = cores[:2] if len(cores) > 1 else (None, None)
        pin(0, load_core)  # and the loads that it starts
        self._keys = {user: new_key() for user in ("quiet", "loud", "stranger")}
        access = folder / "access.toml"
        access.write_text("version = 1\n" + "".join(_user(user, self._keys[user]) for user in ("quiet", "loud")))
        upstream, port = free_port(), free_port()
        environ = {
            "OPENAI_API_KEY": "sk-of-the-team",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
            "ACCESS_FILE": str(access),
            "USAGE_QUEUE_URL": f"sqlite:///{folder / 'queue.db'}",
        }
        command = [sys.executable, str(_HERE / "raw_upstream.py"), str(upstream)]
        servers.enter_context(running(command, port=upstream, core=load_core, environ={}))
        proxy = function(_PROXY_SOURCE, "proxy", port=port)
        self._proxy: Server = servers.enter_context(running(proxy, port=port, core=proxy_core, environ=environ))

    def quiet(self, *, rate: int, count: int) -> dict[str, float]:
        """What the quiet user sees.

        Raises:
            RuntimeError: a request was not answered with 200.
        """
        with self._load("quiet", "open", "--rate", str(rate), "--count", str(count)) as load:
            printed, _ = load.communicate()
        seen: dict[str, float] = json.loads(printed)
        if seen["failed"]:
            raise RuntimeError(f"{seen['failed']} of {seen['requests']} requests failed")
        return seen

    @contextlib.contextmanager
    def flooded(self, flood: Flood) -> Iterator[None]:
        """The other keeps asking until the end."""
        with self._load(flood.by, *flood.options, "--count", str(_ENDLESS)) as load:
            time.sleep(_FLOOD_BEGINS_SECONDS)
            yield
            if load.poll() is not None:
                raise RuntimeError(f"the flood ended with status {load.returncode}")

    @contextlib.contextmanager
    def _load(self, user: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, str(_HERE / "load.py"), *options]
        command += ["--port", str(self._proxy.port), "--key", self._keys[user]]
        load = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            yield load
        finally:
            load.kill()
            load.wait()


def _user(user: str, key: str) -> str:
    return (
        f'[[users.{user}.keys]]\nid = "key_{user}"\nsha256 = "{key_hash(key)}"\ncreated_time = 2026-01-01T00:00:00Z\n'
    )


def _row(scene: Scene, flood: Flood, *, rounds: int, rate: int, count: int) -> bool:
    """Measure one flood, print its line; whether the quiet user's p99 stays within bounds."""
    alone, flooded = [], []
    for _ in range(rounds):
        alone.append(scene.quiet(rate=rate, count=count))
        with scene.flooded(flood):
            flooded.append(scene.quiet(rate=rate, count=count))
    cells = [flood.name]
    for part in (50, 99):
        one, other = (_median(seen, f"latency_p{part}_ms") for seen in (alone, flooded))
        ratio = other / one
        cells += [f"{one:.1f}", f"{other:.1f}", f"{ratio:.2f}"]
    met = ratio <= _MOST
    print(f"| {' | '.join(cells)} | {'yes' if met else '**no**'} |", flush=True)
    return met


def _median(rounds: Sequence[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in rounds)


def _terminated(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Measure, print, stop everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rate", type=int, default=40, help="requests of the quiet user in a second")
    parser.add_argument("--count", type=int, default=200, help="requests of the quiet user in a round")
    parser.add_argument("--floods", type=int, default=len(_FLOODS), help="only so many of them")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _terminated)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as servers:
        try:
            scene = Scene(Path(folder), servers)
            scene.quiet(rate=100, count=200)  # warm-up
            print(f"A quiet user at {options.rate}/s, medians of {options.rounds} rounds of {options.count}, in ms:\n")
            print("| flood by another | p50 alone | flooded | ratio | p99 alone | flooded | ratio | met |")
            print("|---|---|---|---|---|---|---|---|")
            for flood in _FLOODS[: options.floods]:
                _row(scene, flood, rounds=options.rounds, rate=options.rate, count=options.count)
        except KeyboardInterrupt:
            return 130
        except RuntimeError as error:
            print(f"fairness: {error}", file=sys.stderr)
            return 1
    print(f"\nLoad average after: {os.getloadavg()[0]:.1f}, of {os.cpu_count()} cores.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
