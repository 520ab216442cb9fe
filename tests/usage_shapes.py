"""Every shape in which OpenAI tells a usage, and what each is billed.

The shapes: reference openai-api.md, 2.1 and 2.2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import openai_wire as wire
from forms import File, FormReader
from recorded_exchanges import Exchange, form_exchange, json_exchange
from sound import mp3, wav
from upstream import REPLIES
from upstream_orders import Orders

Json = Mapping[str, Any]
_WORDS = "how many people need water on a day and what is the way to the house of an answer " * 3
_ASKED: Json = {"stream": True, "stream_options": {"include_usage": True}}
_PICTURE = File("house.png", b"\x89PNG" * 40, "image/png")
# Each unit, and the one that it is a part of: what has a price of its own is not charged with its whole
_PART_OF = {
    "cached": "input",
    "cache_write_tokens": "input",
    "cache_write_12h_tokens": "cache_write_tokens",
    "input_audio_tokens": "input",
    "input_image_tokens": "input",
    "output_audio_tokens": "output",
    "output_image_tokens": "output",
    "drawn.input_image_tokens": "drawn.input_tokens",
}


@dataclass(frozen=True)
class Shape:
    """A request whose answer tells a usage; `prices` are USD for a million of each unit (OpenAI, "Pricing")."""

    exchange: Exchange
    prices: Mapping[str, str]
    repeats: bool = False
    """Another shape has the same usage object, and stands in another form of answer."""

    @property
    def name(self) -> str:
        return self.exchange.name

    @cached_property
    def reply(self) -> wire.Reply:
        """What the upstream answers, and bills."""
        return REPLIES[self.exchange.path](self._question())

    @cached_property
    def told(self) -> Json:
        """The object of the answer that tells the usage; for a stream that was not asked, as if it had been."""
        content = REPLIES[self.exchange.path](self._question()).content
        if isinstance(content, wire.Stream):
            events = [event.data.partition(b"data: ")[2].strip() for event in content.events]
            last: Json = json.loads([data for data in events if data != b"[DONE]"][-1])
            response: Json = last.get("response", last)
            return response
        whole: Json = content if isinstance(content, Mapping) else json.loads(b"".join(content))
        return whole

    @property
    def cost(self) -> Decimal:
        """What the bill comes to, by hand."""
        usage = self.reply.usage
        billed: dict[str, float] = {**usage.tokens(), **usage.units}
        own = {unit: billed[unit] for unit in billed if unit in self.prices}
        for part in own.keys() & _PART_OF.keys():
            own[self._priced_whole(part)] -= billed[part]
        costs = (Decimal(str(quantity)) * Decimal(self.prices[unit]) for unit, quantity in own.items())
        return sum(costs, Decimal(0)) / 1_000_000

    def _priced_whole(self, part: str) -> str:
        """What a unit is a part of, or that is, up to what has a price."""
        whole = _PART_OF[part]
        return whole if whole in self.prices else self._priced_whole(whole)

    def _question(self) -> wire.Question:
        exchange = self.exchange
        orders = Orders.of(exchange.orders, "")
        if exchange.content_type.startswith("multipart"):
            reader = FormReader(exchange.content_type)
            reader.feed(exchange.body or b"")
            return wire.Question(exchange.path, reader.fields, reader.files, orders)
        body = json.loads(exchange.body or b"{}")
        if exchange.asks_for_usage:
            body["stream_options"] = {"include_usage": True}
        return wire.Question(exchange.path, body, (), orders)


def _shapes() -> Iterator[Shape]:
    sol = {"input": "4", "cached": "0.4", "cache_write_tokens": "5", "output": "20"}
    ask = {"model": "gpt-5.6-sol", "messages": [{"role": "user", "content": _WORDS}]}
    for name, more in (("chat", {}), ("chat stream", _ASKED), ("chat stream, not asked", {"stream": True})):
        yield Shape(json_exchange(name, "/chat/completions", {**ask, **more}), sol, repeats=bool(more))
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    aloud = {
        "model": "gpt-audio-mini",
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
        "messages": [{"role": "user", "content": [sound, {"type": "text", "text": _WORDS}]}],
    }
    heard = {"input": "0.6", "input_audio_tokens": "10", "output": "2.4", "output_audio_tokens": "20"}
    yield Shape(json_exchange("chat aloud", "/chat/completions", aloud), heard)
    yield Shape(json_exchange("chat aloud, stream", "/chat/completions", {**aloud, **_ASKED}), heard, repeats=True)
    prompt = {"model": "gpt-3.5-turbo-instruct", "prompt": _WORDS}
    instruct = {"input": "1.5", "output": "2"}
    yield Shape(json_exchange("completion", "/completions", prompt), instruct)
    yield Shape(json_exchange("completion stream", "/completions", {**prompt, **_ASKED}), instruct, repeats=True)
    yield from _responses()
    yield Shape(
        json_exchange("embedding", "/embeddings", {"model": "text-embedding-3-small", "input": _WORDS}),
        {"input": "0.02"},
    )
    yield from _media()


def _responses() -> Iterator[Shape]:
    ask: Json = {"model": "gpt-6-sol", "input": _WORDS + "house"}
    prices = {"input": "2", "cached": "0.2", "cache_write_tokens": "2.5", "output": "10"}
    for name, more, orders in (
        ("response", {}, ""),
        ("response stream", {"stream": True}, ""),
        ("response incomplete", {}, "incomplete"),
        ("response stream incomplete", {"stream": True}, "incomplete"),
        ("response stream failed", {"stream": True}, "failed"),
        ("response in a large event", {"stream": True}, "big=300000"),
        ("response in a large body", {}, "big=300000"),
    ):
        yield Shape(json_exchange(name, "/responses", {**ask, **more}, orders), prices, repeats=True)
    long = {**prices, "cache_write_12h_tokens": "5"}
    yield Shape(
        json_exchange("response cached for 12 h", "/responses", {**ask, "prompt_cache_options": {"ttl": "12h"}}),
        long,
        repeats=True,
    )
    tools = {
        "input": _WORDS + "answer",
        "tools": [
            {"type": "web_search"},
            {"type": "file_search", "vector_store_ids": ["vs_1"]},
            {"type": "code_interpreter", "container": {"type": "auto"}},
        ],
    }
    fees = {**prices, "web_searches": "10000", "storage_searches": "2500", "containers_1g": "30000"}
    yield Shape(json_exchange("response with tools", "/responses", {**ask, **tools}), fees)
    yield Shape(
        json_exchange("response stream with tools", "/responses", {**ask, **tools, "stream": True}), fees, repeats=True
    )
    draws = {"tools": [{"type": "image_generation", "model": "gpt-image-1.5"}]}
    drawn = {"drawn.input_tokens": "5", "drawn.input_image_tokens": "8", "drawn.output_image_tokens": "32"}
    for name, more in (("response that draws", {}), ("response stream that draws", {"stream": True})):
        exchange = json_exchange(name, "/responses", {**ask, **draws, **more})
        yield Shape(exchange, {**prices, **drawn}, repeats=bool(more))
    yield Shape(json_exchange("compact", "/responses/compact", ask), prices, repeats=True)
    questions = [{"type": "predicate", "name": "wet", "instructions": "is it wet?"}]
    decide = {"model": "gpt-6-luna", "input": _WORDS, "questions": questions}
    yield Shape(json_exchange("decision", "/decisions", decide), {"input": "0.1"})


def _media() -> Iterator[Shape]:
    draw: Json = {"model": "gpt-image-1.5", "prompt": _WORDS}
    prices = {"input": "5", "input_image_tokens": "8", "output": "10", "output_image_tokens": "32"}
    yield Shape(json_exchange("image", "/images/generations", draw), prices)
    drawn = {**draw, "stream": True, "partial_images": 1}
    yield Shape(json_exchange("image stream", "/images/generations", drawn), prices)
    yield Shape(form_exchange("image edit", "/images/edits", draw, {"image": _PICTURE}), prices)
    stream = {**draw, "stream": "true"}
    yield Shape(form_exchange("image edit stream", "/images/edits", stream, {"image": _PICTURE}), prices, repeats=True)
    say = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": _WORDS, "stream_format": "sse"}
    yield Shape(json_exchange("speech stream", "/audio/speech", say), {"input": "0.6", "output": "12"})
    hear = {"model": "gpt-4o-transcribe", "prompt": "a house by the water"}
    heard = {"input": "2.5", "input_audio_tokens": "6", "output": "10"}
    sound, long = {"file": File("a.wav", wav(4.5), "audio/wav")}, {"file": File("a.mp3", mp3(36), "audio/mpeg")}
    yield Shape(form_exchange("transcription", "/audio/transcriptions", hear, sound), heard)
    yield Shape(
        form_exchange("transcription stream", "/audio/transcriptions", {**hear, "stream": "true"}, sound),
        heard,
        repeats=True,
    )
    apart = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json"}
    yield Shape(form_exchange("transcription diarized", "/audio/transcriptions", apart, long), heard, repeats=True)
    # 0.006 USD a minute: a second is 0.0001
    for kind in ("json", "verbose_json"):
        fields = {"model": "whisper-1", "response_format": kind}
        by_time = {"audio_seconds": "100"}
        yield Shape(
            form_exchange(f"transcription by time, {kind}", "/audio/transcriptions", fields, long),
            by_time,
            repeats=kind != "json",
        )


def _untold() -> Iterator[Shape]:
    say = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": _WORDS, "instructions": "in the way of a house"}
    for kind in ("mp3", "wav", "pcm"):
        asked = {**say, "response_format": kind}
        yield Shape(json_exchange(f"speech {kind}", "/audio/speech", asked), {"input": "0.6", "output": "12"})
    for model, price in (("tts-1", "15"), ("tts-1-hd", "30")):
        asked = {**say, "model": model, "input": _WORDS + "\u4e16\u754c \U0001f600"}
        yield Shape(json_exchange(f"speech by {model}", "/audio/speech", asked), {"input_characters": price})
    sounds = (File("a.wav", wav(90.5), "audio/wav"), File("a.mp3", mp3(120), "audio/mpeg"))
    for sound in sounds:
        for kind in ("text", "srt", "vtt"):
            fields = {"model": "whisper-1", "response_format": kind}
            name = f"transcription of {sound.name} as {kind}"
            yield Shape(form_exchange(name, "/audio/transcriptions", fields, {"file": sound}), {"audio_seconds": "100"})
    for kind in ("json", "verbose_json", "text", "srt", "vtt"):
        fields = {"model": "whisper-1", "response_format": kind}
        exchange = form_exchange(f"translation as {kind}", "/audio/translations", fields, {"file": sounds[0]})
        yield Shape(exchange, {"audio_seconds": "100"})
    hear = {"model": "gpt-4o-transcribe", "response_format": "text"}
    exchange = form_exchange("transcription by tokens as text", "/audio/transcriptions", hear, {"file": sounds[1]})
    yield Shape(exchange, {"input": "2.5", "input_audio_tokens": "6", "output": "10"})


def _circumstances() -> Iterator[Shape]:
    """What makes the same usage dearer or cheaper: the answer's service tier, the request's completion window."""
    ask: Json = {"model": "gpt-6-sol", "input": _WORDS + "house"}
    prices = {"input": "2", "cached": "0.2", "cache_write_tokens": "2.5", "output": "10"}
    for tier, factor in (("flex", "0.5"), ("priority", "2"), ("fast", "2"), ("auto", "1")):
        for form_, stream in (("response", False), ("response stream", True)):
            exchange = json_exchange(f"{form_} {tier}", "/responses", {**ask, "service_tier": tier, "stream": stream})
            yield Shape(exchange, _times(prices, factor))
    for window, factor in (("2h", "0.7"), ("8h", "0.6")):
        waits = {**ask, "background": True, "background_options": {"completion_window": window}, "stream": True}
        exchange = json_exchange(f"response in the background within {window}", "/responses", waits)
        yield Shape(exchange, _times(prices, factor))


def _times(prices: Mapping[str, str], factor: str) -> Mapping[str, str]:
    return {unit: str(Decimal(price) * Decimal(factor)) for unit, price in prices.items()}


SHAPES: Sequence[Shape] = tuple(_shapes())
CIRCUMSTANCES: Sequence[Shape] = tuple(_circumstances())
UNTOLD: Sequence[Shape] = tuple(_untold())
"""Answers that tell nothing: what they are billed can be estimated from the request and the sound."""
