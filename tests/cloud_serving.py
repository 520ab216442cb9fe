"""The pipeline as it is deployed, on the emulators: each function by its own functions-framework command line."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from emulators import PROJECT, BigQueryEmulator, CloudLedger, PubsubEmulator, cloud_ledger
from openai_proxy.keys import key_hash, new_key
from serving import TEAM_KEY, CountingUpstream, free_port, wait_for

_ROOT = Path(__file__).parent.parent
_BIN = Path(sys.executable).parent
_SDK_CALLS = _ROOT / "tests" / "sdk_calls.py"
_STOP_SECONDS = 20.0
_FUNCTIONS = ("log_view", "usage_sink", "proxy")
_SLOW_SECONDS = 180.0  # the emulator pushes two messages at a time, and writes about seven rows a second
ADMIN = "lead"


@dataclass(slots=True)
class CloudServing:
    """One deployment: topic, subscriptions, ledger and functions of its own."""

    folder: Path
    upstream: CountingUpstream
    pubsub: PubsubEmulator
    bigquery: BigQueryEmulator
    ledger: CloudLedger
    functions_dir: Path = _ROOT / "functions"
    more: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"usage-{uuid.uuid4().hex[:10]}")
    ports: Mapping[str, int] = field(default_factory=lambda: {name: free_port() for name in _FUNCTIONS})
    keys: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.ports['proxy']}"

    @property
    def topic(self) -> str:
        return f"projects/{PROJECT}/topics/{self.name}"

    def make_queue(self, *, deliveries: int, backoff: bool) -> None:
        """The topic, its dead letters, and its push to the sink; more `deliveries` are more subscriptions.

        With a retry policy the emulator (0.8.20) stops trying for good when several messages fail at the same time;
        without `backoff` it tries every second.
        """
        policy = {"retryPolicy": {"minimumBackoff": "1s", "maximumBackoff": "10s"}} if backoff else {}
        self.pubsub.topic(self.name)
        graves = self.pubsub.topic(f"{self.name}-dead-letters")
        self.pubsub.subscription(f"{self.name}-dead-letters", graves)
        for number in range(deliveries):
            self.pubsub.subscription(
                f"{self.name}-{number}",
                self.topic,
                pushConfig={"pushEndpoint": f"http://127.0.0.1:{self.ports['usage_sink']}/{self.topic}"},
                ackDeadlineSeconds=30,
                deadLetterPolicy={"deadLetterTopic": graves, "maxDeliveryAttempts": 5},
                **policy,
            )

    def write_access(self, users: Sequence[str]) -> None:
        """Write the access file, and the team's key beside it."""
        text = "version = 1\n"
        for user in users:
            self.keys[user] = new_key()
            text += (
                f'[users."{user}"]\nteam = "research"\nrole = "{"admin" if user == ADMIN else "member"}"\n'
                f'[[users."{user}".keys]]\nid = "key_{user}"\nsha256 = "{key_hash(self.keys[user])}"\n'
                "created_time = 2026-01-01T00:00:00Z\n"
            )
        (self.folder / "access.toml").write_text(text)
        (self.folder / "openai_api_key").write_text(TEAM_KEY + "\n")

    def start(self, name: str, **more: str) -> None:
        """Start one function by its command line."""
        command = [str(_BIN / "functions-framework"), "--target", name, "--host", "127.0.0.1"]
        command += ["--source", str(self.functions_dir / name / "main.py"), "--port", str(self.ports[name])]
        command += ["--signature-type", "cloudevent" if name == "usage_sink" else "http"]
        (self.folder / name).mkdir(exist_ok=True)
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env={**self.environ(), "XDG_RUNTIME_DIR": str(self.folder / name), **more},
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def stop(self, name: str) -> None:
        """Stop one function as the platform does."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait(_STOP_SECONDS)

    def log(self, name: str) -> Path:
        """What a function wrote."""
        return self.folder / f"{name}.log"

    def environ(self) -> dict[str, str]:
        """What all functions and the command line are told; each reads what it needs."""
        inherited = ("PATH", "HOME", "TMPDIR", "LANG")
        return {
            **{name: os.environ[name] for name in inherited if name in os.environ},
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
            "PUBSUB_EMULATOR_HOST": self.pubsub.host,
            "BIGQUERY_EMULATOR_HOST": self.bigquery.host,
            "USAGE_QUEUE_URL": f"pubsub://{PROJECT}/{self.name}",
            "DEAD_LETTER_URL": f"pubsub://{PROJECT}/{self.name}-dead-letters",
            "USAGE_STORE_URL": self.ledger.url,
            "OPENAI_API_KEY_FILE": str(self.folder / "openai_api_key"),
            "OPENAI_BASE_URL": self.upstream.base_url,
            "ACCESS_FILE": str(self.folder / "access.toml"),
            "SESSION_SECRET": "a made-up secret of the tests",
            "LOG_VIEW_URL": f"http://127.0.0.1:{self.ports['log_view']}",
            "DRAIN_SECONDS": "1",
            "THREADS": "16",
            **self.more,
        }

    def healthy(self) -> bool:
        """Whether the proxy says that queue, log_view and ledger can be reached."""
        for name, process in self.processes.items():
            assert process.poll() is None, self.log(name).read_text()[-2000:]
        try:
            return requests.get(self.root + "/healthz", timeout=30).ok
        except requests.ConnectionError:
            return False

    def calls(self, count: int, seed: int = 5) -> list[dict[str, Any]]:
        """How each call of a plan of the official SDK ended."""
        with self.calling(count, seed) as process:
            output, _ = process.communicate(timeout=_SLOW_SECONDS)
        assert process.returncode == 0
        outcomes: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
        assert [one for one in outcomes if "unexpected" in one] == []
        assert len(outcomes) == count
        return outcomes

    @contextlib.contextmanager
    def calling(self, count: int, seed: int = 5) -> Iterator[subprocess.Popen[str]]:
        """The same, while it goes on."""
        plan = {"base_url": self.root + "/v1", "keys": self.keys, "calls": count, "concurrency": 10, "seed": seed}
        with subprocess.Popen(
            [sys.executable, str(_SDK_CALLS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            process.stdin.write(json.dumps(plan))
            process.stdin.close()
            process.stdin = None
            yield process

    def cli(self, *arguments: str) -> str:
        """The standard output of one `openai-proxy` command, which finds queue and ledger by the environment."""
        done = subprocess.run(
            [str(_BIN / "openai-proxy"), *arguments],
            env=self.environ(),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"openai-proxy {' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout

    def dead_letters(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self.cli("dead-letters", "list", "--json"))
        return listed

    def records(self) -> list[dict[str, Any]]:
        """The ledger's final records."""
        listed: list[dict[str, Any]] = json.loads(self.cli("usage", "--json"))
        return listed

    def all_finished(self) -> list[dict[str, Any]]:
        """The final records, once every request that the upstream served has a finished one, and none is open."""
        served = {one["event_id"] for one in self.upstream.served()}

        def finished() -> list[dict[str, Any]] | None:
            records = self.records()
            ended = {record["event_id"] for record in records if record["event_type"] == "finished"}
            return records if served <= ended and len(ended) == len(records) else None

        return wait_for("every request to be finished in the ledger", finished, _SLOW_SECONDS)

    def log_json(self) -> dict[str, Any]:
        """`/log?format=json` for an admin, through the proxy."""
        answer = requests.get(
            self.root + "/log?format=json&period=all",
            headers={"authorization": f"Bearer {self.keys[ADMIN]}"},
            timeout=60,
        )
        assert answer.ok, answer.text
        report: dict[str, Any] = answer.json()
        return report


@contextlib.contextmanager
def cloud_serving(
    folder: Path,
    upstream: CountingUpstream,
    pubsub: PubsubEmulator,
    bigquery: BigQueryEmulator,
    *,
    deliveries: int = 1,
    backoff: bool = True,
    **more: str,
) -> Iterator[CloudServing]:
    """A healthy deployment until the block ends."""
    upstream.reset()
    with cloud_ledger(bigquery) as ledger:
        one = CloudServing(folder, upstream, pubsub, bigquery, ledger, more=more)
        one.make_queue(deliveries=deliveries, backoff=backoff)
        one.write_access([ADMIN, "bob", "carol"])
        try:
            for name in _FUNCTIONS:
                one.start(name)
            wait_for("the deployment to be healthy", one.healthy)
            yield one
        finally:
            for name in list(one.processes):
                one.stop(name)
            for number in range(deliveries):
                pubsub.delete(f"subscriptions/{one.name}-{number}")
