"""What a request may cost at worst, worked out before it is sent: what it asks for, at list price. Pure.

The usage of a finished request is made up, as large as it can be, and priced as any other: so every rule of prices
holds for it, those of tiers, long contexts and fees too. docs/budgets.md lists what is assumed of what cannot be seen.
Counting may take a second (`asked_input`), so this belongs in a thread.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from openai_proxy.api.endpoints import Metering
from openai_proxy.budgets.asked_input import AskedInput, as_list
from openai_proxy.events import UsageEvent
from openai_proxy.metering.estimation import is_charged_by_characters, is_charged_by_duration
from openai_proxy.pricing.list_prices import context_window
from openai_proxy.pricing.priced import priced
from openai_proxy.records import ListCost

_MOST_ANSWERS = 128  # what is more is a mistake, which OpenAI refuses
_CALLS = 10  # of a hosted tool, where the request does not limit them: searches and the like cost a cent or less
_ONE_CONTEXT = {"chat", "responses", "responses.compact"}  # the operations whose input is one; others take lists
_USUAL_IMAGE_MODEL = "gpt-image-1"  # where a request names none: the dearest
_TIERS_BY_DEFAULT = {"auto", "default"}
# A picture in high quality: 6240 tokens for 1024 x 1536 pixels with gpt-image-1 (OpenAI's guide of image generation)
_TOKENS_PER_PIXEL = 6240 / (1024 * 1536)
_USUAL_PIXELS = 1024 * 1536
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_TOKENS_PER_PARTIAL_IMAGE = 100
_TOKENS_OF_GIVEN_IMAGES = 25_000  # four of them in high fidelity, about 6000 tokens each
_SPOKEN_TOKENS_PER_TEXT_TOKEN = 12  # twice what metering/estimation.py found with English, at a speed of 1
_LOWEST_BYTES_PER_SECOND = 1000  # of a recording of speech: 8 kbit/s
_HEARD_TOKENS_PER_SECOND, _WRITTEN_TOKENS_PER_SECOND = 10, 8  # of sound; of what somebody can say in that time
_LONGEST_RECORDING = 25 * 1024 * 1024 / _LOWEST_BYTES_PER_SECOND  # OpenAI takes 25 MB

Usage = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as far as it is known before it is sent.

    `members` are those of its body, or of its form; of a body that is too large to be kept, the `size` in bytes and
    `members` that matter here. `output_limit` is the most tokens that each answer may have, if the request says so;
    `seconds` how long a recording plays that is sent with it, if that is known.
    """

    metering: Metering
    members: Mapping[str, Any]
    size: int
    is_whole: bool
    output_limit: int | None = None
    seconds: Decimal | None = None


def worst_case(started: UsageEvent, asked: Asked, *, output_tokens: int, unseen_tokens: int) -> ListCost:
    """What a request may cost at worst, or why that cannot be known: its model, or something beside it, has no price.

    Args:
        started: the event that it begins with; its time, model, operation and circumstances count.
        asked: what it asks for.
        output_tokens: what is assumed of an answer without a limit.
        unseen_tokens: what is assumed of each thing that is only referred to, as an earlier response.
    """
    costs = [priced(event).cost for event in _endings(started, asked, output_tokens, unseen_tokens)]
    known = [cost for cost in costs if cost.list_cost is not None]
    return max(known, key=lambda cost: cost.list_cost or Decimal(0)) if known else costs[0]


def _endings(started: UsageEvent, asked: Asked, output_tokens: int, unseen_tokens: int) -> Iterator[UsageEvent]:
    """How it may end: as usual, and with all of the input written to a cache, which costs more with some models."""
    model, request = (started.request_model or "").lower(), asked.members
    tier = request.get("service_tier")
    finished = replace(
        started,
        event_type="finished",
        usage_source="estimated",
        service_tier=None if not isinstance(tier, str) or tier in _TIERS_BY_DEFAULT else tier[:64],
    )
    match asked.metering:
        case "images":
            yield replace(finished, usage=_pictures(request, asked, model))
        case "speech":
            yield replace(finished, usage=_speech(request, asked, model))
        case "transcription":
            yield replace(finished, usage=_transcript(request, asked, model))
        case _:
            given = _given(asked, model, unseen_tokens, one=started.operation_name in _ONE_CONTEXT)
            each = asked.output_limit or output_tokens
            written = 0 if started.operation_name == "embeddings" else each * _answers(request)
            calls, drawn = _tools(request)
            finished = replace(finished, tool_calls=calls, tool_usage=drawn)
            speaks = "audio" in as_list(request.get("modalities"))
            yield replace(finished, usage=_text(given, written, speaks=speaks))
            yield replace(finished, usage=_text(given, written, speaks=speaks, to_cache=True))


def _given(asked: Asked, model: str, unseen_tokens: int, *, one: bool) -> AskedInput:
    """What is to be read; of `one` context no more than the model takes."""
    if asked.is_whole:
        given = AskedInput.of(asked.members, model)
    else:
        given = AskedInput(text_tokens=asked.size, image_tokens=0, audio_tokens=0, unseen=0)
    text = given.text_tokens + given.unseen * unseen_tokens
    window = context_window(model) if one else None
    return replace(given, text_tokens=min(text, window) if window else text)


def _text(given: AskedInput, written: int, *, speaks: bool, to_cache: bool = False) -> Usage:
    total = given.text_tokens + given.image_tokens + given.audio_tokens
    details = {
        "text_tokens": given.text_tokens,
        "image_tokens": given.image_tokens,
        "audio_tokens": given.audio_tokens,
    }
    return {
        "input_tokens": total,
        "input_tokens_details": details | ({"cache_write_tokens": total} if to_cache else {}),
        "output_tokens": written,
        "output_tokens_details": {"audio_tokens": written if speaks else 0},
        "total_tokens": total + written,
    }


def _answers(request: Mapping[str, Any]) -> int:
    number = max(_whole(request.get(name), _MOST_ANSWERS) or 1 for name in ("n", "best_of"))
    prompts = sum(isinstance(prompt, str | list) for prompt in as_list(request.get("prompt")))
    return max(1, prompts) * number


def _tools(request: Mapping[str, Any]) -> tuple[Usage | None, Usage | None]:
    """The calls of hosted tools, as `tool_calls` counts them, and what a model draws that one of them is."""
    calls: Usage = {}
    drawn: Usage | None = None
    most = _whole(request.get("max_tool_calls"), _MOST_ANSWERS) or _CALLS
    for tool in as_list(request.get("tools")):
        kind = str(tool.get("type")) if isinstance(tool, dict) else ""
        if kind.startswith("web_search"):
            calls["web_searches"] = most
            if kind.startswith("web_search_preview"):
                calls["search_tool"] = "web_search_preview"
        elif kind == "file_search":
            calls["file_searches"] = most
        elif kind in {"code_interpreter", "shell"}:
            size = _container_size(tool.get("container" if kind == "code_interpreter" else "environment"))
            calls |= {f"containers_{size}": 1} if size else {}
        elif kind == "image_generation":
            pixels = _pixels(tool.get("size"))
            drawn = {"image_gen": _drawing(math.ceil(pixels * _TOKENS_PER_PIXEL), 0, _TOKENS_OF_GIVEN_IMAGES)}
            calls["image_model"] = str(tool.get("model") or _USUAL_IMAGE_MODEL)
    return calls or None, drawn


def _container_size(container: object) -> str | None:
    """The size of a container that OpenAI makes; None where it is there already."""
    if not isinstance(container, dict) or container.get("type") not in {"auto", "container_auto"}:
        return None
    size = container.get("memory_limit")
    return size if size in {"4g", "16g", "64g"} else "1g"


def _pictures(request: Mapping[str, Any], asked: Asked, model: str) -> Usage:
    number = _whole(request.get("n"), _MOST_ANSWERS) or 1
    partial = _whole(request.get("partial_images"), _MOST_ANSWERS) * _TOKENS_PER_PARTIAL_IMAGE
    each = math.ceil(_pixels(request.get("size")) * _TOKENS_PER_PIXEL) + partial
    text = AskedInput.of(request, model).text_tokens if asked.is_whole else asked.size
    is_new = "prompt" in request and not request.keys() & {"image", "images"} and asked.is_whole
    return _drawing(number * each, text, 0 if is_new else _TOKENS_OF_GIVEN_IMAGES)


def _drawing(drawn: int, text: int, image: int) -> Usage:
    return {
        "input_tokens": text + image,
        "input_tokens_details": {"text_tokens": text, "image_tokens": image},
        "output_tokens": drawn,
        "total_tokens": text + image + drawn,
    }


def _pixels(size: object) -> int:
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    return max(_USUAL_PIXELS, int(found[1]) * int(found[2])) if found else _USUAL_PIXELS


def _speech(request: Mapping[str, Any], asked: Asked, model: str) -> Usage:
    text = request.get("input")
    if is_charged_by_characters(model):
        return {"input_characters": len(text) if isinstance(text, str) else asked.size}
    tokens = AskedInput.of(request, model).text_tokens if asked.is_whole else asked.size
    speed = request.get("speed")
    slower = max(1.0, 1 / speed) if isinstance(speed, int | float) and speed > 0 else 1.0
    spoken = math.ceil(tokens * _SPOKEN_TOKENS_PER_TEXT_TOKEN * min(slower, 4.0))
    return {"input_tokens": tokens, "output_tokens": spoken, "total_tokens": tokens + spoken}


def _transcript(request: Mapping[str, Any], asked: Asked, model: str) -> Usage:
    seconds = float(asked.seconds or min(asked.size / _LOWEST_BYTES_PER_SECOND, _LONGEST_RECORDING))
    if is_charged_by_duration(model):
        return {"type": "duration", "seconds": round(seconds + 0.001, 3)}
    heard = math.ceil(seconds * _HEARD_TOKENS_PER_SECOND)
    prompt = AskedInput.of({"prompt": request.get("prompt")}, model).text_tokens
    written = math.ceil(seconds * _WRITTEN_TOKENS_PER_SECOND)
    return {
        "type": "tokens",
        "input_tokens": heard + prompt,
        "input_token_details": {"audio_tokens": heard, "text_tokens": prompt},
        "output_tokens": written,
        "total_tokens": heard + prompt + written,
    }


def _whole(value: object, most: int) -> int:
    """A whole number from 1, or 0 where it is none; a form's fields are text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:12])
    return min(value, most) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
