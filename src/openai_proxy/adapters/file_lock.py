"""A lock that the operating system lets go of when its holder dies, however it dies."""

from __future__ import annotations

import fcntl  # POSIX, as gunicorn, on which the functions run, is
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class FileLock:
    """Holds a file for one process at a time; `with` waits for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, *, wait: bool) -> bool:
        """Take the lock; False when another process holds it and `wait` is False.

        Raises:
            OSError: the file cannot be opened.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def release(self) -> None:
        """Let go; the file stays, since whoever waits has it open."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        self.acquire(wait=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
