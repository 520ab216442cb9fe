"""The embedded queue's delivery worker: POSTs each message to the sink as a Pub/Sub push subscription would.

`python -m openai_proxy.local.delivery` reads USAGE_QUEUE_URL, USAGE_SINK_URL and USAGE_SINK_TOKEN. One worker serves a
queue; another one waits until the first has ended. What is in flight is known to this process only, so whatever dies,
the queue still holds every message that was not acknowledged.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import signal
import sqlite3
import sys
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from openai_proxy import bootstrap
from openai_proxy.adapters.file_lock import FileLock
from openai_proxy.adapters.sqlite_deliveries import Message, SqliteDeliveries
from openai_proxy.settings import Settings, SettingsError
from openai_proxy.structured_log import log

TOPIC_PATH = "/projects/local/topics/usage-events"
_SUBSCRIPTION = "projects/local/subscriptions/usage-events"
_LEDGER_UNAVAILABLE = 503  # what our sink answers when the ledger, not the message, is the trouble
_ACKNOWLEDGED = frozenset({102, 200, 201, 202, 204})  # https://cloud.google.com/pubsub/docs/push#receive_push
_MAX_ATTEMPTS = 10
_PARALLEL = 8
_BATCH = 64
_POLL_SECONDS = 0.05
_OUTAGE_CAP_SECONDS = 2.0  # the sink is a process beside us that is being started again
_STOP_SECONDS = 2.0
_REOPEN_SECONDS = 1.0
_ANSWER_SECONDS = 30.0
_KEEPALIVE_SECONDS = 1.0  # gunicorn closes an idle connection after 2 s, and a POST on a closed one would fail


def backoff(failures: int, cap_seconds: float = 60.0) -> timedelta:
    """How long to wait after so many failures: exponential with full jitter, from a base of 0.2 s.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    longest = min(cap_seconds, 0.2 * 2 ** min(failures - 1, 30))
    return timedelta(seconds=random.uniform(0, longest))  # noqa: S311 - spreads load, guards nothing


def push_body(message: Message) -> dict[str, object]:
    """The wrapped push body of Pub/Sub: https://cloud.google.com/pubsub/docs/push#wrapped_messages."""
    message_id = str(message.message_id)
    publish_time = message.publish_time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "subscription": _SUBSCRIPTION,
        "deliveryAttempt": message.attempts + 1,
        "message": {
            "data": base64.b64encode(message.data).decode(),
            "attributes": {},
            "messageId": message_id,
            "message_id": message_id,
            "publishTime": publish_time,
            "publish_time": publish_time,
        },
    }


class SinkUnreachableError(Exception):
    """No connection to the sink, or the sink has none to the ledger: that says nothing about the message."""


class DeliveryError(Exception):
    """The sink did not acknowledge; the text is the reason that the queue keeps."""


class Delivery:
    """Moves messages from one queue to one sink until it is told to stop."""

    def __init__(self, deliveries: SqliteDeliveries, session: aiohttp.ClientSession, url: str) -> None:
        self._deliveries = deliveries
        self._session = session
        self._url = url
        self._ready: deque[Message] = deque()
        self._running: dict[asyncio.Task[None], Message] = {}
        self._outages = 0
        self._resume_time = datetime.now(UTC)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set, then let what is in flight end, for at most 2 s.

        Raises:
            sqlite3.Error: the queue cannot be read or written now; what is not acknowledged there comes again.
        """
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                now = datetime.now(UTC)
                if now >= self._resume_time:
                    self._start(now)
                pause = _POLL_SECONDS if len(self._running) < _PARALLEL else None
                await asyncio.wait({stopped, *self._running}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                self._settle()
            if self._running:
                await asyncio.wait(self._running, timeout=_STOP_SECONDS)
                self._settle()
        finally:
            for task in (stopped, *self._running):
                task.cancel()
            await asyncio.gather(stopped, *self._running, return_exceptions=True)

    def _start(self, now: datetime) -> None:
        if not self._ready and len(self._running) < _PARALLEL:
            flying = {message.message_id for message in self._running.values()}
            due = self._deliveries.due(now, _BATCH + len(flying))
            self._ready.extend(message for message in due if message.message_id not in flying)
        while self._ready and len(self._running) < _PARALLEL:
            message = self._ready.popleft()
            self._running[asyncio.create_task(self._post(message))] = message

    async def _post(self, message: Message) -> None:
        try:
            async with self._session.post(self._url, json=push_body(message)) as response:
                if response.status == _LEDGER_UNAVAILABLE:
                    raise SinkUnreachableError("the sink cannot write the ledger now; its own log says why")
                if response.status not in _ACKNOWLEDGED:
                    raise DeliveryError(f"the sink answered {response.status}")
        except aiohttp.ClientConnectorError as error:
            raise SinkUnreachableError(str(error.os_error)) from None
        except TimeoutError:
            raise DeliveryError("the sink did not answer in time") from None
        except aiohttp.ClientError as error:
            raise DeliveryError(f"the sink broke off: {type(error).__name__}") from None

    def _settle(self) -> None:
        """Write down what became of the deliveries that ended."""
        now = datetime.now(UTC)
        delivered = []
        for task in [task for task in self._running if task.done()]:
            message = self._running.pop(task)
            try:
                task.result()
            except SinkUnreachableError as error:
                self._pause(now, str(error))
            except DeliveryError as error:
                self._fail(message, str(error), now)
            else:
                delivered.append(message.message_id)
        if delivered:
            self._outages = 0
            self._deliveries.acknowledge(delivered)

    def _pause(self, now: datetime, reason: str) -> None:
        self._ready.clear()  # so that the oldest come first again
        if now < self._resume_time:
            return  # the same outage, met by a parallel delivery
        self._outages += 1
        self._resume_time = now + backoff(self._outages, _OUTAGE_CAP_SECONDS)
        if self._outages == 1:
            log("WARNING", "nothing can be delivered now; usage events wait in the queue", error=reason)

    def _fail(self, message: Message, reason: str, now: datetime) -> None:
        attempts = message.attempts + 1
        if attempts >= _MAX_ATTEMPTS:
            self._deliveries.bury(message.message_id, reason, now)
            log("ERROR", "a usage event is a dead letter now", message_id=str(message.message_id), error=reason)
        else:
            self._deliveries.postpone(message.message_id, reason, now + backoff(attempts))


async def serve_queue(
    queue_file: Path,
    sink_url: str,
    sink_token: str | None,
    stop: asyncio.Event,
    *,
    answer_seconds: float = _ANSWER_SECONDS,
) -> None:
    """Deliver until `stop` is set. A queue that breaks is opened again until it works."""
    timeout = aiohttp.ClientTimeout(total=answer_seconds)
    headers = {"Authorization": f"Bearer {sink_token}"} if sink_token else {}
    connector = aiohttp.TCPConnector(keepalive_timeout=_KEEPALIVE_SECONDS, limit=_PARALLEL)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        while not stop.is_set():
            try:
                deliveries = SqliteDeliveries(queue_file)
                try:
                    await Delivery(deliveries, session, sink_url.rstrip("/") + TOPIC_PATH).run(stop)
                finally:
                    deliveries.close()
            except (sqlite3.Error, OSError) as error:
                log("ERROR", "the queue cannot be read now; trying again", error=str(error))
                await _wait(stop, _REOPEN_SECONDS)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _main(queue_file: Path, sink_url: str, sink_token: str | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lock = FileLock(queue_file.with_name(queue_file.name + ".delivery.lock"))
    if not lock.acquire(wait=False):
        log("INFO", "another delivery worker serves this queue; waiting for its end")
        while not stop.is_set() and not lock.acquire(wait=False):
            await _wait(stop, _POLL_SECONDS * 4)
    await serve_queue(queue_file, sink_url, sink_token, stop)


def main() -> int:
    """Run the worker until SIGTERM or SIGINT."""
    try:
        settings = Settings.from_environ(os.environ)
        queue_file, sink_url = bootstrap.queue_file(settings), settings.require("usage_sink_url")
    except SettingsError as error:
        sys.stderr.write(f"openai-proxy: {error}\n")
        return 1
    asyncio.run(_main(queue_file, sink_url, settings.usage_sink_token))
    return 0


if __name__ == "__main__":
    sys.exit(main())
