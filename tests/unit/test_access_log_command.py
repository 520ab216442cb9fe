"""`openai-proxy access log`: every change by the command line is an event, wherever the ledger is."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.access.events import schema
from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.cli import main

Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("SUDO_USER", "OPENAI_PROXY_OPERATOR", "USAGE_STORE_URL", "USAGE_QUEUE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, status: int = 0) -> tuple[str, str]:
        assert main(["--data-dir", str(folder), *arguments]) == status
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


def log(run: Run, *arguments: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(run("access", "log", "--json", *arguments)[0])
    return listed


def serve_once(folder: Path) -> None:
    """The ledger is there."""
    with closing(SqliteStore(folder / "ledger.sqlite3")) as store:
        store.check()


def in_ledger(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as connection:
        return [text for (text,) in connection.execute("SELECT description FROM access_events ORDER BY event_time")]


EDITS = (
    ("user", "add", "alice"),
    ("user", "set", "alice", "--role", "lead"),
    ("key", "add", "alice"),
    ("key", "rotate", "alice"),
    ("team", "add", "research"),
    ("team", "set", "research", "--budget", "20/month"),
    ("user", "revoke", "alice"),
)


def test_every_command_that_changes_the_file_is_an_event(run: Run, folder: Path) -> None:
    for arguments in EDITS:
        before = len(log(run)) if folder.exists() else 0
        run(*arguments, "--as", "grace")
        found = log(run)
        assert len(found) > before
        assert {(event["operator"], event["action"]) for event in found[: len(found) - before]} == {
            ("grace", " ".join(arguments[:2]))
        }


def test_an_event_says_who_what_and_when_and_no_key(run: Run, folder: Path) -> None:
    made = json.loads(run("user", "add", "alice", "--team", "research", "--json", "--as", "grace")[0])
    (event,) = log(run)

    assert set(event) == {column["name"] for column in schema()} | {"in_ledger"}
    assert (event["user_id"], event["team_id"], event["event_time"][-1]) == ("alice", None, "Z")
    assert event["description"].startswith("alice: added: team research")
    assert made["key_id"] in event["description"]
    trail = (folder / "access_events.jsonl").read_text()
    assert made["key"] not in trail
    assert not [line for line in (folder / "access.toml").read_text().split('"') if len(line) == 64 and line in trail]


def test_what_fails_is_no_event(run: Run) -> None:
    run("user", "add", "alice")
    run("user", "add", "alice", status=1)

    assert len(log(run)) == 1


def test_without_a_ledger_events_wait_and_with_one_they_are_in_it(run: Run, folder: Path) -> None:
    run("user", "add", "alice")
    assert [event["in_ledger"] for event in log(run)] == [False]
    assert not (folder / "ledger.sqlite3").exists()

    serve_once(folder)
    run("user", "set", "alice", "--role", "admin")

    assert [event["in_ledger"] for event in log(run)] == [True, True]
    assert in_ledger(folder)[-1] == "alice: role member -> admin"
    assert not (folder / "access_events.jsonl").exists()


def test_a_ledger_that_cannot_be_written_stops_no_revocation_and_is_told_later(run: Run, folder: Path) -> None:
    run("user", "add", "mallory")
    (folder / "ledger.sqlite3").write_bytes(b"this is no database, and long enough to be none" * 100)

    _, err = run("user", "revoke", "mallory")
    assert "the ledger does not know all changes" in err
    assert str(folder / "access_events.jsonl") in err
    assert "revoked = true" in (folder / "access.toml").read_text()

    (folder / "ledger.sqlite3").unlink()
    serve_once(folder)
    assert log(run)[0]["description"] == "mallory: revoked"
    assert len(in_ledger(folder)) == 2


def test_the_operator_is_as_they_say_or_their_account(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("user", "add", "one")
    monkeypatch.setenv("SUDO_USER", "ada")
    run("user", "add", "two")
    monkeypatch.setenv("OPENAI_PROXY_OPERATOR", "ci@example.com")
    run("user", "add", "three")
    run("user", "add", "four", "--as", "gra\nce")

    account = pwd.getpwuid(os.getuid()).pw_name
    assert [event["operator"] for event in reversed(log(run))] == [account, "ada", "ci@example.com", "gra?ce"]


def test_a_period_and_a_table_for_people(run: Run, folder: Path) -> None:
    run("user", "add", "alice", "--as", "grace")

    assert log(run, "--until", "2020-01-01") == []
    head, row = run("access", "log")[0].splitlines()
    assert head.split() == ["time", "who", "command", "what", "ledger"]
    assert "grace  user add  alice: added" in row
    assert row.endswith("waiting")
    serve_once(folder)
    assert run("access", "log")[0].splitlines()[1].endswith("yes")


def test_a_trail_that_somebody_spoiled_is_pointed_at(run: Run, folder: Path) -> None:
    run("user", "add", "alice")
    (folder / "access_events.jsonl").write_text("nonsense\n")

    _, err = run("access", "log", status=1)

    assert "access_events.jsonl, line 1: not an event" in err
