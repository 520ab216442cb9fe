"""Who may call: the access file's tables become users and keys, and an Authorization header becomes a caller.

Pure: the text and the time are arguments. `adapters/access_file.py` reads the file, `edits` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, Protocol

from openai_proxy.access.budget import Scope
from openai_proxy.access.fields import Role
from openai_proxy.access.mistakes import AccessFileError, Mistake
from openai_proxy.access.policy import UNLIMITED, Policy
from openai_proxy.access.reading import parse
from openai_proxy.access.tables import AccessTables, Key, Rules, Team, User, same_email
from openai_proxy.api.permissions import Permission
from openai_proxy.keys import key_hash

__all__ = [
    "GOOGLE_KEY_ID",
    "USER_NAME_KEY_ID",
    "Access",
    "AccessFileError",
    "AccessSource",
    "Caller",
    "Key",
    "Mistake",
    "User",
]

USER_NAME_KEY_ID = "user_name"
"""The `key_id` of who comes by plain name."""

GOOGLE_KEY_ID = "google"
"""The `key_id` of who comes by the address that Google verified."""

_LONGEST_CREDENTIAL = 256
_NO_TEAM = Team(rules=Rules())
_INHERITED = tuple(rule.name for rule in fields(Rules) if rule.name != "allow")  # what is allowed is a union


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose request this is, and by which key.

    `store` False: OpenAI must not keep what it answers them. `allow` is the union of what is allowed to them, to their
    team, and to everybody.
    """

    user_id: str
    key_id: str
    team_id: str | None
    role: Role
    allow: frozenset[Permission]
    store: bool = True
    policy: Policy = UNLIMITED


@dataclass(frozen=True, slots=True)
class Access:
    """The file's tables, who holds each key by its hash, and whose each e-mail address is.

    `broken` is what is wrong with a newer version of the file, while this one stays in force.
    """

    tables: AccessTables
    _holders: Mapping[str, tuple[User, Key]]
    _addressees: Mapping[str, User]
    _policies: dict[str, Policy] = field(default_factory=dict, repr=False, compare=False)  # once worked out, by user
    broken: AccessFileError | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str) -> Access:
        """Read the access file.

        Raises:
            AccessFileError: not TOML, another version, unknown names, wrong values, or keys held twice.
        """
        tables = parse(text)
        users = tables.users.values()
        holders = {key.sha256: (user, key) for user in users for key in user.keys}
        return cls(tables, holders, {same_email(user.email): user for user in users if user.email})

    @property
    def users(self) -> Mapping[str, User]:
        """All users by id, as they are written."""
        return self.tables.users

    def authenticate(self, authorization: str | None, now: datetime) -> Caller | None:
        """The caller of an Authorization header: `Bearer KEY`, `UserName KEY`, or `UserName NAME` where allowed."""
        scheme, credential = credential_of(authorization)
        if not credential:
            return None
        caller = self.holder(credential, now)
        if caller is None and scheme == "username":
            user = self.users.get(credential)
            if user is not None and user.allow_user_name and not user.revoked:
                return self.caller(user, USER_NAME_KEY_ID)
        return caller

    def holder(self, key: str, now: datetime) -> Caller | None:
        """Whose key this is, if it is valid now. The look-up is by hash, so its time tells nothing of the keys."""
        held = self._holders.get(key_hash(key))
        if held is None:
            return None
        user, entry = held
        return self.caller(user, entry.key_id) if not user.revoked and entry.is_valid(now) else None

    def addressee(self, email: str) -> Caller | None:
        """Whose address this is, in whatever capitals; the address must have been verified."""
        user = self._addressees.get(same_email(email))
        return None if user is None or user.revoked else self.caller(user, GOOGLE_KEY_ID)

    def caller(self, user: User, key_id: str) -> Caller:
        """A user as whose request it is, with what holds for them."""
        team = self.tables.teams.get(user.team_id or "", _NO_TEAM)
        policy = self._policies.get(user.user_id)
        if policy is None:
            policy = self._policies[user.user_id] = self._policy(user, team)
        return Caller(
            user_id=user.user_id,
            key_id=key_id,
            team_id=user.team_id,
            role=user.role,
            allow=user.rules.allow | team.rules.allow | self.tables.defaults.allow,
            store=team.store,
            policy=policy,
        )

    def _policy(self, user: User, team: Team) -> Policy:
        """What holds for a user: of each rule, what the nearest table says that says anything."""
        tables = (user.rules, team.rules, self.tables.defaults)
        rules = Rules(**{name: _nearest(name, tables) for name in _INHERITED})
        return Policy(
            models=rules.models,
            denied_models=rules.denied_models or (),
            budgets=(
                *(budget.of(Scope("user", user.user_id)) for budget in rules.budgets or ()),
                *(budget.of(Scope("team", user.team_id or "")) for budget in team.budgets),
                *(budget.of(Scope("organization", "")) for budget in self.tables.organization),
            ),
            requests_per_minute=rules.requests_per_minute,
            tokens_per_minute=rules.tokens_per_minute,
            concurrent_requests=rules.concurrent_requests,
            required_tags=rules.required_tags or (),
            may_name_users=user.may_name_users,
            upstream_key=team.upstream_key,
        )


def _nearest(name: str, tables: tuple[Rules, ...]) -> Any:  # noqa: ANN401 - of the rule's own type
    return next((said for table in tables if (said := getattr(table, name)) is not None), None)


def credential_of(authorization: str | None) -> tuple[Literal["bearer", "username", ""], str]:
    """The scheme of an Authorization header, and the key or name in it; nothing where it is of another kind."""
    if authorization and len(authorization) <= _LONGEST_CREDENTIAL:
        scheme, _, credential = authorization.strip().partition(" ")
        for known in ("bearer", "username"):
            if scheme.lower() == known:
                return known, credential.strip()
    return "", ""


class AccessSource(Protocol):
    """Where the newest good version of the access file comes from."""

    def current(self) -> Access:
        """Who may call now; raises `AccessFileError` when that was never known."""
