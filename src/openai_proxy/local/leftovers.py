"""What an earlier `serve` left running, because it and a gunicorn master were killed by SIGKILL together."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

MARK = "OPENAI_PROXY_SERVE"
"""Names the data folder in the environment of every process of a `serve`: whatever outlives it is found by that."""

_SECONDS = 3.0


def end(mark: str) -> int:
    """End every process with this mark, gently first; answer how many there were.

    Linux only (`/proc`); elsewhere a leftover shows as a port in use.
    """
    found = _marked(mark)
    for number, seconds in ((signal.SIGTERM, _SECONDS), (signal.SIGKILL, _SECONDS)):
        deadline = time.monotonic() + seconds
        for pid in _marked(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while _marked(mark) and time.monotonic() < deadline:
            time.sleep(0.05)
    return len(found)


def _marked(mark: str) -> set[int]:
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it ended, or is another user's
            if wanted in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
    return found - {os.getpid()}
