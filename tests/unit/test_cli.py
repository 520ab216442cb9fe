from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from command_line import Done, Run, access
from made_usage import usage_record
from openai_proxy import __version__
from openai_proxy.adapters.sqlite_deliveries import SqliteDeliveries
from openai_proxy.adapters.sqlite_queue import SqliteDeadLetters
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.cli import main
from openai_proxy.events import UsageEvent
from openai_proxy.keys import looks_like_key
from openai_proxy.pricing.priced import priced
from openai_proxy.records import ListCost, UsageRecord, UsedUnit, schema

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
EVENT = usage_record("event-1", NOON, "ada").event


def complaint(done: Done) -> str:
    """What a failed command said: one line, nothing on standard output, exit status 1."""
    assert (done.status, done.out) == (1, "")
    (line,) = done.err.splitlines()
    return line.removeprefix("openai-proxy: ")


def test_an_added_user_gets_a_key_that_lets_them_in(run: Run, folder: Path) -> None:
    added = run("user", "add", "alice", "--team", "research", "--role", "admin", "--json").json

    assert set(added) == {"user_id", "key_id", "key"}
    assert looks_like_key(added["key"])
    caller = access(folder).authenticate(f"Bearer {added['key']}", datetime.now(UTC))
    assert caller is not None
    assert (caller.user_id, caller.key_id, caller.team_id, caller.role) == (
        "alice",
        added["key_id"],
        "research",
        "admin",
    )
    assert added["key"] not in (folder / "access.toml").read_text()


def test_a_person_is_told_the_key_once(run: Run, folder: Path) -> None:
    out = run("user", "add", "alice", "--allow-user-name").out

    (key,) = re.findall(r"sk-op-\w+", out)
    assert access(folder).holder(key, datetime.now(UTC)) is not None
    assert access(folder).users["alice"].allow_user_name
    assert key not in run("user", "list").out


def test_users_are_listed(run: Run) -> None:
    key_id = run("user", "add", "alice", "--json").json["key_id"]
    run("user", "add", "bob", "--team", "ops", "--allow-user-name")
    run("user", "revoke", "bob")

    listed = run("user", "list", "--json").json
    assert [user["user_id"] for user in listed] == ["alice", "bob"]
    assert listed[0]["keys"][0]["key_id"] == key_id
    assert (listed[1]["team_id"], listed[1]["revoked"], listed[1]["allow_user_name"]) == ("ops", True, True)
    head, alice, bob = run("user", "list").out.splitlines()
    assert head.split() == ["user", "team", "role", "state", "plain", "name", "keys"]
    assert alice.split() == ["alice", "-", "member", "valid", "refused", key_id]
    assert bob.split()[:4] == ["bob", "ops", "member", "revoked"]


def test_before_the_first_user_the_list_is_empty(run: Run, folder: Path) -> None:
    folder.mkdir()

    assert run("user", "list", "--json").json == []
    assert run("user", "list").out == "nothing\n"


def test_a_revoked_user_is_not_let_in(run: Run, folder: Path) -> None:
    key = run("user", "add", "alice", "--json").json["key"]

    assert "alice is revoked" in run("user", "revoke", "alice").out
    assert access(folder).holder(key, datetime.now(UTC)) is None


def test_a_rotation_says_what_becomes_of_the_old_keys(run: Run) -> None:
    first = run("user", "add", "alice", "--json").json["key_id"]
    second = run("key", "add", "alice", "--json").json["key_id"]

    *_, removed, kept = run("key", "rotate", "alice", "--overlap", "2h").out.splitlines()

    assert removed == f"alice: key {first} removed"
    assert kept.startswith(f"alice: key {second}: does not expire -> {second}: expires 2")


def test_a_rotated_key_overlaps_with_the_old_one_for_as_long_as_is_said(run: Run, folder: Path) -> None:
    old = run("user", "add", "alice", "--json").json["key"]
    new = run("key", "rotate", "alice", "--overlap", "2h", "--json").json["key"]

    now = datetime.now(UTC)
    for hours, valid in ((1, [True, True]), (3, [False, True])):
        later = now + timedelta(hours=hours)
        assert [access(folder).holder(key, later) is not None for key in (old, new)] == valid


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("user", "add", "alice"), "user 'alice' exists already; try: key rotate alice"),
        (("user", "add", "a b"), "a user's name has 1 to 64 letters"),
        (("user", "add", "bob", "--team", "a b"), "a team's name has 1 to 64 letters"),
        (("user", "revoke", "bob"), "there is no user 'bob'; see: user list"),
        (("key", "rotate", "bob"), "there is no user 'bob'; see: user list"),
        (("usage", "--since", "yesterday"), "since must be a date"),
        (("usage", "--since", "2026-05-02", "--until", "2026-05-01"), "since must not be after until"),
        (("reprice", "--since", "yesterday"), "since must be a date"),
        (("prices", "check", "--until", "soon"), "until must be a date"),
        (("replay", "/nowhere/log"), "cannot use /nowhere/log: No such file or directory"),
        (("serve", "--port", "http"), "the port must be a number from 0 to 65535"),
        (("serve", "--port", "65536"), "the port must be a number from 0 to 65535"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run: Run, arguments: Sequence[str], says: str) -> None:
    run("user", "add", "alice")

    assert says in complaint(run(*arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "list"),
        ("user", "revoke", "x"),
        ("usage",),
        ("prices", "check"),
        ("reprice", "--since", "2026-05-01"),
        ("dead-letters", "list"),
        ("replay", "-"),
    ],
)
def test_a_data_folder_that_is_not_there_is_most_likely_misspelt(run: Run, arguments: Sequence[str]) -> None:
    assert complaint(run(*arguments)).startswith("there is no data folder ")


def test_a_folder_that_cannot_be_made_is_said(run: Run, folder: Path) -> None:
    folder.write_text("a file")

    assert complaint(run("user", "add", "alice")).startswith(f"cannot make the data folder {folder}")


def test_a_broken_access_file_is_said(run: Run, folder: Path) -> None:
    run("user", "add", "alice")
    (folder / "access.toml").write_text("version = 1\n[")

    says = f"{folder / 'access.toml'}: the access file, line 2, column 2: not TOML"
    assert complaint(run("user", "add", "bob")).startswith(says)
    assert complaint(run("user", "list")).startswith(says)
    assert complaint(run("serve", "--port", "0")).startswith(says)
    assert complaint(run("access", "diff", "/dev/null", str(folder / "access.toml"))).startswith("/dev/null: ")


def test_a_corrupted_queue_and_ledger_are_said(run: Run, folder: Path) -> None:
    folder.mkdir()
    for name in ("queue.sqlite3", "ledger.sqlite3"):
        (folder / name).write_bytes(b"not a database, for sure" * 100)

    assert "not a database" in complaint(run("dead-letters", "list"))
    assert "not a database" in complaint(run("usage", "--json"))
    assert "not a database" in complaint(run("prices", "check"))
    assert "not a database" in complaint(run("reprice", "--since", "2026-05-01"))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("user",),
        ("user", "add"),
        ("nonsense",),
        ("usage", "--by", "colour"),
        ("usage", "--by", "day,day"),
        ("usage", "--by", "tag:"),
        ("usage", "--by", "tag:Project"),
        ("usage", "--by", "tag:project,tag:stage"),
        ("usage", "--tag", "project"),
        ("usage", "--tag", "=apollo"),
        ("usage", "--tag", "project=a=b"),
        ("prices",),
        ("reprice",),
    ]
    + [("key", "rotate", "a", "--overlap", text) for text in ("", "1", "h", "-1h", "1w")],
)
def test_a_wrong_command_line_exits_with_2(run: Run, arguments: Sequence[str]) -> None:
    done = run(*arguments)

    assert (done.status, done.out) == (2, "")
    assert "usage: openai-proxy" in done.err


def test_help_and_version(run: Run) -> None:
    assert "serve" in run("--help").out
    assert run("version").out == f"openai-proxy {__version__}\n"


def test_a_command_that_needs_no_prices_loads_none() -> None:
    program = "import sys, openai_proxy.cli as cli; cli.main(['version']); print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False"


def test_the_data_folder_may_be_named_after_the_command_or_in_the_environment(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["user", "add", "alice", "--data-dir", str(folder)]) == 0
    monkeypatch.setenv("DATA_DIR", str(folder))
    assert main(["user", "add", "bob"]) == 0
    capsys.readouterr()

    assert set(access(folder).users) == {"alice", "bob"}


# The ledger


@pytest.fixture
def ledger(folder: Path) -> Path:
    folder.mkdir()
    store = SqliteStore(folder / "ledger.sqlite3")
    third = usage_record("3", NOON + timedelta(days=2), "grace")
    store.add(
        [
            usage_record("1", NOON, "ada"),
            usage_record("2", NOON + timedelta(days=1), "ada", model="evil\x1b[31m"),
            replace(third, event=replace(third.event, tags={"project": "apollo"}, end_user_id="ida")),
        ]
    )
    store.close()
    return folder


def event_ids(done: Done) -> list[str]:
    return [record["event_id"] for record in done.json]


@pytest.mark.usefixtures("ledger")
def test_usage_as_json_is_each_request_newest_first_by_column_names(run: Run) -> None:
    done = run("usage", "--json")

    assert event_ids(done) == ["3", "2", "1"]
    assert list(done.json[0]) == [column["name"] for column in schema()]
    assert done.json[2]["list_cost"] == "0.0028"
    assert done.json[2]["event_time"] == "2026-05-01T12:00:00.000Z"


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--user", "ada"), ["2", "1"]),
        (("--user", "nobody"), []),
        (("--since", "2026-05-02"), ["3", "2"]),
        (("--until", "2026-05-02T12:00:00Z"), ["1"]),
        (("--since", "2026-05-02T12:00:00Z", "--until", "2026-05-02"), ["2"]),
    ],
)
def test_usage_of_one_user_and_of_a_period(run: Run, arguments: Sequence[str], found: Sequence[str]) -> None:
    assert event_ids(run("usage", "--json", *arguments)) == found


@pytest.mark.usefixtures("ledger")
def test_usage_is_summed_by_what_is_named(run: Run) -> None:
    sums = run("usage", "--json", "--by", "user,day").json

    assert [(one["user_id"], one["day"]) for one in sums] == [
        ("ada", "2026-05-01"),
        ("ada", "2026-05-02"),
        ("grace", "2026-05-03"),
    ]
    assert (sums[0]["requests"], sums[0]["input_tokens"], sums[0]["list_cost"]) == (1, 1000, "0.0028")


@pytest.mark.usefixtures("ledger")
def test_usage_is_summed_and_chosen_by_tags_and_end_users(run: Run) -> None:
    by_tag = run("usage", "--json", "--by", "user,tag:project").json
    by_end_user = run("usage", "--json", "--by", "end_user").json

    assert [(one["user_id"], one["tag:project"], one["requests"]) for one in by_tag] == [
        ("ada", None, 2),
        ("grace", "apollo", 1),
    ]
    assert [(one["end_user_id"], one["requests"]) for one in by_end_user] == [(None, 2), ("ida", 1)]
    assert event_ids(run("usage", "--json", "--tag", "project=apollo")) == ["3"]
    assert run("usage", "--json", "--tag", "project=gemini").json == []
    assert run("usage", "--by", "tag:project").out.splitlines()[0].startswith("tag:project ")


@pytest.mark.usefixtures("ledger")
def test_usage_for_a_person_is_a_table_that_cannot_steer_the_terminal(run: Run) -> None:
    out = run("usage").out

    assert out.splitlines()[0].split()[:3] == ["user_id", "model", "requests"]
    assert "evil?[31m" in out
    assert "\x1b" not in out


def test_an_empty_ledger_is_an_empty_array(run: Run, folder: Path) -> None:
    folder.mkdir()

    assert run("usage", "--json").json == []
    assert run("usage").out == "nothing\n"


@pytest.mark.usefixtures("ledger")
def test_a_reader_that_has_seen_enough_is_no_error(folder: Path) -> None:
    command = [sys.executable, "-m", "openai_proxy", "usage", "--json", "--data-dir", str(folder)]
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(command, check=False, stdout=writing, stderr=subprocess.PIPE, timeout=60)

    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


# What did not get through


def queued(folder: Path) -> list[UsageEvent]:
    with closing(SqliteDeliveries(folder / "queue.sqlite3")) as deliveries:
        return [UsageEvent.from_json(message.data) for message in deliveries.due(datetime.now(UTC), 1000)]


def log_line(event: UsageEvent) -> str:
    return json.dumps({"severity": "ERROR", "message": "not accepted", "usage_event": json.loads(event.to_json())})


def test_events_in_a_log_are_put_back_into_the_queue(run: Run, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    other = usage_record("event-2", NOON, "grace").event
    lines = [
        "a line of something else",
        log_line(EVENT),
        json.dumps({"severity": "INFO", "message": "another line"}),
        "[1]",
        "proxy-1  | " + other.to_json().decode(),
        "",
    ]
    (tmp_path / "log").write_text("\n".join(lines))

    done = run("replay", str(tmp_path / "log"))

    assert (done.status, done.err) == (0, "")
    assert done.out == "Replayed 2 usage events; skipped 3 lines without one.\n"
    assert queued(folder) == [EVENT, other]


def test_a_malformed_event_is_named_and_the_others_are_replayed(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    wrong = log_line(EVENT).replace('"stream": false', '"stream": "no"')
    lines = [wrong, log_line(EVENT)[:-40], "x" * 100_000, log_line(EVENT)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))

    done = run("replay", "-")

    assert done.status == 1
    assert done.err.splitlines() == [
        "openai-proxy: line 1: usage event field 'stream': expected true or false",
        "openai-proxy: line 2: a log line with a usage event is cut off, or no JSON",
    ]
    assert queued(folder) == [EVENT]


def test_a_queue_that_does_not_accept_is_said(run: Run, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "queue.sqlite3").mkdir()
    (tmp_path / "log").write_text(log_line(EVENT))

    assert "did not accept" in complaint(run("replay", str(tmp_path / "log")))


def test_dead_letters_are_listed_with_their_reasons_and_replayed(run: Run, folder: Path) -> None:
    folder.mkdir()
    letters = SqliteDeadLetters(folder / "queue.sqlite3")
    letters.add(EVENT.to_json(), "usage event field 'user_id': expected 1 to 128 letters, digits or . _ : @ + -")
    letters.add(b"\xff", "not JSON\x1b")

    first, second = run("dead-letters", "list", "--json").json
    assert first["reason"].startswith("usage event field 'user_id'")
    assert json.loads(first["data"])["event_id"] == "event-1"
    assert (second["attempts"], second["data"]) == (1, "\ufffd")
    out = run("dead-letters", "list").out
    assert "not JSON?" in out
    assert "event-1" not in out

    assert run("dead-letters", "replay", "--json").json == {"replayed": 2}
    assert run("dead-letters", "replay").out == "Replayed 0 dead letters.\n"
    assert run("dead-letters", "list").out == "nothing\n"


def test_a_locked_queue_is_said(run: Run, folder: Path) -> None:
    folder.mkdir()
    SqliteDeadLetters(folder / "queue.sqlite3").add(b"x", "y")
    with closing(sqlite3.connect(folder / "queue.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        said = complaint(run("dead-letters", "replay"))

    assert said.startswith(
        f"the queue sqlite:///{folder / 'queue.sqlite3'} cannot be used now (database is locked); try"
    )


def test_a_deployment_is_said_to_need_the_changed_file(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRAFORM_DIR", str(tmp_path))
    assert run("user", "add", "alice", "--json").err == ""
    (tmp_path / ".terraform").mkdir()

    reminder = f"The deployment learns of it by: make access ACCESS_FILE={folder.resolve() / 'access.toml'}\n"

    assert run("user", "add", "bob", "--json").err == reminder
    assert run("key", "rotate", "bob", "--json").err == reminder
    assert run("user", "revoke", "bob").err == reminder


# Prices


def without_price(event_id: str, model: str, day: int = 1, **event: Any) -> UsageRecord:
    """A request that the price table did not know the model of, when it was stored."""
    made = usage_record(event_id, NOON + timedelta(days=day - 1), "ada", model)
    asked = replace(made.event, **event)
    found = priced(asked)
    units = tuple(UsedUnit(unit=one.unit, quantity=one.quantity, usage_source="reported") for one in found.units)
    cost = ListCost(list_cost=None, priced=False, unpriced_reason="no price is known for this model")
    return replace(made, event=asked, tokens=found.tokens, units=units, cost=cost)


@pytest.fixture
def unpriced(folder: Path) -> Path:
    folder.mkdir()
    store = SqliteStore(folder / "ledger.sqlite3")
    store.add([without_price("1", "gpt-4.1"), without_price("2", "gpt-4.1", day=2), without_price("3", "o-secret\x1b")])
    store.add([without_price("4", "gpt-4.1", usage=None, usage_source="unknown")])
    store.close()
    return folder


@pytest.mark.usefixtures("unpriced")
def test_what_has_no_price_is_listed_with_what_helps(run: Run) -> None:
    done = run("prices", "check")

    assert done.status == 1
    head, known, untold, missing = done.out.splitlines()
    assert head.split() == ["model", "service_tier", "requests", "since", "why", "what", "helps"]
    assert known.split()[:4] == ["gpt-4.1", "-", "2", "2026-05-01"]
    assert known.endswith("  openai-proxy reprice --since 2026-05-01")
    assert missing.startswith("o-secret? ")
    assert "an entry in prices.toml" in missing
    assert untold.endswith("  none: OpenAI did not tell the usage")


@pytest.mark.usefixtures("unpriced")
def test_what_has_no_price_is_told_to_programs(run: Run) -> None:
    done = run("prices", "check", "--json", "--since", "2026-05-02")

    assert done.status == 1
    assert done.json == [
        {
            "model": "gpt-4.1",
            "service_tier": None,
            "usage_source": "reported",
            "unpriced_reason": "no price is known for this model",
            "requests": 1,
            "first_time": "2026-05-02T12:00:00.000Z",
            "last_time": "2026-05-02T12:00:00.000Z",
            "last_event_id": "2",
            "remedy": "reprice",
        }
    ]


def test_prices_that_are_all_there_are_no_failure(run: Run, folder: Path) -> None:
    folder.mkdir()
    assert (run("prices", "check").status, run("prices", "check").out) == (0, "nothing\n")

    store = SqliteStore(folder / "ledger.sqlite3")
    store.add([usage_record("1", NOON, "ada"), without_price("2", "gpt-4.1", usage=None, usage_source="unknown")])
    store.close()

    assert [one["remedy"] for one in run("prices", "check", "--json").json] == ["none"]
    assert run("prices", "check").status == 0


@pytest.mark.usefixtures("unpriced")
def test_records_are_priced_again_and_a_dry_run_only_says_so(run: Run) -> None:
    tried = run("reprice", "--since", "2026-05-01", "--dry-run")
    assert tried.out.splitlines()[-1] == "Nothing was written."
    assert run("prices", "check", "--json").json[0]["requests"] == 2

    done = run("reprice", "--since", "2026-05-01", "--json")

    assert (done.status, done.err) == (0, "")
    assert done.json == [
        {
            "model": "gpt-4.1",
            "records": 3,
            "revised": 3,
            "old_list_cost": "0",
            "new_list_cost": "0.0056",
            "unpriced": 1,
        },
        {
            "model": "o-secret\x1b",
            "records": 1,
            "revised": 0,
            "old_list_cost": "0",
            "new_list_cost": "0",
            "unpriced": 1,
        },
    ]
    assert {one["event_id"]: one["price_revision"] for one in run("usage", "--json").json} == {
        "1": 1,
        "2": 1,
        "3": 0,
        "4": 1,
    }
    assert [one["remedy"] for one in run("prices", "check", "--json").json] == ["none", "add_price"]


@pytest.mark.usefixtures("unpriced")
def test_only_what_is_asked_for_is_priced_again(run: Run) -> None:
    one_day = run("reprice", "--since", "2026-05-02", "--until", "2026-05-02").out.splitlines()
    assert one_day[1].split() == ["gpt-4.1", "1", "1", "0", "0.0028", "0"]

    assert run("reprice", "--since", "2026-05-01", "--model", "gpt-4").out == "nothing\n"
    assert run("reprice", "--since", "2026-05-01", "--model", "gpt-4.1", "--json").json[0]["revised"] == 2


def test_prices_are_found_where_the_environment_says(
    unpriced: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USAGE_STORE_URL", f"sqlite:///{unpriced}/ledger.sqlite3")

    assert main(["reprice", "--since", "2026-05-01"]) == 0
    assert main(["prices", "check", "--until", "2026-05-01T12:00:00Z"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing"
