from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.access.budget import Budget, Scope
from openai_proxy.access.callers import Access, Key
from openai_proxy.access.edits import (
    NEW_FILE,
    add_key,
    add_team,
    add_user,
    issued_key,
    remove_team,
    revoke_key,
    revoke_user,
    rotate_key,
    set_everybody,
    set_organization,
    set_team,
    set_user,
)
from openai_proxy.access.fields import Allowance
from openai_proxy.access.tables import Rules, Team, User
from openai_proxy.access.toml_edits import EditError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,20}", fullmatch=True)


def key(number: int, created_time: datetime = NOW) -> Key:
    return issued_key(f"key_{number}", f"{number:064x}", created_time)


def keys_of(text: str, user_id: str) -> tuple[Key, ...]:
    return Access.parse(text).users[user_id].keys


def test_a_new_file_can_be_read_and_has_no_users() -> None:
    assert Access.parse(NEW_FILE).users == {}


def test_an_added_user_holds_the_key() -> None:
    text = add_user(NEW_FILE, "ada", key(1), {"team": "research", "role": "admin", "allow_user_name": True})

    (user,) = Access.parse(text).users.values()
    assert (user.user_id, user.team_id, user.role, user.allow_user_name) == ("ada", "research", "admin", True)
    assert user.keys == (key(1),)
    assert text.startswith(NEW_FILE)


def test_a_file_reads_as_a_person_would_write_it() -> None:
    text = add_user(add_user("version = 1\n", "ada", key(1)), "a.b@c", key(2), {"team": "x"})

    assert (
        text
        == f"""\
version = 1

[users.ada]
role = "member"

[[users.ada.keys]]
id = "key_1"
sha256 = "{1:064x}"
created_time = 2026-05-01T12:00:00Z

[users."a.b@c"]
team = "x"
role = "member"

[[users."a.b@c".keys]]
id = "key_2"
sha256 = "{2:064x}"
created_time = 2026-05-01T12:00:00Z
"""
    )


def test_comments_and_what_else_the_owner_wrote_stay() -> None:
    text = """\
# ours
version = 1

# the boss
[users.ada] # since 1843
role = "admin"   # sees all
allow = ["background_responses"]
"""
    edited = add_user(revoke_user(rotate_key(text, "ada", key(1), overlap=DAY), "ada"), "grace", key(2))

    for comment in ("# ours", "# the boss\n[users.ada] # since 1843", 'role = "admin"   # sees all'):
        assert comment in edited


def test_every_comment_stays_above_the_table_that_it_is_about() -> None:
    text = """\
version = 1

# boss
[users.ada] # since 1843
role = "admin"

# everybody
[defaults]
allow = ["files"] # as agreed

# the team
[teams.research]
allow = [
  "batches", # they pay
]
store = false

# second
[users.grace]
team = "research"

# the end
"""
    for number, user_id in enumerate(("ada", "grace", "ada", "grace")):
        text = rotate_key(text, user_id, key(number), overlap=DAY)
    for user_id in ("ada", "grace"):
        text = revoke_user(text, user_id)
    text = add_user(text, "mary", key(9), {"team": "research"})

    headers = {before: after for before, after in pairwise(text.splitlines()) if before.startswith("#")}
    assert headers == {
        "# boss": "[users.ada] # since 1843",
        "# everybody": "[defaults]",
        "# the team": "[teams.research]",
        "# second": "[users.grace]",
        "# the end": "",
    }
    assert 'allow = [\n  "batches", # they pay\n]\nstore = false\n' in text
    users = Access.parse(text).users
    mary = Access.parse(text).caller(users["mary"], "key_9")
    assert mary.allow == {"files", "batches"}
    assert not mary.store
    assert users["ada"].keys[-1] == key(2)
    assert users["grace"].revoked
    assert users["grace"].keys[-1] == key(3)


def test_a_user_is_added_and_gets_keys_where_all_users_stand_in_one_line() -> None:
    text = add_user('version = 1\nusers = {ada = {role = "admin"}}\n[defaults]\nallow = ["files"]\n', "grace", key(1))
    text = revoke_user(rotate_key(text, "ada", key(2), overlap=DAY), "grace")

    users = Access.parse(text).users
    assert users["ada"].keys == (key(2),)
    assert users["grace"].revoked
    assert Access.parse(text).caller(users["grace"], "key_1").allow == {"files"}


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a" * 65, "ü", "a\n"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(match="a user's name has 1 to 64"):
        add_user(NEW_FILE, name, key(1))
    with pytest.raises(match="a team's name has 1 to 64"):
        add_user(NEW_FILE, "ada", key(1), {"team": name})


def test_a_name_that_is_taken_is_refused_even_when_its_user_is_revoked() -> None:
    text = add_user(NEW_FILE, "ada", key(1))

    with pytest.raises(match="'ada' exists already; try: key rotate ada"):
        add_user(text, "ada", key(2))
    with pytest.raises(match="'ada' exists already; it is revoked"):
        add_user(revoke_user(text, "ada"), "ada", key(2))


def test_a_revoked_user_stays_in_the_file_and_may_not_call() -> None:
    text = revoke_user(add_user(NEW_FILE, "ada", key(1)), "ada")

    assert Access.parse(text).users["ada"].revoked
    assert revoke_user(text, "ada") == text


def test_a_user_who_is_not_there_is_neither_revoked_nor_given_a_key() -> None:
    with pytest.raises(match="no user 'ada'"):
        revoke_user(NEW_FILE, "ada")
    with pytest.raises(match="no user 'ada'"):
        rotate_key(NEW_FILE, "ada", key(1), overlap=DAY)


def test_a_revoked_user_gets_no_key() -> None:
    text = revoke_user(add_user(NEW_FILE, "ada", key(1)), "ada")

    with pytest.raises(match="'ada' is revoked"):
        rotate_key(text, "ada", key(2), overlap=DAY)


def test_the_old_key_stays_valid_for_the_overlap() -> None:
    text = add_user(NEW_FILE, "ada", key(1))
    later = NOW + timedelta(days=30)

    text = rotate_key(text, "ada", key(2, later), overlap=DAY)

    assert keys_of(text, "ada") == (replace(key(1), expires_time=later + DAY), key(2, later))


def test_no_more_than_two_keys_are_valid_at_a_time() -> None:
    text = add_user(NEW_FILE, "ada", key(1))
    for number in range(2, 6):
        text = rotate_key(text, "ada", key(number, NOW + timedelta(minutes=number)), overlap=DAY)

    assert [held.key_id for held in keys_of(text, "ada")] == ["key_4", "key_5"]


def test_without_an_overlap_the_old_key_ends_at_once() -> None:
    text = rotate_key(add_user(NEW_FILE, "ada", key(1)), "ada", key(2), overlap=timedelta(0))

    assert keys_of(text, "ada") == (key(2),)


def test_a_rotation_never_makes_a_key_last_longer() -> None:
    expiring = f'id = "key_1"\nexpires_time = {(NOW + timedelta(hours=1)).isoformat()}'
    text = add_user(NEW_FILE, "ada", key(1)).replace('id = "key_1"', expiring)

    text = rotate_key(text, "ada", key(2), overlap=DAY)

    assert keys_of(text, "ada")[0].expires_time == NOW + timedelta(hours=1)


def test_a_user_without_keys_gets_the_first_one() -> None:
    text = rotate_key("version = 1\n[users.ada]\n", "ada", key(1), overlap=DAY)

    assert keys_of(text, "ada") == (key(1),)


def test_a_file_written_with_inline_tables_is_edited_as_well() -> None:
    held = f'{{id = "key_1", sha256 = "{1:064x}", created_time = 2026-05-01T12:00:00Z}}'
    text = f'version = 1\nusers = {{ada = {{role = "admin", keys = [{held}]}}}}\n'

    text = add_user(revoke_user(rotate_key(text, "ada", key(2), overlap=DAY), "ada"), "grace", key(3))

    assert [held.key_id for held in keys_of(text, "ada")] == ["key_1", "key_2"]
    assert keys_of(text, "grace") == (key(3),)


def test_a_user_is_added_with_all_that_holds_for_them() -> None:
    values = {
        "role": "lead",
        "models": ["gpt-*"],
        "budgets": [{"amount": "20.00", "period": "month"}],
        "required_tags": None,
    }
    text = add_user(NEW_FILE, "ada", key(1), values)

    assert 'role = "lead"\nmodels = ["gpt-*"]\nbudgets = [{amount = "20.00", period = "month"}]\n\n[[users' in text
    caller = Access.parse(text).caller(Access.parse(text).users["ada"], "key_1")
    assert caller.policy.models == ("gpt-*",)
    assert caller.policy.budgets == (Budget(Scope("user", "ada"), Decimal(20), "month"),)


def test_what_is_set_of_a_user_changes_and_what_is_unset_goes() -> None:
    text = add_user(NEW_FILE, "ada", key(1), {"team": "research"})

    text = set_user(text, "ada", {"team": None, "role": "lead", "requests_per_minute": 5, "allow": ["files"]})

    user = Access.parse(text).users["ada"]
    rules = Rules(requests_per_minute=5, allow=frozenset({"files"}))
    assert user == User(user_id="ada", role="lead", rules=rules, keys=(key(1),))


def test_teams_are_added_set_and_removed_when_nobody_is_left() -> None:
    text = add_team(
        add_user(NEW_FILE, "ada", key(1), {"team": "research"}), "research", {"store": False, "models": None}
    )
    text = set_team(text, "research", {"user_budgets": [{"amount": 5, "period": "day"}], "store": None})

    team = Access.parse(text).tables.teams["research"]
    assert team == Team(rules=Rules(budgets=(Allowance(Decimal(5), "day"),)))
    with pytest.raises(EditError, match="has members: ada; move each first"):
        remove_team(text, "research")
    assert Access.parse(remove_team(revoke_user(text, "ada"), "research")).tables.teams == {}


def test_a_team_with_many_members_names_some() -> None:
    text = add_team(NEW_FILE, "x", {})
    for number in range(5):
        text = add_user(text, f"u{number}", key(number), {"team": "x"})

    with pytest.raises(EditError, match="has members: u0, u1, u2 and 2 more;"):
        remove_team(text, "x")


def test_a_team_that_is_there_is_not_added_and_one_that_is_not_is_not_set() -> None:
    with pytest.raises(EditError, match="team 'x' exists already; try: team set x"):
        add_team(add_team(NEW_FILE, "x", {}), "x", {})
    with pytest.raises(EditError, match="there is no team 'x' in the access file"):
        set_team(NEW_FILE, "x", {})
    with pytest.raises(EditError, match="there is no team 'x' in the access file"):
        remove_team(NEW_FILE, "x")
    with pytest.raises(EditError, match="a team's name has 1 to 64"):
        add_team(NEW_FILE, "a b", {})


def test_what_holds_for_everybody_is_set_whether_or_not_it_was_there() -> None:
    text = set_everybody(NEW_FILE, {"models": ["gpt-*"], "allow": None})
    text = set_everybody(text, {"requests_per_minute": 60})
    text = set_organization(text, {"budgets": [{"amount": "1000", "period": "month"}]})

    tables = Access.parse(set_organization(text, {})).tables
    assert tables.defaults == Rules(models=("gpt-*",), requests_per_minute=60)
    assert tables.organization == (Allowance(Decimal(1000), "month"),)
    assert Access.parse(set_organization(text, {"budgets": None})).tables.organization == ()


def test_a_further_key_leaves_the_others_as_they_are() -> None:
    text = add_user(NEW_FILE, "ada", key(1))
    second = issued_key("key_2", f"{2:064x}", NOW, expires_time=NOW + DAY, note="laptop")

    assert keys_of(add_key(text, "ada", second), "ada") == (key(1), second)
    with pytest.raises(EditError, match="'ada' is revoked and gets no key"):
        add_key(revoke_user(text, "ada"), "ada", second)
    with pytest.raises(EditError, match="there is no user 'bob'"):
        add_key(text, "bob", second)


def test_a_revoked_key_ends_now_and_stays_in_the_file() -> None:
    text = add_key(add_user(NEW_FILE, "ada", key(1)), "ada", key(2))

    text = revoke_key(text, "key_1", NOW + DAY)

    assert keys_of(text, "ada") == (replace(key(1), expires_time=NOW + DAY), key(2))
    assert not keys_of(text, "ada")[0].is_valid(NOW + DAY)
    with pytest.raises(EditError, match="key 'key_1' has expired already"):
        revoke_key(text, "key_1", NOW + DAY)
    with pytest.raises(EditError, match="nobody holds a key 'key_3'; see: key list"):
        revoke_key(text, "key_3", NOW)


def test_a_key_that_was_to_end_later_ends_now_when_it_is_revoked() -> None:
    text = add_user(NEW_FILE, "ada", issued_key("key_1", f"{1:064x}", NOW, expires_time=NOW + 3 * DAY))

    assert keys_of(revoke_key(text, "key_1", NOW + DAY), "ada")[0].expires_time == NOW + DAY


def test_rotation_keeps_the_comments_and_the_notes() -> None:
    text = add_user(NEW_FILE, "ada", issued_key("key_1", f"{1:064x}", NOW, note="laptop"))
    text = text.replace("[[users", "# of the laptop\n[[users").replace('"laptop"', '"laptop" # old')

    text = rotate_key(text, "ada", key(2, NOW + DAY), overlap=DAY)

    assert '# of the laptop\n[[users.ada.keys]]\nid = "key_1"\n' in text
    assert 'note = "laptop" # old\nexpires_time = 2026-05-03T12:00:00Z\n\n[[users.ada.keys]]\nid = "key_2"' in text


@given(st.lists(st.tuples(st.sampled_from("avrR"), NAMES), max_size=12))
def test_any_row_of_edits_gives_a_file_that_says_just_that(edits: list[tuple[str, str]]) -> None:
    text = NEW_FILE
    expected: dict[str, bool] = {}
    for number, (kind, name) in enumerate(edits):
        known = list(expected)
        target = known[number % len(known)] if known and kind != "a" else name
        made = key(number, NOW + timedelta(seconds=number))
        try:
            if kind == "a":
                text = add_user(text, target, made)
                expected[target] = False
            elif kind == "v":
                text = revoke_user(text, target)
                expected[target] = True
            else:
                text = rotate_key(text, target, made, overlap=DAY if kind == "r" else timedelta(0))
                assert keys_of(text, target)[-1] == made
        except EditError:
            continue

    assert {user.user_id: user.revoked for user in Access.parse(text).users.values()} == expected
