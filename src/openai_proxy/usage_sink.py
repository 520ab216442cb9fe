"""The sink: a pushed message becomes one priced record in the ledger, or a dead letter with its reason."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from openai_proxy.events import MalformedEventError, UsageEvent
from openai_proxy.ports import DeadLetters, UsageStore
from openai_proxy.pricing.priced import priced
from openai_proxy.records import UsageRecord
from openai_proxy.structured_log import about_also, log


def _now() -> datetime:
    return datetime.now(UTC)


class UsageSink:
    """Returns when a message is safe, raises when it must be delivered again. For many threads at once."""

    def __init__(
        self,
        store: UsageStore,
        dead_letters: DeadLetters,
        *,
        token: str | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._clock = clock

    def authorize(self, authorization: str | None) -> bool:
        """Whether a push with this Authorization header may write; everything may where the platform checks."""
        if self._authorization is None:
            return True
        return hmac.compare_digest(self._authorization, (authorization or "").encode("utf-8", "surrogatepass"))

    def receive(self, envelope: object) -> None:
        """Record the message of a push: `{"message": {"data": base64, "messageId", "publishTime"}}`.

        Raises:
            StoreError: the ledger cannot be written now.
            QueueError: a dead letter cannot be kept now.
        """
        try:
            message, message_id, publish_time = _open(envelope)
        except (KeyError, TypeError, ValueError, OverflowError):
            self._dead_letters.add(_raw(envelope), "the push envelope has no right data, messageId or publishTime")
            return
        self.record(message, message_id=message_id, publish_time=publish_time)

    def record(self, message: bytes, *, message_id: str, publish_time: datetime) -> None:
        """Write the record of one usage event; what never can be one becomes a dead letter and blocks nobody.

        Raises:
            StoreError: the ledger cannot be written now.
            QueueError: a dead letter cannot be kept now.
        """
        try:
            event = _event(message)
        except MalformedEventError as error:
            self._dead_letters.add(message, str(error))
            return
        about_also(request_id=event.event_id, user_id=event.user_id)
        bill = priced(event)
        cost = bill.cost
        record = UsageRecord(
            event=event,
            tokens=bill.tokens,
            units=bill.units,
            cost=cost,
            message_id=message_id,
            publish_time=publish_time,
            stored_time=self._clock(),
        )
        refused = self._store.add([record])
        if event.event_id in refused:
            self._dead_letters.add(message, refused[event.event_id])
        elif event.usage is not None and not cost.priced:
            model = event.response_model or event.request_model
            log("WARNING", "usage has no list cost", response_model=model, unpriced_reason=cost.unpriced_reason)


def _event(message: bytes) -> UsageEvent:
    """The event, as it was published or as the proxy logged it instead: then the message is Cloud Logging's LogEntry.

    https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry; its numbers may have become 12.0.
    """
    if b'"jsonPayload"' not in message:
        return UsageEvent.from_json(message)
    try:
        entry = json.loads(message, parse_float=_number)
        logged = entry["jsonPayload"]["usage_event"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return UsageEvent.from_json(message)
    return UsageEvent.from_fields(logged)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _open(envelope: Any) -> tuple[bytes, str, datetime]:  # noqa: ANN401 - whatever JSON was pushed
    message = envelope["message"]
    data = base64.b64decode(message["data"], validate=True)
    message_id = message["messageId"]
    if not isinstance(message_id, str) or not message_id.isascii() or not 0 < len(message_id) <= 256:  # noqa: PLR2004 - far above Pub/Sub's
        raise ValueError
    publish_time = datetime.fromisoformat(message["publishTime"])
    if publish_time.tzinfo is None:
        raise ValueError
    return data, message_id, publish_time.astimezone(UTC)


def _raw(envelope: object) -> bytes:
    return envelope if isinstance(envelope, bytes) else json.dumps(envelope, default=str).encode()
