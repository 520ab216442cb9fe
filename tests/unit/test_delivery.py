from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from made_usage import usage_record
from openai_proxy.adapters.file_lock import FileLock
from openai_proxy.adapters.sqlite_deliveries import Message, SqliteDeliveries
from openai_proxy.adapters.sqlite_queue import SqliteQueue
from openai_proxy.local.delivery import backoff, push_body, serve_queue
from serving import free_port, wait_for

Answer = Callable[[str], int]


class Sink:
    """A sink on a real socket that remembers what came, and answers as it is told."""

    def __init__(self, answer: Answer = lambda _: 204, seconds: float = 0.02) -> None:
        self.answer = answer
        self.seconds = seconds
        self.received: list[tuple[str, str | None, dict[str, Any]]] = []
        self.flying = 0
        self.most_flying = 0

    def event_ids(self) -> list[str]:
        return [event_id(body) for _, _, body in self.received]

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._post)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.received.append((request.path, request.headers.get("Authorization"), body))
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        await asyncio.sleep(self.seconds)
        self.flying -= 1
        status = self.answer(event_id(body))
        if not status:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status or 500)


def event_id(body: dict[str, Any]) -> str:
    return str(json.loads(base64.b64decode(body["message"]["data"]))["event_id"])


async def publish(path: Path, *event_ids: str) -> None:
    queue = SqliteQueue(path, 10)
    for one in event_ids:
        await queue.publish(usage_record(one, datetime.now(UTC), "ada").event)
    await queue.close()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not done():  # noqa: ASYNC110 - what is waited for is in a file
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def delivering(path: Path, url: str, answer_seconds: float = 30.0) -> AsyncIterator[None]:
    stop = asyncio.Event()
    worker = asyncio.create_task(serve_queue(path, url, "the-sinks-token", stop, answer_seconds=answer_seconds))
    try:
        yield
    finally:
        stop.set()
        await worker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.sqlite3"


def depth(path: Path) -> int:
    with contextlib.closing(SqliteDeliveries(path)) as deliveries:
        return deliveries.depth()


def reasons(path: Path) -> list[str]:
    with contextlib.closing(SqliteDeliveries(path)) as deliveries:
        return [letter.reason for letter in deliveries.dead_letters()]


def make_due(path: Path, attempts: int) -> None:
    """As if the time of the back-off had passed, and so many attempts had failed."""
    with contextlib.closing(SqliteDeliveries(path)) as deliveries:
        deliveries._connection.execute("UPDATE messages SET next_attempt_time = 0, attempts = ?", (attempts,))  # noqa: SLF001 - makes hours pass


def test_the_body_is_that_of_a_pubsub_push_subscription() -> None:
    message = Message(7, b'{"a":1}', datetime(2026, 5, 1, 12, 0, 0, 250_000, UTC), attempts=2)

    assert push_body(message) == {
        "subscription": "projects/local/subscriptions/usage-events",
        "deliveryAttempt": 3,
        "message": {
            "data": "eyJhIjoxfQ==",
            "attributes": {},
            "messageId": "7",
            "message_id": "7",
            "publishTime": "2026-05-01T12:00:00.250Z",
            "publish_time": "2026-05-01T12:00:00.250Z",
        },
    }


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.2), (2, 0.4), (9, 51.2), (10, 60), (10_000, 60)])
def test_the_back_off_doubles_up_to_a_minute(failures: int, longest: float) -> None:
    waits = [backoff(failures) for _ in range(200)]

    assert timedelta(0) <= min(waits) <= max(waits) <= timedelta(seconds=longest)
    assert max(waits) > timedelta(seconds=longest / 2)


def test_all_messages_are_delivered_oldest_first_several_at_a_time(path: Path) -> None:
    sink = Sink()
    names = [f"event-{number:02}" for number in range(40)]

    async def story() -> None:
        await publish(path, *names)
        async with sink.running() as url, delivering(path, url):
            await until(lambda: depth(path) == 0)

    asyncio.run(story())

    assert sorted(sink.event_ids()) == names
    assert set(sink.event_ids()[:8]) == set(names[:8])
    assert 1 < sink.most_flying <= 8
    assert {(place, credential) for place, credential, _ in sink.received} == {
        ("/projects/local/topics/usage-events", "Bearer the-sinks-token")
    }


@pytest.mark.parametrize("status", [102, 200, 201, 202, 204])
def test_what_pubsub_takes_as_an_acknowledgement_is_one(path: Path, status: int) -> None:
    sink = Sink(lambda _: status)

    async def story() -> None:
        await publish(path, "a")
        async with sink.running() as url, delivering(path, url):
            await until(lambda: depth(path) == 0)

    if status != 102:  # an interim answer, which aiohttp's server does not send alone
        asyncio.run(story())
        assert sink.event_ids() == ["a"]


@pytest.mark.parametrize("failure", [500, 429, 404, 302, 0], ids=["500", "429", "404", "302", "broken off"])
def test_whatever_else_the_sink_does_the_message_comes_again_and_others_are_not_held_up(
    path: Path, failure: int
) -> None:
    answers = {"bad": iter([failure, failure])}
    sink = Sink(lambda name: next(answers.get(name, iter(())), 204))

    async def story() -> None:
        await publish(path, "bad", "good")
        async with sink.running() as url, delivering(path, url):
            await until(lambda: depth(path) == 0)

    asyncio.run(story())

    assert sorted(sink.event_ids()) == ["bad", "bad", "bad", "good"]
    assert [body["deliveryAttempt"] for _, _, body in sink.received if event_id(body) == "bad"] == [1, 2, 3]


def test_the_tenth_failed_attempt_makes_a_dead_letter_with_the_reason(path: Path) -> None:
    sink = Sink(lambda _: 500)

    async def story() -> None:
        await publish(path, "bad")
        make_due(path, attempts=9)
        async with sink.running() as url, delivering(path, url):
            await until(lambda: reasons(path) != [])

    asyncio.run(story())

    assert [body["deliveryAttempt"] for _, _, body in sink.received] == [10]
    assert depth(path) == 0
    assert reasons(path) == ["the sink answered 500"]


def test_an_answer_that_does_not_come_is_a_failed_attempt(path: Path) -> None:
    async def story() -> None:
        await publish(path, "slow")
        make_due(path, attempts=9)
        async with Sink(seconds=60).running() as url, delivering(path, url, answer_seconds=0.2):
            await until(lambda: reasons(path) != [])

    asyncio.run(story())

    assert reasons(path) == ["the sink did not answer in time"]


def test_an_unreachable_sink_is_no_attempt_of_any_message(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sink = Sink()
    port = free_port()

    async def story() -> None:
        await publish(path, *(f"event-{number}" for number in range(10)))
        async with delivering(path, f"http://127.0.0.1:{port}"):
            await asyncio.sleep(0.5)
            async with sink.running(port):
                await until(lambda: depth(path) == 0)

    asyncio.run(story())

    assert {body["deliveryAttempt"] for _, _, body in sink.received} == {1}
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["nothing can be delivered now; usage events wait in the queue"]


def test_a_ledger_that_cannot_be_written_is_no_attempt_of_any_message(path: Path) -> None:
    sink = Sink(lambda _: 503 if len(sink.received) < 12 else 204)

    async def story() -> None:
        await publish(path, *(f"event-{number}" for number in range(10)))
        async with sink.running() as url, delivering(path, url):
            await until(lambda: depth(path) == 0)

    asyncio.run(story())

    assert {body["deliveryAttempt"] for _, _, body in sink.received} == {1}
    assert reasons(path) == []


def test_stopping_lets_what_is_in_flight_end(path: Path) -> None:
    sink = Sink()

    async def story() -> None:
        await publish(path, "a")
        async with sink.running() as url, delivering(path, url):
            await until(lambda: sink.flying == 1)

    asyncio.run(story())

    assert depth(path) == 0


def test_a_queue_that_was_deleted_is_opened_anew(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sink = Sink()

    async def story() -> None:
        await publish(path, "a")
        async with sink.running() as url, delivering(path, url):
            await until(lambda: sink.event_ids() == ["a"])
            for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
                file.unlink()
            await publish(path, "b")
            await until(lambda: sink.event_ids() == ["a", "b"])

    asyncio.run(story())

    assert "the queue cannot be read now" in capsys.readouterr().err


def worker(path: Path, url: str) -> subprocess.Popen[bytes]:
    environ = {"USAGE_QUEUE_URL": f"sqlite:///{path}", "USAGE_SINK_URL": url, "USAGE_SINK_TOKEN": "the-sinks-token"}
    return subprocess.Popen([sys.executable, "-m", "openai_proxy.local.delivery"], env=os.environ | environ)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_delivers_and_ends_when_it_is_told_to(path: Path, number: int) -> None:
    sink = Sink()

    async def story() -> None:
        await publish(path, "a")
        async with sink.running() as url:
            process = worker(path, url)
            await until(lambda: depth(path) == 0)
            process.send_signal(number)
            assert await asyncio.to_thread(process.wait, 30) == 0

    asyncio.run(story())

    assert sink.event_ids() == ["a"]


def test_what_a_killed_worker_had_in_flight_is_delivered_by_the_next_one(path: Path) -> None:
    sink = Sink()

    async def story() -> None:
        names = [f"event-{number:02}" for number in range(30)]
        await publish(path, *names)
        async with sink.running() as url:
            first = worker(path, url)
            await until(lambda: len(sink.received) > 3)
            first.kill()
            await asyncio.to_thread(first.wait, 30)
            second = worker(path, url)
            await until(lambda: depth(path) == 0)
            second.terminate()
            await asyncio.to_thread(second.wait, 30)
        assert set(sink.event_ids()) == set(names)

    asyncio.run(story())


def test_a_second_worker_waits_for_the_end_of_the_first(path: Path) -> None:
    sink = Sink()

    async def story() -> None:
        await publish(path, "a")
        lock = FileLock(path.with_name(path.name + ".delivery.lock"))
        lock.acquire(wait=True)
        async with sink.running() as url:
            process = worker(path, url)
            await asyncio.sleep(1)
            assert sink.received == []
            lock.release()
            await until(lambda: depth(path) == 0)
            process.terminate()
            await asyncio.to_thread(process.wait, 30)

    asyncio.run(story())


def test_a_worker_that_waits_ends_when_it_is_told_to(path: Path) -> None:
    with FileLock(path.with_name(path.name + ".delivery.lock")):
        process = worker(path, "http://127.0.0.1:9")
        wait_for("the worker to wait", lambda: signal.SIGTERM in caught(process.pid), 30)
        process.terminate()

        assert process.wait(30) == 0


def caught(pid: int) -> set[int]:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    mask = next(int(line.split()[1], 16) for line in status.read_text().splitlines() if line.startswith("SigCgt"))
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}


def test_a_worker_without_its_settings_says_which_one_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openai_proxy.local.delivery"],
        env={"USAGE_QUEUE_URL": "sqlite:///queue"},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("openai-proxy: USAGE_SINK_URL is not set")
