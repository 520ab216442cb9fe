"""The access file of the made-up company: its teams and people, budgets to look at, and a key for each reader to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from openai_proxy.access.edits import Values, add_key, add_team, add_user, issued_key
from openai_proxy.access.fields import Role
from openai_proxy.keys import key_hash, new_key
from openai_proxy.local.demo_usage_people import PEOPLE, TEAM_BUDGETS, Person, key_id

SHOWN = ("vera", "ada", "ivo")
"""An admin, a lead and a member, whose keys are shown."""
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownKey:
    """A key to sign in with, of somebody who sees all, a team, or what is theirs."""

    user_id: str
    team_id: str
    role: Role
    key_id: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was spent this month, in USD, by user and by team."""

    by_user: Mapping[str, Decimal]
    by_team: Mapping[str, Decimal]


def access_file(text: str, spent: Spent, now: datetime) -> tuple[str, Sequence[ShownKey]]:
    """The text with all made-up teams and users in it, and the keys that are shown; nobody knows the others.

    Raises:
        EditError: one of the names is taken.
    """
    for team_id, budget in TEAM_BUDGETS.items():
        text = add_team(text, team_id, _budgets(spent.by_team.get(team_id), budget))
    shown = []
    for person in PEOPLE:
        values = {
            "team": person.team_id,
            "role": person.role,
            "may_name_users": True if person.end_users else None,
            **_budgets(spent.by_user.get(person.user_id), person.budget),
        }
        for number, note in enumerate(person.keys):
            key = new_key()
            entry = issued_key(key_id(person.user_id, number), key_hash(key), now, note=note)
            if number:
                text = add_key(text, person.user_id, entry)
            else:
                text = add_user(text, person.user_id, entry, values)
                shown += [_shown(person, key)] if person.user_id in SHOWN else []
    return text, sorted(shown, key=lambda one: SHOWN.index(one.user_id))


def _shown(person: Person, key: str) -> ShownKey:
    return ShownKey(
        user_id=person.user_id, team_id=person.team_id, role=person.role, key_id=key_id(person.user_id, 0), key=key
    )


def _budgets(spent: Decimal | None, multiple: Decimal | None) -> Values:
    """A budget a month in a round number, so that this much of it is used; none where nothing was spent."""
    if multiple is None or not spent:
        return {}
    amount = max(_CENT, spent * multiple)
    amount = amount.quantize(max(_CENT, Decimal(1).scaleb(amount.adjusted() - 1)), ROUND_HALF_EVEN)
    return {"budgets": [{"amount": format(amount, "f"), "period": "month"}]}
