from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command_line import Run, access
from openai_proxy.access.callers import Caller


def caller(folder: Path, user_id: str) -> Caller:
    found = access(folder)
    return found.caller(found.users[user_id], "key")


def test_a_user_is_added_with_limits_and_a_key_that_ends(run: Run, folder: Path) -> None:
    added = run(
        *("user", "add", "alice", "--role", "lead", "--models", "gpt-*, o3", "--denied-models", "*-pro"),
        *("--budget", "20/month", "--budget", "5.50/day", "--requests-per-minute", "60", "--required-tags", "project"),
        *("--allow", "files", "--may-name-users", "--expires", "90d", "--note", "laptop", "--json"),
    ).json

    assert set(added) == {"user_id", "key_id", "key"}
    alice = caller(folder, "alice")
    assert alice.role == "lead"
    assert alice.allow == {"files"}
    policy = alice.policy
    assert (policy.models, policy.denied_models, policy.required_tags) == (("gpt-*", "o3"), ("*-pro",), ("project",))
    assert [(f"{budget.amount:f}", budget.period) for budget in policy.budgets] == [("20", "month"), ("5.50", "day")]
    assert (policy.requests_per_minute, policy.may_name_users) == (60, True)
    (key,) = access(folder).users["alice"].keys
    assert key.note == "laptop"
    assert key.expires_time
    assert timedelta(days=89) < key.expires_time - datetime.now(UTC) <= timedelta(days=90)


def test_what_is_set_is_told_in_words(run: Run, folder: Path) -> None:
    run("user", "add", "alice", "--budget", "20/month")

    done = run("user", "set", "alice", "--budget", "50/month", "--role", "admin", "--no-may-name-users")
    assert done.out.splitlines() == [
        "alice: role member -> admin",
        "alice: budgets 20 USD a month -> 50 USD a month",
        "A running proxy knows it within 5 s.",
    ]
    assert run("user", "set", "alice", "--role", "admin").out == "Nothing changed: it was so already.\n"
    assert run("user", "set", "alice", "--unset", "budgets,role", "--json").json["budgets"] is None
    assert run("user", "set", "alice", "--budget", "none", "--models", "", "--json").json["budgets"] == []
    assert caller(folder, "alice").policy.models == ()


def test_an_address_is_given_told_and_taken_away(run: Run, folder: Path) -> None:
    run("user", "add", "alice", "--email", "alice@example.com")
    run("user", "add", "bob")

    assert access(folder).users["alice"].email == "alice@example.com"
    changed = run("user", "set", "alice", "--email", "a.l@example.com").out.splitlines()
    assert changed[0] == "alice: email alice@example.com -> a.l@example.com"
    assert run("user", "show", "alice", "--json").json["email"] == "a.l@example.com"

    twice = run("user", "set", "bob", "--email", "A.L@example.com")
    assert twice.status == 1
    assert "users.bob.email: another user has this address" in twice.err
    assert run("user", "set", "alice", "--unset", "email", "--json").json["email"] is None


def test_a_user_is_shown_with_what_holds_from_all_tables(run: Run) -> None:
    run("user", "add", "alice", "--team", "research")
    run("team", "add", "research", "--user-budget", "5/day", "--budget", "300/month", "--upstream-key", "research")
    run("defaults", "set", "--models", "gpt-*", "--concurrent-requests", "8")
    run("organization", "set", "--budget", "1000/total")

    shown = run("user", "show", "alice", "--json").json
    assert (shown["user_id"], shown["models"], shown["budgets"]) == ("alice", None, None)
    assert shown["policy"] == {
        "allow": [],
        "store": True,
        "models": ["gpt-*"],
        "denied_models": [],
        "budgets": [
            {"scope_kind": "user", "scope_name": "alice", "amount": "5", "period": "day"},
            {"scope_kind": "team", "scope_name": "research", "amount": "300", "period": "month"},
            {"scope_kind": "organization", "scope_name": "", "amount": "1000", "period": "total"},
        ],
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "concurrent_requests": 8,
        "required_tags": [],
        "may_name_users": False,
        "upstream_key": "research",
    }
    out = run("user", "show", "alice").out
    for line in (
        r"models +gpt-\*",
        r"budget +5 USD a day, of the user alice",
        r"budget +300 USD a month, of the team research",
        r"budget +1000 USD in total, of the organization",
        r"requests per minute +no limit",
        r"concurrent requests +8",
        r"key at OpenAI +research",
    ):
        assert re.search(f"(?m)^{line}$", out), line


def test_a_team_is_added_listed_shown_changed_and_removed(run: Run, folder: Path) -> None:
    added = run("team", "add", "research", "--budget", "300/month", "--no-store", "--allow", "evals").out
    assert added.startswith("team research: added: budgets 300 USD a month; store no; allow evals\n")
    run("user", "add", "alice", "--team", "research")

    (listed,) = run("team", "list", "--json").json
    assert (listed["team_id"], listed["members"], listed["store"], listed["user_budgets"]) == (
        "research",
        ["alice"],
        False,
        None,
    )
    assert run("team", "show", "research", "--json").json == listed
    assert re.search(r"(?m)^members +alice$", run("team", "show", "research").out)
    assert run("team", "list").out.splitlines()[1].split()[:2] == ["research", "1"]
    changed = run("team", "set", "research", "--unset", "store", "--user-budget", "5/day", "--json").json
    assert (changed["store"], changed["user_budgets"]) == (True, [{"amount": "5", "period": "day"}])
    assert "has members: alice" in run("team", "remove", "research").err
    run("user", "set", "alice", "--unset", "team")
    assert run("team", "remove", "research").out.startswith("team research: removed\n")
    assert access(folder).tables.teams == {}


def test_defaults_and_organization_are_set_and_shown(run: Run) -> None:
    run("team", "add", "x")
    said = run("defaults", "set", "--allow", "files", "--budget", "20/month", "--json").json

    assert said == run("defaults", "show", "--json").json
    assert (said["allow"], said["budgets"]) == (["files"], [{"amount": "20", "period": "month"}])
    assert re.search(r"(?m)^budgets +20 USD a month$", run("defaults", "show").out)
    assert run("organization", "set", "--budget", "9/week", "--json").json == {
        "budgets": [{"amount": "9", "period": "week"}]
    }
    assert re.search(r"(?m)^budgets +9 USD a week$", run("organization", "show").out)
    assert run("organization", "set", "--unset", "budgets").out.startswith("organization: budgets 9 USD a week -> none")


def test_keys_are_added_listed_and_revoked_one_by_one(run: Run, folder: Path) -> None:
    first = run("user", "add", "alice", "--json").json
    second = run("key", "add", "alice", "--note", "phone", "--expires", "2999-01-01", "--json").json
    run("user", "add", "bob")

    listed = run("key", "list", "alice", "--json").json
    assert [(key["key_id"], key["note"], key["valid"]) for key in listed] == [
        (first["key_id"], None, True),
        (second["key_id"], "phone", True),
    ]
    assert listed[1]["expires_time"] == "2999-01-01T00:00:00.000Z"
    assert len(run("key", "list", "--json").json) == 3

    revoked = run("key", "revoke", first["key_id"])
    assert f"alice: key {first['key_id']}: does not expire -> {first['key_id']}: expires 20" in revoked.out
    now = datetime.now(UTC)
    assert access(folder).holder(first["key"], now) is None
    assert access(folder).holder(second["key"], now)
    row = run("key", "list").out.splitlines()[1].split()
    assert row[:3] == [first["key_id"], "alice", "expired"]
    assert run("key", "revoke", second["key_id"], "--json").json == {"key_id": second["key_id"], "revoked": True}
    assert run("user", "revoke", "bob", "--json").json["revoked"]
    assert run("key", "list", "bob").out.splitlines()[1].split()[2:4] == ["user", "revoked"]


@pytest.mark.parametrize("command", [("user", "add"), ("user", "set"), ("team", "add"), ("defaults", "set")])
def test_the_help_says_whose_a_budget_is(run: Run, command: tuple[str, ...]) -> None:
    assert "USD of each user, as 20/month;" in " ".join(run(*command, "--help").out.split())


def test_no_key_and_no_hash_is_ever_listed(run: Run, folder: Path) -> None:
    key = run("user", "add", "alice", "--json").json["key"]
    (entry,) = access(folder).users["alice"].keys

    for command in (["user", "list"], ["user", "show", "alice"], ["key", "list"], ["access", "check"]):
        for option in ([], ["--json"]):
            out = run(*command, *option).out
            assert key not in out
            assert entry.sha256 not in out


def test_a_file_is_checked_with_line_and_column_of_each_mistake(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text('version = 1\n[users.alice]\nrole = "boss"\nbudgets = [{ amount = 1.5, period = "month" }]\n')

    done = run("access", "check", str(file))
    assert done.status == 1
    role, amount = done.out.splitlines()
    assert role == f"{file}:3:1: mistake: users.alice.role: expected one of member, lead, admin, not 'boss'"
    assert amount.startswith(
        f"{file}:4:14: mistake: users.alice.budgets[0].amount: expected an amount of USD in quotes"
    )
    found = run("access", "check", str(file), "--json")
    assert (found.status, len(found.json["mistakes"]), found.json["warnings"]) == (1, 2, [])
    assert found.json["mistakes"][0] == {
        "line": 3,
        "column": 1,
        "place": "users.alice.role",
        "message": "expected one of member, lead, admin, not 'boss'",
    }


def test_a_good_file_is_said_to_be_good_and_what_is_odd_in_it(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text(
        "version = 1\n[defaults]\n"
        'models = ["gpt-*", "*-pro", "gpt-4o-2024-*", "gpt-5", "ft:gpt-4o*", "gtp-*", "gtp-5"]\n[users.alice]\n'
    )

    done = run("access", "check", str(file))
    assert done.status == 0
    assert done.out.splitlines() == [
        f"{file}:3:69: warning: defaults.models[5]: no model with a known price has a name like this",
        f"{file}:3:78: warning: defaults.models[6]: no model with a known price has a name like this",
        f"{file}:4:8: warning: users.alice: there is no key; try: key add alice",
        f"{file} is good: 1 user, 0 keys, 0 teams.",
    ]


def test_the_data_folders_own_file_is_checked_by_default(run: Run, folder: Path) -> None:
    run("user", "add", "alice")

    assert run("access", "check").out == f"{folder / 'access.toml'} is good: 1 user, 1 key, 0 teams.\n"
    (folder / "access.toml").unlink()
    done = run("access", "check")
    assert (done.status, done.out) == (1, "")
    assert "cannot be read: No such file" in done.err


def test_what_changes_is_told_before_it_is_shipped(run: Run, folder: Path, tmp_path: Path) -> None:
    run("user", "add", "alice")
    old = tmp_path / "old.toml"
    old.write_text((folder / "access.toml").read_text())
    run("user", "set", "alice", "--requests-per-minute", "5")
    new = str(folder / "access.toml")

    assert run("access", "diff", str(old), new).out == "alice: requests_per_minute not set -> 5\n"
    assert run("access", "diff", str(old), new, "--json").json == [
        {"kind": "user", "name": "alice", "what": "requests_per_minute not set -> 5"}
    ]
    assert run("access", "diff", new, new).out == "Nothing changes.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("user", "set", "alice"), "there is nothing to set"),
        (("user", "set", "bob", "--role", "lead"), "there is no user 'bob'"),
        (("user", "show", "bob"), "there is no user 'bob'"),
        (("user", "set", "alice", "--budget", "none", "--budget", "1/day"), "--budget: say none, or amounts, not both"),
        (
            ("user", "set", "alice", "--budget", "2/day", "--budget", "1/day"),
            "--budget: there is a budget with the period day already; one of each period",
        ),
        (
            ("team", "add", "x", "--user-budget", "none", "--user-budget", "1/day"),
            "--user-budget: say none, or amounts, not both",
        ),
        (("user", "set", "alice", "--budget", "2/day", "--budget", "1/day"), "a budget with the period day already"),
        (("user", "set", "alice", "--team", "a b"), "users.alice.team: expected 1 to 64 letters"),
        (("team", "set", "x", "--store"), "there is no team 'x'"),
        (("team", "show", "x"), "there is no team 'x'"),
        (("team", "remove", "x"), "there is no team 'x'"),
        (("team", "add", "a b"), "a team's name has 1 to 64"),
        (("key", "add", "bob"), "there is no user 'bob'"),
        (("key", "revoke", "key_x"), "nobody holds a key 'key_x'"),
        (("key", "list", "bob"), "there is no user 'bob'"),
        (("access", "check", "/nowhere"), "cannot be read: No such file"),
        (("access", "diff", "/nowhere", "/nowhere"), "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_changes_nothing(
    run: Run, folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    run("user", "add", "alice")
    before = (folder / "access.toml").read_text()

    done = run(*arguments)

    assert (done.status, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert says in line
    assert (folder / "access.toml").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("user", "add", "bob", "--budget", "20"), "a budget is AMOUNT/PERIOD, as 20/month"),
        (("user", "add", "bob", "--budget", "20/year"), "expected one of day, week, month, total, not 'year'"),
        (("user", "add", "bob", "--budget", "x/day"), "expected an amount of USD"),
        (("user", "add", "bob", "--allow", "all"), "'all' is not known"),
        (("user", "add", "bob", "--models", "gpt 4"), "expected a pattern"),
        (("user", "add", "bob", "--requests-per-minute", "0"), "expected a whole number from 1"),
        (("user", "add", "bob", "--requests-per-minute", "many"), "expected a whole number from 1"),
        (("user", "add", "bob", "--required-tags", "a,b,c,d,e,f"), "expected 5 tags at most"),
        (("user", "add", "bob", "--role", "boss"), "invalid choice: 'boss'"),
        (("user", "add", "bob", "--expires", "yesterday"), "expected 90d, a date, or a time"),
        (("user", "add", "bob", "--expires", "0s"), "that is not in the future"),
        (("user", "add", "bob", "--expires", "2020-01-01"), "that is not in the future"),
        (("user", "add", "bob", "--expires", "9999999d"), "expected a number and s, m, h or d"),
        (("user", "add", "bob", "--note", "sk-op-x"), "looks like a key"),
        (("user", "set", "bob", "--unset", "keys"), "'keys' is not one of"),
        (("team", "add", "x", "--upstream-key", "../x"), "a secret's name"),
        (("key", "rotate", "bob", "--overlap", "soon"), "expected a number and s, m, h or d"),
    ],
)
def test_a_wrong_option_says_what_was_expected(run: Run, arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)

    assert (done.status, done.out) == (2, "")
    assert says in done.err
