"""The built-in demo: speaks OpenAI's API on loopback, so that everything can be tried without a key.

`python -m openai_proxy.local.demo_upstream --port N`. It answers with made-up text and counts about four characters a
token. Shapes: https://platform.openai.com/docs/api-reference.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import math
import secrets
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from openai_proxy.local.listening import LOOPBACK

_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4  # what chat's own framing adds to each message
_DELAY_SECONDS = 0.015
_FIRST_DELAY_SECONDS = 0.05
_LARGEST_BODY = 512 * 1024 * 1024
_DIMENSIONS = 1536
_MODELS = ("gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "text-embedding-3-small")
_ANSWER = (
    "Hello! This is the built-in demo of OpenAI Proxy, not OpenAI: no model has read your message. "
    "Your request did go through the proxy, the queue and the sink, and its usage stands in the ledger now; "
    "look at /log. Set OPENAI_API_KEY and start again to talk to a real model."
)

Json = dict[str, Any]


class BadRequestError(Exception):
    """A request that OpenAI would answer with 400; `param` names the field."""

    def __init__(self, message: str, param: str | None) -> None:
        super().__init__(message)
        self.param = param


def count_tokens(text: str) -> int:
    """About four characters a token; nothing is none."""
    return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)


def application() -> web.Application:
    """The demo as an aiohttp application."""
    app = web.Application(middlewares=[_as_openai], client_max_size=_LARGEST_BODY)
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_post("/v1/completions", _completions)
    app.router.add_post("/v1/responses", _responses)
    app.router.add_post("/v1/embeddings", _embeddings)
    app.router.add_post("/v1/moderations", _moderations)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/v1/models/{model}", _model)
    return app


@web.middleware
async def _as_openai(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    begun = time.monotonic()
    try:
        response = await handler(request)
    except BadRequestError as error:
        response = _error(400, str(error), error.param)
    except web.HTTPNotFound:
        response = _error(
            404, f"Invalid URL ({request.method} {request.path}); the demo speaks a part of the API", None
        )
    except web.HTTPMethodNotAllowed:
        response = _error(405, f"Not allowed to {request.method} on {request.path}", None)
    if not response.prepared:
        response.headers.update(_headers(begun))
    return response


def _headers(begun: float) -> dict[str, str]:
    return {
        "x-request-id": "req_" + secrets.token_hex(16),
        "openai-processing-ms": str(round((time.monotonic() - begun) * 1000)),
        "openai-version": "2020-10-01",
        "openai-organization": "demo",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-tokens": "1999000",
        "x-ratelimit-reset-tokens": "30ms",
    }


def _error(status: int, message: str, param: str | None) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return web.json_response({"error": error}, status=status)


async def _body(request: web.Request, *required: str) -> Json:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise BadRequestError("We could not parse the JSON body of your request.", None) from None
    if not isinstance(body, dict):
        raise BadRequestError("The body of your request must be a JSON object.", None)
    for name in required:
        if not body.get(name):
            raise BadRequestError(f"Missing required parameter: '{name}'.", name)
    if not isinstance(body.get("model", ""), str):
        raise BadRequestError("Invalid type for 'model': expected a string.", "model")
    return body


def _text(value: object) -> str:
    """All text in messages, content parts or plain input, joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _text(value.get("content", value.get("text", "")))
    if isinstance(value, Sequence):
        return " ".join(_text(part) for part in value)
    return ""


def _answer(limit: object) -> tuple[list[str], bool]:
    """The answer in chunks of about one token, and whether `limit` cut it."""
    words = [word + " " for word in _ANSWER.split(" ")]
    words[-1] = words[-1].rstrip()
    if isinstance(limit, int) and not isinstance(limit, bool) and 0 < limit < len(words):
        return words[:limit], True
    return words, False


def _now() -> int:
    return int(time.time())


async def _send_events(request: web.Request, events: AsyncIterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers=_headers(time.monotonic()))
    response.content_type, response.charset = "text/event-stream", "utf-8"
    await response.prepare(request)
    async for event in events:
        await response.write(event)
    await response.write_eof()
    return response


def _data(event: Json) -> bytes:
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


# Chat completions: https://platform.openai.com/docs/api-reference/chat


async def _chat(request: web.Request) -> web.StreamResponse:
    body = await _body(request, "model", "messages")
    if not isinstance(body["messages"], list):
        raise BadRequestError("Invalid type for 'messages': expected an array.", "messages")
    words, cut = _answer(body.get("max_completion_tokens") or body.get("max_tokens"))
    base = {"id": "chatcmpl-" + secrets.token_hex(14), "created": _now(), "model": body["model"]}
    base |= {"service_tier": "default", "system_fingerprint": "fp_demo"}
    reason = "length" if cut else "stop"
    usage = _chat_usage(_text(body["messages"]), _TOKENS_PER_MESSAGE * len(body["messages"]), len(words))
    if body.get("stream"):
        return await _send_events(request, _chat_events(base, words, reason, usage, include_usage=_wants_usage(body)))
    await asyncio.sleep(_FIRST_DELAY_SECONDS)
    message: Json = {"role": "assistant", "content": "".join(words), "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return web.json_response(base | {"object": "chat.completion", "choices": [choice], "usage": usage})


def _wants_usage(body: Json) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


def _chat_usage(text: str, framing: int, output: int) -> Json:
    given = count_tokens(text) + framing
    return {
        "prompt_tokens": given,
        "completion_tokens": output,
        "total_tokens": given + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


async def _chat_events(
    base: Json, words: Sequence[str], reason: str, usage: Json, *, include_usage: bool
) -> AsyncIterator[bytes]:
    nothing_yet: Json = {"usage": None} if include_usage else {}

    def chunk(delta: Json, finish_reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _data(base | {"object": "chat.completion.chunk", "choices": [choice]} | nothing_yet)

    await asyncio.sleep(_FIRST_DELAY_SECONDS)
    yield chunk({"role": "assistant", "content": "", "refusal": None}, None)
    for word in words:
        yield chunk({"content": word}, None)
        await asyncio.sleep(_DELAY_SECONDS)
    yield chunk({}, reason)
    if include_usage:
        yield _data(base | {"object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


# Legacy completions: https://platform.openai.com/docs/api-reference/completions


async def _completions(request: web.Request) -> web.StreamResponse:
    body = await _body(request, "model")
    words, cut = _answer(body.get("max_tokens"))
    base = {"id": "cmpl-" + secrets.token_hex(14), "object": "text_completion", "created": _now()}
    base |= {"model": body["model"], "system_fingerprint": "fp_demo"}
    reason = "length" if cut else "stop"
    usage = _chat_usage(_text(body.get("prompt", "")), 1, len(words))
    if body.get("stream"):
        events = _completion_events(base, words, reason, usage, include_usage=_wants_usage(body))
        return await _send_events(request, events)
    await asyncio.sleep(_FIRST_DELAY_SECONDS)
    choice = {"text": "".join(words), "index": 0, "logprobs": None, "finish_reason": reason}
    return web.json_response(base | {"choices": [choice], "usage": usage})


async def _completion_events(
    base: Json, words: Sequence[str], reason: str, usage: Json, *, include_usage: bool
) -> AsyncIterator[bytes]:
    nothing_yet: Json = {"usage": None} if include_usage else {}
    await asyncio.sleep(_FIRST_DELAY_SECONDS)
    for number, word in enumerate(words, 1):
        finish_reason = reason if number == len(words) else None
        choice = {"text": word, "index": 0, "logprobs": None, "finish_reason": finish_reason}
        yield _data(base | {"choices": [choice]} | nothing_yet)
        await asyncio.sleep(_DELAY_SECONDS)
    if include_usage:
        yield _data(base | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


# Responses: https://platform.openai.com/docs/api-reference/responses


async def _responses(request: web.Request) -> web.StreamResponse:
    body = await _body(request, "model", "input")
    words, cut = _answer(body.get("max_output_tokens"))
    given = count_tokens(_text(body.get("instructions")) + _text(body["input"])) + _TOKENS_PER_MESSAGE
    usage = {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(words),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + len(words),
    }
    response, item = _response(body), _message("msg_" + secrets.token_hex(24), "".join(words), "completed")
    ended = response | {"status": "completed", "output": [item], "usage": usage}
    if cut:
        item["status"] = "incomplete"
        ended |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    if body.get("stream"):
        return await _send_events(request, _response_events(response, ended, words))
    await asyncio.sleep(_FIRST_DELAY_SECONDS)
    return web.json_response(ended)


def _response(body: Json) -> Json:
    return {
        "id": "resp_" + secrets.token_hex(24),
        "object": "response",
        "created_at": _now(),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


def _message(message_id: str, text: str | None, status: str) -> Json:
    content = [] if text is None else [_text_part(text)]
    return {"id": message_id, "type": "message", "status": status, "role": "assistant", "content": content}


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


async def _response_events(response: Json, ended: Json, words: Sequence[str]) -> AsyncIterator[bytes]:
    (item,) = ended["output"]
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    text = "".join(words)
    opened = _message(item["id"], None, "in_progress")
    events: list[Json] = [
        {"type": "response.created", "response": response},
        {"type": "response.in_progress", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        {"type": "response.content_part.added", **at, "part": _text_part("")},
        *({"type": "response.output_text.delta", **at, "delta": word, "logprobs": []} for word in words),
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": _text_part(text)},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": f"response.{ended['status']}", "response": ended},
    ]
    await asyncio.sleep(_FIRST_DELAY_SECONDS)
    for number, event in enumerate(events):
        yield f"event: {event['type']}\n".encode() + _data(event | {"sequence_number": number})
        if event["type"].endswith("delta"):
            await asyncio.sleep(_DELAY_SECONDS)


# Embeddings, moderations, models


async def _embeddings(request: web.Request) -> web.StreamResponse:
    body = await _body(request, "model", "input")
    given = body["input"]
    inputs = given if isinstance(given, list) and not all(isinstance(part, int) for part in given) else [given]
    dimensions = body.get("dimensions") or _DIMENSIONS
    if not isinstance(dimensions, int) or not 1 <= dimensions <= _DIMENSIONS:
        raise BadRequestError(f"'dimensions' must be between 1 and {_DIMENSIONS}.", "dimensions")
    vector = [round(1 / math.sqrt(dimensions), 8)] * dimensions
    embedding: object = vector
    if body.get("encoding_format") == "base64":
        embedding = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
    tokens = sum(count_tokens(part) if isinstance(part, str) else len(part) for part in inputs)
    data = [{"object": "embedding", "index": index, "embedding": embedding} for index in range(len(inputs))]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})


_CATEGORIES = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
]


async def _moderations(request: web.Request) -> web.StreamResponse:
    body = await _body(request, "input")
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
    count = len(body["input"]) if isinstance(body["input"], list) else 1
    answer = {"id": "modr-" + secrets.token_hex(16), "model": body.get("model", "omni-moderation-latest")}
    return web.json_response(answer | {"results": [result] * count})


async def _models(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"object": "list", "data": [_model_object(name) for name in _MODELS]})


async def _model(request: web.Request) -> web.StreamResponse:
    name = request.match_info["model"]
    if name not in _MODELS:
        return _error(404, "The model does not exist in the demo.", "model")
    return web.json_response(_model_object(name))


def _model_object(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1_687_882_411, "owned_by": "openai-proxy-demo"}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve on loopback until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m openai_proxy.local.demo_upstream", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args(argv).port
    web.run_app(application(), host=LOOPBACK, port=port, print=None, access_log=None, shutdown_timeout=1.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
