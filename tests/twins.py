"""More proxies beside the one that `serve` started, as a platform starts several instances of one; Linux only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchanges import ask
from serving import Serving, free_port, wait_for


@dataclass(slots=True)
class Twin:
    """One more proxy with the environment of the one that `serve` started; it may be killed and comes again."""

    command: Sequence[str]
    environ: Mapping[str, str]
    errors: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, proxy: Serving, number: int) -> Twin:
        (main,) = proxy.named("--target=proxy")[:1]
        environ = dict(
            item.partition("=")[::2] for item in Path(f"/proc/{main.pid}/environ").read_text().split("\0") if item
        )
        port = free_port()
        command = Path(f"/proc/{main.pid}/cmdline").read_text().split("\0")[:-1]
        command = [f"--port={port}" if part.startswith("--port=") else part for part in command]
        return cls(command, environ, proxy.data_dir.with_suffix(f".twin{number}"), port)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                self.command, env=self.environ, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, process_group=0
            )

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.errors.read_text()[-2000:]
        try:
            return ask(self.root, "GET", "/healthz", headers={}).status == 200
        except OSError:
            return False


@contextlib.contextmanager
def twins_of(proxy: Serving, count: int) -> Iterator[Sequence[Twin]]:
    """So many of them, which answer, until the block ends."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("reads from /proc what `serve` gave its proxy")
    twins = [Twin.of(proxy, number) for number in range(1, count + 1)]
    try:
        for twin in twins:
            twin.start()
        for twin in twins:
            wait_for("a twin", twin.answers)
        yield twins
    finally:
        for twin in twins:
            twin.kill()
