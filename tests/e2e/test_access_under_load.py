"""The access file changes while two proxies serve by it: nobody who may call is refused, and nobody else gets in."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from openai_proxy.access.callers import Access
from openai_proxy.access.edits import NEW_FILE, add_key, issued_key
from openai_proxy.access.events import Editor
from openai_proxy.adapters.access_file import AccessFile
from openai_proxy.keys import key_hash, new_key
from serving import CountingUpstream, Serving, serving, wait_for
from twins import twins_of

pytestmark = pytest.mark.e2e

CLIENTS = 20
EDITOR = Editor("ada", "key add")
SEEN_WITHIN_SECONDS = 5.0  # what the documents promise of any change
BROKEN = "the access file is broken; its last good version stays in force"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a client's: how it was answered, and when it was made, by two clocks."""

    status: int
    begun: float
    begun_time: datetime
    ended_time: datetime


@dataclass(frozen=True, slots=True)
class Instance:
    """One of the proxies."""

    root: str
    log: Path

    def call(self, key: str, session: requests.Session | None = None) -> Call:
        headers = {"authorization": f"Bearer {key}"}
        begun, begun_time = time.monotonic(), datetime.now(UTC)
        post = session.post if session else requests.post
        answer = post(self.root + "/v1/chat/completions", json=CHAT, headers=headers, timeout=60)
        return Call(answer.status_code, begun, begun_time, datetime.now(UTC))

    def lets_in(self, key: str) -> bool:
        """Whether a key is valid here; nothing is recorded."""
        headers = {"authorization": f"Bearer {key}"}
        return requests.get(self.root + "/v1/nothing", headers=headers, timeout=60).status_code != 401

    def access_state(self) -> str:
        state: str = requests.get(self.root + "/healthz", timeout=60).json()["access_file"]
        return state

    def logged(self, message: str) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                if (told := json.loads(line))["message"] == message:
                    found.append(told)
        return found


@dataclass(frozen=True, slots=True)
class World:
    serve: Serving
    instances: Sequence[Instance]

    def add_user(self, name: str) -> str:
        """A new user's key, once every instance knows it."""
        key: str = json.loads(self.serve.cli("user", "add", name, "--json"))["key"]
        self.wait_until_let_in(key)
        return key

    def wait_until_let_in(self, key: str) -> None:
        wait_for("every instance to know a key", lambda: all(one.lets_in(key) for one in self.instances))


@dataclass(slots=True)
class Callers:
    """Clients that call one after another, each at one instance, until they are stopped."""

    instances: Sequence[Instance]
    key: str
    number: int = CLIENTS
    calls: list[list[Call]] = field(init=False)
    keys: list[str] = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.calls = [[] for _ in range(self.number)]
        self.keys = [""] * self.number

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Call until the block ends; what goes wrong in a client goes wrong here."""
        with ThreadPoolExecutor(self.number) as pool:
            running = [pool.submit(self._run, number) for number in range(self.number)]
            try:
                yield
            finally:
                self._stop.set()
        for one in running:
            one.result()

    def use(self, key: str) -> None:
        """Change the key, and wait until every client has called with it."""
        self.key = key
        wait_for("every client to have changed its key", lambda: set(self.keys) == {key})

    def wait_for_more(self, each: int) -> None:
        """Wait until every client has called so many times more."""
        before = [len(calls) for calls in self.calls]
        wait_for(
            "more calls of every client",
            lambda: all(len(calls) >= had + each for calls, had in zip(self.calls, before, strict=True)),
        )

    def of(self, instance: Instance) -> list[Call]:
        """The calls at one instance, by when they began."""
        at = self.instances.index(instance)
        calls = [call for number in range(self.number) if self._at(number) == at for call in self.calls[number]]
        return sorted(calls, key=lambda call: call.begun)

    def statuses(self) -> set[int]:
        return {call.status for calls in self.calls for call in calls}

    def _at(self, number: int) -> int:
        return number % len(self.instances)

    def _run(self, number: int) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                key = self.key
                self.calls[number].append(self.instances[self._at(number)].call(key, session))
                self.keys[number] = key
                self._stop.wait(0.02)  # the tests' own processor time is not what is tested


@contextlib.contextmanager
def put_in_its_place(path: Path, text: str) -> Iterator[None]:
    """Another text in a file until the block ends; readers see the one or the other, never a part."""
    before = path.read_text()
    try:
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)
        yield
    finally:
        path.with_suffix(".new").write_text(before)
        path.with_suffix(".new").replace(path)


@pytest.fixture(scope="module")
def world(upstream: CountingUpstream) -> Iterator[World]:
    with serving(upstream) as serve:
        serve.add_user("ada")
        with twins_of(serve, 1) as (second,):
            yield World(serve, (Instance(serve.root, serve.stderr), Instance(second.root, second.errors)))


def test_keys_are_rotated_under_load_without_one_failed_request(world: World) -> None:
    oldest = world.add_user("rotated")
    callers, keys = Callers(world.instances, oldest), [oldest]

    with callers.calling():
        for _ in range(2):
            callers.wait_for_more(3)
            rotated = world.serve.cli("key", "rotate", "rotated", "--overlap", "1h", "--json")
            keys.append(json.loads(rotated)["key"])
            callers.wait_for_more(3)  # each still has the old key
            world.wait_until_let_in(keys[-1])
            callers.use(keys[-1])

    assert callers.statuses() == {200}
    assert [[one.lets_in(key) for key in keys] for one in world.instances] == [[False, True, True]] * 2


def test_who_is_revoked_is_refused_by_every_instance_in_5_s_and_nobody_else_is(world: World) -> None:
    leaving = Callers(world.instances, world.add_user("leaving"), CLIENTS // 2)
    staying = Callers(world.instances, world.add_user("staying"), CLIENTS // 2)

    with leaving.calling(), staying.calling():
        leaving.wait_for_more(3)
        world.serve.cli("user", "revoke", "leaving")
        revoked = time.monotonic()
        wait_for("every client to be refused", lambda: all(calls[-1].status == 401 for calls in leaving.calls))
        leaving.wait_for_more(10)

    for instance in world.instances:
        calls = leaving.of(instance)
        let_in = [call.begun for call in calls if call.status == 200]
        assert {call.status for call in calls} == {200, 401}
        assert max(let_in) < revoked + SEEN_WITHIN_SECONDS
    assert all(calls[-10:] and {call.status for call in calls[-10:]} == {401} for calls in leaving.calls)
    assert staying.statuses() == {200}


def test_a_file_that_breaks_under_load_changes_nothing_on_any_instance_and_is_logged_once_by_each(world: World) -> None:
    staying, gone = world.add_user("before"), world.add_user("gone-before")
    world.serve.cli("user", "revoke", "gone-before")
    wait_for("the revocation", lambda: not any(one.lets_in(gone) for one in world.instances))
    good = world.serve.access_file.read_text()
    callers, refused = Callers(world.instances, staying, 10), Callers(world.instances, gone, 10)
    broken = good.replace("revoked = true", "revoked = maybe")  # an owner's slip that would let somebody in
    line = good[: good.index("revoked = true")].count("\n") + 1

    with callers.calling(), refused.calling(), put_in_its_place(world.serve.access_file, broken):
        wait_for("the mistake in every log", lambda: all(one.logged(BROKEN) for one in world.instances))
        callers.wait_for_more(10)
        with pytest.raises(AssertionError, match=f"line {line}"):
            world.serve.cli("user", "add", "in-vain")
        time.sleep(2.5)  # more than two looks at the file
        callers.wait_for_more(3)
        for one in world.instances:
            (told,) = one.logged(BROKEN)
            assert told["severity"] == "ERROR"
            assert f"line {line}" in told["error"]
            assert one.access_state() == f"broken at line {line}; its last good version stays in force"
        assert world.serve.access_file.read_text() == broken

    assert (callers.statuses(), refused.statuses()) == ({200}, {401})
    world.add_user("after")
    assert [one.access_state() for one in world.instances] == ["ok", "ok"]


def test_a_key_ends_on_every_instance_when_its_file_says_and_not_before(world: World) -> None:
    world.add_user("ending")
    key, now = new_key(), datetime.now(UTC)
    entry = issued_key("key_ending", key_hash(key), now, expires_time=now + timedelta(seconds=8))
    ends = entry.expires_time
    assert ends is not None

    AccessFile(world.serve.access_file).edit(lambda text: add_key(text, "ending", entry), new=NEW_FILE, editor=EDITOR)
    world.wait_until_let_in(key)  # from here on each instance knows the end
    callers = Callers(world.instances, key, 8)
    with callers.calling():
        wait_for("the end", lambda: all(calls and calls[-1].status == 401 for calls in callers.calls))
        callers.wait_for_more(3)

    for instance in world.instances:
        calls = callers.of(instance)
        before = [call.status for call in calls if call.ended_time < ends]
        after = [call.status for call in calls if call.begun_time >= ends]
        assert (set(before), set(after)) == ({200}, {401})


def test_of_edits_by_many_processes_at_a_time_none_is_lost(world: World) -> None:
    keys = {name: world.add_user(name) for name in ("held", "leaves")}
    with world.serve.access_file.open("a") as file:
        file.write("\n# the end, by hand\n")
    commands: list[tuple[str, ...]] = [("user", "add", f"new-{n}", "--team", "crowd", "--json") for n in range(8)]
    commands += [("key", "rotate", "held", "--overlap", "1h", "--json"), ("user", "revoke", "leaves")]

    with ThreadPoolExecutor(len(commands)) as pool:
        said = list(pool.map(lambda command: world.serve.cli(*command), commands))

    text = world.serve.access_file.read_text()
    users = Access.parse(text).users
    assert {name for name, user in users.items() if user.team_id == "crowd"} == {f"new-{n}" for n in range(8)}
    assert (len(users["held"].keys), users["leaves"].revoked) == (2, True)
    assert "# the end, by hand" in text
    for printed in said[:9]:
        world.wait_until_let_in(json.loads(printed)["key"])
    for one in world.instances:
        assert one.lets_in(keys["held"])
        assert not one.lets_in(keys["leaves"])
