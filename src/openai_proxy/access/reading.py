"""Reads the access file's text: all its tables, or all its mistakes with their places.

Pure; the only errors are `AccessFileError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from openai_proxy.access import fields, toml_reading
from openai_proxy.access.fields import Allowance, Field, FieldError, shown
from openai_proxy.access.mistakes import AccessFileError, Mistake, located, not_toml
from openai_proxy.access.tables import AccessTables, Key, Rules, Team, User, same_email
from openai_proxy.access.toml_positions import Path

VERSION = 1

_COMMON: Mapping[str, Field] = {
    "allow": fields.permissions,
    "models": fields.models,
    "denied_models": fields.models,
    "requests_per_minute": fields.limit,
    "tokens_per_minute": fields.limit,
    "concurrent_requests": fields.limit,
    "required_tags": fields.tags,
}
RULES: Mapping[str, Field] = {**_COMMON, "budgets": fields.budgets}
ORGANIZATION: Mapping[str, Field] = {"budgets": fields.budgets}
TEAM: Mapping[str, Field] = {
    **_COMMON,
    "user_budgets": fields.budgets,
    "budgets": fields.budgets,
    "store": fields.flag,
    "upstream_key": fields.secret_name,
}
USER: Mapping[str, Field] = {
    **RULES,
    "team": fields.name,
    "role": fields.role,
    "email": fields.email,
    "revoked": fields.flag,
    "allow_user_name": fields.flag,
    "may_name_users": fields.flag,
    "keys": lambda value: value,  # read as tables of their own
}
KEY: Mapping[str, Field] = {
    "id": fields.name,
    "sha256": fields.sha256,
    "created_time": fields.time,
    "expires_time": fields.time,
    "note": fields.note,
}
"""The fields that each table takes; `RULES` is what `[defaults]` does."""

_FILE = ("version", "defaults", "organization", "teams", "users")
_SILENT = Rules()


def parse(text: str) -> AccessTables:
    """Read the access file.

    Raises:
        AccessFileError: not TOML, another version, unknown names, wrong values, or keys held twice.
    """
    try:
        document = toml_reading.loads(text)
    except (ValueError, RecursionError) as error:
        raise AccessFileError.of([not_toml(text, error)]) from None
    reader = _Reader()
    tables = reader.read(document)
    if reader.mistakes:
        raise AccessFileError.of(located(text, reader.mistakes))
    return tables


def mistakes(text: str) -> tuple[Mistake, ...]:
    """All that is wrong with the text."""
    try:
        parse(text)
    except AccessFileError as error:
        return error.mistakes
    return ()


class _Reader:
    """Reads on after a mistake, so that all are found."""

    def __init__(self) -> None:
        self.mistakes: list[tuple[Path, str]] = []
        self._holders: set[str] = set()
        self._emails: set[str] = set()

    def read(self, document: Mapping[str, Any]) -> AccessTables:
        for name in document.keys() - set(_FILE):
            self._unknown((name,), _FILE)
        version = document.get("version")
        if type(version) is not int or version != VERSION:
            self.mistakes.append((("version",), f"the file must begin with version = {VERSION}"))
        return AccessTables(
            defaults=self._rules(self._fields(document.get("defaults", {}), RULES, "defaults")),
            organization=self._organization(document.get("organization", {})),
            teams={name: self._team(name, table) for name, table in self._named(document, "teams", "team")},
            users={name: self._user(name, table) for name, table in self._named(document, "users", "user")},
        )

    def _named(self, document: Mapping[str, Any], place: str, kind: str) -> Iterator[tuple[str, Any]]:
        tables = document.get(place, {})
        if not isinstance(tables, dict):
            self.mistakes.append(((place,), f"expected a table, not {shown(tables)}"))
            return
        for name, table in tables.items():
            if fields.NAME.fullmatch(name):
                yield name, table
            else:
                self.mistakes.append(((place, name), f"a {kind}'s name has {fields.NAME_FORM}"))

    def _organization(self, value: object) -> tuple[Allowance, ...]:
        budgets: tuple[Allowance, ...] = self._fields(value, ORGANIZATION, "organization").get("budgets", ())
        return budgets

    def _team(self, team_id: str, value: object) -> Team:
        found = self._fields(value, TEAM, "teams", team_id)
        own = {name: found.pop(name) for name in ("budgets", "store", "upstream_key") if name in found}
        if "user_budgets" in found:
            found["budgets"] = found.pop("user_budgets")
        return Team(rules=self._rules(found), **own)

    def _user(self, user_id: str, value: object) -> User:
        found = self._fields(value, USER, "users", user_id)
        email = found.pop("email", None)
        if email is not None and same_email(email) in self._emails:
            message = "another user has this address; who signs in with it would be either"
            self.mistakes.append((("users", user_id, "email"), message))
        self._emails.add(same_email(email or ""))
        return User(
            user_id=user_id,
            email=email,
            team_id=found.pop("team", None),
            role=found.pop("role", "member"),
            revoked=found.pop("revoked", False),
            allow_user_name=found.pop("allow_user_name", False),
            may_name_users=found.pop("may_name_users", False),
            keys=self._keys(user_id, found.pop("keys", ())),
            rules=self._rules(found),
        )

    def _keys(self, user_id: str, values: object) -> tuple[Key, ...]:
        path = ("users", user_id, "keys")
        if not isinstance(values, list | tuple):
            self.mistakes.append((path, f"expected [[users.{user_id}.keys]] tables, not {shown(values)}"))
            return ()
        return tuple([key for number, value in enumerate(values) if (key := self._key(value, (*path, number)))])

    def _key(self, value: object, path: Path) -> Key | None:
        before = len(self.mistakes)
        found = self._fields(value, KEY, *path)
        if len(self.mistakes) == before:
            for name in ("id", "sha256", "created_time"):
                if name not in found:
                    self.mistakes.append(((*path, name), "missing"))
        if len(self.mistakes) > before:
            return None
        if found["sha256"] in self._holders:
            self.mistakes.append(((*path, "sha256"), f"key {shown(found['id'])} is already held by another entry"))
        self._holders.add(found["sha256"])
        return Key(key_id=found.pop("id"), **found)

    def _rules(self, found: Mapping[str, Any]) -> Rules:
        return Rules(**found) if found else _SILENT

    def _fields(self, value: object, known: Mapping[str, Field], *path: str | int) -> dict[str, Any]:
        """The meaning of a table's fields; wrong ones are left out."""
        if not isinstance(value, dict):
            self.mistakes.append((path, f"expected a table, not {shown(value)}"))
            return {}
        found = {}
        for name, item in value.items():
            try:
                found[name] = known[name](item)
            except KeyError:
                self._unknown((*path, name), known)
            except FieldError as error:
                self.mistakes.append(((*path, name, *error.path), str(error)))
        return found

    def _unknown(self, path: tuple[str | int, ...], known: Mapping[str, Any] | tuple[str, ...]) -> None:
        close = difflib.get_close_matches(str(path[-1])[:64], known, 1)
        guess = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
        self.mistakes.append((path, f"not known here; {guess}"))
