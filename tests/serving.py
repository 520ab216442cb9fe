"""The real thing for tests: `openai-proxy serve` and the test upstream, each in its own process, on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import requests

from processes import Process, descendants, living

TEAM_KEY = "sk-proj-the-teams-own-key-which-no-member-may-see"
_COMMAND = str(Path(sys.executable).with_name("openai-proxy"))
_UPSTREAM = Path(__file__).with_name("upstream.py")
_DEADLINE_SECONDS = 60.0
_STOP_SECONDS = 20.0
_T = TypeVar("_T")


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, probe: Callable[[], _T | None], seconds: float = _DEADLINE_SECONDS) -> _T:
    """What `probe` answers as soon as it is true; fails the test when that takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        if found := probe():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class CountingUpstream:
    """A running test upstream: its address, and what it served."""

    root: str

    @property
    def base_url(self) -> str:
        return self.root + "/v1"

    def served(self, **where: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = requests.get(self.root + "/__served", params=where, timeout=30).json()
        return listed

    def served_as(self, event_id: str) -> dict[str, Any]:
        """The one request that bore this id."""
        (found,) = self.served(event_id=event_id)
        return found

    def reset(self) -> None:
        requests.post(self.root + "/__reset", timeout=30).raise_for_status()

    def open_gate(self) -> None:
        requests.post(self.root + "/__open", timeout=30).raise_for_status()

    def step(self) -> None:
        """Let one more event pass of a stream that was ordered to `step`."""
        requests.post(self.root + "/__step", timeout=30).raise_for_status()


@contextlib.contextmanager
def running_upstream() -> Iterator[CountingUpstream]:
    """A test upstream on a free port, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder, "port")
        command = [sys.executable, str(_UPSTREAM), "--port-file", str(port_file), "--team-key", TEAM_KEY]
        process = subprocess.Popen(command)
        try:
            wait_for("the test upstream", lambda: port_file.exists() or process.poll() is not None)
            yield CountingUpstream(f"http://127.0.0.1:{port_file.read_text()}")
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)


@dataclass(slots=True)
class Serving:
    """One data folder, and the `openai-proxy serve` over it; it may be stopped and started again."""

    data_dir: Path
    environ: Mapping[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return self.root + "/v1"

    @property
    def stdout(self) -> Path:
        return self.data_dir.with_suffix(".stdout")

    @property
    def stderr(self) -> Path:
        return self.data_dir.with_suffix(".stderr")

    def start(self) -> None:
        """Start it, and return when all parts answer."""
        with self.stdout.open("ab") as stdout, self.stderr.open("ab") as stderr:
            self.process = self._popen(stdout, stderr)
        wait_for("`openai-proxy serve` to be healthy", self._healthy_or_dead)
        if self.process.poll() is not None:
            raise AssertionError(f"`openai-proxy serve` ended: {self.stderr.read_text()[-2000:]}")

    def stop(self) -> None:
        """End it as Ctrl-C does; what it leaves behind is killed, and fails the test."""
        if self.process is None or self.process.poll() is not None:
            return
        family = self.tree()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(_STOP_SECONDS)
        finally:
            left = living(family)
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait(_STOP_SECONDS)
        assert not left, f"still running after serve ended: {[process.command for process in left]}"

    def tree(self) -> Sequence[Process]:
        """The processes that serve started."""
        assert self.process is not None
        return descendants(self.process.pid)

    def named(self, part: str) -> Sequence[Process]:
        """Those of them whose command line holds `part`."""
        return [process for process in self.tree() if part in process.command]

    def cli(self, *arguments: str, text: str | None = None) -> str:
        """The standard output of one `openai-proxy` command on this data folder."""
        command = [_COMMAND, *arguments, "--data-dir", str(self.data_dir)]
        done = subprocess.run(
            command, check=False, env=self._environ(), capture_output=True, text=True, timeout=60, input=text
        )
        assert done.returncode == 0, f"openai-proxy {' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout

    def add_user(self, user_id: str, *more: str) -> str:
        """A new user's key, once the running proxy knows it."""
        added: dict[str, str] = json.loads(self.cli("user", "add", user_id, "--json", *more))
        wait_for("the proxy to see the new key", lambda: self.lets_in(added["key"]))
        return added["key"]

    def allow_team(self, team_id: str, *permissions: str) -> None:
        """Allow it in the access file; known to the proxy once it knows a user who is added after."""
        with self.access_file.open("a") as file:
            file.write(f"\n[teams.{team_id}]\nallow = {json.dumps(permissions)}\n")

    @property
    def access_file(self) -> Path:
        (found,) = self.data_dir.glob("*.toml")
        return found

    def lets_in(self, key: str) -> bool:
        """Whether a key is valid; asks for what is refused to everybody, so nothing is recorded."""
        headers = {"authorization": f"Bearer {key}"}
        return requests.get(self.base_url + "/nothing", headers=headers, timeout=30).status_code != 401

    def shows_page(self, key: str) -> bool:
        """Whether a key opens `/log`; one that does not takes a second, since ten a minute are looked at."""
        headers = {"authorization": f"Bearer {key}"}
        opens = requests.get(self.root + "/log", headers=headers, timeout=30).status_code == 200
        if not opens:
            time.sleep(1)
        return opens

    def usage(self) -> list[dict[str, Any]]:
        """The ledger's final records."""
        listed: list[dict[str, Any]] = json.loads(self.cli("usage", "--json"))
        return listed

    def record(self, event_id: str) -> dict[str, Any]:
        """The one final record of a request, once it is finished."""

        def finished() -> dict[str, Any] | None:
            found = [record for record in self.settled() if record["event_id"] == event_id]
            assert len(found) <= 1, "one request has two records"
            return next((record for record in found if record["event_type"] == "finished"), None)

        return wait_for("the request's final record", finished)

    def settled(self) -> list[dict[str, Any]]:
        """The ledger's final records, once the queue has delivered all it holds."""
        wait_for("the queue to be delivered", lambda: self.queued() == 0)
        return self.usage()

    def all_finished(self) -> list[dict[str, Any]]:
        """The ledger's final records, once none is open any more."""

        def finished() -> list[dict[str, Any]] | None:
            records = self.settled()
            return records if all(record["event_type"] == "finished" for record in records) else None

        return wait_for("every request to be finished", finished)

    def queued(self) -> int:
        """Messages that wait in the queue."""
        return self._count("messages")

    def dead_letters(self) -> int:
        """Messages that were given up."""
        return self._count("dead_letters")

    @property
    def queue_file(self) -> Path:
        """The embedded queue's file: the one with a table of messages."""
        for path in sorted(self.data_dir.iterdir()):
            if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3":
                with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
                    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchone():
                        return path
        raise AssertionError("the data folder has no queue")

    def everything_written(self) -> bytes:
        """All bytes that it left: both outputs, and every file of the data folder."""
        files = [self.stdout, self.stderr, *(path for path in self.data_dir.rglob("*") if path.is_file())]
        return b"\n".join(path.read_bytes() for path in files)

    def _count(self, table: str) -> int:
        with contextlib.closing(sqlite3.connect(self.queue_file, timeout=30)) as connection:
            (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()  # noqa: S608 - two fixed names
        return int(count)

    def _popen(self, stdout: IO[bytes], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [_COMMAND, "serve", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        return subprocess.Popen(
            command, env=self._environ(), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, process_group=0
        )

    def _healthy_or_dead(self) -> bool:
        assert self.process is not None
        try:
            return self.process.poll() is not None or requests.get(self.root + "/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False

    def _environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
        return {**kept, **coverage, **self.environ}


@contextlib.contextmanager
def serving(upstream: CountingUpstream | str, **environ: str) -> Iterator[Serving]:
    """A running `openai-proxy serve` before an upstream, in a data folder of its own, until the block ends."""
    base_url = upstream if isinstance(upstream, str) else upstream.base_url
    folder = Path(tempfile.mkdtemp(prefix="openai-proxy-test-"))
    settings = {"OPENAI_API_KEY": TEAM_KEY, "OPENAI_BASE_URL": base_url, **environ}
    one = Serving(folder / "data", settings)
    try:
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(folder, ignore_errors=True)
