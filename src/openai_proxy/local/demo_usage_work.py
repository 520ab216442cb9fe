"""What made-up people and applications have models do, and what one request of it uses: OpenAI's own usage objects."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from openai_proxy.api.endpoints import ENDPOINTS, Endpoint
from openai_proxy.events import UsageSource
from openai_proxy.local.demo_usage_models import Model, Role

Usage = dict[str, Any]
_BY_PATH: Mapping[str, Endpoint] = {f"{one.method} {one.path}": one for one in ENDPOINTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One kind of request. Tokens are medians; `cached` and `streamed` are how often, `reasoning` is how much.

    `wait_seconds` is the median until the first token, `searches` how many searches of the web there are at most.
    """

    endpoint: Endpoint
    usage: Callable[[random.Random, Work, Model], Usage] | None
    model: Role | None = None
    usage_source: UsageSource = "reported"
    input_tokens: int = 0
    output_tokens: int = 0
    cached: float = 0.0
    reasoning: float = 0.0
    streamed: float = 0.0
    wait_seconds: float = 0.6
    searches: int = 0


def _spread(rolls: random.Random, median: float, sigma: float = 0.7) -> int:
    return max(1, round(median * rolls.lognormvariate(0, sigma)))


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The tokens of one text request."""

    given: int
    cached: int
    made: int
    reasoned: int


def _tokens(rolls: random.Random, work: Work, model: Model) -> _Tokens:
    given, made = _spread(rolls, work.input_tokens), _spread(rolls, work.output_tokens)
    hit = given >= 1024 and rolls.random() < work.cached  # noqa: PLR2004 - OpenAI caches prompts from 1024 tokens on
    cached = int(given * rolls.uniform(0.4, 0.95)) // 128 * 128 if hit else 0  # and by 128
    reasoned = int(made * rolls.uniform(0.6, 1.2) * work.reasoning) // 64 * 64 if model.reasons else 0
    return _Tokens(given, cached, made, min(reasoned, made))


def _chat(rolls: random.Random, work: Work, model: Model) -> Usage:
    tokens = _tokens(rolls, work, model)
    predictions = {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    return {
        "prompt_tokens": tokens.given,
        "completion_tokens": tokens.made,
        "total_tokens": tokens.given + tokens.made,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoned, "audio_tokens": 0, **predictions},
    }


def _response(rolls: random.Random, work: Work, model: Model) -> Usage:
    tokens = _tokens(rolls, work, model)
    details = {"cached_tokens": tokens.cached}
    if model.writes_cache:
        details["cache_write_tokens"] = (tokens.given - tokens.cached) // 128 * 128
    return {
        "input_tokens": tokens.given,
        "input_tokens_details": details,
        "output_tokens": tokens.made,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoned},
        "total_tokens": tokens.given + tokens.made,
    }


def _embedding(rolls: random.Random, work: Work, _: Model) -> Usage:
    given = _spread(rolls, work.input_tokens)
    return {"prompt_tokens": given, "total_tokens": given}


def _image(rolls: random.Random, work: Work, _: Model) -> Usage:
    given, made = _spread(rolls, work.input_tokens), work.output_tokens * rolls.choice((1, 1, 1, 4))
    return {
        "input_tokens": given,
        "input_tokens_details": {"text_tokens": given, "image_tokens": 0},
        "output_tokens": made,
        "total_tokens": given + made,
    }


def _speech(rolls: random.Random, work: Work, _: Model) -> Usage:
    given, made = _spread(rolls, work.input_tokens), _spread(rolls, work.output_tokens)
    return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}


def _reading(rolls: random.Random, work: Work, _: Model) -> Usage:
    return {"input_characters": _spread(rolls, work.input_tokens)}


def _transcript(rolls: random.Random, work: Work, _: Model) -> Usage:
    heard, made = _spread(rolls, work.input_tokens), _spread(rolls, work.output_tokens)
    return {
        "type": "tokens",
        "input_tokens": heard,
        "input_token_details": {"audio_tokens": heard, "text_tokens": 0},
        "output_tokens": made,
        "total_tokens": heard + made,
    }


_CHAT, _RESPONSES = _BY_PATH["POST /chat/completions"], _BY_PATH["POST /responses"]
_SPEECH = _BY_PATH["POST /audio/speech"]

WORK: Mapping[str, Work] = {
    "ask": Work(
        endpoint=_CHAT, usage=_chat, model="chat", input_tokens=900, output_tokens=320, cached=0.3, streamed=0.9
    ),
    "write": Work(
        endpoint=_RESPONSES,
        usage=_response,
        model="best",
        input_tokens=2_600,
        output_tokens=900,
        cached=0.4,
        reasoning=0.3,
        streamed=0.8,
        wait_seconds=1.4,
    ),
    "code": Work(
        endpoint=_RESPONSES,
        usage=_response,
        model="best",
        input_tokens=19_000,
        output_tokens=1_100,
        cached=0.9,
        reasoning=0.45,
        streamed=1.0,
        wait_seconds=1.9,
    ),
    "search": Work(
        endpoint=_RESPONSES,
        usage=_response,
        model="best",
        input_tokens=11_000,
        output_tokens=1_300,
        cached=0.2,
        reasoning=0.4,
        streamed=0.6,
        wait_seconds=4.0,
        searches=4,
    ),
    "think": Work(
        endpoint=_RESPONSES,
        usage=_response,
        model="deep",
        input_tokens=3_800,
        output_tokens=5_200,
        reasoning=0.8,
        wait_seconds=20.0,
    ),
    "judge": Work(
        endpoint=_CHAT,
        usage=_chat,
        model="patient",
        input_tokens=2_300,
        output_tokens=260,
        cached=0.6,
        reasoning=0.6,
        wait_seconds=0.9,
    ),
    "sort": Work(endpoint=_CHAT, usage=_chat, model="quick", input_tokens=700, output_tokens=45, reasoning=0.3),
    "sort with our own": Work(endpoint=_CHAT, usage=_chat, model="tuned", input_tokens=650, output_tokens=12),
    "find": Work(
        endpoint=_BY_PATH["POST /embeddings"],
        usage=_embedding,
        model="embedding",
        input_tokens=2_400,
        wait_seconds=0.15,
    ),
    "draw": Work(
        endpoint=_BY_PATH["POST /images/generations"],
        usage=_image,
        model="drawing",
        input_tokens=60,
        output_tokens=1_056,
        wait_seconds=9.0,
    ),
    "speak": Work(
        endpoint=_SPEECH,
        usage=_speech,
        model="voice",
        usage_source="estimated",
        input_tokens=180,
        output_tokens=1_100,
        wait_seconds=0.8,
    ),
    "read aloud": Work(
        endpoint=_SPEECH,
        usage=_reading,
        model="reader",
        usage_source="estimated",
        input_tokens=1_400,
        wait_seconds=1.1,
    ),
    "transcribe": Work(
        endpoint=_BY_PATH["POST /audio/transcriptions"],
        usage=_transcript,
        model="ear",
        input_tokens=9_000,
        output_tokens=2_300,
        wait_seconds=2.5,
    ),
    "guard": Work(
        endpoint=_BY_PATH["POST /moderations"], usage=None, usage_source="none", model="guard", wait_seconds=0.2
    ),
    "look around": Work(endpoint=_BY_PATH["GET /models"], usage=None, usage_source="none", wait_seconds=0.2),
}
"""Each kind of request, by what a person would call it."""


def made_tokens(usage: Mapping[str, Any] | None) -> int:
    """The tokens that an answer was made of: its length in time."""
    usage = usage or {}
    made = usage.get("output_tokens", usage.get("completion_tokens", 0))
    return int(made)


def given_tokens(usage: Mapping[str, Any]) -> int:
    """The tokens of the request."""
    return int(usage.get("input_tokens", usage.get("prompt_tokens", 0)))
