"""Users, teams, keys and a clock in any order, against dicts that say who may do what.

The dicts know nothing of TOML, hashes or patterns. After each step every key that was ever issued is tried, also those
that are long gone: none lets anybody in who may not, and none keeps anybody out who may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from openai_proxy.access import edits as access_edits
from openai_proxy.access.callers import Access, Caller, Key
from openai_proxy.access.toml_edits import EditError
from openai_proxy.api import endpoints
from openai_proxy.keys import key_hash, new_key

BEGIN = datetime(2026, 12, 31, 23, 59, 58, 250_000, tzinfo=UTC)
TICK = timedelta(microseconds=1)
USERS = ["ada", "Ada", "b.c@d"]
TEAMS = ["ada", "a.b"]
OPERATIONS: Mapping[tuple[str, str], tuple[str | None, bool]] = {  # what each needs: a permission; an admin or `lists`
    ("POST", "/v1/chat/completions"): (None, False),
    ("POST", "/v1/responses"): (None, False),
    ("GET", "/v1/models"): (None, False),
    ("POST", "/v1/files"): ("files", False),
    ("GET", "/v1/files/file-1"): ("files", False),
    ("GET", "/v1/files"): ("files", True),
    ("POST", "/v1/batches"): ("batches", False),
    ("GET", "/v1/batches"): ("batches", True),
}
MODELS = {"gpt-4o", "gpt-4o-pro", "GPT-4o", "o3", "o3-pro", "o[3]"}
PATTERNS: Mapping[str, set[str]] = {
    "*": MODELS,
    "gpt-*": {"gpt-4o", "gpt-4o-pro"},
    "*-pro": {"gpt-4o-pro", "o3-pro"},
    "gpt-4o": {"gpt-4o"},
    "o[13]": {"o3"},
    "?3": {"o3"},
    "claude-*": set(),
}
PATTERN_LISTS = st.none() | st.lists(st.sampled_from(sorted(PATTERNS)), max_size=2)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "allow": st.none() | st.lists(st.sampled_from(["files", "batches", "lists"]), max_size=2),
    "models": PATTERN_LISTS,
    "denied_models": PATTERN_LISTS,
    "requests_per_minute": st.none() | st.integers(1, 9),
    "required_tags": st.none() | st.lists(st.sampled_from(["project", "stage"]), max_size=2, unique=True),
}
FLAG = st.none() | st.booleans()
OF_EVERYBODY = st.fixed_dictionaries({}, optional=COMMON)
OF_TEAMS = st.fixed_dictionaries(COMMON, optional={"store": FLAG})
OF_USERS = st.fixed_dictionaries(
    {"team": st.none() | st.sampled_from(TEAMS)},
    optional={
        **COMMON,
        "role": st.none() | st.sampled_from(["member", "lead", "admin"]),
        "revoked": st.sampled_from([None, False]),
        "allow_user_name": FLAG,
        "may_name_users": FLAG,
    },
)
LASTS = st.sampled_from([timedelta(0), TICK, timedelta(seconds=1), timedelta(hours=1), timedelta(days=400)])
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))])
FIRST = new_key()
INLINE = f"""\
version = 1
users = {{ada = {{keys = [{{id = "key_0", sha256 = "{key_hash(FIRST)}", created_time = 2026-12-31T00:00:00Z}}]}}}}
"""
HEADED = f"""\
version = 1
[[users.ada.keys]]
id = "key_0"
sha256 = "{key_hash(FIRST)}"
created_time = 2026-12-31T05:30:00+05:30
[users.ada] # after its keys
"""


@dataclass(slots=True)
class Issued:
    """A key that somebody was shown once; `ends` None: never."""

    key_id: str
    secret: str = field(repr=False)
    owner: str
    created: datetime
    ends: datetime | None = None
    gone: bool = False

    def is_valid(self, now: datetime) -> bool:
        return not self.gone and (self.ends is None or now < self.ends)


def second(time: datetime) -> datetime:
    return time.replace(microsecond=0)


class AccessMachine(RuleBasedStateMachine):
    """`text` is the real file; all else is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGIN
        self.text = access_edits.NEW_FILE
        self.access = Access.parse(self.text)
        self.issued: list[Issued] = []
        self.everybody: dict[str, Any] = {}
        self.teams: dict[str, dict[str, Any]] = {}
        self.users: dict[str, dict[str, Any]] = {}

    @initialize(text=st.sampled_from([access_edits.NEW_FILE, INLINE, HEADED]))
    def begin(self, text: str) -> None:
        self.text, self.access = text, Access.parse(text)
        if text != access_edits.NEW_FILE:
            self.users["ada"] = {}
            self.issued.append(Issued("key_0", FIRST, "ada", datetime(2026, 12, 31, tzinfo=UTC)))

    @rule(passes=LASTS)
    def time_passes(self, passes: timedelta) -> None:
        self.now += passes

    @rule(number=st.integers(0), early=st.booleans())
    def time_passes_until_a_key_ends(self, number: int, early: bool) -> None:  # noqa: FBT001 - hypothesis names it
        ends = sorted({key.ends - TICK * early for key in self.issued if key.ends} - {self.now})
        later = [time for time in ends if time > self.now]
        if later:
            self.now = later[number % len(later)]

    @rule(name=st.sampled_from(USERS), values=OF_USERS)
    def add_user(self, name: str, values: dict[str, Any]) -> None:
        self.edit(
            lambda text, key: access_edits.add_user(text, name, key, values),
            refused=name in self.users,
            owner=name,
        )
        self.users.setdefault(name, dict(values))

    @rule(name=st.sampled_from(USERS), values=OF_USERS)
    def set_user(self, name: str, values: dict[str, Any]) -> None:
        self.edit(lambda text, _: access_edits.set_user(text, name, values), refused=name not in self.users)
        self.users.get(name, {}).update(values)

    @rule(name=st.sampled_from(USERS))
    def revoke_user(self, name: str) -> None:
        self.edit(lambda text, _: access_edits.revoke_user(text, name), refused=name not in self.users)
        self.users.get(name, {}).update(revoked=True)

    @rule(name=st.sampled_from(TEAMS), values=OF_TEAMS)
    def add_team(self, name: str, values: dict[str, Any]) -> None:
        self.edit(lambda text, _: access_edits.add_team(text, name, values), refused=name in self.teams)
        self.teams.setdefault(name, dict(values))

    @rule(name=st.sampled_from(TEAMS), values=OF_TEAMS)
    def set_team(self, name: str, values: dict[str, Any]) -> None:
        self.edit(lambda text, _: access_edits.set_team(text, name, values), refused=name not in self.teams)
        self.teams.get(name, {}).update(values)

    @rule(name=st.sampled_from(TEAMS))
    def remove_team(self, name: str) -> None:
        members = [user for user in self.users.values() if user.get("team") == name and not user.get("revoked")]
        refused = name not in self.teams or bool(members)
        self.edit(lambda text, _: access_edits.remove_team(text, name), refused=refused)
        if not refused:
            del self.teams[name]

    @rule(values=OF_EVERYBODY)
    def set_everybody(self, values: dict[str, Any]) -> None:
        self.edit(lambda text, _: access_edits.set_everybody(text, values))
        self.everybody.update(values)

    @rule(name=st.sampled_from(USERS), lasts=st.none() | LASTS, zone=ZONES)
    def add_key(self, name: str, lasts: timedelta | None, zone: timezone) -> None:
        ends = None if lasts is None else (self.now + lasts).astimezone(zone)
        self.edit(
            lambda text, key: access_edits.add_key(text, name, key),
            refused=not self.calls(name),
            owner=name,
            ends=ends,
        )

    @rule(name=st.sampled_from(USERS), overlap=LASTS.filter(lambda overlap: overlap != TICK))
    def rotate_key(self, name: str, overlap: timedelta) -> None:
        refused, before = not self.calls(name), [key for key in self.issued if key.owner == name and not key.gone]
        self.edit(
            lambda text, key: access_edits.rotate_key(text, name, key, overlap=overlap), refused=refused, owner=name
        )
        valid = [key for key in before if key.is_valid(self.now)]
        newest = max(enumerate(valid), key=lambda one: (one[1].created, one[0]), default=(0, None))[1]
        for key in [] if refused else before:
            if key is newest and overlap:
                until = second(self.now) + overlap
                key.ends = min(key.ends or until, until)
            else:
                key.gone = True

    @rule(number=st.integers(0))
    def revoke_key(self, number: int) -> None:
        if self.issued:
            key = self.issued[number % len(self.issued)]
            refused = not key.is_valid(self.now)
            self.edit(lambda text, _: access_edits.revoke_key(text, key.key_id, self.now), refused=refused)
            key.ends = key.ends if refused else second(self.now)

    @invariant()
    def each_key_ever_issued_opens_what_its_holder_may_use_and_nothing_else(self) -> None:
        for key in self.issued:
            times = [self.now] if key.ends is None else [self.now, key.ends - TICK, key.ends]
            for time in times:
                for scheme in ("Bearer", "UserName"):
                    caller = self.access.authenticate(f"{scheme} {key.secret}", time)
                    expected = key.owner if key.is_valid(time) and self.calls(key.owner) else None
                    assert (caller and (caller.user_id, caller.key_id)) == (expected and (expected, key.key_id))
            for wrong in (key_hash(key.secret), key.key_id, key.secret.swapcase(), key.secret[:-1], key.secret + "0"):
                assert self.access.authenticate(f"Bearer {wrong}", self.now) is None

    @invariant()
    def a_plain_name_opens_what_it_may_where_that_is_allowed(self) -> None:
        for name in USERS:
            assert self.access.authenticate(f"Bearer {name}", self.now) is None
            caller = self.access.authenticate(f"UserName {name}", self.now)
            by_name = self.calls(name) and bool(self.users[name].get("allow_user_name"))
            assert (caller and (caller.user_id, caller.key_id)) == ((name, "user_name") if by_name else None)

    @invariant()
    def each_who_may_call_may_do_what_the_nearest_table_says(self) -> None:
        assert {user.user_id for user in self.access.users.values()} == set(self.users)
        for key in self.issued:
            if caller := self.access.authenticate(f"Bearer {key.secret}", self.now):
                self.may_do_what_is_said(caller)

    def may_do_what_is_said(self, caller: Caller) -> None:
        user = self.users[caller.user_id]
        team = self.teams.get(user.get("team") or "", {})
        near = [user, team, self.everybody]
        allow = {permission for table in near for permission in table.get("allow") or ()}

        role = user.get("role") or "member"
        assert (caller.role, caller.team_id) == (role, user.get("team"))
        for (method, path), (permission, lists) in OPERATIONS.items():
            route = endpoints.find(method, path)
            assert isinstance(route, endpoints.Route)
            may = permission in {None, *allow} and (not lists or role == "admin" or "lists" in allow)
            assert (route.endpoint.missing(caller.allow, is_admin=caller.role == "admin") is None) == may, path

        models, denied = nearest("models", near), nearest("denied_models", near)
        may_use = (MODELS if models is None else named_by(models)) - named_by(denied or [])
        assert {model for model in MODELS if caller.policy.permits(model)} == may_use
        assert caller.policy.requests_per_minute == nearest("requests_per_minute", near)
        assert caller.policy.required_tags == tuple(nearest("required_tags", near) or ())
        assert caller.policy.may_name_users == bool(user.get("may_name_users"))
        assert caller.store == (team.get("store") is not False)

    def calls(self, name: str) -> bool:
        return name in self.users and not self.users[name].get("revoked")

    def edit(
        self,
        change: Callable[[str, Key], str],
        *,
        refused: bool = False,
        owner: str = "",
        ends: datetime | None = None,
    ) -> None:
        """Edit the file, and remember the key that this gave `owner`; what is refused changes nothing."""
        made = Issued(f"key_{len(self.issued)}", new_key(), owner, second(self.now), ends and second(ends))
        entry = access_edits.issued_key(made.key_id, key_hash(made.secret), self.now, expires_time=ends)
        if refused:
            with pytest.raises(EditError):
                change(self.text, entry)
        else:
            self.text = change(self.text, entry)
            self.access = Access.parse(self.text)
        if owner:
            made.gone = refused
            self.issued.append(made)


def nearest(name: str, tables: Sequence[Mapping[str, Any]]) -> Any:
    return next((table[name] for table in tables if table.get(name) is not None), None)


def named_by(patterns: Sequence[str]) -> set[str]:
    return set().union(*(PATTERNS[pattern] for pattern in patterns))


AccessMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestAccessOverTime = AccessMachine.TestCase


def test_two_fields_are_unset_where_they_are_dotted_keys() -> None:
    text = 'version = 1\nusers.ada.role = "lead"\nusers.ada.models = ["a"]\nusers.ada.revoked = true\n'

    text = access_edits.set_user(text, "ada", {"role": None, "models": None})

    assert text == "version = 1\nusers.ada.revoked = true\n"
