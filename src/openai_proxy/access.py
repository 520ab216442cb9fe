"""Who may call: the access file's text becomes users and keys, and an Authorization header becomes a caller.

Pure: the text and the time are arguments. `adapters/access_file.py` reads the file, `access_edits.py` writes it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, get_args

from openai_proxy.keys import key_hash
from openai_proxy.permissions import PERMISSIONS, Permission

VERSION = 1
Role = Literal["member", "admin"]

USER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_CREDENTIAL = 256


class AccessFileError(ValueError):
    """The access file is broken; the message names the place and what was expected, never a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a user; valid from `created_time` until `expires_time`, if there is one."""

    key_id: str
    sha256: str
    created_time: datetime
    expires_time: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether the key opens anything at this time."""
        return self.expires_time is None or now < self.expires_time


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A member or an application. A revoked user's keys open nothing.

    `allow` is the union of what is allowed to them, to their team, and to everybody.
    """

    user_id: str
    team_id: str | None = None
    role: Role = "member"
    revoked: bool = False
    allow_user_name: bool = False
    allow: frozenset[Permission] = frozenset()
    store: bool = True
    keys: tuple[Key, ...] = ()

    def caller(self, key_id: str) -> Caller:
        """This user as whose request it is."""
        return Caller(
            user_id=self.user_id,
            key_id=key_id,
            team_id=self.team_id,
            role=self.role,
            allow=self.allow,
            store=self.store,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """What holds for all members of a team. `store` False: OpenAI is asked to keep none of their responses."""

    allow: frozenset[Permission] = frozenset()
    store: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose request this is, and by which key; `key_id` is `user_name` where the plain name was the credential.

    `store` False: OpenAI must not keep what it answers them.
    """

    user_id: str
    key_id: str
    team_id: str | None
    role: Role
    allow: frozenset[Permission]
    store: bool = True


@dataclass(frozen=True, slots=True)
class Access:
    """All users by id, and who holds each key by its hash."""

    users: Mapping[str, User]
    _holders: Mapping[str, tuple[User, Key]]

    @classmethod
    def parse(cls, text: str) -> Access:
        """Read the access file.

        Raises:
            AccessFileError: not TOML, another version, an unknown name, a wrong value, or one key held twice.
        """
        try:
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise AccessFileError(f"the access file is not TOML: {_place(error)}") from None
        _only(document, {"version", "defaults", "teams", "users"}, "the access file")
        if document.get("version") != VERSION:
            raise AccessFileError(f"the access file must begin with version = {VERSION}")
        everybody = _defaults(document.get("defaults", {}))
        tables = _table(document.get("teams", {}), "teams")
        teams = {team_id: _team(team_id, table, everybody) for team_id, table in tables.items()}
        users = {}
        holders: dict[str, tuple[User, Key]] = {}
        for user_id, table in _table(document.get("users", {}), "users").items():
            user = users[user_id] = _user(user_id, table, teams, Team(allow=everybody))
            for key in user.keys:
                if key.sha256 in holders:
                    raise AccessFileError(f"users.{user_id}: key {key.key_id!r} is already held by another entry")
                holders[key.sha256] = (user, key)
        return cls(users, holders)

    def authenticate(self, authorization: str | None, now: datetime) -> Caller | None:
        """The caller of an Authorization header: `Bearer KEY`, `UserName KEY`, or `UserName NAME` where allowed."""
        if not authorization or len(authorization) > _LONGEST_CREDENTIAL:
            return None
        scheme, _, credential = authorization.strip().partition(" ")
        credential = credential.strip()
        if not credential or scheme.lower() not in {"bearer", "username"}:
            return None
        caller = self.holder(credential, now)
        if caller is None and scheme.lower() == "username":
            user = self.users.get(credential)
            if user is not None and user.allow_user_name and not user.revoked:
                return user.caller("user_name")
        return caller

    def holder(self, key: str, now: datetime) -> Caller | None:
        """Whose key this is, if it is valid now. The look-up is by hash, so its time tells nothing of the keys."""
        held = self._holders.get(key_hash(key))
        if held is None:
            return None
        user, entry = held
        return user.caller(entry.key_id) if not user.revoked and entry.is_valid(now) else None


class AccessSource(Protocol):
    """Where the newest good version of the access file comes from."""

    def current(self) -> Access:
        """Who may call now; raises `AccessFileError` when that was never known."""


def _defaults(value: object) -> frozenset[Permission]:
    table = _table(value, "defaults")
    _only(table, {"allow"}, "defaults")
    return _allow(table, "defaults")


def _team(team_id: str, value: object, everybody: frozenset[Permission]) -> Team:
    place = f"teams.{team_id[:64]}"
    if not USER_ID.fullmatch(team_id):
        raise AccessFileError(f"{place}: a team's name has 1 to 64 letters, digits or . _ @ + -")
    table = _table(value, place)
    _only(table, {"allow", "store"}, place)
    return Team(allow=_allow(table, place) | everybody, store=_flag(table, "store", place, default=True))


def _user(user_id: str, value: object, teams: Mapping[str, Team], teamless: Team) -> User:
    place = f"users.{user_id[:64]}"
    if not USER_ID.fullmatch(user_id):
        raise AccessFileError(f"{place}: a user's name has 1 to 64 letters, digits or . _ @ + -")
    table = _table(value, place)
    _only(table, {"team", "role", "revoked", "allow_user_name", "allow", "keys"}, place)
    team_id = table.get("team")
    if team_id is not None and not (isinstance(team_id, str) and USER_ID.fullmatch(team_id)):
        raise AccessFileError(f"{place}.team: expected 1 to 64 letters, digits or . _ @ + -")
    role = table.get("role", "member")
    if role not in get_args(Role):
        raise AccessFileError(f"{place}.role: expected one of {', '.join(get_args(Role))}")
    team = teams.get(team_id or "", teamless)
    keys = table.get("keys", [])
    if not isinstance(keys, list):
        raise AccessFileError(f"{place}.keys: expected [[{place}.keys]] tables")
    return User(
        user_id=user_id,
        team_id=team_id,
        role=role,
        revoked=_flag(table, "revoked", place),
        allow_user_name=_flag(table, "allow_user_name", place),
        allow=_allow(table, place) | team.allow,
        store=team.store,
        keys=tuple(_key(key, f"{place}.keys[{number}]") for number, key in enumerate(keys)),
    )


def _key(value: object, place: str) -> Key:
    table = _table(value, place)
    _only(table, {"id", "sha256", "created_time", "expires_time"}, place)
    key_id, sha256 = table.get("id"), table.get("sha256")
    if not isinstance(key_id, str) or not USER_ID.fullmatch(key_id):
        raise AccessFileError(f"{place}.id: expected 1 to 64 letters, digits or . _ @ + -")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise AccessFileError(f"{place}.sha256: expected 64 hexadecimal digits")
    created = _time(table, "created_time", place)
    if created is None:
        raise AccessFileError(f"{place}.created_time is missing")
    expires = _time(table, "expires_time", place)
    return Key(key_id=key_id, sha256=sha256, created_time=created, expires_time=expires)


def _time(table: Mapping[str, Any], name: str, place: str) -> datetime | None:
    value = table.get(name)
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise AccessFileError(f"{place}.{name}: expected a time with its zone, as 2026-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise AccessFileError(f"{place}.{name}: out of range") from None


def _allow(table: Mapping[str, Any], place: str) -> frozenset[Permission]:
    names = table.get("allow", [])
    if not isinstance(names, list):
        raise AccessFileError(f'{place}.allow: expected a list, as ["{PERMISSIONS[0]}"]')
    for name in names:
        if name not in PERMISSIONS:
            raise AccessFileError(f"{place}.allow: {str(name)[:64]!r} is not known; known: {', '.join(PERMISSIONS)}")
    return frozenset(names)


def _flag(table: Mapping[str, Any], name: str, place: str, *, default: bool = False) -> bool:
    value = table.get(name, default)
    if not isinstance(value, bool):
        raise AccessFileError(f"{place}.{name}: expected true or false")
    return value


def _table(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise AccessFileError(f"{place}: expected a table")
    return value


def _only(table: Mapping[str, Any], known: set[str], place: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise AccessFileError(f"{place}: {unknown[0][:64]!r} is not known here; known: {', '.join(sorted(known))}")


def _place(error: Exception) -> str:
    """Only where TOML broke: the parser's own message may quote the line, and a line may hold a hash."""
    found = re.search(r"at line \d+, column \d+|at end of document", str(error))
    return found.group() if found else "nested too deeply"
