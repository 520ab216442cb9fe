"""Who is in the made-up company: teams, people, applications, their hours and their habits. Nobody of them exists."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from openai_proxy.access.fields import Role

MARK = "demo-"
"""What each team's name and each request's id begin with."""

_OFFICE = (0, 0, 0, 0, 0, 0, 0, 2, 7, 10, 10, 9, 5, 8, 10, 10, 9, 6, 3, 1, 1, 1, 0, 0)  # of each hour, UTC
_EARLY = (0, 0, 0, 0, 0, 1, 5, 9, 10, 10, 9, 6, 7, 10, 8, 5, 2, 0, 0, 0, 0, 0, 0, 0)
_OVERSEAS = (2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 8, 10, 10, 8, 6, 9, 10, 9, 6, 4)
_NIGHT_OWL = (6, 4, 2, 1, 0, 0, 0, 0, 1, 3, 5, 6, 5, 6, 7, 8, 8, 7, 5, 4, 6, 8, 9, 8)
_NIGHTLY = (0, 8, 10, 10, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_ALWAYS = (3, 2, 2, 2, 2, 3, 4, 6, 8, 10, 10, 10, 9, 9, 10, 10, 9, 8, 7, 7, 6, 5, 5, 4)
_SELDOM, _STEADY = 0.06, 0.45  # of a working day, what a weekend day is to people, and to applications


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A made-up member or application.

    `requests` is their share of all, `work` what of it is which (`demo_usage_work.WORK`), `joined` when they came, as a
    part of the whole time. `keys` are notes, a key each. `tags` bear a name and the values that are picked from.
    `budget` is what they may spend a month, as a multiple of what they did; None: there is none.
    """

    user_id: str
    team_id: str
    requests: float
    work: Mapping[str, float]
    hours: tuple[int, ...] = _OFFICE
    role: Role = "member"
    weekend: float = _SELDOM
    joined: float = 0.0
    keys: tuple[str, ...] = ("laptop",)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    end_users: int = 0
    budget: Decimal | None = None


_ASKS = {"ask": 6.0, "write": 3.0, "search": 0.5, "look around": 0.2}
_WRITES = {"write": 6.0, "ask": 3.0, "search": 1.5, "think": 0.1}
_CODES = {"code": 8.0, "ask": 1.5, "write": 1.0, "look around": 0.2}
_DRAWS = {"draw": 3.0, "write": 3.0, "ask": 3.0}
_APOLLO = {"project": ("apollo",), "stage": ("test", "test", "prod")}

TEAM_BUDGETS: Mapping[str, Decimal | None] = {
    "demo-research": Decimal("1.45"),
    "demo-product": None,
    "demo-support": Decimal("1.8"),
    "demo-studio": Decimal("1.12"),
}
"""The teams, each with its budget a month as a multiple of what it spent."""

PEOPLE: tuple[Person, ...] = (
    Person(user_id="ada", team_id="demo-research", requests=5, work=_WRITES, role="lead", keys=("laptop", "notebook")),
    Person(user_id="emil", team_id="demo-research", requests=4, work=_CODES, hours=_OVERSEAS),
    Person(user_id="farah", team_id="demo-research", requests=3, work=_WRITES, joined=0.35),
    Person(user_id="goran", team_id="demo-research", requests=2, work=_ASKS),
    Person(user_id="hana", team_id="demo-research", requests=3, work={"search": 4.0, "write": 3.0, "think": 0.3}),
    Person(
        user_id="ivo",
        team_id="demo-research",
        requests=16,
        work={"code": 9.0, "write": 2.0, "think": 0.25, "search": 0.5},
        hours=_NIGHT_OWL,
        weekend=0.5,
        keys=("laptop", "desktop", "agent"),
        tags=_APOLLO,
        budget=Decimal("1.07"),
    ),
    Person(
        user_id="nightly-evals",
        team_id="demo-research",
        requests=14,
        work={"judge": 1.0},
        hours=_NIGHTLY,
        weekend=1.0,
        joined=0.08,
        keys=("batch",),
        tags={"project": ("evals",), "run": ("nightly",)},
    ),
    Person(user_id="vera", team_id="demo-product", requests=1.5, work=_ASKS, role="admin"),
    Person(user_id="bea", team_id="demo-product", requests=3, work=_WRITES, role="lead"),
    Person(user_id="jonas", team_id="demo-product", requests=6, work=_CODES, keys=("laptop", "ci"), tags=_APOLLO),
    Person(user_id="kim", team_id="demo-product", requests=5, work=_CODES, hours=_OVERSEAS, budget=Decimal("0.94")),
    Person(user_id="lucia", team_id="demo-product", requests=4, work=_CODES, hours=_EARLY, joined=0.2),
    Person(user_id="mateo", team_id="demo-product", requests=2, work=_ASKS, joined=0.55),
    Person(
        user_id="docs-search",
        team_id="demo-product",
        requests=12,
        work={"find": 5.0, "sort": 1.0},
        hours=_ALWAYS,
        weekend=_STEADY,
        keys=("service",),
        tags={"project": ("handbook",), "stage": ("prod", "prod", "prod", "test")},
    ),
    Person(user_id="carla", team_id="demo-support", requests=2, work=_ASKS, role="lead"),
    Person(user_id="omar", team_id="demo-support", requests=2.5, work=_ASKS, hours=_EARLY),
    Person(user_id="petra", team_id="demo-support", requests=2, work=_ASKS),
    Person(user_id="quinn", team_id="demo-support", requests=1.5, work=_ASKS, hours=_OVERSEAS, joined=0.6),
    Person(
        user_id="chat-webui",
        team_id="demo-support",
        requests=15,
        work={"ask": 7.0, "write": 2.0, "guard": 1.0, "transcribe": 0.15},
        hours=_ALWAYS,
        weekend=_STEADY,
        joined=0.12,
        keys=("service",),
        end_users=42,
    ),
    Person(
        user_id="ticket-triage",
        team_id="demo-support",
        requests=11,
        work={"sort": 6.0, "sort with our own": 1.0, "find": 1.5},
        hours=_ALWAYS,
        weekend=_STEADY,
        keys=("service", "service 2"),
        tags={"project": ("helpdesk",), "stage": ("prod",)},
    ),
    Person(user_id="dana", team_id="demo-studio", requests=2, work=_WRITES, role="lead"),
    Person(user_id="sven", team_id="demo-studio", requests=2.5, work=_DRAWS),
    Person(user_id="tara", team_id="demo-studio", requests=2, work=_DRAWS, hours=_EARLY, joined=0.25),
    Person(
        user_id="podcast-maker",
        team_id="demo-studio",
        requests=3,
        work={"transcribe": 3.0, "speak": 2.0, "read aloud": 1.0, "write": 1.0},
        hours=_EARLY,
        keys=("service",),
        tags={"project": ("podcast",)},
    ),
)
"""Everybody."""


def key_id(user_id: str, number: int) -> str:
    """The name of one of a user's keys, always the same."""
    return f"key_{random.Random(f'{user_id} {number}').getrandbits(48):012x}"  # noqa: S311 - a name, no secret
