from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.access import Access, AccessFileError, Caller
from openai_proxy.keys import key_hash, new_key

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY, OLD_KEY, REVOKED_KEY = new_key(), new_key(), new_key()
TEXT = f"""
version = 1

[users.ada]
team = "research"
role = "admin"
allow = ["background_responses"]

[[users.ada.keys]]
id = "key_new"
sha256 = "{key_hash(KEY)}"
created_time = 2026-04-01T00:00:00Z

[[users.ada.keys]]
id = "key_old"
sha256 = "{key_hash(OLD_KEY)}"
created_time = 2026-01-01T00:00:00Z
expires_time = 2026-05-01T12:00:00Z

[users.demo]
allow_user_name = true

[users.gone]
revoked = true
allow_user_name = true

[[users.gone.keys]]
id = "key_gone"
sha256 = "{key_hash(REVOKED_KEY)}"
created_time = 2026-01-01T00:00:00Z
"""
ACCESS = Access.parse(TEXT)
ADA = Caller(
    user_id="ada", key_id="key_new", team_id="research", role="admin", allow=frozenset({"background_responses"})
)


@pytest.mark.parametrize(
    "header", [f"Bearer {KEY}", f"bearer {KEY}", f"UserName {KEY}", f"USERNAME  {KEY} ", f" Bearer {KEY}"]
)
def test_a_key_names_its_holder(header: str) -> None:
    assert ACCESS.authenticate(header, NOW) == ADA


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        KEY,
        f"Basic {KEY}",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        "Bearer demo",
        "Bearer ada",
        "UserName ada",
        "UserName gone",
        "UserName nobody",
        f"Bearer {REVOKED_KEY}",
        f"Bearer {OLD_KEY}",
        f"Bearer {key_hash(KEY)}",
        "Bearer \ud800",
        "Bearer " + "x" * 10_000,
    ],
)
def test_anything_else_names_nobody(header: str | None) -> None:
    assert ACCESS.authenticate(header, NOW) is None


def test_a_plain_name_is_a_credential_only_where_the_owner_said_so() -> None:
    caller = ACCESS.authenticate("UserName demo", NOW)

    assert caller == Caller(user_id="demo", key_id="user_name", team_id=None, role="member", allow=frozenset())


def test_a_key_is_valid_until_it_expires_and_two_keys_may_overlap() -> None:
    before = NOW - timedelta(seconds=1)

    assert {ACCESS.authenticate(f"Bearer {key}", before) for key in (KEY, OLD_KEY)} == {
        ADA,
        Caller(user_id="ada", key_id="key_old", team_id="research", role="admin", allow=ADA.allow),
    }


TEAMS = """
version = 1

[defaults]
allow = ["files"]

[teams.research]
allow = ["batches", "files"]
store = false

[teams.support]
allow = ["evals"]

[users.ada]
team = "research"
allow = ["realtime"]
allow_user_name = true

[users.bob]
team = "not-in-the-file"
allow_user_name = true

[users.eve]
allow_user_name = true

[users.kim]
team = "support"
allow_user_name = true
"""


@pytest.mark.parametrize(
    ("user_id", "allow", "store"),
    [
        ("ada", {"files", "batches", "realtime"}, False),
        ("bob", {"files"}, True),
        ("eve", {"files"}, True),
        ("kim", {"files", "evals"}, True),
    ],
)
def test_a_caller_is_allowed_what_they_their_team_or_everybody_is(user_id: str, allow: set[str], store: bool) -> None:  # noqa: FBT001 - a case
    caller = Access.parse(TEAMS).authenticate(f"UserName {user_id}", NOW)

    assert caller
    assert caller.allow == allow
    assert caller.store is store


def broken(text: str) -> str:
    with pytest.raises(AccessFileError) as caught:
        Access.parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must begin with version = 1"),
        ("version = 2", "must begin with version = 1"),
        ("version = 1\nversion = 1", "not TOML: at "),
        ("version = 1\n= 1", "not TOML: at line 2, column 1"),
        ("version = 1\n[users.ada", "not TOML: at "),
        ("version = 1\nx = " + "[" * 10_000, "not TOML: nested too deeply"),
        (
            "version = 1\ncolour = 1",
            "the access file: 'colour' is not known here; known: defaults, teams, users, version",
        ),
        ("version = 1\nusers = 1", "users: expected a table"),
        ("version = 1\n[users]\nada = 1", "users.ada: expected a table"),
        ('version = 1\n[users."a b"]', "users.a b: a user's name has 1 to 64 letters"),
        ("version = 1\n[users.ada]\ncolour = 1", "users.ada: 'colour' is not known here"),
        ("version = 1\n[users.ada]\nteam = 1", "users.ada.team: expected"),
        ('version = 1\n[users.ada]\nteam = "a b"', "users.ada.team: expected"),
        ('version = 1\n[users.ada]\nrole = "boss"', "users.ada.role: expected one of member, admin"),
        ("version = 1\n[users.ada]\nrevoked = 1", "users.ada.revoked: expected true or false"),
        (
            'version = 1\n[users.ada]\nallow = ["all"]',
            "users.ada.allow: 'all' is not known; known: background_responses,",
        ),
        ('version = 1\n[users.ada]\nallow = "all"', 'users.ada.allow: expected a list, as ["'),
        ("version = 1\n[users.ada]\nallow = [[]]", "users.ada.allow: '[]' is not known; known: background_responses,"),
        ("version = 1\n[users.ada]\nstore = false", "users.ada: 'store' is not known here"),
        ('version = 1\n[defaults]\nallow = ["batch"]', "defaults.allow: 'batch' is not known; known: "),
        ("version = 1\n[defaults]\nstore = false", "defaults: 'store' is not known here; known: allow"),
        ("version = 1\ndefaults = []", "defaults: expected a table"),
        ('version = 1\n[teams.x]\nallow = ["batch"]', "teams.x.allow: 'batch' is not known; known: "),
        ('version = 1\n[teams.x]\nstore = "no"', "teams.x.store: expected true or false"),
        ("version = 1\n[teams.x]\nkeys = []", "teams.x: 'keys' is not known here; known: allow, store"),
        ('version = 1\n[teams."a b"]', "teams.a b: a team's name has 1 to 64 letters"),
        ("version = 1\n[teams]\nx = 1", "teams.x: expected a table"),
        ("version = 1\nteams = 1", "teams: expected a table"),
        ("version = 1\n[users.ada]\nkeys = 1", "users.ada.keys: expected [[users.ada.keys]] tables"),
        ("version = 1\n[users.ada]\nkeys = [1]", "users.ada.keys[0]: expected a table"),
        ("version = 1\n[users.ada]\nkeys = [{x = 1}]", "users.ada.keys[0]: 'x' is not known here"),
        ("version = 1\n[users.ada]\nkeys = [{id = 1}]", "users.ada.keys[0].id: expected"),
        ('version = 1\n[users.ada]\nkeys = [{id = "k", sha256 = "abc"}]', "users.ada.keys[0].sha256: expected 64"),
    ],
)
def test_a_broken_file_says_where_and_what_was_expected(text: str, says: str) -> None:
    assert says in broken(text)


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ("", "created_time is missing"),
        ("created_time = 2026-01-01", "created_time: expected a time with its zone"),
        ("created_time = 2026-01-01T00:00:00", "created_time: expected a time with its zone"),
        ("created_time = 0001-01-01T00:00:00+10:00", "created_time: out of range"),
        ("created_time = 2026-01-01T00:00:00Z\nexpires_time = 'never'", "expires_time: expected a time with its zone"),
    ],
)
def test_a_key_has_times_with_their_zones(times: str, says: str) -> None:
    key = f"[[users.ada.keys]]\nid = 'k'\nsha256 = '{key_hash(KEY)}'\n{times}"

    assert broken(f"version = 1\n{key}") == f"users.ada.keys[0].{says}" or says in broken(f"version = 1\n{key}")


def test_one_key_has_one_holder() -> None:
    key = f'keys = [{{id = "k", sha256 = "{key_hash(KEY)}", created_time = 2026-01-01T00:00:00Z}}]'

    said = broken(f"version = 1\n[users.a]\n{key}\n[users.b]\n{key}")

    assert said == "users.b: key 'k' is already held by another entry"


def test_what_is_said_of_a_broken_file_shows_no_hash() -> None:
    assert key_hash(KEY) not in broken(TEXT + f'\nx = "{key_hash(KEY)}"\nx = "{key_hash(KEY)}"')


@given(st.text())
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(AccessFileError):
        Access.parse(text)


@given(st.text() | st.none())
def test_whatever_the_header_it_names_nobody_by_accident(header: str | None) -> None:
    assert ACCESS.authenticate(header, NOW) is None or "demo" in str(header)
