"""Access files as JSON has them, good and bad: for what holds of every one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import tomlkit
from hypothesis import strategies as st

from openai_proxy.access.fields import PERIODS, ROLES
from openai_proxy.access.reading import KEY, ORGANIZATION, RULES, TEAM, USER
from openai_proxy.api.permissions import PERMISSIONS

WRONG: list[Any] = ["", " ", 0, -1, 1, 1.5, True, [], {}, ["x"], [[]], {"x": 1}, "x" * 300, "ü", "2026-05-01"]
NAMES = ["ada", "b@c.d", "a" * 64]
BAD_NAMES = ["", "-a", "a b", "a" * 65, "ü"]
AMOUNTS = ["20", "20.00", "0", 0, 20, "0.000001", 999_999_999, "999999999.999999"]
BAD_AMOUNTS = ["1e3", "-1", "+1", "1.", ".5", "1.0000001", "1234567890", -1, 1_000_000_000, 20.5, True, ""]
GOOD: Mapping[str, Any] = {
    "allow": [[], ["files"], list(PERMISSIONS)],
    "models": [[], ["*"], ["gpt-*", "o[34]*"]],
    "denied_models": [[], ["*-pro"]],
    "requests_per_minute": [1, 60, 1_000_000_000],
    "tokens_per_minute": [1, 200_000],
    "concurrent_requests": [1, 8],
    "required_tags": [[], ["project"], ["a" * 32, "b_1", "c", "d", "e"]],
    "store": [True, False],
    "upstream_key": ["research", "0_a-b"],
    "team": NAMES,
    "role": list(ROLES),
    "email": ["ada@example.com", "Ada.L+x@sub.example.com", "a" * 64 + "@b"],
    "revoked": [True, False],
    "allow_user_name": [True, False],
    "may_name_users": [True, False],
    "id": NAMES,
    "created_time": ["2026-05-01T12:00:00Z", "2026-05-01T12:00:00.123456+02:00"],
    "expires_time": ["2027-05-01T12:00:00Z"],
    "note": ["laptop", "für Ada: phone, task-force", "x" * 39],
}
BAD: Mapping[str, Any] = {
    "allow": [["all"], ["files", 1], "files"],
    "models": [["gpt 4"], ["x" * 129], ["ü"], "gpt-*", [1]],
    "required_tags": [["a", "b", "c", "d", "e", "f"], ["a b"], ["_a"], ["A"], ["a" * 33]],
    "requests_per_minute": [1_000_000_001, "60"],
    "upstream_key": ["Research", "../x", "a b"],
    "team": BAD_NAMES,
    "role": ["boss", "Admin"],
    "email": ["ada", "@example.com", "ada@", "a b@c.d", "a@b@c", "ü@example.com", "a" * 65 + "@b", "a@b_c"],
    "id": BAD_NAMES,
    "sha256": ["0" * 63, "0" * 65, "G" * 64, "A" * 64, 0],
    "created_time": ["2026-05-01", "2026-05-01T12:00:00", "never"],
    "note": ["a\nb", "x" * 40, "it is sk-op-x", "sk-x", "x " * 101],
}
COUNTER = iter(range(10**9))


def budgets() -> st.SearchStrategy[Any]:
    budget = st.fixed_dictionaries(
        {
            "amount": mostly(st.sampled_from(AMOUNTS), BAD_AMOUNTS),
            "period": mostly(st.sampled_from(PERIODS), ["year", 1]),
        }
    )
    return mostly(
        st.lists(budget, max_size=3), [[{}], [{"amount": "1"}], [{"amount": "1", "period": "day", "x": 1}], [1]]
    )


def mostly(good: st.SearchStrategy[Any], bad: list[Any]) -> st.SearchStrategy[Any]:
    """The good, and one time in many something else."""
    return st.integers(0, 24).flatmap(lambda dice: good if dice else st.sampled_from(bad + WRONG))


def value(name: str) -> st.SearchStrategy[Any]:
    if name in {"budgets", "user_budgets"}:
        return budgets()
    if name == "sha256":  # each another, since a key has one holder
        return mostly(st.builds(lambda: f"{next(COUNTER):064x}"), BAD["sha256"])
    if name == "email":  # each another, since an address has one owner
        return mostly(st.builds(lambda: f"ada{next(COUNTER)}@example.com"), BAD["email"])
    if name == "keys":
        return mostly(st.lists(table(KEY, required=("id", "sha256", "created_time")), max_size=2), [])
    return mostly(st.sampled_from(GOOD[name]), BAD.get(name, []))


def table(fields: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    needed = {name: value(name) for name in required}
    further = {name: value(name) for name in fields if name not in required}
    whole = st.fixed_dictionaries(needed, optional=further)
    return mostly(whole, [{"colour": 1}, {"id": "k"}])


def named(tables: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return mostly(st.dictionaries(mostly_named, tables, max_size=2), [])


mostly_named = st.integers(0, 24).flatmap(lambda dice: st.sampled_from(NAMES if dice else BAD_NAMES))
DOCUMENTS = st.fixed_dictionaries(
    {"version": mostly(st.just(1), [2, "1", True])},
    optional={
        "defaults": table(RULES),
        "organization": table(ORGANIZATION),
        "teams": named(table(TEAM)),
        "users": named(table(USER)),
    },
)


def to_toml(document: Any) -> str:
    """The text, with times of TOML's own where a time is meant."""
    return tomlkit.dumps(_with_times(document))


def _with_times(document: Any, name: str = "") -> Any:
    if isinstance(document, dict):
        return {field: _with_times(one, field) for field, one in document.items()}
    if isinstance(document, list):
        return [_with_times(member) for member in document]
    if name.endswith("_time") and isinstance(document, str):
        for read in (date.fromisoformat, datetime.fromisoformat):
            try:
                return read(document)
            except ValueError:
                continue
    return document
