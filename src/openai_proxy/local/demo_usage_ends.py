"""How made-up requests end: most of them well, and some as real ones go wrong (`forwarding.outcome`)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from openai_proxy.local.demo_usage_models import Model
from openai_proxy.local.demo_usage_work import Work, given_tokens, made_tokens

Fields = dict[str, Any]
"""Fields of a usage event."""

_SILENCE_MS = 900_000  # UPSTREAM_SILENCE_SECONDS
_CONNECT_MS = 10_000  # UPSTREAM_CONNECT_SECONDS
_OURS_MS = 4
_NAMELESS = {"images", "speech", "transcription"}  # whose answers do not say which model it was


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; `stream` is whether its answer was to be streamed."""

    work: Work
    model: Model | None
    stream: bool


def _well(rolls: random.Random, asked: Asked) -> Fields:
    work, model = asked.work, asked.model
    usage = work.usage(rolls, work, model) if work.usage and model else None
    first_ms = round(1000 * work.wait_seconds * rolls.lognormvariate(0, 0.4))
    writing_ms = round(1000 * made_tokens(usage) * rolls.uniform(0.8, 1.4) / model.tokens_per_second) if model else 0
    name = work.endpoint.operation_name
    is_text = name in {"chat", "responses"}
    searches = rolls.randint(0, work.searches)
    return {
        "usage": usage,
        "usage_source": work.usage_source,
        "tool_calls": {"web_searches": searches} if searches else None,
        "response_model": model.snapshot if model and work.endpoint.metering not in _NAMELESS else None,
        "response_id": f"{'chatcmpl-' if name == 'chat' else 'resp_'}{rolls.getrandbits(96):024x}" if is_text else None,
        "service_tier": model.service_tier if model and is_text else None,
        "http_status_code": 200,
        **_times(first_ms + writing_ms, first_ms if asked.stream else None),
        **_seen(rolls),
    }


def _times(upstream_ms: int, first_ms: int | None = None) -> Fields:
    return {
        "duration_ms": upstream_ms + _OURS_MS,
        "time_to_first_chunk_ms": None if first_ms is None else first_ms + _OURS_MS,
        "upstream_ms": upstream_ms,
    }


def _seen(rolls: random.Random) -> Fields:
    return {"upstream_request_id": f"req_{rolls.getrandbits(128):032x}"}


def _refused(status: int, *error_types: str) -> Callable[[random.Random, Asked], Fields]:
    """OpenAI answers with an error, and charges nothing."""

    def end(rolls: random.Random, _: Asked) -> Fields:
        return {
            "usage_source": "none",
            "http_status_code": status,
            "error_type": rolls.choice(error_types),
            **_times(round(180 * rolls.lognormvariate(0, 0.5))),
            **_seen(rolls),
        }

    return end


def _timed_out(_rolls: random.Random, _: Asked) -> Fields:
    """Nobody knows whether OpenAI has worked on it."""
    return {
        "usage_source": "unknown",
        "http_status_code": 504,
        "error_type": "upstream_timeout",
        **_times(_SILENCE_MS),
    }


def _unreachable(_rolls: random.Random, _: Asked) -> Fields:
    return {
        "usage_source": "none",
        "http_status_code": 502,
        "error_type": "upstream_unreachable",
        **_times(_CONNECT_MS),
    }


def _broken_off(rolls: random.Random, asked: Asked) -> Fields:
    if not asked.stream:
        error = {"http_status_code": 502, "error_type": "upstream_disconnected"}
        return {"usage_source": "unknown", **error, **_times(round(1000 * rolls.uniform(1, 60)))}
    return {**_cut(rolls, _well(rolls, asked)), "error_type": "upstream_disconnected"}


def _left(rolls: random.Random, asked: Asked) -> Fields:
    """The client does not wait: an answer that ends within 30 s is read to its end all the same."""
    end = {**_well(rolls, asked), "client_disconnected": True}
    return _cut(rolls, end) if asked.stream and rolls.random() < 0.5 else end  # noqa: PLR2004 - half of them


def _cut(rolls: random.Random, end: Fields) -> Fields:
    """What is known of a stream that did not come to its end: an estimate of what passed (`metering.estimation`)."""
    usage, passed = end["usage"], rolls.uniform(0.1, 0.9)
    given, made = given_tokens(usage), round(made_tokens(usage) * passed)
    return end | {
        "usage": {"input_tokens": given, "output_tokens": made, "total_tokens": given + made},
        "usage_source": "estimated",
        "duration_ms": end["time_to_first_chunk_ms"] + round((end["duration_ms"] - _OURS_MS) * passed),
    }


def _died(_rolls: random.Random, _: Asked) -> Fields:
    """The proxy's process ended before the answer did: the request stays open."""
    return OPEN


OPEN: Fields = {"event_type": "started", "usage_source": "unknown"}

_ENDS: Mapping[str, Callable[[random.Random, Asked], Fields]] = {
    "well": _well,
    "bad request": _refused(
        400, "invalid_request_error", "context_length_exceeded", "unsupported_value", "invalid_image"
    ),
    "rate limited": _refused(429, "rate_limit_exceeded"),
    "failed": _refused(500, "server_error"),
    "overloaded": _refused(503, "server_is_overloaded"),
    "timed out": _timed_out,
    "unreachable": _unreachable,
    "broken off": _broken_off,
    "left": _left,
    "died": _died,
}
USUAL: Mapping[str, float] = dict.fromkeys(_ENDS, 0.001) | {
    "well": 0.966,
    "bad request": 0.009,
    "rate limited": 0.010,
    "failed": 0.003,
    "left": 0.007,
    "unreachable": 0.0002,
    "died": 0.0004,
}
"""How often requests end so."""
INCIDENT: Mapping[str, float] = dict.fromkeys(_ENDS, 0.03) | {
    "well": 0.37,
    "failed": 0.22,
    "overloaded": 0.17,
    "died": 0.06,
}
"""The same while OpenAI has an incident."""


def ended(rolls: random.Random, asked: Asked, odds: Mapping[str, float]) -> Fields:
    """The fields of an event that tell how a request ended; a call that is free to look at something ends well."""
    if asked.work.usage is None:
        return _well(rolls, asked)
    ((end),) = rolls.choices(tuple(odds), tuple(odds.values()))
    return _ENDS[end](rolls, asked)
