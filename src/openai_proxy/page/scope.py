"""Who may see what of the ledger on `/log`: the one place that decides it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from openai_proxy.access.callers import Caller
from openai_proxy.ports import Selection


class OutOfScopeError(Exception):
    """The reader may not see whose usage they ask for; the text says whose they may."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose usage a reader may see: their own always, with `team_id` all of that team's, with `is_all` everybody's."""

    user_id: str
    team_id: str | None = None
    is_all: bool = False

    @classmethod
    def of(cls, reader: Caller) -> Scope:
        """A member's, a lead's (who leads no team without one), or an admin's."""
        return cls(reader.user_id, reader.team_id if reader.role == "lead" else None, is_all=reader.role == "admin")

    @property
    def is_own(self) -> bool:
        """Whether it is nobody else's."""
        return self.team_id is None and not self.is_all

    def covers(self, *, user_id: str, team_id: str | None) -> bool:
        """Whether the reader may see one record."""
        if self.is_all or user_id == self.user_id:
            return True
        return self.team_id is not None and team_id == self.team_id

    def narrow(self, chosen: Selection, is_in_team: Callable[[str], bool]) -> Selection:
        """What is chosen, with nothing in it that the reader may not see; `is_in_team`: whether their team has a user.

        Raises:
            OutOfScopeError: it is of somebody else; what is chosen is never something other than what is asked for.
        """
        if self.is_all:
            return chosen
        if self.is_own or (chosen.user_id == self.user_id and chosen.team_id is None):
            return self._own(chosen)
        if chosen.team_id not in {None, self.team_id}:
            raise OutOfScopeError(f"You see the usage of team {self.team_id}, so team may only be {self.team_id}.")
        if chosen.user_id not in {None, self.user_id} and not is_in_team(chosen.user_id or ""):
            raise OutOfScopeError(f"You see the usage of team {self.team_id}, and it has nobody of that name.")
        return replace(chosen, team_id=self.team_id)

    def _own(self, chosen: Selection) -> Selection:
        if chosen.user_id not in {None, self.user_id}:
            raise OutOfScopeError(f"You see your own usage, so user may only be {self.user_id}; or leave it out.")
        if chosen.team_id is not None:
            raise OutOfScopeError("You see your own usage, whatever the team; leave team out.")
        return replace(chosen, user_id=self.user_id)
