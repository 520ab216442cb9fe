"""What usage can be summed by on `/log`, and how each group is named and linked to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openai_proxy.events import TAG_NAME
from openai_proxy.page.asked import Asked
from openai_proxy.page.exchange import RefusedError
from openai_proxy.page.scope import Scope
from openai_proxy.page.sums import Dimension
from openai_proxy.ports import GroupBy, Selection, Tag, TagValues

TAG = "tag:"


@dataclass(frozen=True, slots=True)
class Grouping:
    """One way to sum up: `by` is the group's columns in the ledger, the last of which names it.

    `name` is the word for it in addresses, `label` the one for people.
    """

    name: str
    label: str
    by: tuple[GroupBy, ...]

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The same, where a breakdown has it."""
        return tuple(name for name in ("user", "team", "key", "model", "operation") if name in self.by)

    def named(self, group: Sequence[str | None]) -> str:
        """A group as a person reads it; a key with whose it is, since two users may have keys of one id."""
        value = group[-1]
        if value is None:
            return f"no {self.label.lower()}"
        return value if len(group) == 1 else f"{value} ({group[0]})"

    def filter(self, group: Sequence[str | None]) -> Mapping[str, str]:
        """The parameters that choose one group; none where its value is not known, which no filter says."""
        if group[-1] is None:
            return {}
        if self.name.startswith(TAG):
            return {"tag": f"{self.name.removeprefix(TAG)}={group[-1]}"}
        return {str(name): value for name, value in zip(self.by, group, strict=True) if value is not None}


MODEL = Grouping("model", "Model", ("model",))
USER = Grouping("user", "User", ("user",))
TEAM = Grouping("team", "Team", ("team",))
KEY = Grouping("key", "Key", ("user", "key"))
OPERATION = Grouping("operation", "Endpoint", ("operation",))
_ALL = (MODEL, USER, TEAM, KEY, OPERATION)


def offered(scope: Scope, selection: Selection) -> Sequence[Grouping]:
    """Those by which more than one group can come out."""
    many_users = not scope.is_own and selection.user_id is None
    hidden = {
        MODEL: selection.model is not None,
        USER: not many_users,
        TEAM: not scope.is_all or not many_users or selection.team_id is not None,
        KEY: selection.key_id is not None,
        OPERATION: selection.operation is not None,
    }
    return [grouping for grouping in _ALL if not hidden[grouping]]


def of_tag(name: str) -> Grouping:
    """By the values of one tag."""
    return Grouping(f"{TAG}{name}", f"Tag {name}", (TagValues(name),))


def grouping_of(name: str, others: Sequence[str], *, parameter: str) -> Grouping | None:
    """What a parameter names; None for one of `others`, which stand for no group.

    Raises:
        RefusedError: it is nothing of these.
    """
    if name in others:
        return None
    for grouping in _ALL:
        if grouping.name == name:
            return grouping
    if name.startswith(TAG) and TAG_NAME.fullmatch(name.removeprefix(TAG)):
        return of_tag(name.removeprefix(TAG))
    known = ", ".join([*others, *(grouping.name for grouping in _ALL)])
    text = f"{parameter} must be one of {known}, or {TAG} and a tag's name, as tag:project."
    raise RefusedError(400, text, code=f"invalid_{parameter}")


def tag_names(records: Iterable[Mapping[str, Any]], asked: Asked, drawn: Grouping | None) -> Sequence[str]:
    """The tags that some records bear: first the one that is drawn by, last the one that is chosen by already."""
    found = {name for record in records for name in record["tags"] or {}}
    chosen = Tag.parse(asked.parameters.get("tag", ""))
    last = chosen.name if chosen else ""
    first = drawn.name.removeprefix(TAG) if drawn is not None and drawn.name.startswith(TAG) else ""
    return sorted((found | {first, last}) - {""}, key=lambda name: (name != first, name == last, name))
