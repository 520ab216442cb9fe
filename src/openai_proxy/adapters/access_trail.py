"""What the ledger is still to be told of the access file: lines in a file beside it, written before it is.

So no change goes untold while the ledger cannot be written, or where there is none yet. A crash between the two leaves
a line too many, never one too few.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from openai_proxy.access.events import AccessEvent, MalformedAccessEventError
from openai_proxy.adapters.file_lock import FileLock
from openai_proxy.adapters.whole_file import write_whole

FILE_NAME = "access_events.jsonl"


def edit_lock(access_file: Path) -> FileLock:
    """What whoever changes the access file, or its trail, holds meanwhile; a link stands for the file itself."""
    path = access_file.resolve()
    return FileLock(path.with_name(path.name + ".lock"))


class AccessTrail:
    """The lines beside one access file."""

    def __init__(self, access_file: Path) -> None:
        self._access_file = access_file
        self.path = access_file.with_name(FILE_NAME)

    @contextlib.contextmanager
    def adding(self, events: Sequence[AccessEvent]) -> Iterator[None]:
        """Keep the events, synced to disk, unless the change that they tell of fails in the block.

        Whoever calls this holds the `edit_lock`.

        Raises:
            OSError: they cannot be kept.
        """
        if not events:
            yield
            return
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "r+b") as file:
            before = file.read().rfind(b"\n") + 1  # what has no end was cut off by a crash, and tells of no change
            try:
                file.truncate(before)
                file.seek(before)
                file.write("".join(f"{event.to_json()}\n" for event in events).encode())
                file.flush()
                os.fsync(file.fileno())
                yield
            except BaseException:
                file.truncate(before)
                raise

    def waiting(self) -> Sequence[AccessEvent]:
        """The events that the ledger is still to be told, oldest first.

        Raises:
            MalformedAccessEventError: the file was changed by others; the message says where.
            OSError: it cannot be read.
        """
        return [event for _, event in self._lines()]

    def add(self, events: Sequence[AccessEvent]) -> None:
        """Keep events of what was done elsewhere.

        Raises:
            OSError: they cannot be kept.
        """
        with edit_lock(self._access_file), self.adding(events):
            pass

    def deliver(self, add: Callable[[Sequence[AccessEvent]], None]) -> int:
        """Tell the ledger (`AccessLog.add`), and forget what it has; answer how many events there were.

        Raises:
            MalformedAccessEventError, OSError: as `waiting`.
            Exception: whatever `add` raises; all lines stay.
        """
        events = self.waiting()
        if events:
            add(events)
            told = {event.event_id for event in events}
            with edit_lock(self._access_file):
                left = [line for line, event in self._lines() if event.event_id not in told]
                if left:
                    write_whole(self.path, "".join(f"{line}\n" for line in left))
                else:
                    self.path.unlink(missing_ok=True)  # another command may have told them meanwhile
        return len(events)

    def _lines(self) -> Iterator[tuple[str, AccessEvent]]:
        try:
            whole, _, _ = self.path.read_bytes().decode().rpartition("\n")
        except FileNotFoundError:
            return
        except UnicodeDecodeError:
            raise MalformedAccessEventError(f"{self.path} is not UTF-8 text") from None
        for number, line in enumerate(whole.split("\n"), start=1):
            if not line:
                continue
            try:
                yield line, AccessEvent.from_json(line)
            except MalformedAccessEventError as error:
                raise MalformedAccessEventError(f"{self.path}, line {number}: {error}; mend or remove it") from None
