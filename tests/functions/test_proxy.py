"""The proxy as it is deployed: its own process, HTTP, an access file, the embedded queue, and a real upstream."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from openai_proxy.events import UsageEvent
from openai_proxy.keys import key_hash, new_key
from serving import TEAM_KEY, CountingUpstream, free_port, wait_for

_MAIN = Path(__file__).parents[2] / "functions" / "proxy" / "main.py"
_STOP_SECONDS = 10.0
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello world!"}]}


@dataclass(slots=True)
class ProxyServing:
    folder: Path
    port: int = field(default_factory=free_port)
    key: str = field(default_factory=new_key)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def write_access(self) -> None:
        (self.folder / "access.toml").write_text(
            f'version = 1\n[users.alice]\n[[users.alice.keys]]\nid = "key_1"\nsha256 = "{key_hash(self.key)}"\n'
            "created_time = 2026-01-01T00:00:00Z\n"
        )

    def call(self, orders: str = "", path: str = "/openai", **headers: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", "x-upstream-orders": orders, **headers}
        return requests.post(self.root + path, json=CHAT, headers=headers, timeout=30)

    def events(self) -> list[UsageEvent]:
        """What waits in the queue, oldest first."""
        with contextlib.closing(sqlite3.connect(self.folder / "queue.db")) as queue:
            return [UsageEvent.from_json(data) for (data,) in queue.execute("SELECT data FROM messages ORDER BY id")]

    def last_event(self, event_type: str) -> UsageEvent | None:
        events = self.events()
        return events[-1] if events and events[-1].event_type == event_type else None


@contextlib.contextmanager
def proxy_process(folder: Path, upstream: CountingUpstream) -> Iterator[tuple[ProxyServing, subprocess.Popen[bytes]]]:
    one = ProxyServing(folder)
    one.write_access()
    environ = os.environ | {
        "OPENAI_API_KEY": TEAM_KEY,
        "OPENAI_BASE_URL": upstream.base_url,
        "ACCESS_FILE": str(folder / "access.toml"),
        "USAGE_QUEUE_URL": f"sqlite:///{folder / 'queue.db'}",
    }
    command = [
        str(Path(sys.executable).with_name("functions-framework")),
        *("--target", "proxy", "--source", str(_MAIN), "--host", "127.0.0.1", "--port", str(one.port)),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for("the proxy to answer", lambda: _answers(one.root) or process.poll() is not None)
        assert process.poll() is None, one.log
        yield one, process
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)
    assert "Traceback" not in one.log
    assert one.key not in one.log
    assert TEAM_KEY not in one.log


def _answers(root: str) -> bool:
    try:
        return requests.get(f"{root}/healthz", timeout=10).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def proxy(upstream: CountingUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServing]:
    with proxy_process(tmp_path_factory.mktemp("proxy"), upstream) as (one, _):
        yield one


def test_a_call_is_answered_and_two_events_wait_in_the_queue(proxy: ProxyServing, upstream: CountingUpstream) -> None:
    answer = proxy.call()

    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"
    started, finished = proxy.events()[-2:]
    assert (started.event_type, finished.event_type) == ("started", "finished")
    assert started.event_id == finished.event_id == answer.headers["x-openai-proxy-request-id"]
    assert finished.usage == answer.json()["usage"]
    served = upstream.served_as(finished.event_id)
    assert served["team_key"]
    assert "function-execution-id" not in {name.lower() for name in served["headers"]}


def test_a_websocket_is_sent_away_at_once(proxy: ProxyServing) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as client:
        client.sendall(
            b"GET /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 426 ")


@pytest.mark.parametrize("path", ["/", "/%0a", "//", "/favicon.ico", "/v1/chat%2fcompletions", "/log", "/v1/../v1"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD", "PATCH"])
def test_no_path_and_no_method_breaks_it(proxy: ProxyServing, method: str, path: str) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as client:
        client.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        with client.makefile("rb") as answer:
            status = int(answer.readline().split()[1])
            rest = answer.read()

    assert status in {302, 401, 404, 405, 502}
    assert b"Traceback" not in rest


def test_a_client_that_leaves_is_noticed(proxy: ProxyServing, upstream: CountingUpstream) -> None:
    upstream.reset()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as client:
        body = json.dumps(CHAT).encode()
        client.sendall(
            b"POST /openai HTTP/1.1\r\nHost: x\r\nx-upstream-orders: first=500\r\n"
            + f"Authorization: Bearer {proxy.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        wait_for("the upstream to see it", upstream.served)

    finished = wait_for("the record", lambda: proxy.last_event("finished"))
    assert (finished.client_disconnected, finished.usage_source) == (True, "reported")


def test_sigterm_records_what_waits_and_ends_the_process(upstream: CountingUpstream, tmp_path: Path) -> None:
    upstream.reset()
    with proxy_process(tmp_path, upstream) as (one, process):
        with socket.create_connection(("127.0.0.1", one.port), timeout=30) as client:
            body = json.dumps(CHAT).encode()
            client.sendall(
                b"POST /openai HTTP/1.1\r\nHost: x\r\nx-upstream-orders: hang\r\n"
                + f"Authorization: Bearer {one.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            wait_for("the upstream to see it", upstream.served)
            process.terminate()
            assert client.recv(1000).startswith(b"HTTP/1.1 503 ")
        process.wait(_STOP_SECONDS)
        finished = one.last_event("finished")
        assert finished
        assert (finished.usage_source, finished.error_type) == ("estimated", "proxy_stopping")
