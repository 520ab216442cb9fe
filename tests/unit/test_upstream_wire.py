"""The test upstream speaks OpenAI's language: the SDK's own types accept, member by member, whatever it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import openai.types as sdk
import openai.types.audio as sdk_audio
import openai.types.chat as sdk_chat
import openai.types.containers as sdk_containers
import openai.types.conversations as sdk_conversations
import openai.types.fine_tuning as sdk_fine_tuning
import openai.types.responses as sdk_responses
import openai.types.uploads as sdk_uploads
import openai.types.vector_stores as sdk_vector_stores
import pytest
from openai.types.audio.transcription_stream_event import TranscriptionStreamEvent
from openai.types.responses.response_stream_event import ResponseStreamEvent
from pydantic import TypeAdapter

import openai_wire as wire
import wire_responses
from forms import File, FormReader, form
from json_patch import patched
from sound import mp3, seconds_of, wav
from upstream import REPLIES
from upstream_orders import Orders
from wire_objects import Objects

_CHAT = {"model": "gpt-5.6-sol", "messages": [{"role": "user", "content": "a house by the water"}]}
_ASKED = {"stream": True, "stream_options": {"include_usage": True}}
_TOOLS = {
    "model": "gpt-6-sol",
    "input": "a house",
    "tools": [
        {"type": "web_search"},
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}},
        {"type": "shell", "environment": {"type": "container_auto"}},
        {"type": "image_generation", "model": "gpt-image-1.5"},
    ],
}
_QUESTIONS = [
    {"type": "predicate", "name": "wet", "instructions": "is it wet?"},
    {"type": "choice", "instructions": "which?", "choices": [{"value": "a"}, {"value": True}]},
    {"type": "score", "instructions": "how?", "levels": [{"label": "bad"}, {"label": "good"}]},
]
_DRAW = {"model": "gpt-image-1.5", "prompt": "a house", "n": 2}
_SAY = {"model": "gpt-4o-mini-tts", "input": "a house by the water", "voice": "alloy"}
_HEAR = {"model": "gpt-4o-transcribe"}
_HEAR_STREAM = {**_HEAR, "stream": "true"}


def _question(path: str, body: Mapping[str, Any], *files: tuple[str, File], **more: Any) -> wire.Question:
    content_type, data = form([(name, str(value)) for name, value in body.items()] + list(files))
    reader = FormReader(content_type)
    for start in range(0, len(data), 1000):
        reader.feed(data[start : start + 1000])
    return wire.Question(path, reader.fields if files else body, reader.files, **more)


def _sound(seconds: float = 3.0) -> tuple[str, File]:
    return "file", File("speech.wav", wav(seconds), "audio/wav")


def _told(reply: wire.Reply) -> Iterator[Any]:
    """Every JSON object of an answer."""
    if isinstance(reply.content, Mapping):
        yield reply.content
    elif isinstance(reply.content, wire.Stream):
        for event in reply.content.events:
            data = event.data.partition(b"data: ")[2].strip()
            if data != b"[DONE]":
                yield json.loads(data)
    else:
        yield json.loads(b"".join(reply.content))


@pytest.mark.parametrize(
    ("path", "body", "files", "kind"),
    [
        ("/chat/completions", _CHAT, [], sdk_chat.ChatCompletion),
        ("/chat/completions", _CHAT | _ASKED, [], sdk_chat.ChatCompletionChunk),
        ("/chat/completions", _CHAT | {"modalities": ["text", "audio"]}, [], sdk_chat.ChatCompletion),
        ("/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "a"}, [], sdk.Completion),
        ("/responses", _TOOLS, [], sdk_responses.Response),
        ("/responses", _TOOLS | {"background": True}, [], sdk_responses.Response),
        ("/responses", _TOOLS | {"stream": True}, [], ResponseStreamEvent),
        ("/responses", _TOOLS | {"stream": True, "background": True}, [], ResponseStreamEvent),
        ("/responses/compact", {"model": "gpt-6-sol", "input": "a"}, [], sdk_responses.CompactedResponse),
        ("/responses/input_tokens", {"model": "gpt-6-sol"}, [], sdk_responses.InputTokenCountResponse),
        ("/decisions", {"model": "gpt-6-luna", "input": "a", "questions": _QUESTIONS}, [], sdk.Decision),
        ("/embeddings", {"model": "text-embedding-3-small", "input": ["a"]}, [], sdk.CreateEmbeddingResponse),
        ("/moderations", {"input": "a"}, [], sdk.ModerationCreateResponse),
        ("/images/generations", _DRAW, [], sdk.ImagesResponse),
        ("/images/generations", {"model": "dall-e-3", "prompt": "a house"}, [], sdk.ImagesResponse),
        ("/images/generations", _DRAW | {"output_format": "svg"}, [], sdk.ImagesResponse),
        ("/images/generations", _DRAW | {"stream": True, "partial_images": 2}, [], sdk.ImageGenStreamEvent),
        ("/images/edits", _DRAW, [("image[]", File("a.png", b"a"))], sdk.ImagesResponse),
        ("/images/edits", _DRAW | {"stream": "true"}, [("image", File("a.png", b"a"))], sdk.ImageEditStreamEvent),
        ("/audio/transcriptions", _HEAR, [_sound()], sdk_audio.Transcription),
        ("/audio/transcriptions", {"model": "whisper-1"}, [_sound()], sdk_audio.Transcription),
        (
            "/audio/transcriptions",
            {"model": "whisper-1", "response_format": "verbose_json"},
            [_sound()],
            sdk_audio.TranscriptionVerbose,
        ),
        (
            "/audio/transcriptions",
            {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json"},
            [_sound()],
            sdk_audio.TranscriptionDiarized,
        ),
        ("/audio/transcriptions", _HEAR_STREAM, [_sound()], TranscriptionStreamEvent),
        (
            "/audio/transcriptions",
            _HEAR_STREAM | {"model": "gpt-4o-transcribe-diarize"},
            [_sound()],
            TranscriptionStreamEvent,
        ),
        ("/audio/translations", {"model": "whisper-1"}, [_sound()], sdk_audio.Translation),
        (
            "/audio/translations",
            {"model": "whisper-1", "response_format": "verbose_json"},
            [_sound()],
            sdk_audio.TranslationVerbose,
        ),
    ],
)
def test_an_answer_is_what_the_sdk_expects(
    path: str, body: Mapping[str, Any], files: list[tuple[str, File]], kind: Any
) -> None:
    reply = REPLIES[path](_question(path, body, *files))

    told = list(_told(reply))

    assert told
    for one in told:
        TypeAdapter(kind).validate_python(one)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/uploads", {"bytes": 3, "filename": "a.txt", "purpose": "batch", "mime_type": "text/plain"}, sdk.Upload),
        (
            "/batches",
            {"endpoint": "/v1/responses", "input_file_id": "file-1", "completion_window": "24h"},
            sdk.Batch,
        ),
        ("/vector_stores", {"name": "papers"}, sdk.VectorStore),
        ("/conversations", {"metadata": {"a": "b"}}, sdk_conversations.Conversation),
        ("/containers", {"name": "box"}, sdk.ContainerCreateResponse),
        ("/fine_tuning/jobs", {"model": "gpt-4.1", "training_file": "file-1"}, sdk_fine_tuning.FineTuningJob),
    ],
)
def test_an_object_is_what_the_sdk_expects_and_can_be_read_again(path: str, body: Mapping[str, Any], kind: Any) -> None:
    objects = Objects()
    made = _object(objects, "POST", path, body)

    assert TypeAdapter(kind).validate_python(made)
    assert _object(objects, "POST", path, body) == made
    assert _object(objects, "GET", f"{path}/{made['id']}") == made
    assert _object(objects, "GET", path)["data"] == [made]
    assert _object(objects, "DELETE", f"{path}/{made['id']}")["deleted"] is True
    with pytest.raises(wire.ApiError):
        _object(objects, "GET", f"{path}/another")


def _object(objects: Objects, method: str, path: str, body: Mapping[str, Any] | None = None, *files: Any) -> Any:
    reply = objects.reply(method, _question(path, body or {}, *files))
    assert reply is not None
    assert isinstance(reply.content, Mapping)
    return reply.content


def test_objects_within_objects_are_what_the_sdk_expects() -> None:
    objects = Objects()
    store = _object(objects, "POST", "/vector_stores", {"name": "papers"})["id"]
    upload = _object(objects, "POST", "/uploads", {"bytes": 1})["id"]
    container = _object(objects, "POST", "/containers", {"name": "box"})["id"]
    talk = _object(objects, "POST", "/conversations", {})["id"]

    kinds: Sequence[tuple[Any, str, Mapping[str, Any], list[Any]]] = [
        (sdk_vector_stores.VectorStoreFile, f"/vector_stores/{store}/files", {"file_id": "file-1"}, []),
        (sdk_vector_stores.VectorStoreFileBatch, f"/vector_stores/{store}/file_batches", {"file_ids": ["file-1"]}, []),
        (sdk_uploads.UploadPart, f"/uploads/{upload}/parts", {}, [("data", File("a", b"a"))]),
        (sdk_containers.FileCreateResponse, f"/containers/{container}/files", {}, [("file", File("a", b"a"))]),
        (sdk_conversations.ConversationItemList, f"/conversations/{talk}/items", {"items": []}, []),
    ]
    for kind, path, body, files in kinds:
        TypeAdapter(kind).validate_python(_object(objects, "POST", path, body, *files))


def test_a_file_is_counted_and_its_content_given_back() -> None:
    objects, sent = Objects(), File("notes.txt", b"--a\r\n\r\nb" * 7000)

    made = _object(objects, "POST", "/files", {"purpose": "user_data"}, ("file", sent))

    sdk.FileObject.model_validate(made)
    assert (made["bytes"], made["filename"], made["purpose"]) == (len(sent.content), "notes.txt", "user_data")
    reply = objects.reply("GET", wire.Question(f"/files/{made['id']}/content", {}))
    assert reply is not None
    assert b"".join(reply.content) == sent.content  # type: ignore[arg-type] # plain bytes


@pytest.mark.parametrize(("make", "head"), [(wav, b"RIFF"), (mp3, b"\xff\xfb")])
def test_a_sound_plays_as_long_as_it_was_made(make: Callable[[float], bytes], head: bytes) -> None:
    sound = make(2.4)

    assert sound.startswith(head)
    assert seconds_of(sound[:100], len(sound)) == pytest.approx(2.4)


@pytest.mark.parametrize("stream", [False, True])
def test_the_usage_told_is_patched_and_the_bill_is_not(*, stream: bool) -> None:
    patch = [{"op": "replace", "path": "/usage/input_tokens", "value": -1}, {"op": "remove", "path": "/tool_usage"}]

    question = _question("/responses", _TOOLS | {"stream": stream}, patch=patch)
    reply = wire_responses.response(question)

    last = list(_told(reply))[-1]
    told = last["response"] if stream else last
    assert told["usage"]["input_tokens"] == -1
    assert "tool_usage" not in told
    assert reply.usage.input > 0
    assert reply.usage.units["web_searches"] == 2


def test_a_patch_changes_a_copy_and_only_what_is_there() -> None:
    document = {"a": {"b": [1, 2]}}

    assert patched(document, [{"op": "replace", "path": "/a/b/1", "value": "x"}]) == {"a": {"b": [1, "x"]}}
    assert patched(document, [{"op": "add", "path": "/a/c~1d", "value": None}]) == {"a": {"b": [1, 2], "c/d": None}}
    assert patched(document, [{"op": "replace", "path": "/no/such", "value": 1}]) == document
    assert patched(document, [{"op": "remove", "path": "/a/b"}]) == {"a": {}}
    assert document == {"a": {"b": [1, 2]}}


def test_orders_come_from_the_header_and_from_the_model() -> None:
    assert Orders.of("slow=5 gzip", "gpt-4o+deltas=2") == Orders(slow=5, gzip=1, deltas=2)
    assert Orders.of("", "fail-429") == Orders(fail=429)
