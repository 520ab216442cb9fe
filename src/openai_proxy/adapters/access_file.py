"""The access file on disk: read again when it changed, written whole or not at all."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from math import inf
from pathlib import Path

from openai_proxy.access.callers import Access, AccessFileError, Mistake
from openai_proxy.access.changes import Change, changes
from openai_proxy.access.events import Editor, events_of
from openai_proxy.adapters.access_trail import AccessTrail, edit_lock
from openai_proxy.adapters.whole_file import write_whole
from openai_proxy.structured_log import log

# A change must be seen within 5 s. The text is compared, not the file's times: a mounted secret may keep those, and to
# read 64 KiB, the most that a secret holds, costs some microseconds, and 2 MB, 5,000 users in a bucket, a millisecond.
_LOOK_SECONDS = 1.0
_STALE_SECONDS = 4.0  # with a look each second, and the one under way: a change is seen within 5 s
_MOST_TOLD = 20  # of a file's mistakes, in one line of the log


class NewestAccess:
    """Serves the newest good version of a text, wherever that is; safe for many threads.

    `content` gives what is there now, or why that is not known; it is asked once a second while somebody asks here, and
    each time until there is a good version. A thread asks and reads it: while the proxy serves, its loop does not wait.
    Who asks waits only where nobody has looked for four seconds: at the first request, and at the first after a pause,
    in which the platform gives an instance no time to look. `name` is for messages.
    """

    def __init__(self, name: object, content: Callable[[], bytes | str]) -> None:
        self._name = name
        self._content = content
        self._lock = threading.Lock()
        self._worker: ThreadPoolExecutor | None = None  # made by the first look, after the server's fork
        self._look: Future[Access] | None = None
        self._looked = -inf  # when the newest look began that has ended
        self._access: Access | None = None
        self._seen: bytes | str = ""  # the newest content, or why there is none

    def current(self) -> Access:
        """Who may call now. A file that broke or vanished leaves the last good version in force, and is logged.

        Raises:
            AccessFileError: there never was a good version.
        """
        access = self._fresh()
        if access is None:
            self._newest_look().result()  # which a pause may have interrupted: then it tells what was true before
            access = self._fresh() or self._newest_look().result()
        return access

    def _fresh(self) -> Access | None:
        """The version that is known, if somebody looked lately; a newer one is looked for meanwhile."""
        age = time.monotonic() - self._looked
        if self._access is None or age >= _STALE_SECONDS:
            return None
        if age >= _LOOK_SECONDS:
            self._newest_look()
        return self._access

    def _newest_look(self) -> Future[Access]:
        """The look that is under way, or a new one."""
        with self._lock:
            if self._look is None or self._look.done():
                self._worker = self._worker or ThreadPoolExecutor(1, "access-file")
                self._look = self._worker.submit(self._look_now)
            return self._look

    def _look_now(self) -> Access:
        began = time.monotonic()
        content = self._content()
        if self._access is None or content != self._seen:  # else, good or broken, it is known
            try:
                self._access = Access.parse(_text(self._name, content))
            except AccessFileError as error:
                if self._access is None:
                    raise
                told = [str(mistake) for mistake in error.mistakes[:_MOST_TOLD]]
                message = "the access file is broken; its last good version stays in force"
                log("ERROR", message, error=str(error), mistakes=told)
                self._access = replace(self._access, broken=error)
            self._seen = content
        self._looked = began
        return self._access


class AccessFile(NewestAccess):
    """The file itself, which can be edited too."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, partial(_content, path))
        self._path = path

    def exists(self) -> bool:
        """Whether there is a file, good or broken."""
        return self._path.exists()

    def edit(self, change: Callable[[str], str], *, new: str, editor: Editor) -> tuple[Change, ...]:
        """Replace the text by `change(text)`, in one step that readers see whole; `new` is the text of no file yet.

        Two editors take turns, so neither's change is lost. What changes is told beside the file (`AccessTrail`), and
        to the caller.

        Raises:
            AccessFileError: the text is broken, before or after the change; nothing is written.
            EditError: the change does not fit; nothing is written.
            OSError: the folder cannot be written; nothing is written.
        """
        path = self._path.resolve()  # a link stays a link
        with edit_lock(path):
            text = read_access_file(path) if path.exists() else new
            before = Access.parse(text)
            changed = change(text)
            after = Access.parse(changed)
            made = changes(before, after)
            events = events_of(made, editor, now=datetime.now(UTC), change_id=uuid.uuid4().hex)
            with AccessTrail(self._path).adding(events):
                write_whole(path, changed)
        return made


def read_access_file(path: Path) -> str:
    """The file's text.

    Raises:
        AccessFileError: it cannot be read, or is not UTF-8.
    """
    return _text(path, _content(path))


def _content(path: Path) -> bytes | str:
    """What is in the file, or why that is not known."""
    try:
        return path.read_bytes()
    except OSError as error:
        return error.strerror or type(error).__name__


def _text(name: object, content: bytes | str) -> str:
    if isinstance(content, str):
        raise AccessFileError(f"the access file {name} cannot be read: {content}")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        mistake = Mistake(line, column, "", "not UTF-8 text")
        raise AccessFileError(f"the access file {name} is not UTF-8 text: line {line}", [mistake]) from None
