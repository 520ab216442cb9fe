"""Child processes that are kept running until they are told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from openai_proxy.structured_log import log

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_STEADY_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and with which environment; that may hold keys, so it is not shown."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)


class Child:
    """One program, in a process group of its own, started again whenever it ends."""

    def __init__(self, program: Program) -> None:
        self.name = program.name
        self.exits = 0
        self.exit_status: int | None = None
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._task = asyncio.create_task(self._keep_running())

    async def _keep_running(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping:
            begun = time.monotonic()
            await self._run_once()
            if self._stopping:
                return
            self.exits += 1
            log("ERROR", "a process ended; it is started again", process=self.name, exit_status=self.exit_status)
            steady = time.monotonic() - begun > _STEADY_SECONDS
            pause = _FIRST_PAUSE_SECONDS if steady else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _run_once(self) -> None:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._program.command,
            env=self._program.environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,  # the terminal's Ctrl-C is for `serve` alone
            preexec_fn=_end_with_parent(os.getpid()),
        )
        if self._stopping:
            self.terminate()
        self.exit_status = await process.wait()
        _kill_group(process.pid)  # a killed gunicorn master leaves its worker behind, holding the port
        self._process = None

    def terminate(self) -> None:
        """Ask the process to end, and start it no more."""
        self._stopping = True
        if self._process is None:
            self._task.cancel()
        else:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        """End the process and all that it started, at once."""
        if self._process is not None:
            _kill_group(self._process.pid)

    async def ended(self, deadline: float) -> bool:
        """Wait until it has ended, or the monotonic clock shows `deadline`; answer whether it has."""
        done, _ = await asyncio.wait({self._task}, timeout=max(0.0, deadline - time.monotonic()))
        return bool(done)


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says so of a group of zombies
        os.killpg(group, signal.SIGKILL)


def _end_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child runs before its program, on Linux: SIGTERM it when `serve` dies, even by SIGKILL."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def run() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return run
