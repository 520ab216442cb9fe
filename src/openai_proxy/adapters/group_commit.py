"""Group commit: what several threads write at the same time goes to the store in one call."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


class GroupCommit(Generic[_Item, _Outcome]):
    """Calls `write` with all items that wait, in the thread of one of those that wait; each gets its own outcome.

    An item is written at once when nothing is being written. Else it waits for that write to end, but no longer than
    `longest_wait_seconds`, and not at all once `most_items` wait: then there are two writes at a time. `write` answers
    with one outcome for each item, in their order.
    """

    def __init__(
        self,
        write: Callable[[Sequence[_Item]], Sequence[_Outcome]],
        *,
        most_items: int = 500,
        longest_wait_seconds: float = 0.2,
    ) -> None:
        self._write = write
        self._most_items = most_items
        self._longest_wait = longest_wait_seconds
        self._lock = threading.Lock()
        self._waiting: list[_Ticket[_Item, _Outcome]] = []
        self._writes = 0

    def submit(self, item: _Item) -> _Outcome:
        """Return the item's outcome when the write that held it has ended; raise what that write raised."""
        ticket = _Ticket[_Item, _Outcome](item)
        with self._lock:
            self._waiting.append(ticket)
            at_once = not self._writes or len(self._waiting) >= self._most_items
        if at_once or not ticket.turn.wait(self._longest_wait):
            self._write_waiting()
        while not ticket.ended:  # it waits still, or another thread has it in hand
            ticket.turn.wait(self._longest_wait)
            ticket.turn.clear()
            self._write_waiting()
        if ticket.error is not None:
            raise copy.copy(ticket.error)  # every thread adds a traceback of its own
        return cast("_Outcome", ticket.outcome)

    def _write_waiting(self) -> None:
        """Write what waits, if anything does; then wake those that it was for, and one that came meanwhile."""
        with self._lock:
            tickets, self._waiting = self._waiting[: self._most_items], self._waiting[self._most_items :]
            self._writes += bool(tickets)
        if not tickets:
            return
        error: Exception | None = RuntimeError("the thread that wrote for this one was ended")
        ends: list[tuple[_Ticket[_Item, _Outcome], _Outcome | None]] = [(ticket, None) for ticket in tickets]
        try:
            ends = list(zip(tickets, self._write([ticket.item for ticket in tickets]), strict=True))
            error = None
        except Exception as cause:  # noqa: BLE001 - every thread that waits must learn of it
            error = cause
        finally:
            for ticket, outcome in ends:
                ticket.end(outcome, error)
            with self._lock:
                self._writes -= 1
                if self._waiting and not self._writes:
                    self._waiting[0].turn.set()


class _Ticket(Generic[_Item, _Outcome]):
    """One item of one thread, which waits for its turn: to write, or to go with the outcome."""

    __slots__ = ("ended", "error", "item", "outcome", "turn")

    def __init__(self, item: _Item) -> None:
        self.item = item
        self.turn = threading.Event()
        self.ended = False
        self.outcome: _Outcome | None = None
        self.error: Exception | None = None

    def end(self, outcome: _Outcome | None, error: Exception | None) -> None:
        self.outcome, self.error, self.ended = outcome, error, True
        self.turn.set()
