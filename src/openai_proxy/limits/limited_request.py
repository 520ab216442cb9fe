"""One request under its caller's limits: its place and its tokens are taken before OpenAI sees it, and given back."""

from __future__ import annotations

from openai_proxy.access.callers import Caller
from openai_proxy.api.endpoints import Metering
from openai_proxy.api.refusals import Refusal
from openai_proxy.events import UsageEvent
from openai_proxy.limits.rate_limit_refusal import rate_limit_refusal
from openai_proxy.limits.rate_limits import Admission, RateLimits, TooMany
from openai_proxy.wire.request_body import RequestFacts

_BYTES_PER_TOKEN = 4  # of English text, as OpenAI says; what it came to corrects the forecast
_MOST_TOKENS = 10**9  # what is more is a mistake of whoever told it


class LimitedRequest:
    """What costs nothing is not limited: it may be asked again and again, as a background response is."""

    def __init__(self, limits: RateLimits, caller: Caller, metering: Metering) -> None:
        self._limits = limits
        self._caller = caller
        self._is_free = metering == "free"
        self._admission: Admission | None = None
        self._used: int | None = 0

    async def admit(self, facts: RequestFacts, size: int) -> Refusal | None:
        """Take the request's share of each limit, or say which one has no room; `size` is its body's, in bytes."""
        policy = self._caller.policy
        if self._is_free:
            return None
        admitted = await self._limits.admit(
            self._caller.user_id,
            requests_per_minute=policy.requests_per_minute,
            tokens_per_minute=policy.tokens_per_minute,
            concurrent_requests=policy.concurrent_requests,
            tokens=0 if policy.tokens_per_minute is None else _forecast(facts, size),
        )
        if isinstance(admitted, TooMany):
            return rate_limit_refusal(self._caller.user_id, admitted)
        self._admission = admitted
        return None

    def used(self, finished: UsageEvent) -> None:
        """Note what the request came to; where that is not known, the forecast stands."""
        usage = finished.usage or {}
        self._used = 0 if finished.usage_source == "none" else _told(usage.get("total_tokens"))

    async def end(self) -> None:
        """Give the place back, and correct the tokens. Nothing where the request was not let in."""
        if self._admission is not None:
            await self._admission.end(self._used)


def _forecast(facts: RequestFacts, size: int) -> int:
    """The input by its size, and the output as far as the request itself limits it."""
    return size // _BYTES_PER_TOKEN + 1 + (facts.output_limit or 0)


def _told(tokens: object) -> int | None:
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens <= _MOST_TOKENS else None
