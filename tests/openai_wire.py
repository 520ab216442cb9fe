"""What OpenAI would answer, to the byte and to the token; pure, and the same answer for the same question."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forms import Part
from json_patch import patched
from upstream_orders import Orders

# Each is one token in o200k_base and in cl100k_base, so a count of words is a count of tokens.
WORDS = (
    "the",
    "a",
    "of",
    "model",
    "answer",
    "time",
    "people",
    "water",
    "house",
    "number",
    "day",
    "für",
    "café",
    "world",
)
_SNAPSHOTS = {
    "gpt-4": "gpt-4-0613",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "o4-mini": "o4-mini-2025-04-16",
    "gpt-3.5-turbo-instruct": "gpt-3.5-turbo-instruct:20230824-v2",
}
_HIDES_REASONING = ("gpt-5", "gpt-6", "o4")
_CHARGES_CACHE_WRITES = ("gpt-5.6", "gpt-6")
CREATED = 1_790_000_000

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """What is billed: tokens (`cached` is a part of `input`, `reasoning` of `output`), and other units.

    `units` are quantities by the ledger's names: parts of the tokens that have a price of their own, seconds, searches.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    units: Mapping[str, float] = field(default_factory=dict)

    def tokens(self) -> Mapping[str, int]:
        return {"input": self.input, "cached": self.cached, "output": self.output, "reasoning": self.reasoning}

    def chat(self) -> Json:
        unit = self.units.get
        prompt = {"cached_tokens": self.cached, "audio_tokens": unit("input_audio_tokens", 0)}
        for name in ("cache_write_tokens", "image_tokens", "text_tokens"):
            unit_name = name if name == "cache_write_tokens" else f"input_{name}"
            prompt |= {name: self.units[unit_name]} if unit_name in self.units else {}
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
            "prompt_tokens_details": prompt,
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "audio_tokens": unit("output_audio_tokens", 0),
                "accepted_prediction_tokens": unit("output_accepted_prediction_tokens", 0),
                "rejected_prediction_tokens": unit("output_rejected_prediction_tokens", 0),
            },
        }

    def completion(self) -> Json:
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
        }

    def images(self) -> dict[str, Any]:
        """As the Images API tells it, but for what the output is: its streams do not say."""
        seen = self.units.get("input_image_tokens", 0)
        return {
            "input_tokens": self.input,
            "input_tokens_details": {"image_tokens": seen, "text_tokens": self.input - seen},
            "output_tokens": self.output,
            "total_tokens": self.input + self.output,
        }

    def responses(self) -> Json:
        written: dict[str, Any] = {}
        if "cache_write_tokens" in self.units:
            long = self.units.get("cache_write_12h_tokens", 0)
            written["cache_write_tokens"] = self.units["cache_write_tokens"]
            by_age = {"ttl_30m_tokens": written["cache_write_tokens"] - long, "ttl_12h_tokens": long}
            written["cache_write_tokens_details"] = by_age
        return {
            "input_tokens": self.input,
            "input_tokens_details": {"cached_tokens": self.cached, **written},
            "output_tokens": self.output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.input + self.output,
        }


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, and how many output tokens it carries."""

    data: bytes
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """One request: its JSON body or its form's fields, its files, and what it orders.

    `patch` changes the object that tells the usage: a body, or the part of a stream's event that `usage` stands in.
    """

    path: str
    body: Json
    files: Sequence[Part] = ()
    orders: Orders = field(default_factory=Orders)
    patch: Sequence[Json] = ()

    @property
    def streams(self) -> bool:
        asked = self.body.get("stream")
        return asked is True or asked == "true"

    @property
    def wants_usage(self) -> bool:
        """Whether it asks for the usage in a stream."""
        options = self.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def tier(self) -> str:
        """The tier that serves it: `auto` becomes the standard one, `fast` is told as `priority`."""
        asked = self.body.get("service_tier") or "auto"
        return {"auto": "default", "fast": "priority"}.get(asked, asked)

    @property
    def model(self) -> str:
        return str(self.body.get("model", "")).partition("+")[0]

    def number(self, name: str, default: int) -> int:
        """A field that is a number, or, in a form, its digits."""
        return int(self.body.get(name) or default)

    @property
    def unique(self) -> str:
        """29 hexadecimal digits that depend on the question alone, but for how its usage is to be told."""
        asked = {name: value for name, value in self.body.items() if name not in {"stream_options", "stream"}}
        files = "".join(file.sha256 for file in self.files)
        return hashlib.sha256(f"{self.path} {json.dumps(asked, sort_keys=True)}{files}".encode()).hexdigest()[:29]

    def dice(self) -> random.Random:
        """They fall as the question is, each time anew."""
        return random.Random(self.unique)  # noqa: S311 - believable figures, no secrets

    def told(self, tells: Json) -> Json:
        """The object that tells the usage, as it shall be told."""
        return patched(tells, self.patch)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that comes as server-sent events."""

    events: Iterator[Event]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, and its bill. `model`: the one that the answer names; `told`: the answer tells its usage."""

    content: Json | Stream | Iterable[bytes]
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    told: bool = True
    content_type: str = "application/json"


class ApiError(Exception):
    """OpenAI refuses."""

    def __init__(self, status: int, message: str | None = None, code: str | None = None) -> None:
        super().__init__(status, message, code)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to a question, and what that costs."""

    unique: str
    model: str
    words: Sequence[str]
    usage: Usage

    @property
    def text(self) -> str:
        return "".join(self.words)


def answer(question: Question) -> Answer:
    """The answer to a question: the question decides it all."""
    path, body, asked, unique = question.path, question.body, question.model, question.unique
    dice = question.dice()
    count = dice.randint(3, 40) if question.orders.deltas is None else question.orders.deltas
    words = [" " + dice.choice(WORDS) for _ in range(count)]
    if words and dice.random() < 0.3:
        words[count // 2] = ',"usage":null'  # four tokens that a careless filter would take out of the text
    input_tokens = count_input(path, body)
    reasoning = 64 * dice.randint(1, 20) if asked.startswith(_HIDES_REASONING) else 0
    produced = 0 if path in {"/embeddings", "/moderations"} else sum(map(tokens, words)) + reasoning
    cached = dice.choice([0, 0, dice.randint(0, input_tokens)]) if produced else 0
    if path == "/completions":
        cached = reasoning = 0
    units: dict[str, float] = {}
    if asked.startswith(_CHARGES_CACHE_WRITES) and produced:
        units["cache_write_tokens"] = dice.randint(0, input_tokens - cached)
        if (body.get("prompt_cache_options") or {}).get("ttl") == "12h":
            units["cache_write_12h_tokens"] = units["cache_write_tokens"]
    if path == "/chat/completions":
        heard, seen = _parts(body, "input_audio"), _parts(body, "image_url")
        said = 20 * count if "audio" in body.get("modalities", []) else 0
        input_tokens += 50 * heard + 85 * seen
        produced += said
        units |= {"input_audio_tokens": 50 * heard} if heard else {}
        units |= {"input_image_tokens": 85 * seen} if seen else {}
        units |= {"output_audio_tokens": said} if said else {}
        if body.get("prediction") and produced:
            units["output_rejected_prediction_tokens"] = min(3, produced - reasoning)
    return Answer(unique, _SNAPSHOTS.get(asked, asked), words, Usage(input_tokens, cached, produced, reasoning, units))


def _parts(body: Json, kind: str) -> int:
    """How many parts of that type the messages have."""
    messages = [one for one in body.get("messages", []) if isinstance(one, dict)]
    contents = [one["content"] for one in messages if isinstance(one.get("content"), list)]
    return sum(isinstance(part, dict) and part.get("type") == kind for content in contents for part in content)


def tokens(word: str) -> int:
    return 4 if word == ',"usage":null' else 1


def count_input(path: str, body: Json) -> int:
    """Input tokens, by words: OpenAI adds three a message for the role and three for the answer's beginning."""
    if path == "/chat/completions":
        messages = body.get("messages", [])
        return 3 + sum(3 + _words(message) for message in messages if isinstance(message, dict))
    asked = body.get("prompt" if path == "/completions" else "input", "")
    overhead = 7 if path.startswith("/responses") else 0
    return overhead + _words(asked) + _words(body.get("instructions"))


def _words(value: object) -> int:
    if isinstance(value, str):
        return len(value.split()) if len(value) < 1_000_000 else len(value) // 4
    if isinstance(value, int):
        return 1
    if isinstance(value, list):
        return sum(map(_words, value))
    if isinstance(value, dict):
        return sum(_words(part) for name, part in value.items() if name in {"role", "content", "text"})
    return 0


def models() -> Json:
    return {"object": "list", "data": [model(name) for name in _SNAPSHOTS]}


def model(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}


def error(status: int, message: str | None = None, code: str | None = None) -> Json:
    message_, kind, code_ = {
        400: ("We could not parse the JSON body of your request.", "invalid_request_error", None),
        401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
        404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
        409: ("The request conflicts with another.", "invalid_request_error", None),
        429: ("Rate limit reached for requests. Please try again in 5ms.", "requests", "rate_limit_exceeded"),
    }.get(status, ("The server had an error while processing your request. Sorry about that!", "server_error", None))
    return {"error": {"message": message or message_, "type": kind, "param": None, "code": code or code_}}


def error_event() -> bytes:
    """What a chat stream ends with when the model fails in the middle."""
    return data(error(500))


def pretty(body: Json) -> bytes:
    """A unary body as OpenAI prints it: indented, UTF-8, a line break at the end."""
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


def data(event: Json) -> bytes:
    return b"data: " + json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def named(event: Json) -> bytes:
    """An event that bears its type as its name."""
    return f"event: {event['type']}\n".encode() + data(event)
