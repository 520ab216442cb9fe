"""What became of one request, gathered while it is served, and told as its `finished` event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from openai_proxy.api.endpoints import Metering
from openai_proxy.api.refusals import Refusal
from openai_proxy.events import UsageEvent, UsageSource
from openai_proxy.metering.estimation import estimated_usage
from openai_proxy.metering.reading import Reading
from openai_proxy.structured_log import log
from openai_proxy.wire.request_body import RequestReader, UnreadBody

_ERRORS_FROM = 400
_SOUND = {"speech", "transcription"}  # whole answers of these may tell no usage, and are estimated all the same


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The facts of an answer as they become known. Moments are of `time.perf_counter`."""

    metering: Metering
    may_name_users: bool = False
    """The caller may say on whose behalf they ask; from others that is not taken down."""
    began: float = field(default_factory=time.perf_counter)
    reader: RequestReader = field(default_factory=UnreadBody)
    """What has read the request's body."""
    sent: bool = False
    """OpenAI may have seen the whole request."""
    status: int | None = None
    """OpenAI's own, once it has answered."""
    failure: Refusal | None = None
    """What kept the answer from its end, as the client is told it where no answer had begun."""
    reading: Reading = field(default_factory=Reading)
    client_left: bool = False
    cut_short: bool = False
    """The answer did not come to its end: we gave up waiting, or OpenAI broke off."""
    first_chunk: float | None = None
    upstream_seconds: float = 0.0
    upstream_request_id: str | None = None

    async def finished(self, started: UsageEvent) -> UsageEvent:
        """The event that ends the request; the facts of a large body are known only now."""
        facts, reading = self.reader.facts, self.reading
        usage, source = await self._usage()
        return replace(
            started,
            event_type="finished",
            request_model=facts.model,
            stream=facts.stream,
            completion_window=facts.completion_window,
            end_user_id=started.end_user_id or (facts.end_user if self.may_name_users else None),
            usage_source=source,
            usage=usage,
            tool_usage=reading.tool_usage if source == "reported" else None,
            tool_calls=None if source == "none" else reading.tool_calls,
            response_model=reading.model,
            response_id=reading.response_id or started.response_id,
            service_tier=reading.service_tier,
            http_status_code=self.status or (self.failure.status if self.failure else None),
            error_type=self.failure.code if self.failure else reading.error_type,
            client_disconnected=self.client_left,
            upstream_request_id=self.upstream_request_id,
            duration_ms=_ms(time.perf_counter() - self.began),
            time_to_first_chunk_ms=None if self.first_chunk is None else _ms(self.first_chunk - self.began),
            upstream_ms=_ms(self.upstream_seconds),
        )

    async def _usage(self) -> tuple[Mapping[str, Any] | None, UsageSource]:
        if self.metering == "free" or not self.sent:
            return None, "none"
        if self.reading.usage is not None and self.metering != "unmetered":
            return self.reading.usage, "reported"
        if self.status is not None and self.status >= _ERRORS_FROM:
            return None, "none"  # OpenAI refused, and charges nothing for that
        if self.reading.usage_unreadable:  # an estimate, which sees no reasoning, could be lower than what was told
            return None, "unknown"
        if self.cut_short or self.reading.output or (self.status and self.metering in _SOUND):
            try:
                usage = await asyncio.to_thread(self._estimate)
            except Exception as error:  # noqa: BLE001 - an estimate must never cost a request its record
                log("ERROR", "no estimate could be made; the usage is recorded as unknown", error=type(error).__name__)
            else:
                return usage, "unknown" if usage is None else "estimated"
        return None, "unknown"

    def _estimate(self) -> Mapping[str, Any] | None:
        """The usage by our own count, or None where what is needed was not kept or cannot be read."""
        request = self.reader.members() if self.reader.is_whole else {}
        return estimated_usage(self.metering, request, self.reader.facts, self.reading)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
