"""What OpenAI would answer at /images: one JSON body, or partial images and a last one; pure, as `openai_wire`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from openai_wire import CREATED, ApiError, Event, Json, Question, Reply, Stream, Usage, named

# A PNG of one pixel; what stands after its end is ignored by every reader
_PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNiAAAABgADNjd8qAAAAABJRU5ErkJggg==")
_TOKENS_OF_AN_IMAGE = {"low": 272, "medium": 1056, "high": 4160}  # 1024 x 1024, OpenAI's image guide
_TOKENS_OF_AN_INPUT = 194


def images(question: Question) -> Reply:
    """Images of a prompt, and of what was sent with it. No answer names its model, and older models tell no usage."""
    if not question.body.get("prompt"):
        raise ApiError(400, "you must provide a prompt")
    usage, quality = _usage(question)
    if question.streams:
        return Reply(Stream(_events(question, usage, quality)), usage)
    tells = question.model.startswith(("gpt-image", "chatgpt-image"))
    picture = {"b64_json": _base64(question, "whole"), "revised_prompt": None, "url": None}
    whole: dict[str, Any] = {"created": CREATED, "data": [picture] * question.number("n", 1)}
    if not tells:
        units = {"images": question.number("n", 1)}
        return Reply(whole, Usage(units=units), told=False)
    whole |= {"background": "opaque", "output_format": "png", "quality": quality, "size": "1024x1024"}
    output = usage.units.get("output_image_tokens", 0)
    details = {"image_tokens": output, "text_tokens": usage.output - output}
    whole |= {"usage": usage.images() | {"output_tokens_details": details}}
    if question.body.get("output_format") == "svg":
        drawn = {"input_tokens": 40, "output_tokens": 900, "reasoning_tokens": 128, "total_tokens": 940}
        whole |= {"svg_usage": {"model": "gpt-5.6-sol", **drawn}}
    return Reply(question.told(whole), usage)


def _usage(question: Question) -> tuple[Usage, str]:
    body, dice = question.body, question.dice()
    quality = str(body.get("quality") or "medium").replace("auto", "medium")
    shown = len(question.files) + len(body.get("images") or []) + bool(body.get("mask"))
    made = _TOKENS_OF_AN_IMAGE.get(quality, 1056) * question.number("n", 1) + 100 * _partial(question)
    thought = dice.randint(10, 90) if question.model.startswith("gpt-image-1.5") and not question.streams else 0
    seen = _TOKENS_OF_AN_INPUT * shown
    units: dict[str, float] = {"input_image_tokens": seen} if seen else {}
    units["output_image_tokens"] = made
    return Usage(len(str(body["prompt"]).split()) + seen, 0, made + thought, 0, units), quality


def _partial(question: Question) -> int:
    return question.number("partial_images", 0) if question.streams else 0


def _base64(question: Question, which: str) -> str:
    """A picture of a few hundred kilobytes, if that is ordered; each another one."""
    return base64.b64encode(_PNG + which.encode() + bytes(question.orders.big)).decode()


def _events(question: Question, usage: Usage, quality: str) -> Iterator[Event]:
    kind = "image_edit" if question.path == "/images/edits" else "image_generation"
    looks = {
        "created_at": CREATED,
        "size": "1024x1024",
        "quality": quality,
        "background": "opaque",
        "output_format": "png",
    }
    count = _partial(question)
    for index in range(count):
        picture: Json = {"type": f"{kind}.partial_image", "b64_json": _base64(question, str(index)), **looks}
        yield Event(named({**picture, "partial_image_index": index}), 100)
    last = {"type": f"{kind}.completed", "b64_json": _base64(question, "whole"), **looks, "usage": usage.images()}
    yield Event(named(question.told(last)), usage.output - 100 * count)


REPLIES: Mapping[str, Callable[[Question], Reply]] = {"/images/generations": images, "/images/edits": images}
