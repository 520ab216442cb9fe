"""Usage events out of a log, back into the queue; the ledger counts a request once however often it comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from openai_proxy.events import MalformedEventError, UsageEvent
from openai_proxy.ports import UsageQueue

_TOGETHER = 100  # events in one commit of the queue


@dataclass(slots=True)
class Replayed:
    """How many lines were what."""

    events: int = 0
    skipped: int = 0
    malformed: int = 0


def read_event(line: str) -> UsageEvent | None:
    """The usage event that a line holds: under `usage_event` of a structured log line, or bare; None for other lines.

    Raises:
        MalformedEventError: there is one, and it is broken or cut off.
    """
    text = line[max(line.find("{"), 0) :]  # a log collector may have put something in front
    try:
        fields: Any = json.loads(text)
    except (ValueError, RecursionError):
        if '"usage_event"' in text:
            raise MalformedEventError("a log line with a usage event is cut off, or no JSON") from None
        return None
    if not isinstance(fields, dict):
        return None
    if "usage_event" in fields:
        return UsageEvent.from_fields(fields["usage_event"])
    return UsageEvent.from_fields(fields) if "event_id" in fields else None


async def replay(lines: Iterable[str], queue: UsageQueue, complain: Callable[[str], None]) -> Replayed:
    """Publish every event of the lines; `complain` is told of each one that is malformed, by line number.

    Raises:
        QueueError: the queue does not accept; what was replayed until then may be replayed again.
    """
    counts = Replayed()
    numbered = enumerate(lines, 1)
    try:
        while batch := list(islice(numbered, _TOGETHER)):
            events = [event for number, line in batch if (event := _counted(number, line, counts, complain))]
            await asyncio.gather(*(queue.publish(event) for event in events))
            counts.events += len(events)
    finally:
        await queue.close()
    return counts


def _counted(number: int, line: str, counts: Replayed, complain: Callable[[str], None]) -> UsageEvent | None:
    try:
        event = read_event(line)
    except MalformedEventError as error:
        counts.malformed += 1
        complain(f"line {number}: {error}")
        return None
    if event is None:
        counts.skipped += 1
    return event
