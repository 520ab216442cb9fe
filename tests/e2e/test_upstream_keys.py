"""Teams with keys of their own at OpenAI: which key each request goes with, and what the ledger says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exchanges import Got, ask, bearer
from serving import TEAM_KEY, CountingUpstream, Serving, serving, wait_for

pytestmark = pytest.mark.e2e

CHAT = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}).encode()
REQUEST_ID = "x-openai-proxy-request-id"


@dataclass(frozen=True, slots=True)
class World:
    """`ada` is of the team research, `bob` of evals, each with a key at OpenAI; `eve` of lost, whose key is nowhere."""

    upstream: CountingUpstream
    proxy: Serving
    keys: dict[str, str]

    def chat(self, user: str) -> Got:
        return ask(self.proxy.base_url, "POST", "/chat/completions", headers=bearer(self.keys[user]), body=CHAT)

    def put_key(self, name: str, project: str) -> None:
        """Put a key there as a platform would: a reader sees the old one or the new one."""
        _put_key(self.proxy.data_dir, name, project)

    def went(self, got: Got) -> tuple[str | None, Any]:
        """The project that a request was charged to, and the name of the key that the ledger has for it."""
        assert got.status == 200, got.body
        event_id = got.header(REQUEST_ID) or ""
        return self.upstream.served_as(event_id)["project"], self.proxy.record(event_id)["upstream_key"]


def _put_key(data_dir: Path, name: str, project: str) -> None:
    folder = data_dir / "upstream_keys" / name
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("new").write_text(f"{TEAM_KEY}.{project}\n")
    folder.joinpath("new").replace(folder / "api_key")


@pytest.fixture(scope="module")
def world(upstream: CountingUpstream) -> Iterator[World]:
    with serving(upstream) as proxy:
        teams = {"ada": "research", "bob": "evals", "eve": "lost"}
        for team in ("research", "evals"):
            _put_key(proxy.data_dir, team, f"{team}-1")
        keys = {user: proxy.add_user(user, "--team", team) for user, team in teams.items()}
        with proxy.access_file.open("a") as file:
            file.writelines(f'\n[teams.{team}]\nupstream_key = "{team}"\n' for team in teams.values())
        yield World(upstream, proxy, keys | {"ida": proxy.add_user("ida")})  # ida comes last: then all is known


def test_each_team_is_charged_on_its_own_key_and_the_ledger_says_which(world: World) -> None:
    assert world.went(world.chat("ada")) == ("research-1", "research")
    assert world.went(world.chat("bob")) == ("evals-1", "evals")
    assert world.went(world.chat("ida")) == (None, None)


def test_a_team_without_its_key_is_not_served_on_anybody_elses(world: World) -> None:
    before = len(world.upstream.served())

    got = world.chat("eve")

    assert got.status == 503
    assert json.loads(got.body)["error"]["code"] == "team_key_unreadable"
    assert len(world.upstream.served()) == before
    assert "upstream_key 'lost'" in world.proxy.stderr.read_text()


def test_a_key_is_rotated_without_a_restart_and_without_a_failed_request(world: World) -> None:
    world.went(world.chat("bob"))
    world.put_key("evals", "evals-2")

    wait_for("the new key", lambda: world.went(world.chat("bob")) == ("evals-2", "evals"))

    assert world.went(world.chat("ada")) == ("research-1", "research")


def test_no_key_is_written_anywhere_but_in_its_file(world: World) -> None:
    world.went(world.chat("ada"))
    kept = set(world.proxy.data_dir.rglob("api_key"))
    others = [path for path in world.proxy.data_dir.rglob("*") if path.is_file() and path not in kept]

    written = [world.proxy.stdout, world.proxy.stderr, *others]
    assert kept
    assert [path.name for path in written if TEAM_KEY.encode() in path.read_bytes()] == []
