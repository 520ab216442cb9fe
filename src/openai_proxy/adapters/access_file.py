"""The access file on disk: read again when it changed, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from openai_proxy.access import Access, AccessFileError
from openai_proxy.adapters.file_lock import FileLock
from openai_proxy.structured_log import log

# A change must be seen within 5 s. The text is compared, not the file's times: a mounted secret may keep those, and to
# read 64 KiB, the most that a secret holds, costs some microseconds.
_LOOK_SECONDS = 1.0


class AccessFile:
    """Serves the newest good version of the file; safe for many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._access: Access | None = None
        self._text = ""
        self._complaint = ""
        self._next_look = 0.0

    def exists(self) -> bool:
        """Whether there is a file, good or broken."""
        return self._path.exists()

    def current(self) -> Access:
        """Who may call now. A file that broke or vanished leaves the last good version in force, and is logged.

        Raises:
            AccessFileError: there never was a good version.
        """
        access = self._access
        if access is not None and time.monotonic() < self._next_look:
            return access
        with self._lock:
            return self._look()

    def _look(self) -> Access:
        self._next_look = time.monotonic() + _LOOK_SECONDS
        try:
            text = _read(self._path)
            if self._access is None or text != self._text:
                self._access, self._text = Access.parse(text), text
            self._complaint = ""
        except AccessFileError as error:
            if self._access is None:
                raise
            if self._complaint != str(error):  # once, not every second
                log("ERROR", "the access file is broken; its last good version stays in force", error=str(error))
            self._complaint = str(error)
        return self._access

    def edit(self, change: Callable[[str], str], *, new: str) -> None:
        """Replace the text by `change(text)`, in one step that readers see whole; `new` is the text of no file yet.

        Two editors take turns, so neither's change is lost.

        Raises:
            AccessFileError: the text is broken, before or after the change; nothing is written.
            OSError: the folder cannot be written; nothing is written.
        """
        path = self._path.resolve()  # a link stays a link
        with FileLock(path.with_name(path.name + ".lock")):
            text = _read(path) if path.exists() else new
            Access.parse(text)
            changed = change(text)
            Access.parse(changed)
            _write(path, changed)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise AccessFileError(f"the access file {path} is not UTF-8 text") from None
    except OSError as error:
        raise AccessFileError(f"the access file {path} cannot be read: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)
