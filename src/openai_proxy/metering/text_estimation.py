"""Counts the tokens of texts, by OpenAI's byte-pair encoding, offline.

It is loaded at the first count (about 0.6 s and 140 MB), so this belongs in a thread. What cannot be seen (hidden
reasoning, images' exact size) is not counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bpe_openai import Encoding

# OpenAI's cookbook, "How to count tokens with tiktoken": each message is wrapped, and the answer is primed
_TOKENS_PER_MESSAGE = 3
_TOKENS_PER_NAME = 1
_TOKENS_OF_PRIMING = 3
# A 1024 x 1024 image in high detail: 85 + 4 tiles of 170 (OpenAI's vision guide); the real size is not looked at
_TOKENS_PER_IMAGE = 765


def usage_of_text(request: Mapping[str, Any], output: Sequence[str]) -> dict[str, int]:
    """A usage object in the shape of the Responses API, from a request's body and the deltas that were seen."""
    model = str(request.get("model", ""))
    input_tokens = _input_tokens(_encoding(model), request)
    output_tokens = tokens_of_text("".join(output), model)
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }


def tokens_of_text(text: str, model: str) -> int:
    """The tokens of a text in a model's own encoding."""
    return _count(_encoding(model), text)


def _input_tokens(encoding: Encoding, request: Mapping[str, Any]) -> int:
    tokens = 0
    for name in ("instructions", "prompt", "input"):
        tokens += _tokens_of(encoding, request.get(name))
    messages = request.get("messages")
    if isinstance(messages, list):
        tokens += _TOKENS_OF_PRIMING + sum(_tokens_of(encoding, message) for message in messages)
    for name in ("tools", "functions"):
        if request.get(name):
            tokens += _count(encoding, json.dumps(request[name], separators=(",", ":")))
    return tokens


def _tokens_of(encoding: Encoding, value: object) -> int:
    """Tokens of a prompt in any of its forms: text, token ids, messages, lists of these."""
    tokens = 0
    texts = []
    for item in _leaves(value):
        if isinstance(item, str):
            texts.append(item)
        else:
            tokens += item
    return tokens + sum(_count(encoding, text) for text in texts)


def _leaves(value: object) -> Iterator[str | int]:
    """The texts of a prompt, and the tokens of what is no text."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, int):
            yield 1  # a token id
        elif isinstance(item, list):
            todo += item
        elif isinstance(item, dict):
            kind = item.get("type")
            if kind in {"image_url", "input_image"}:
                yield _TOKENS_PER_IMAGE
                continue
            if "role" in item:
                yield _TOKENS_PER_MESSAGE
                yield str(item["role"])
            if "name" in item:
                yield _TOKENS_PER_NAME
            todo += [item[name] for name in _TEXT_MEMBERS if name in item]


_TEXT_MEMBERS = ("content", "text", "name", "arguments", "output", "tool_calls", "function", "refusal")


def _count(encoding: Encoding, text: str) -> int:
    # A lone surrogate is no text, and special tokens in a prompt are plain text to OpenAI as well
    return len(encoding.encode_ordinary(text.encode("utf-8", "replace").decode()))


@cache
def _encoding_named(name: str) -> Encoding:
    from bpe_openai import get_encoding

    return get_encoding(name)


def _encoding(model: str) -> Encoding:
    """The encoding of a model: `cl100k_base` up to GPT-4 and for embeddings, `o200k_base` since GPT-4o."""
    old = model == "gpt-4" or model.startswith(("gpt-3.5", "gpt-4-", "text-embedding"))
    return _encoding_named("cl100k_base" if old else "o200k_base")
