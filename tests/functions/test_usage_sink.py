"""The sink as the platform starts it: a functions-framework process, pushed to over a socket."""

from __future__ import annotations

import base64
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from openai_proxy.adapters.sqlite_ledger import SqliteLedger
from openai_proxy.events import UsageEvent
from openai_proxy.period import Period
from openai_proxy.ports import Selection

SOURCE = Path(__file__).parents[2] / "functions" / "usage_sink" / "main.py"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = Period(NOON - timedelta(hours=12), NOON + timedelta(hours=12))
ALL = Selection(period=DAY)
AUTHORIZATION = {"Authorization": "Bearer right"}
EVENT = UsageEvent(
    event_id="e1",
    event_type="finished",
    event_time=NOON,
    user_id="ada",
    key_id="key_1",
    team_id=None,
    operation_name="chat",
    http_method="POST",
    url_path="/v1/chat/completions",
    request_model="gpt-4o",
    stream=False,
    retry_count=0,
    usage_source="reported",
    response_model="gpt-4o-2024-08-06",
    usage={"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
)


@dataclass(frozen=True)
class Sink:
    url: str
    folder: Path

    def push(self, data: bytes, **options: Any) -> requests.Response:
        """Push as Pub/Sub does, and as the embedded queue does."""
        message = {
            "data": base64.b64encode(data).decode(),
            "messageId": "7",
            "message_id": "7",
            "publishTime": "2026-11-23T12:00:00.500Z",
            "attributes": {},
        }
        body = {"subscription": "projects/p/subscriptions/s", "message": message}
        return self.post(json=body, **options)

    def post(self, **options: Any) -> requests.Response:
        headers = AUTHORIZATION | options.pop("headers", {})
        return requests.post(self.url, headers=headers, timeout=30, **options)

    def records(self) -> list[Any]:
        return list(SqliteLedger(self.folder / "ledger.db").records(ALL, limit=None))

    def dead_letters(self) -> list[tuple[bytes, str]]:
        with closing(sqlite3.connect(self.folder / "queue.db")) as connection:
            return connection.execute("SELECT data, reason FROM dead_letters").fetchall()


def start(folder: Path, port: int, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "functions_framework", "--target", "usage_sink", "--source", str(SOURCE)]
    command += ["--signature-type", "cloudevent", "--host", "127.0.0.1", "--port", str(port)]
    settings = {
        "USAGE_STORE_URL": f"sqlite:///{folder}/ledger.db",
        "USAGE_QUEUE_URL": f"sqlite:///{folder}/queue.db",
        "USAGE_SINK_TOKEN": "right",
    }
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(command, env=os.environ | settings | environment, stdout=output, stderr=output)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    return {}


@pytest.fixture
def sink(folder: Path, environment: dict[str, str]) -> Iterator[Sink]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start(folder, port, **environment)
    try:
        wait_for(port, process)
        yield Sink(f"http://127.0.0.1:{port}/projects/p/topics/t", folder)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the sink did not start")


def test_pushes_become_records_once_and_what_is_broken_becomes_dead_letters(sink: Sink) -> None:
    open_event = replace(EVENT, event_type="started", usage_source="unknown", usage=None)

    answers = [sink.push(event.to_json()) for event in (open_event, EVENT, EVENT, open_event)]
    answers += [sink.push(b"nonsense sk-op-secret"), sink.push(b"")]

    assert [answer.status_code for answer in answers] == [200] * 6
    [row] = sink.records()
    assert (row["event_id"], row["event_type"], str(row["list_cost"])) == ("e1", "finished", "0.0035")
    assert (row["message_id"], row["publish_time"]) == ("7", NOON + timedelta(milliseconds=500))
    assert [data for data, _ in sink.dead_letters()] == [b"nonsense sk-op-secret", b""]
    assert "secret" not in (sink.folder / "output").read_text()


def test_an_eventarc_request_is_a_push_as_well_and_a_broken_one_a_dead_letter(sink: Sink) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-source": "//pubsub.googleapis.com/projects/p/topics/t",
        "ce-id": "9",
        "Content-Type": "application/json; charset=utf-8",
    }
    data = base64.b64encode(EVENT.to_json()).decode()
    body = {"message": {"data": data, "messageId": "9", "publishTime": "2026-11-23T12:00:00.123456789Z"}}

    answers = [sink.post(headers=headers, data=text) for text in (json.dumps(body), "{broken", '{"message": {}}', "[]")]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert [row["message_id"] for row in sink.records()] == ["9"]
    assert [bytes(data) for data, _ in sink.dead_letters()] == [b"{broken", b'{"message": {}}', b"[]"]


@pytest.mark.parametrize("wrong", ["", "Bearer wrong", "Basic cmlnaHQ="])
def test_a_push_without_the_right_authorization_is_refused(sink: Sink, wrong: str) -> None:
    answer = sink.push(EVENT.to_json(), headers={"Authorization": wrong})

    assert answer.status_code == 403
    assert sink.records() == []


def test_many_pushes_at_once_are_one_record_each(sink: Sink) -> None:
    events = [replace(EVENT, event_id=f"e{number % 50}") for number in range(100)]

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda event: sink.push(event.to_json()).status_code, events))

    assert set(statuses) == {200}
    assert len(sink.records()) == 50


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        (
            {"USAGE_STORE_URL": "sqlite:////dev/null/ledger.db"},
            "the ledger /dev/null/ledger.db cannot be written",
        ),
        ({"USAGE_STORE_URL": ""}, "USAGE_STORE_URL is not set"),
    ],
)
def test_what_fails_now_is_delivered_again_and_logged_in_one_line(sink: Sink, reason: str) -> None:
    answer = sink.push(EVENT.to_json())

    assert answer.status_code == 503
    [line] = (sink.folder / "output").read_text().splitlines()
    assert json.loads(line)["severity"] == "ERROR"
    assert json.loads(line)["message"].startswith(reason)
