"""Changes of the access file as events: who changed what, by which command, and when; never a key or a hash. Pure.

`access_events.schema.json` (BigQuery's JSON schema) is the only list of columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the ports know events; what a change is, is known above them
    from openai_proxy.access.changes import Change

_LONGEST_TEXT = 2000
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class MalformedAccessEventError(ValueError):
    """A line is no such event."""


@dataclass(frozen=True, slots=True)
class Editor:
    """Who changes the access file, as far as is known, and by which command."""

    operator: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEvent:
    """One change of one table of the access file; `user_id` or `team_id` where it is theirs.

    `description` is what `access diff` says of it. Events of one command have one `event_time`.
    """

    event_id: str
    event_time: datetime
    operator: str
    action: str
    user_id: str | None
    team_id: str | None
    description: str

    def row(self) -> dict[str, Any]:
        """The event as column name -> value."""
        return {column["name"]: getattr(self, column["name"]) for column in schema()}

    def to_json(self) -> str:
        """The event as one JSON object on one line; its time as RFC 3339."""
        return json.dumps(self.row() | {"event_time": self.event_time.astimezone(UTC).isoformat()})

    @classmethod
    def from_json(cls, line: str) -> AccessEvent:
        """Read what `to_json` wrote.

        Raises:
            MalformedAccessEventError: it is something else.
        """
        try:
            row = json.loads(line)
            event = cls(**{**row, "event_time": datetime.fromisoformat(row["event_time"]).astimezone(UTC)})
            fits = all(_fits(row[column["name"]], column["mode"]) for column in schema())
        except (ValueError, RecursionError, OverflowError, TypeError, KeyError):
            fits = False
        if not fits:
            raise MalformedAccessEventError("not an event of the access file, one JSON object a line")
        return event


def events_of(changes: Iterable[Change], editor: Editor, *, now: datetime, change_id: str) -> list[AccessEvent]:
    """What the changes that one command makes are told as; `change_id` is the beginning of each event's id."""
    return [
        AccessEvent(
            event_id=f"{change_id}-{number:03}",
            event_time=now,
            operator=printable(editor.operator),
            action=printable(editor.action),
            user_id=change.name if change.kind == "user" else None,
            team_id=change.name if change.kind == "team" else None,
            description=printable(str(change)),
        )
        for number, change in enumerate(changes, start=1)
    ]


def _fits(value: object, mode: str) -> bool:
    return isinstance(value, str) or (value is None and mode == "NULLABLE")


def printable(text: str) -> str:
    """Text for one line of a table."""
    return _CONTROL.sub("?", text)[:_LONGEST_TEXT]


@cache
def schema() -> tuple[dict[str, Any], ...]:
    """The columns: name, type (BigQuery's), mode and description of each."""
    text = resources.files("openai_proxy").joinpath("access_events.schema.json").read_text("utf-8")
    return tuple(json.loads(text))
