"""Google Cloud Pub/Sub: usage events out, and the messages that can never become a record.

The queue calls the service's one method by the generated client's channel: the client itself adds 0.1 ms of CPU to
each call, and the one on top of it (`google.cloud.pubsub_v1`) holds each message back for 10 ms and starts a thread a
batch. Connections are made by the first message: after the server's fork.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
import grpc.aio
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
from google.api_core.gapic_v1.routing_header import to_grpc_metadata
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport, PublisherGrpcTransport
from google.pubsub_v1.services.subscriber import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PublishRequest, PubsubMessage, ReceivedMessage

from openai_proxy.events import SCHEMA_VERSION, UsageEvent
from openai_proxy.ports import QueueError

_METHOD = "/google.pubsub.v1.Publisher/Publish"
_SPACING_SECONDS = 0.005  # between calls that overlap
_MOST_MESSAGES = 100  # in one call
_LARGEST_CALL = 9_000_000  # bytes; Pub/Sub takes 10 MB a call: https://cloud.google.com/pubsub/quotas#resource_limits
_DEAD_LETTER_SECONDS = 5.0  # the sink may wait: its caller delivers again
_PULL_SECONDS = 3.0  # without a message until then, there is none
_MOST_PULLED = 1000
_LEASE_SECONDS = 600  # the longest that Pub/Sub allows
_LONGEST_REASON = 1000  # bytes; an attribute takes 1,024
_SOURCE = "CloudPubSubDeadLetterSource"  # Pub/Sub's own attributes of a dead letter begin so
_EMULATOR = "PUBSUB_EMULATOR_HOST"  # as in all of Google's clients
_Request, _Message = PublishRequest.pb(), PubsubMessage.pb()  # protobuf's own classes: faster than what wraps them
_Stub = Callable[..., Awaitable[object]]
_FAILURES = (GoogleAPIError, GoogleAuthError, grpc.RpcError)


class PubsubQueue:
    """Publishes to a topic: in one call what one turn of the loop publishes, and what comes while a call is under way.

    It waits for that call no longer than 5 ms: so the cost of calls is bounded, and latency grows by less than that.
    """

    def __init__(self, project: str, topic: str, timeout_seconds: float) -> None:
        self._topic = _topic_path(project, topic)
        self._timeout = timeout_seconds
        self._channel: grpc.aio.Channel | None = None
        self._stub: _Stub | None = None
        self._pending: deque[_Item] = deque()
        self._hand_over: asyncio.Handle | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._next_call = 0.0

    async def publish(self, event: UsageEvent) -> None:
        """Return when the topic has acknowledged the event.

        Raises:
            QueueError: it has not, or not within the queue's time; it may be there nevertheless.
        """
        data = event.to_json()
        if len(data) > _LARGEST_CALL:
            raise QueueError(f"the event has {len(data)} bytes; a message may have {_LARGEST_CALL}")
        loop = asyncio.get_running_loop()
        attributes = {"event_type": event.event_type, "schema_version": str(SCHEMA_VERSION)}
        item = _Item(_Message(data=data, attributes=attributes), len(data), loop.create_future())
        self._pending.append(item)
        if self._hand_over is None:
            self._hand_over = loop.call_soon(self._begin)
        try:
            async with asyncio.timeout(self._timeout):
                await item.done
        except TimeoutError:
            raise QueueError(f"{self._topic} did not accept the message within {self._timeout:g} s") from None

    async def check(self) -> None:
        """Publish nothing: the topic answers that there is nothing to publish. No other right is needed for it.

        Raises:
            QueueError: a message could not be accepted now.
        """
        try:
            await self._publish([])
        except grpc.aio.AioRpcError as cause:
            if cause.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise _not_accepted(self._topic, cause) from None
        except _FAILURES as cause:
            raise _not_accepted(self._topic, cause) from None

    async def close(self) -> None:
        """Publish what is pending, then close the connection."""
        while self._pending or self._calls:
            self._next_call = 0.0
            self._begin()
            await asyncio.wait(self._calls)
        if self._channel is not None:
            await self._channel.close()
        self._channel = self._stub = None

    def _begin(self) -> None:
        """Begin a call, now or when it is time for the next one."""
        if self._hand_over is not None:
            self._hand_over.cancel()
            self._hand_over = None
        if not self._pending:
            return
        loop = asyncio.get_running_loop()
        if not self._calls or loop.time() >= self._next_call:
            self._next_call = loop.time() + _SPACING_SECONDS
            call = loop.create_task(self._send(list(self._batch())))
            self._calls.add(call)
            call.add_done_callback(self._end)
        if self._pending:
            self._hand_over = loop.call_at(self._next_call, self._begin)

    def _end(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._begin()

    def _batch(self) -> Iterator[_Item]:
        """What goes into the next call; whoever waited too long has published anew, or given up."""
        size = 0
        for _ in range(_MOST_MESSAGES):
            while self._pending and self._pending[0].done.done():
                self._pending.popleft()
            if not self._pending or size + self._pending[0].size > _LARGEST_CALL:
                return
            size += self._pending[0].size
            yield self._pending.popleft()

    async def _send(self, items: Sequence[_Item]) -> None:
        if not items:
            return
        error: QueueError | None = None
        try:
            await self._publish([item.message for item in items])
        except _FAILURES as cause:
            error = _not_accepted(self._topic, cause)
        for item in items:
            item.settle(error)

    async def _publish(self, messages: Sequence[PubsubMessage]) -> None:
        if self._stub is None:
            self._channel = _async_channel()
            self._stub = self._channel.unary_unary(_METHOD, request_serializer=_Request.SerializeToString)
        route = to_grpc_metadata([("topic", self._topic)])  # type: ignore[no-untyped-call] # it has no types
        await self._stub(_Request(topic=self._topic, messages=messages), timeout=self._timeout, metadata=[route])


@dataclass(slots=True)
class _Item:
    message: PubsubMessage
    size: int
    done: asyncio.Future[None]

    def settle(self, error: QueueError | None) -> None:
        if self.done.done():  # its publisher left, or its time was up
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(QueueError(str(error)))  # each publisher adds a traceback of its own


class PubsubDeadLetters:
    """Publishes to the dead-letter topic; for many threads at once."""

    def __init__(self, project: str, topic: str) -> None:
        self._topic = _topic_path(project, topic)
        self._lock = threading.Lock()
        self._client: PublisherClient | None = None

    def add(self, message: bytes, reason: str) -> None:
        """Return when the topic has acknowledged the message, with its reason as an attribute.

        Raises:
            QueueError: it has not.
        """
        attributes = {"reason": reason.encode("utf-8", "replace")[:_LONGEST_REASON].decode("utf-8", "ignore")}
        try:
            with self._lock:
                self._client = self._client or _publisher()
            self._client.publish(
                topic=self._topic,
                messages=[PubsubMessage(data=message, attributes=attributes)],
                retry=None,
                timeout=_DEAD_LETTER_SECONDS,
            )
        except _FAILURES as cause:
            raise _not_accepted(self._topic, cause) from None


@dataclass(frozen=True, slots=True)
class PubsubDeadLetter:
    """A message that was given up, and why."""

    message_id: str
    data: bytes
    publish_time: datetime
    attempts: int
    dead_time: datetime
    reason: str


class PubsubDeadLetterBox:
    """The dead letters as their pull subscription has them; `replay` publishes to the topic that they came from."""

    def __init__(self, project: str, subscription: str, *, topic_project: str, topic: str) -> None:
        self._subscription = f"projects/{project}/subscriptions/{subscription}"
        self._topic = _topic_path(topic_project, topic)
        self._client: SubscriberClient | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.transport.close()  # type: ignore[no-untyped-call] # Google's transports have no types

    def dead_letters(self) -> Sequence[PubsubDeadLetter]:
        """All dead letters, oldest first; they stay.

        Raises:
            QueueError: the subscription cannot be read now.
        """
        leased = self._lease()
        self._release(ack_id for ack_id, _ in leased)
        letters = [_dead_letter(message) for _, message in leased]
        return sorted(letters, key=lambda letter: (letter.dead_time, letter.message_id))

    def replay(self, now: datetime) -> int:
        """Publish every dead letter from before `now` to the topic again; answer how many.

        Raises:
            QueueError: one was not accepted, or the subscription cannot be read now; what is left stays.
        """
        leased = self._lease()
        due = [(ack_id, message) for ack_id, message in leased if _time(message) <= now]
        try:
            with _publisher() as publisher:
                for ack_id, message in due:
                    again = PubsubMessage(data=message.data, attributes=_own_attributes(message))
                    publisher.publish(topic=self._topic, messages=[again], retry=None, timeout=_DEAD_LETTER_SECONDS)
                    self._connected().acknowledge(subscription=self._subscription, ack_ids=[ack_id], retry=None)
        except _FAILURES as cause:
            raise _not_accepted(self._topic, cause) from None
        finally:
            self._release(ack_id for ack_id, _ in leased)  # of one that was acknowledged, nothing is left to release
        return len(due)

    def _lease(self) -> list[tuple[str, PubsubMessage]]:
        """Pull until nothing new comes, and keep all of it from others meanwhile."""
        leased: dict[str, tuple[str, PubsubMessage]] = {}
        try:
            while received := self._pull():
                ack_ids = [one.ack_id for one in received]
                self._connected().modify_ack_deadline(
                    subscription=self._subscription, ack_ids=ack_ids, ack_deadline_seconds=_LEASE_SECONDS
                )
                known = len(leased)
                leased |= {one.message.message_id: (one.ack_id, one.message) for one in received}
                if len(leased) == known:
                    break
        except _FAILURES as cause:
            raise QueueError(f"{self._subscription} cannot be read now: {_text(cause)}") from None
        return list(leased.values())

    def _pull(self) -> Sequence[ReceivedMessage]:
        try:
            return (
                self._connected()
                .pull(subscription=self._subscription, max_messages=_MOST_PULLED, retry=None, timeout=_PULL_SECONDS)
                .received_messages
            )
        except DeadlineExceeded:  # that is how "nothing there" ends
            return ()

    def _connected(self) -> SubscriberClient:
        if self._client is None:
            self._client = _subscriber()
        return self._client

    def _release(self, ack_ids: Iterable[str]) -> None:
        """Let others have them at once; a failure only means that they come back later."""
        with contextlib.suppress(*_FAILURES):
            self._connected().modify_ack_deadline(
                subscription=self._subscription, ack_ids=list(ack_ids), ack_deadline_seconds=0
            )


def _topic_path(project: str, topic: str) -> str:
    return f"projects/{project}/topics/{topic}"


def _async_channel() -> grpc.aio.Channel:
    emulator = os.environ.get(_EMULATOR)
    return grpc.aio.insecure_channel(emulator) if emulator else PublisherGrpcAsyncIOTransport.create_channel()


def _publisher() -> PublisherClient:
    emulator = os.environ.get(_EMULATOR)
    if emulator:
        return PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(emulator)))
    return PublisherClient()


def _subscriber() -> SubscriberClient:
    emulator = os.environ.get(_EMULATOR)
    if emulator:
        return SubscriberClient(transport=SubscriberGrpcTransport(channel=grpc.insecure_channel(emulator)))
    return SubscriberClient()


def _dead_letter(message: PubsubMessage) -> PubsubDeadLetter:
    """Our sink gives a reason; what Pub/Sub itself gave up tells how often it tried."""
    attributes = message.attributes
    attempts = int(attributes.get(f"{_SOURCE}DeliveryCount", "1"))
    published = attributes.get(f"{_SOURCE}TopicPublishTime")
    reason = attributes.get("reason") or f"not acknowledged in {attempts} deliveries; the sink's log says why"
    return PubsubDeadLetter(
        message_id=message.message_id,
        data=message.data,
        publish_time=datetime.fromisoformat(published).astimezone(UTC) if published else _time(message),
        attempts=attempts,
        dead_time=_time(message),
        reason=reason,
    )


def _own_attributes(message: PubsubMessage) -> dict[str, str]:
    """Those that the message had before it was a dead letter."""
    return {
        name: value
        for name, value in message.attributes.items()
        if name != "reason" and not name.startswith(_SOURCE)
    }  # fmt: skip


def _time(message: PubsubMessage) -> datetime:
    return datetime.fromtimestamp(message.publish_time.timestamp(), UTC)


def _not_accepted(topic: str, cause: Exception) -> QueueError:
    return QueueError(f"{topic} did not accept the message: {_text(cause)}")


def _text(cause: Exception) -> str:
    if isinstance(cause, grpc.aio.AioRpcError):
        return f"{cause.code().name}: {cause.details()}"[:_LONGEST_REASON]
    return f"{type(cause).__name__}: {cause}"[:_LONGEST_REASON]
