"""What changes from one access file to another, in words, before it is shipped. Pure; never a hash or a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Literal, TypeVar

from openai_proxy.access.callers import Access
from openai_proxy.access.fields import Allowance
from openai_proxy.access.tables import Key, Rules, Team, User

Kind = Literal["defaults", "organization", "team", "user"]
_Words = dict[str, str]
_Table = TypeVar("_Table", Team, User)

_NEW_TEAM = Team(rules=Rules())
_NEW_USER = User(user_id="", rules=Rules())
_PERIODS = {"day": "a day", "week": "a week", "month": "a month", "total": "in total"}


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one table; `name` is the user's or the team's, else empty."""

    kind: Kind
    name: str
    what: str

    def __str__(self) -> str:
        subject = {"team": f"team {self.name}", "user": self.name}.get(self.kind, self.kind)
        return f"{subject}: {self.what}"


def changes(old: Access, new: Access) -> tuple[Change, ...]:
    """All changes, in the order of the file: what is said by a table, not what follows for each user."""
    was, now = old.tables, new.tables
    before, after = {"budgets": words(was.organization)}, {"budgets": words(now.organization)}
    return (
        *(Change("defaults", "", what) for what in _differences(rule_words(was.defaults), rule_words(now.defaults))),
        *(Change("organization", "", what) for what in _differences(before, after)),
        *(Change("team", name, what) for name, what in _tables(was.teams, now.teams, team_words, _NEW_TEAM)),
        *(Change("user", name, what) for name, what in _tables(was.users, now.users, user_words, _NEW_USER)),
    )


def words(value: object) -> str:
    """A field's value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Allowance):
        return f"{value.amount:f} USD {_PERIODS[value.period]}"
    if isinstance(value, frozenset | tuple):
        members = sorted(value) if isinstance(value, frozenset) else value
        return ", ".join(map(words, members)) or "none"
    return "not set" if value is None else str(value)


def rule_words(rules: Rules, *, budgets: str = "budgets") -> _Words:
    """What a table says of each user's requests; `budgets` is how it calls theirs."""
    said = {rule.name: words(getattr(rules, rule.name)) for rule in fields(Rules)}
    return {budgets if name == "budgets" else name: text for name, text in said.items()}


def team_words(team: Team) -> _Words:
    """What a team's table says."""
    own = {"budgets": team.budgets, "store": team.store, "upstream_key": team.upstream_key}
    return {name: words(value) for name, value in own.items()} | rule_words(team.rules, budgets="user_budgets")


def user_words(user: User) -> _Words:
    """What a user's table says, but for their keys."""
    own = {
        "team": user.team_id,
        "role": user.role,
        "email": user.email,
        "revoked": user.revoked,
        "allow_user_name": user.allow_user_name,
        "may_name_users": user.may_name_users,
    }
    return {name: words(value) for name, value in own.items()} | rule_words(user.rules)


def key_words(key: Key) -> str:
    """What an entry says of a key."""
    expires = f"expires {words(key.expires_time)}" if key.expires_time else "does not expire"
    return f"{key.key_id}: {expires}, {key.note!r}" if key.note else f"{key.key_id}: {expires}"


def _tables(
    old: Mapping[str, _Table], new: Mapping[str, _Table], said: Callable[[_Table], _Words], silent: _Table
) -> Iterator[tuple[str, str]]:
    for name in {**old, **new}:
        if name not in new:
            yield name, "removed"
        elif name not in old:
            told = [f"{field} {text}" for field, text in said(new[name]).items() if text != said(silent)[field]]
            told += [f"key {key_words(key)}" for key in _keys(new[name]).values()]
            yield name, f"added: {'; '.join(told)}" if told else "added"
        elif old[name] != new[name]:
            for what in _differences(said(old[name]), said(new[name])):
                yield name, what
            for what in _key_differences(_keys(old[name]), _keys(new[name])):
                yield name, what


def _differences(old: _Words, new: _Words) -> Iterator[str]:
    for field, before in old.items():
        after = new[field]
        if before != after and field == "revoked":
            yield "revoked" if after == "yes" else "no longer revoked"
        elif before != after:
            yield f"{field} {before} -> {after}"


def _keys(table: Team | User) -> Mapping[str, Key]:
    """A user's keys by what tells them apart, which is not their id."""
    return {key.sha256: key for key in table.keys} if isinstance(table, User) else {}


def _key_differences(old: Mapping[str, Key], new: Mapping[str, Key]) -> Iterator[str]:
    for sha256 in {**old, **new}:
        before, after = old.get(sha256), new.get(sha256)
        if before is None and after is not None:
            yield f"new key {key_words(after)}"
        elif before is not None and after is None:
            yield f"key {before.key_id} removed"
        elif before is not None and after is not None and before != after:
            yield f"key {key_words(before)} -> {key_words(after)}"
