"""What OpenAI would answer, to the byte and to the token; pure, and the same answer for the same question."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
_HIDES_REASONING = ("gpt-5", "o4")
_CREATED = 1_790_000_000
PIECE_BYTES = 65_536

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens billed; `cached` is a part of `input`, `reasoning` of `output`."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0

    def chat(self) -> Json:
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def completion(self) -> Json:
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
        }

    def responses(self) -> Json:
        return {
            "input_tokens": self.input,
            "input_tokens_details": {"cached_tokens": self.cached},
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
class Answer:
    """What is answered to one request body; `unique` is hexadecimal and depends on the question alone."""

    unique: str
    model: str
    words: Sequence[str]
    usage: Usage

    @property
    def text(self) -> str:
        return "".join(self.words)


def answer(path: str, body: Json, *, deltas: int | None = None) -> Answer:
    """The answer to a body: the question decides it all, but for how its usage is to be told."""
    question = {name: value for name, value in body.items() if name not in {"stream_options", "stream"}}
    seed = hashlib.sha256(f"{path} {json.dumps(question, sort_keys=True)}".encode()).hexdigest()
    dice = random.Random(seed)  # noqa: S311 - believable figures, not secrets
    asked = str(body.get("model", "")).partition("+")[0]
    count = dice.randint(3, 40) if deltas is None else deltas
    words = [" " + dice.choice(WORDS) for _ in range(count)]
    if words and dice.random() < 0.3:
        words[count // 2] = ',"usage":null'  # four tokens that a careless filter would take out of the text
    input_tokens = count_input(path, body)
    reasoning = 64 * dice.randint(1, 20) if asked.startswith(_HIDES_REASONING) else 0
    produced = 0 if path in {"/embeddings", "/moderations"} else sum(map(tokens, words)) + reasoning
    cached = dice.choice([0, 0, dice.randint(0, input_tokens)]) if produced else 0
    if path == "/completions":
        cached = reasoning = 0
    return Answer(
        unique=seed[:29],
        model=_SNAPSHOTS.get(asked, asked),
        words=words,
        usage=Usage(input_tokens, cached, produced, reasoning),
    )


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


def chat_completion(given: Answer) -> Json:
    message: Json = {"role": "assistant", "content": given.text, "refusal": None, "annotations": []}
    return {
        "id": f"chatcmpl-{given.unique}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": given.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": given.usage.chat(),
        "service_tier": "default",
        "system_fingerprint": "fp_51db84afab",
    }


def chat_events(given: Answer, *, include_usage: bool) -> Iterator[Event]:
    """A chat stream; only one that asked for its usage has the key `usage` at all."""
    deltas: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": word} for word in given.words] + [{}]
    for number, delta in enumerate(deltas):
        reason = "stop" if number == len(deltas) - 1 else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        yield Event(
            _data(_chat_chunk(given, [choice], {"usage": None} if include_usage else {})),
            tokens(delta["content"]) if delta.get("content") else 0,
        )
    if include_usage:
        yield Event(_data(_chat_chunk(given, [], {"usage": given.usage.chat()})))
    yield Event(b"data: [DONE]\n\n")


def _chat_chunk(given: Answer, choices: Sequence[Json], usage: Json) -> Json:
    return {
        "id": f"chatcmpl-{given.unique}",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": given.model,
        "service_tier": "default",
        "system_fingerprint": "fp_51db84afab",
        "choices": choices,
        **usage,
        "obfuscation": given.unique[: 3 + len(choices)],
    }


def completion(given: Answer) -> Json:
    choice = {"text": given.text, "index": 0, "logprobs": None, "finish_reason": "stop"}
    return _completion(given, [choice]) | {"usage": given.usage.completion()}


def completion_events(given: Answer, *, include_usage: bool) -> Iterator[Event]:
    usage = {"usage": None} if include_usage else {}
    for number, word in enumerate(given.words):
        reason = "stop" if number == len(given.words) - 1 else None
        choice = {"text": word, "index": 0, "logprobs": None, "finish_reason": reason}
        yield Event(_data(_completion(given, [choice]) | usage), tokens(word))
    if include_usage:
        yield Event(_data(_completion(given, []) | {"usage": given.usage.completion()}))
    yield Event(b"data: [DONE]\n\n")


def _completion(given: Answer, choices: Sequence[Json]) -> dict[str, Any]:
    return {
        "id": f"cmpl-{given.unique}",
        "object": "text_completion",
        "created": _CREATED,
        "model": given.model,
        "choices": choices,
    }


def response(given: Answer, body: Json, *, status: str = "completed", padding: int = 0) -> Json:
    """A Response in OpenAI's order of keys: what may be large stands before `usage`."""
    ended = status in {"completed", "incomplete", "failed"}
    reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
    error = {"code": "server_error", "message": "The model had an error."} if status == "failed" else None
    searches = sum(tool.get("type") == "web_search" for tool in body.get("tools", []))
    return {
        "id": f"resp_{given.unique}",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "background": bool(body.get("background", False)),
        "error": error,
        "incomplete_details": reason,
        "instructions": "x" * padding if ended and padding else body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": given.model,
        "output": [_message(given, "completed")] if ended else [],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "service_tier": "default" if ended else "auto",
        "store": body.get("store", True),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "tool_usage": {"web_search": {"num_requests": searches}} if ended else None,
        "top_p": 1.0,
        "usage": given.usage.responses() if ended else None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def response_events(given: Answer, body: Json, *, end: str = "completed", padding: int = 0) -> Iterator[Event]:
    item = f"msg_{given.unique}"
    place = {"item_id": item, "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    full = part | {"text": given.text}
    started = response(given, body, status="in_progress")
    steps: list[tuple[str, Json, int]] = [
        ("response.created", {"response": started}, 0),
        ("response.in_progress", {"response": started}, 0),
        ("response.output_item.added", {"output_index": 0, "item": _message(given, "in_progress")}, 0),
        ("response.content_part.added", place | {"part": part}, 0),
    ]
    steps += [
        ("response.output_text.delta", place | {"delta": word, "logprobs": [], "obfuscation": "k3"}, tokens(word))
        for word in given.words
    ]
    steps += [
        ("response.output_text.done", place | {"text": given.text, "logprobs": []}, 0),
        ("response.content_part.done", place | {"part": full}, 0),
        ("response.output_item.done", {"output_index": 0, "item": _message(given, "completed")}, 0),
        (f"response.{end}", {"response": response(given, body, status=end, padding=padding)}, 0),
    ]
    for number, (name, fields, count) in enumerate(steps):
        event = {"type": name, "sequence_number": number, **fields}
        yield Event(f"event: {name}\n".encode() + _data(event), count)


def _message(given: Answer, status: str) -> Json:
    text = {"type": "output_text", "annotations": [], "logprobs": [], "text": given.text}
    return {
        "id": f"msg_{given.unique}",
        "type": "message",
        "status": status,
        "content": [text] if status == "completed" else [],
        "role": "assistant",
    }


def compaction(given: Answer) -> Json:
    return {
        "id": f"resp_{given.unique}",
        "object": "response.compaction",
        "created_at": _CREATED,
        "output": [{"id": f"cmp_{given.unique}", "type": "compaction", "encrypted_content": given.unique}],
        "usage": given.usage.responses(),
    }


def input_token_count(given: Answer) -> Json:
    return {"object": "response.input_tokens", "input_tokens": given.usage.input}


def embeddings(given: Answer, body: Json, *, padding: int = 0) -> Iterator[bytes]:
    """An embeddings answer in pieces; its usage is the last thing in it, however large it is."""
    asked = body.get("input")
    count = len(asked) if isinstance(asked, list) else 1
    vector: Any = [0.0023064255, -0.009327292, 0.015797347, 1.0]
    if body.get("encoding_format") == "base64":
        vector = "AAAAPwAAgD8AAAA/AACAPw=="
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    head = '{\n  "object": "list",\n  "data": ' + json.dumps(data)[:-1]
    yield head.encode()
    filler = b',\n    {"object": "embedding", "index": 1, "embedding": [' + b"-0.0069292834," * 4000 + b"0.0]}"
    for _ in range(padding // len(filler)):
        yield filler
    usage = {"prompt_tokens": given.usage.input, "total_tokens": given.usage.input}
    yield f'],\n  "model": {json.dumps(given.model)},\n  "usage": {json.dumps(usage, indent=2)}\n}}\n'.encode()


def moderation(given: Answer) -> Json:
    result = {"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": 0.0001}}
    return {"id": f"modr-{given.unique}", "model": "omni-moderation-latest", "results": [result]}


def models() -> Json:
    return {"object": "list", "data": [model(name) for name in _SNAPSHOTS]}


def model(name: str) -> Json:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "system"}


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
    return _data(error(500))


def pretty(body: Json) -> bytes:
    """A unary body as OpenAI prints it: indented, UTF-8, a line break at the end."""
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


def _data(event: Json) -> bytes:
    return b"data: " + json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"
