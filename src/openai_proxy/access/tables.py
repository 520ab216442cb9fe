"""The access file as it is written: tables, each with what it says and nothing of what others say.

`reading` makes them of the text; `callers` works out what holds for a user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from openai_proxy.access.fields import Allowance, Role
from openai_proxy.api.permissions import Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a user; valid until `expires_time`, if there is one.

    `created_time` tells which is the newest, and keeps no key from being valid: the clock that wrote it may be fast.
    """

    key_id: str
    sha256: str
    created_time: datetime
    expires_time: datetime | None = None
    note: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether the key opens anything at this time."""
        return self.expires_time is None or now < self.expires_time


def same_email(address: str) -> str:
    """One form of all spellings of an address: Google tells no capitals apart."""
    return address.casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one table says of each user's requests; None: nothing, so a farther table does (user, team, defaults)."""

    allow: frozenset[Permission] = frozenset()
    models: tuple[str, ...] | None = None
    denied_models: tuple[str, ...] | None = None
    budgets: tuple[Allowance, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    required_tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """What holds for all members of a team.

    `budgets` are of the team together. `store` False: OpenAI is asked to keep none of their responses. `upstream_key`
    names the secret with the team's own key at OpenAI.
    """

    rules: Rules
    budgets: tuple[Allowance, ...] = ()
    store: bool = True
    upstream_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A member or an application. A revoked user's keys open nothing.

    `email` is the address by which Google knows them, as it is written; None: they sign in by key only.
    """

    user_id: str
    rules: Rules
    team_id: str | None = None
    email: str | None = None
    role: Role = "member"
    revoked: bool = False
    allow_user_name: bool = False
    may_name_users: bool = False
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTables:
    """The whole file."""

    defaults: Rules
    organization: tuple[Allowance, ...]
    teams: Mapping[str, Team]
    users: Mapping[str, User]

    def members(self, team_id: str) -> list[str]:
        """Who is in a team and may call."""
        return [user.user_id for user in self.users.values() if user.team_id == team_id and not user.revoked]
