"""A real Redis or Valkey server on a free port, in memory, that can be stopped and started again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

_NAMES = ("valkey-server", "redis-server")
_START_SECONDS = 20.0


class RedisServer:
    """Keeps its port, and nothing else, while it is stopped."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [self._program, *options], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd="/"
        )
        deadline = time.monotonic() + _START_SECONDS
        while self.command("PING") != b"+PONG\r\n":
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *words: str) -> bytes:
        """What it answers, or nothing when it cannot be reached."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
                connection.sendall((" ".join(words) + "\r\n").encode())
                return connection.recv(65536)
        except OSError:
            return b""


@contextlib.contextmanager
def running() -> Iterator[RedisServer]:
    """A server until the block ends; without one on PATH the test is skipped."""
    program = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"needs one of {', '.join(_NAMES)} (Debian: apt-get install redis-server)")
    one = RedisServer(program)
    try:
        one.start()
        yield one
    finally:
        one.stop()
