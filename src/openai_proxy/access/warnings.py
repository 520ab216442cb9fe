"""What an access file allows and nobody is likely to mean. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime

from openai_proxy.access.callers import Access
from openai_proxy.access.fields import Allowance
from openai_proxy.access.mistakes import Mistake, located
from openai_proxy.access.tables import Rules, User
from openai_proxy.access.toml_positions import Path

_Found = Iterator[tuple[Path, str]]


def warnings(access: Access, text: str, *, now: datetime, is_known: Callable[[str], bool]) -> list[Mistake]:
    """What is odd in a good file, in the text's order; `is_known` says whether a pattern fits a model with a price."""
    tables = access.tables
    found = [
        *_rules(("defaults",), tables.defaults, is_known),
        *_budgets(("organization", "budgets"), tables.organization),
    ]
    members = {user.team_id for user in tables.users.values() if not user.revoked}
    for name, team in tables.teams.items():
        path = ("teams", name)
        found += _rules(path, team.rules, is_known, budgets="user_budgets")
        found += _budgets((*path, "budgets"), team.budgets)
        if name not in members:
            found.append((path, "nobody who may call is in this team"))
    for name, user in tables.users.items():
        if not user.revoked:
            found += _user(("users", name), user, now, tables.teams)
            found += _rules(("users", name), user.rules, is_known)
    found += _shared_ids(tables.users)
    return located(text, found) if found else []


def _user(path: Path, user: User, now: datetime, teams: Collection[str]) -> _Found:
    if not user.keys and not user.allow_user_name and not user.email:
        yield path, f"there is no key; try: key add {user.user_id}"
    elif user.keys and not any(key.is_valid(now) for key in user.keys):
        yield (*path, "keys"), f"all keys have expired; try: key add {user.user_id}"
    for number, key in enumerate(user.keys):
        if key.expires_time is not None and key.expires_time <= key.created_time:
            yield (
                (*path, "keys", number, "expires_time"),
                "not after created_time: one of them is wrong",
            )
        if key.created_time > now:
            yield (
                (*path, "keys", number, "created_time"),
                "in the future, which has no effect",
            )
    if user.team_id is not None and user.team_id not in teams:
        yield (*path, "team"), f"there is no table [teams.{user.team_id}], so nothing holds for this team"


def _rules(path: Path, rules: Rules, is_known: Callable[[str], bool], *, budgets: str = "budgets") -> _Found:
    yield from _budgets((*path, budgets), rules.budgets or ())
    if rules.models == ():
        yield (*path, "models"), "an empty list allows no model at all"
    for field, patterns in (("models", rules.models), ("denied_models", rules.denied_models)):
        for number, pattern in enumerate(patterns or ()):
            if not is_known(pattern):
                yield (*path, field, number), "no model with a known price has a name like this"


def _budgets(path: Path, budgets: Iterable[Allowance]) -> _Found:
    for number, budget in enumerate(budgets):
        if not budget.amount:
            yield (*path, number, "amount"), "0 refuses every request that costs anything"


def _shared_ids(users: Mapping[str, User]) -> _Found:
    holders: dict[str, str] = {}
    for user in users.values():
        for number, key in enumerate(user.keys):
            if key.key_id in holders:
                yield (
                    ("users", user.user_id, "keys", number, "id"),
                    f"a key of {holders[key.key_id]} has this id too, so the ledger does not tell them apart",
                )
            else:
                holders[key.key_id] = user.user_id
