"""Users, teams and keys as the commands print them: objects for programs, rows for people. Never a hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime

from openai_proxy.access.budget import Budget
from openai_proxy.access.callers import Access
from openai_proxy.access.changes import words
from openai_proxy.access.fields import Allowance
from openai_proxy.access.policy import Policy
from openai_proxy.access.tables import Key, Rules, Team, User
from openai_proxy.records import cell_to_json

Object = dict[str, object]


def user_object(user: User) -> Object:
    """What the file says of a user; null where it says nothing."""
    return {
        "user_id": user.user_id,
        "team_id": user.team_id,
        "role": user.role,
        "email": user.email,
        "revoked": user.revoked,
        "allow_user_name": user.allow_user_name,
        "may_name_users": user.may_name_users,
        **rules_object(user.rules),
        "keys": [key_object(key) for key in user.keys],
    }


def team_object(team_id: str, team: Team, members: Iterable[str]) -> Object:
    """What the file says of a team, and who is in it."""
    return {
        "team_id": team_id,
        "budgets": _plain(team.budgets),
        "store": team.store,
        "upstream_key": team.upstream_key,
        **rules_object(team.rules, budgets="user_budgets"),
        "members": list(members),
    }


def rules_object(rules: Rules, *, budgets: str = "budgets") -> Object:
    """What a table says of each user's requests; `budgets` is how it calls theirs."""
    return {budgets if name == "budgets" else name: value for name, value in _members(rules).items()}


def organization_object(access: Access) -> Object:
    """What the file says of the whole proxy."""
    return {"budgets": _plain(access.tables.organization)}


def key_object(key: Key) -> Object:
    """A key, but for its hash."""
    return {
        "key_id": key.key_id,
        "created_time": cell_to_json(key.created_time),
        "expires_time": cell_to_json(key.expires_time),
        "note": key.note,
    }


def policy_object(access: Access, user: User) -> Object:
    """What holds for a user's requests, from all tables together."""
    caller = access.caller(user, "")
    return {"allow": _plain(caller.allow), "store": caller.store, **_members(caller.policy)}


def policy_rows(access: Access, user: User) -> Iterator[Object]:
    """The same for people: what, and who or what says so."""
    caller = access.caller(user, "")
    policy = caller.policy
    yield _row("models", "all" if policy.models is None else words(policy.models))
    yield _row("denied models", words(policy.denied_models))
    for budget in policy.budgets:
        whose = f"{budget.scope.kind} {budget.scope.name}".strip()
        yield _row("budget", f"{words(Allowance(budget.amount, budget.period))}, of the {whose}")
    for name in ("requests_per_minute", "tokens_per_minute", "concurrent_requests"):
        limit = getattr(policy, name)
        yield _row(name.replace("_", " "), "no limit" if limit is None else words(limit))
    yield _row("required tags", words(policy.required_tags))
    yield _row("allowed", words(caller.allow))
    yield _row("may name users", words(policy.may_name_users))
    yield _row("kept by OpenAI", words(caller.store))
    yield _row("key at OpenAI", policy.upstream_key or "the common one")


def said_rows(said: Mapping[str, str]) -> Iterator[Object]:
    """What a table says."""
    return (_row(name.replace("_", " "), text) for name, text in said.items())


def user_row(user: User, now: datetime) -> Object:
    """A user on one line."""
    return {
        "user": user.user_id,
        "team": user.team_id,
        "role": user.role,
        "state": "revoked" if user.revoked else "valid",
        "plain name": "accepted" if user.allow_user_name else "refused",
        "keys": " ".join(key.key_id for key in user.keys if key.is_valid(now)) or None,
    }


def opens(user: User, key: Key, now: datetime) -> bool:
    """Whether a key lets its user in."""
    return not user.revoked and key.is_valid(now)


def key_row(user: User, key: Key, now: datetime) -> Object:
    """A key on one line."""
    return {
        "key": key.key_id,
        "user": user.user_id,
        "state": "valid" if opens(user, key, now) else "user revoked" if user.revoked else "expired",
        "created": words(key.created_time),
        "expires": words(key.expires_time) if key.expires_time else None,
        "note": key.note,
    }


def _members(said: Rules | Policy) -> Object:
    return {field.name: _plain(getattr(said, field.name)) for field in fields(said)}


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(member) for member in value]
    if isinstance(value, Allowance | Budget):
        whose = {"scope_kind": value.scope.kind, "scope_name": value.scope.name} if isinstance(value, Budget) else {}
        return {**whose, "amount": f"{value.amount:f}", "period": value.period}
    return value


def _row(name: str, text: str) -> Object:
    return {"what": name, "value": text}
