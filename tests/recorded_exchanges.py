"""What clients ask of OpenAI, one line a request: every endpoint that is served, in every form of its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from forms import File, form
from sound import mp3, wav

Json = Mapping[str, Any]
QUESTION = "How many people need water on a day, and was für ein Café? \u4e16\u754c \U0001f600"
CHAT: Json = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": QUESTION}]}
STREAM: Json = {**CHAT, "stream": True}
ASKED: Json = {**STREAM, "stream_options": {"include_usage": True}}
INPUT: Json = {"model": "gpt-5-mini", "input": QUESTION}
_PROMPT: Json = {"model": "gpt-3.5-turbo-instruct", "prompt": QUESTION}
_EMBED: Json = {"model": "text-embedding-3-small", "input": QUESTION}
_TOOLS: Json = {
    "model": "gpt-6-sol",
    "input": QUESTION,
    "tools": [
        {"type": "web_search"},
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "image_generation", "model": "gpt-image-1.5"},
    ],
}
_DECIDE: Json = {
    "model": "gpt-6-luna",
    "input": QUESTION,
    "questions": [{"type": "predicate", "name": "wet", "instructions": "is it wet?"}],
}
_DRAW: Json = {"model": "gpt-image-1.5", "prompt": QUESTION}
_SAY: Json = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": QUESTION}
_SOUND = File("spräche.wav", wav(2.5), "audio/wav")
_MP3 = File("speech.mp3", mp3(61.2), "audio/mpeg")
_PICTURE = File("house.png", b"\x89PNG\r\n\x1a\n--\r\n\r\n" * 40, "image/png")
_STATUSES = (400, 401, 403, 404, 409, 429, 500, 502, 503)
_STREAM_ORDERS = ("", "split", "crlf", "crlf split", "comments", "comments crlf split", "deltas=0", "deltas=500")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request; `{id}` in `path` is the id of the object that `made` made before."""

    name: str
    method: str
    path: str
    body: bytes | None = None
    orders: str = ""
    content_type: str = "application/json"
    made: Exchange | None = None

    @property
    def asks_for_usage(self) -> bool:
        """Whether the proxy must ask for the usage, since the member did not: the one change to a body."""
        asked = self.path in {"/chat/completions", "/completions"} and b'"stream": true' in (self.body or b"")
        return asked and b'"include_usage": true' not in (self.body or b"")


def json_exchange(name: str, path: str, body: Json, orders: str = "") -> Exchange:
    return Exchange(name, "POST", path, json.dumps(body, ensure_ascii=False).encode(), orders)


def form_exchange(name: str, path: str, fields: Json, files: Mapping[str, File], orders: str = "") -> Exchange:
    content_type, body = form([(field, str(value)) for field, value in fields.items()] + list(files.items()))
    return Exchange(name, "POST", path, body, orders, content_type)


def _texts() -> Iterator[Exchange]:
    refused = {**STREAM, "stream_options": {"include_usage": False, "include_obfuscation": True}}
    for orders in ("", "gzip", "deflate", "first=50 slow=50", "cut-after=1", "split", "chunks=1", "chunks=100"):
        yield json_exchange(f"chat {orders}", "/chat/completions", CHAT, orders)
    yield json_exchange("chat with a query", "/chat/completions?beta=true&x=%2F", CHAT)
    for orders in _STREAM_ORDERS:
        yield json_exchange(f"chat stream {orders}", "/chat/completions", STREAM, orders)
        yield json_exchange(f"chat stream, usage asked {orders}", "/chat/completions", ASKED, orders)
        yield json_exchange(f"completion stream {orders}", "/completions", {**_PROMPT, "stream": True}, orders)
        yield json_exchange(f"response stream {orders}", "/responses", {**INPUT, "stream": True}, orders)
    for orders in ("", "split", "crlf"):
        yield json_exchange(f"chat stream, usage refused {orders}", "/chat/completions", refused, orders)
    for orders in ("cut-after=3", "crlf cut-after=3", "incomplete", "failed", "error-after=3"):
        yield json_exchange(f"chat stream, ended {orders}", "/chat/completions", STREAM, orders)
    for orders in ("cut-after=3", "crlf cut-after=3", "incomplete", "failed", "gzip", "deflate", "odd-headers"):
        yield json_exchange(f"response stream, ended {orders}", "/responses", {**INPUT, "stream": True}, orders)
    for orders in ("gzip", "deflate", "odd-headers"):
        yield json_exchange(f"chat stream, usage asked {orders}", "/chat/completions", ASKED, orders)
    yield json_exchange("chat odd-header", "/chat/completions", CHAT, "odd-header")
    yield json_exchange("chat odd-headers", "/chat/completions", CHAT, "odd-headers")
    yield json_exchange("stream_options is a number", "/chat/completions", {**STREAM, "stream_options": 5}, "fail=400")
    yield json_exchange("stream_options is null", "/chat/completions", {**STREAM, "stream_options": None})
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    spoken = {"model": "gpt-audio-mini", "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    yield json_exchange(
        "chat aloud", "/chat/completions", {**spoken, "messages": [{"role": "user", "content": [sound]}]}
    )
    for tier in ("flex", "priority", "fast"):
        yield json_exchange(f"chat {tier}", "/chat/completions", {**CHAT, "model": "gpt-5-mini", "service_tier": tier})
    yield json_exchange("completion", "/completions", _PROMPT)
    for orders in ("", "incomplete", "failed", "gzip", "chunks=33", "odd-headers"):
        yield json_exchange(f"response {orders}", "/responses", INPUT, orders)
    yield json_exchange("response with tools", "/responses", _TOOLS)
    yield json_exchange("response stream with tools", "/responses", {**_TOOLS, "stream": True})
    yield json_exchange(
        "response stream with tools, byte by byte", "/responses", {**_TOOLS, "stream": True}, "split crlf"
    )
    yield json_exchange("response, cached for long", "/responses", {**_TOOLS, "prompt_cache_options": {"ttl": "12h"}})
    yield json_exchange("input tokens", "/responses/input_tokens", INPUT)
    yield json_exchange("compact", "/responses/compact", INPUT)
    yield json_exchange("compact gzip", "/responses/compact", INPUT, "gzip")
    yield json_exchange("decision", "/decisions", _DECIDE)
    yield json_exchange("embedding", "/embeddings", _EMBED)
    yield json_exchange("embeddings", "/embeddings", {**_EMBED, "input": [QUESTION, "b"]}, "gzip")
    yield json_exchange("token embeddings", "/embeddings", {**_EMBED, "input": [[1, 2, 3]]}, "chunks=10")
    yield json_exchange("moderation", "/moderations", {"model": "omni-moderation-latest", "input": QUESTION})
    yield Exchange("models", "GET", "/models")
    yield Exchange("a model", "GET", "/models/gpt-4o-mini")
    yield Exchange("a fine-tuned model", "GET", "/models/ft:gpt-4o-mini:team::abc")


def _media() -> Iterator[Exchange]:
    for orders in ("", "gzip", "chunks=1000", "big=300000", "odd-headers"):
        yield json_exchange(f"image {orders}", "/images/generations", _DRAW, orders)
    yield json_exchange("images", "/images/generations", {**_DRAW, "n": 3, "quality": "low"})
    drawn = {**_DRAW, "stream": True}
    for orders in ("", "split", "crlf", "big=200000", "cut-after=1"):
        yield json_exchange(f"image stream {orders}", "/images/generations", {**drawn, "partial_images": 2}, orders)
    yield json_exchange("image stream without partial images", "/images/generations", drawn)
    yield form_exchange("image edit", "/images/edits", _DRAW, {"image[]": _PICTURE, "mask": _PICTURE})
    yield form_exchange("image edit stream", "/images/edits", {**_DRAW, "stream": "true"}, {"image": _PICTURE}, "split")
    shown = [{"image_url": "data:image/png;base64,AAAA"}]
    yield json_exchange("image edit in JSON", "/images/edits", {**_DRAW, "images": shown})
    yield json_exchange("image edit stream in JSON", "/images/edits", {**drawn, "images": shown, "partial_images": 1})
    for kind in ("mp3", "wav", "pcm", "opus", "aac", "flac"):
        yield json_exchange(f"speech {kind}", "/audio/speech", {**_SAY, "response_format": kind})
    yield json_exchange("speech by characters", "/audio/speech", {**_SAY, "model": "tts-1"})
    for orders in ("cut-after=1", "odd-headers"):
        yield json_exchange(f"speech {orders}", "/audio/speech", _SAY, orders)
    for orders in ("", "crlf", "cut-after=2"):
        yield json_exchange(f"speech stream {orders}", "/audio/speech", {**_SAY, "stream_format": "sse"}, orders)
    hear = {"model": "gpt-4o-transcribe"}
    for orders in ("", "gzip", "split", "chunks=9"):
        yield form_exchange(f"transcription {orders}", "/audio/transcriptions", hear, {"file": _SOUND}, orders)
    for form_ in ("json", "verbose_json", "text", "srt", "vtt"):
        fields = {"model": "whisper-1", "response_format": form_}
        yield form_exchange(f"transcription {form_}", "/audio/transcriptions", fields, {"file": _MP3})
        yield form_exchange(f"translation {form_}", "/audio/translations", fields, {"file": _SOUND})
    diarize = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json"}
    yield form_exchange("transcription diarized", "/audio/transcriptions", diarize, {"file": _MP3})
    for orders in ("", "split", "crlf", "comments", "cut-after=3"):
        fields = {**hear, "stream": "true"}
        yield form_exchange(f"transcription stream {orders}", "/audio/transcriptions", fields, {"file": _SOUND}, orders)
    yield form_exchange(
        "transcription stream, diarized", "/audio/transcriptions", {**diarize, "stream": "true"}, {"file": _MP3}
    )
    yield form_exchange("transcription without a file", "/audio/transcriptions", hear, {})


def _objects() -> Iterator[Exchange]:
    stored = json_exchange("stored", "/responses", {**INPUT, "store": True})
    waits = json_exchange("background", "/responses", {**INPUT, "background": True})
    file = form_exchange("upload a file", "/files", {"purpose": "user_data"}, {"file": _PICTURE})
    parts = json_exchange(
        "upload", "/uploads", {"bytes": 3, "filename": "a", "purpose": "batch", "mime_type": "text/plain"}
    )
    store = json_exchange("vector store", "/vector_stores", {"name": "papers"})
    talk = json_exchange("conversation", "/conversations", {"metadata": {"topic": QUESTION}})
    box = json_exchange("container", "/containers", {"name": "box", "memory_limit": "4g"})
    batch = json_exchange("batch", "/batches", {"endpoint": "/v1/responses", "input_file_id": "file-1"})
    job = json_exchange("fine-tuning job", "/fine_tuning/jobs", {"model": "gpt-4.1", "training_file": "file-1"})
    yield from (waits, json_exchange("background stream", "/responses", {**INPUT, "background": True, "stream": True}))
    for made in (stored, waits):
        yield Exchange(f"read a response, {made.name}", "GET", "/responses/{id}?include[]=x", made=made)
    yield Exchange("its items", "GET", "/responses/{id}/input_items?limit=3", made=stored)
    yield Exchange("cancelling it", "POST", "/responses/{id}/cancel", b"", made=stored)
    yield Exchange("deleting it", "DELETE", "/responses/{id}", made=stored)
    yield Exchange("a response that is not there", "GET", "/responses/resp_none?include[]=x")
    for made in (file, parts, store, talk, box, batch, job):
        yield made
        path = made.path
        if path not in {"/uploads", "/conversations"}:
            yield Exchange(f"list of {path}", "GET", f"{path}?limit=2&after=x", made=made)
        if path != "/uploads":
            yield Exchange(f"read of {path}", "GET", f"{path}/{{id}}", made=made)
            yield Exchange(f"none of {path}", "GET", f"{path}/none")
        if path not in {"/uploads", "/batches", "/fine_tuning/jobs"}:
            yield Exchange(f"delete of {path}", "DELETE", f"{path}/{{id}}", made=made)
        if path in {"/uploads", "/batches", "/fine_tuning/jobs"}:
            yield Exchange(f"cancel of {path}", "POST", f"{path}/{{id}}/cancel", b"", made=made)
    yield Exchange("content of a file", "GET", "/files/{id}/content", made=file)
    yield Exchange("content of a file, compressed", "GET", "/files/{id}/content", orders="gzip", made=file)
    part = form_exchange("part of an upload", "/uploads/{id}/parts", {}, {"data": _PICTURE})
    yield replace(part, made=parts)
    yield replace(json_exchange("complete an upload", "/uploads/{id}/complete", {"part_ids": ["part_1"]}), made=parts)
    yield replace(json_exchange("search a vector store", "/vector_stores/{id}/search", {"query": QUESTION}), made=store)
    yield replace(
        json_exchange("file of a vector store", "/vector_stores/{id}/files", {"file_id": "file-1"}), made=store
    )
    yield replace(form_exchange("file of a container", "/containers/{id}/files", {}, {"file": _PICTURE}), made=box)
    yield Exchange("files of a container", "GET", "/containers/{id}/files", made=box)
    yield Exchange("items of a conversation", "GET", "/conversations/{id}/items?order=desc", made=talk)
    yield Exchange("events of a job", "GET", "/fine_tuning/jobs/{id}/events?limit=1", made=job)


def _troubles() -> Iterator[Exchange]:
    asked = (
        json_exchange("chat", "/chat/completions", CHAT),
        json_exchange("chat stream", "/chat/completions", STREAM),
        json_exchange("response stream", "/responses", {**INPUT, "stream": True}),
        json_exchange("embedding", "/embeddings", _EMBED),
        json_exchange("image", "/images/generations", _DRAW),
        json_exchange("speech", "/audio/speech", _SAY),
        form_exchange("transcription", "/audio/transcriptions", {"model": "whisper-1"}, {"file": _SOUND}),
        form_exchange("file", "/files", {"purpose": "user_data"}, {"file": _PICTURE}),
        Exchange("models", "GET", "/models"),
    )
    for status in _STATUSES:
        for one in asked:
            yield replace(one, name=f"error {status} to {one.name}", orders=f"fail={status}")
    for orders in ("fail=302", "fail=307", "fail=404 odd-headers", "fail=500 gzip", "fail=503 chunks=5"):
        for one in asked[:3]:
            yield replace(one, name=f"{orders} to {one.name}", orders=orders)
    yield replace(asked[0], name="chat, compressed as nobody asked", orders="unread")
    yield replace(asked[2], name="response stream, compressed as nobody asked", orders="unread")
    yield json_exchange("no model", "/chat/completions", {"messages": []})
    yield json_exchange("no such model", "/responses", {**INPUT, "model": "no-such-model"})
    yield Exchange("not JSON", "POST", "/chat/completions", b'{"model": "gpt-4o-mini", "messages": [')
    yield Exchange("a list", "POST", "/chat/completions", b"[1, 2]")
    yield Exchange("no body", "POST", "/chat/completions", b"")
    yield Exchange("odd spaces", "POST", "/responses", b' {"input" :\t"a" , "model":"gpt-4o"\r\n} ')


EXCHANGES = (*_texts(), *_media(), *_objects(), *_troubles())
