"""Process trees, on Linux and macOS: who descends from whom, and how much memory each has held."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    command: str

    @property
    def measurable(self) -> bool:
        return Path(f"/proc/{self.pid}/clear_refs").exists()

    @property
    def peak_bytes(self) -> int:
        """The most memory it has held since `forget_peak`; Linux only."""
        return self._memory("VmHWM")

    @property
    def resident_bytes(self) -> int:
        """The memory it holds now; Linux only."""
        return self._memory("VmRSS")

    def forget_peak(self) -> None:
        """Begin to measure the peak anew; Linux only (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name + ":"))


@contextlib.contextmanager
def constant_memory(processes: Sequence[Process], *, most_growth: int) -> Iterator[None]:
    """That the peak of none of them grows by that many bytes within; looked at on Linux only."""
    assert processes
    measured = [one for one in processes if one.measurable]
    for one in measured:
        one.forget_peak()
    before = [one.resident_bytes for one in measured]
    yield
    grown = [one.peak_bytes - held for one, held in zip(measured, before, strict=True)]
    assert all(growth < most_growth for growth in grown), f"grown by {grown} bytes"


def descendants(ancestor: int) -> Sequence[Process]:
    """All living processes below one, parents before children."""
    table = list(_table())
    found: list[Process] = []
    parents = {ancestor}
    while parents:
        children = [process for process in table if process.parent in parents]
        found += children
        parents = {process.pid for process in children}
    return found


def living(family: Sequence[Process]) -> Sequence[Process]:
    """Those of a family that still live, whoever their parent is now."""
    alive = {(process.pid, process.command) for process in _table()}
    return [process for process in family if (process.pid, process.command) in alive]


def _table() -> Sequence[Process]:
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,command="], check=True, capture_output=True, text=True
    )
    lines = [line.split(None, 3) for line in listed.stdout.splitlines()]
    # A zombie is dead already: it only waits for its parent to be told.
    return [Process(int(pid), int(ppid), command) for pid, ppid, state, command in lines if not state.startswith("Z")]
