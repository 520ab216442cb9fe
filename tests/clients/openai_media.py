"""What the official SDK sends and gets besides text: files, sound, images; `openai` 2.x or 3.x, two settings."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import openai

from clients.told import QUESTION, REQUEST_ID, USER, Told, answered, tell, tokens
from sound import wav

_SOUND = ("question.wav", wav(3.5))
_PICTURE = (
    "a.png",
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNiAAAABgADNjd8qAAAAABJRU5ErkJggg=="),
)


def file(client: openai.OpenAI) -> Told:
    """From a path, as the SDK's README has it; then all that one does with a file."""
    path = Path("lines.jsonl")
    path.write_bytes(b'{"water": "for\xc3\xbcr"}\r\n' * 1000)
    made = client.files.create(file=path, purpose="user_data")
    assert (made.filename, made.bytes) == ("lines.jsonl", path.stat().st_size)
    assert client.files.wait_for_processing(made.id).id == made.id
    assert path.read_bytes().startswith(client.files.content(made.id).read())
    assert made.id in {one.id for one in client.files.list(purpose="user_data", limit=2)}
    assert client.files.delete(made.id).deleted
    return {}


def transcript(client: openai.OpenAI) -> Told:
    raw = client.audio.transcriptions.with_raw_response.create(model="gpt-4o-mini-transcribe", file=_SOUND)
    return answered(raw.headers, raw.parse().usage)


def transcript_stream(client: openai.OpenAI) -> Told:
    stream: Any = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=_SOUND, stream=True)
    *deltas, done = stream
    assert "".join(one.delta for one in deltas if one.type == "transcript.text.delta").strip() == done.text.strip()
    return {"request_id": stream.response.headers[REQUEST_ID], "tokens": tokens(done.usage)}


def transcript_by_the_second(client: openai.OpenAI) -> Told:
    raw = client.audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=_SOUND, response_format="verbose_json"
    )
    assert raw.parse().duration == 3.5
    return {"request_id": raw.headers[REQUEST_ID]}


def transcript_as_subtitles(client: openai.OpenAI) -> Told:
    """Its usage is not told."""
    raw = client.audio.transcriptions.with_raw_response.create(model="whisper-1", file=_SOUND, response_format="srt")
    assert "-->" in raw.parse()
    return {"request_id": raw.headers[REQUEST_ID]}


def speech(client: openai.OpenAI) -> Told:
    """Its usage is not told."""
    create = client.audio.speech.with_streaming_response.create
    with create(model="gpt-4o-mini-tts", voice="alloy", input=QUESTION) as answer:
        answer.stream_to_file("answer.mp3")
    assert Path("answer.mp3").stat().st_size
    return {"request_id": answer.headers[REQUEST_ID]}


def image(client: openai.OpenAI) -> Told:
    raw = client.images.with_raw_response.generate(model="gpt-image-1-mini", prompt=QUESTION, quality="low", user=USER)
    parsed = raw.parse()
    assert parsed.data
    assert base64.b64decode(parsed.data[0].b64_json or "").startswith(b"\x89PNG")
    return answered(raw.headers, parsed.usage)


def image_stream(client: openai.OpenAI) -> Told:
    stream: Any = client.images.generate(model="gpt-image-1", prompt=QUESTION, stream=True, partial_images=2, user=USER)
    *partial, whole = stream
    assert len(partial) == 2
    return {"request_id": stream.response.headers[REQUEST_ID], "tokens": tokens(whole.usage)}


def image_edit(client: openai.OpenAI) -> Told:
    raw = client.images.with_raw_response.edit(model="gpt-image-1", prompt=QUESTION, image=[_PICTURE, _PICTURE])
    return answered(raw.headers, raw.parse().usage)


CALLS = (
    file, transcript, transcript_stream, transcript_by_the_second, transcript_as_subtitles, speech,
    image, image_stream, image_edit,
)  # fmt: skip


if __name__ == "__main__":
    with openai.OpenAI() as one:
        for call in CALLS:
            tell(call.__name__, call(one))
