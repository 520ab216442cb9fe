"""Counts what a request gives a model to read, before it is sent: text exactly, and all else at its worst.

Pure, but a long text is counted by OpenAI's byte-pair encoding, which is loaded at the first one (1 s and 140 MB): so
this belongs in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openai_proxy.metering.text_estimation import tokens_of_text

_SHORT_BYTES = 8 * 1024
"""Up to this, a byte is taken for a token, as it is at worst: that is a cent more, and the encoding is not loaded."""

# The largest of OpenAI's vision guide: 8 tiles of 5667 and a base of 2833 with gpt-4o-mini, 85 + 8 x 170 with gpt-4o,
# 1536 patches x 2.46 with gpt-4.1-nano; the newest models take up to 10,000 patches in their `original` detail
_TOKENS_PER_IMAGE = 10_000
_TOKENS_PER_IMAGE_OF = {"gpt-4o-mini": 48_169}
_BASE64_PER_AUDIO_TOKEN = 133  # a token is 100 ms (metering/estimation.py), and speech no less than 8 kbit/s: 100 bytes
_IMAGES = {"image_url", "input_image", "computer_screenshot"}
_FILES = {"file", "input_file", "item_reference"}
# What is in a conversation, a prompt or an earlier response that OpenAI keeps, and what hosted tools find
_UNSEEN = ("previous_response_id", "conversation")
_SEARCHING = ("web_search", "file_search", "mcp", "code_interpreter", "computer", "shell", "tool_search")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedInput:
    """Tokens of what is to be read; `unseen` is how many things are only referred to, of any length."""

    text_tokens: int
    image_tokens: int
    audio_tokens: int
    unseen: int

    @classmethod
    def of(cls, request: Mapping[str, Any], model: str) -> AskedInput:
        """Count what the members of a request's body give."""
        texts: list[str] = []
        whole = images = audio = 0
        unseen = sum(bool(request.get(name)) for name in _UNSEEN) + isinstance(request.get("prompt"), dict)
        unseen += any(str(_kind(tool)).startswith(_SEARCHING) for tool in as_list(request.get("tools")))
        for leaf in _leaves(request):
            if isinstance(leaf, str):
                texts.append(leaf)
            elif isinstance(leaf, dict):
                kind = _kind(leaf)
                images += kind in _IMAGES
                unseen += kind in _FILES
                if kind == "input_audio":
                    audio += len(str(_inner(leaf, "input_audio").get("data", ""))) // _BASE64_PER_AUDIO_TOKEN + 1
            else:
                whole += 1
        return cls(
            text_tokens=whole + _tokens(texts, model),
            image_tokens=images * _TOKENS_PER_IMAGE_OF.get(model, _TOKENS_PER_IMAGE),
            audio_tokens=audio,
            unseen=unseen,
        )


def _leaves(value: object) -> Iterator[object]:
    """All texts, names and numbers; an image, a sound or a file is one leaf, whatever is in it."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            if _kind(item) in _IMAGES | _FILES | {"input_audio"}:
                yield item
            else:
                yield from item
                todo += item.values()
        elif isinstance(item, list):
            todo += item
        elif item is not None:
            yield item


def _tokens(texts: list[str], model: str) -> int:
    """The tokens of texts that are apart from each other: each has one at least."""
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    if size <= _SHORT_BYTES:
        return size
    try:
        return sum(max(1, tokens_of_text(text, model)) for text in texts)
    except ValueError:  # a text that the encoder does not take: megabytes of one letter
        return size


def _kind(item: object) -> object:
    kind = item.get("type") if isinstance(item, dict) else None
    return kind if isinstance(kind, str) else None


def _inner(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = item.get(name)
    return inner if isinstance(inner, dict) else {}


def as_list(value: object) -> list[Any]:
    """What a request has where a list belongs; none where it has something else there."""
    return value if isinstance(value, list) else []
