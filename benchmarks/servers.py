"""Processes to measure: each server is started in a group of its own, pinned to a core, read, and stopped again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

_START_SECONDS = 30.0
_STOP_SECONDS = 6.0
_PROC = Path("/proc/self/stat").exists()
CPU_SOURCE = "/proc/PID/stat" if _PROC else "ps -o time, which some systems round to whole seconds"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: all processes of one group."""

    port: int
    group: int

    def cpu_seconds(self) -> float:
        """User and system time that the group's living processes have used."""
        return sum(_cpu_seconds(pid) for pid in self.processes())

    def resident_mb(self) -> float:
        """The memory of the group's largest process, which is the worker."""
        return max(int(_ps("-p", str(pid), "-o", "rss=") or 0) for pid in self.processes()) * 1024 / 1e6

    def processes(self) -> Sequence[int]:
        """The group's processes, and those of groups that they made."""
        rows = [[int(cell) for cell in line.split()] for line in _ps("-A", "-o", "pid=,ppid=,pgid=").splitlines()]
        found = {pid for pid, _, group in rows if group == self.group}
        while more := {pid for pid, parent, _ in rows if parent in found} - found:
            found |= more
        return sorted(found)


@contextlib.contextmanager
def running(command: Sequence[str], *, port: int, core: int | None, environ: Mapping[str, str]) -> Iterator[Server]:
    """Start a server, wait until its port is open, and stop all of it at the end, however that comes.

    Raises:
        RuntimeError: it ended, or did not open its port in time.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    process = subprocess.Popen(
        command, env={**kept, **environ}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
    )
    server = Server(port, process.pid)
    try:
        pin(process.pid, core)
        _wait_for_port(process, port)
        yield server
    finally:
        _stop(process, server)


def function(source: Path, target: str, *, port: int) -> Sequence[str]:
    """The command line that starts one function, as the platform does."""
    framework = Path(sys.executable).with_name("functions-framework")
    return [str(framework), "--source", str(source), "--target", target, "--host", "127.0.0.1", "--port", str(port)]


def pin(pid: int, core: int | None) -> None:
    """Keep a process, and those it will start, on one core, where the system can do that; 0 is this process."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {core})


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether a request to this port is answered at all."""
    with contextlib.suppress(requests.RequestException):
        requests.get(f"http://127.0.0.1:{port}/__counts", timeout=5)
        return True
    return False


def _wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not answers(port):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}; its error is above")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not open port {port} within {_START_SECONDS:.0f} s")
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes], server: Server) -> None:
    family = server.processes()
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        process.terminate()
        process.wait(_STOP_SECONDS)
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _cpu_seconds(pid: int) -> float:
    if _PROC:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0  # it has ended
    clock = _ps("-p", str(pid), "-o", "time=").strip() or "0"
    seconds = 0.0
    for part in clock.split(":"):  # [hours:]minutes:seconds
        seconds = seconds * 60 + float(part)
    return seconds


def _ps(*options: str) -> str:
    return subprocess.run(["ps", *options], check=False, capture_output=True, text=True).stdout
