"""What a request is told that a limit has no room for: OpenAI's words and headers, which its SDKs back off by.

Headers: https://platform.openai.com/docs/guides/rate-limits. Durations are written as Go writes them: 120ms, 20s, 6m0s.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from openai_proxy.api.refusals import Refusal
from openai_proxy.limits.rate_limits import LimitKind, Standing, TooMany
from openai_proxy.wire.headers import Header

_PER: dict[LimitKind, str] = {
    "requests": "requests per min (RPM)",
    "tokens": "tokens per min (TPM)",
    "concurrent_requests": "requests at a time",
}


def rate_limit_refusal(user_id: str, too_many: TooMany) -> Refusal:
    """The 429 for a request of this user."""
    standing, wait = too_many.longest, too_many.retry_after_seconds
    limit, requested = standing.ask.limit, standing.ask.amount
    per = f"for {user_id} on {_PER[too_many.kind]}: Limit {limit}"
    if wait is None:
        message = f"Request too large {per}, Requested {requested}. No wait makes room for it."
        headers: list[Header] = [("x-should-retry", "false")]
    else:
        wait_ms = max(1, ceil(wait * 1000))
        message = (
            f"Rate limit reached {per}, Used {standing.used}, Requested {requested}. "
            f"Please try again in {go_duration(wait_ms / 1000)}."
        )
        headers = [("retry-after", str(ceil(wait_ms / 1000))), ("retry-after-ms", str(wait_ms))]
    for one in too_many.standings:
        headers += _told(one)
    kind = "tokens" if too_many.kind == "tokens" else "requests"
    text = f"{message} The proxy's owner sets this limit."
    return Refusal(429, text, kind=kind, code="rate_limit_exceeded", headers=tuple(headers))


def go_duration(seconds: float) -> str:
    """A duration as Go prints it, in whole milliseconds, rounded up: 0s, 120ms, 18.642s, 6m0s, 1h0m0s."""
    whole, ms = divmod(ceil(round(seconds * 1000, 3)), 1000)
    if not whole:
        return f"{ms}ms" if ms else "0s"
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{ms:03}".rstrip("0") if ms else ""
    text = f"{whole}{fraction}s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def _told(standing: Standing) -> Iterator[Header]:
    """OpenAI has no header for requests at a time."""
    kind = standing.ask.kind
    if kind != "concurrent_requests":
        yield f"x-ratelimit-limit-{kind}", str(standing.ask.limit)
        yield f"x-ratelimit-remaining-{kind}", str(standing.remaining)
        yield f"x-ratelimit-reset-{kind}", go_duration(standing.resets_seconds)
