"""What became of one request, gathered while it is served, and told as its `finished` event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from openai_proxy.endpoints import Metering
from openai_proxy.estimation import usage_of
from openai_proxy.events import UsageEvent, UsageSource
from openai_proxy.reading import Reading
from openai_proxy.request_body import RequestFacts, parse
from openai_proxy.structured_log import log

_ERRORS_FROM = 400


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The facts of an answer as they become known. Moments are of `time.perf_counter`."""

    metering: Metering
    began: float = field(default_factory=time.perf_counter)
    request_body: bytes | None = None
    """The whole body, to estimate from; None where it was too large to be kept."""
    sent: bool = False
    """OpenAI may have seen the whole request."""
    status: int | None = None
    error_type: str | None = None
    reading: Reading = field(default_factory=Reading)
    client_left: bool = False
    cut_short: bool = False
    """The answer did not come to its end: we gave up waiting, or OpenAI broke off."""
    first_chunk: float | None = None
    upstream_seconds: float = 0.0
    upstream_request_id: str | None = None

    async def finished(self, started: UsageEvent, facts: RequestFacts) -> UsageEvent:
        """The event that ends the request; `facts` of a large body are known only now."""
        reading = self.reading
        usage, source = await self._usage()
        return replace(
            started,
            event_type="finished",
            request_model=facts.model,
            stream=facts.stream,
            usage_source=source,
            usage=usage,
            tool_usage=reading.tool_usage if source == "reported" else None,
            response_model=reading.model,
            response_id=reading.response_id or started.response_id,
            service_tier=reading.service_tier,
            http_status_code=self.status,
            error_type=self.error_type or reading.error_type,
            client_disconnected=self.client_left,
            upstream_request_id=self.upstream_request_id,
            duration_ms=_ms(time.perf_counter() - self.began),
            time_to_first_chunk_ms=None if self.first_chunk is None else _ms(self.first_chunk - self.began),
            upstream_ms=_ms(self.upstream_seconds),
        )

    async def _usage(self) -> tuple[Mapping[str, Any] | None, UsageSource]:
        if self.metering == "free" or not self.sent:
            return None, "none"
        if self.reading.usage is not None:
            return self.reading.usage, "reported"
        if self.status is not None and self.status >= _ERRORS_FROM and self.error_type is None:
            return None, "none"  # OpenAI refused, and charges nothing for that
        if self.cut_short or self.reading.output:
            try:
                usage = await asyncio.to_thread(self._estimate)
            except Exception as error:  # noqa: BLE001 - an estimate must never cost a request its record
                log("ERROR", "no estimate could be made; the usage is recorded as unknown", error=type(error).__name__)
            else:
                return usage, "unknown" if usage is None else "estimated"
        return None, "unknown"

    def _estimate(self) -> Mapping[str, Any] | None:
        """The usage by our own count, or None where the request's body was not kept or cannot be read."""
        request = parse(self.request_body or b"")
        return usage_of(request, self.reading.output) if request else None


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
