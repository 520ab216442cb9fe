"""Calls with the official SDK that send or get pictures, sound and files."""

from __future__ import annotations

from typing import Any

from sdk_member import REQUEST_ID, Member, Outcome, plain, told


async def image(member: Member) -> Outcome:
    raw = await member.client.images.with_raw_response.generate(
        model="gpt-image-1.5", prompt=member.text(), quality=member.dice.choice(["low", "medium", "high"])
    )
    return told(raw, raw.parse().usage)


async def image_stream(member: Member) -> Outcome:
    stream = await member.client.images.generate(
        model="gpt-image-1.5", prompt=member.text(), stream=True, partial_images=member.dice.randint(0, 3)
    )
    events = [event async for event in stream]
    last: Any = events[-1]
    return {"request_id": stream.response.headers.get(REQUEST_ID), "usage": plain(last.usage)}


async def image_edit(member: Member) -> Outcome:
    raw = await member.client.images.with_raw_response.edit(
        model="gpt-image-1.5", prompt=member.text(), image=[("a.png", member.content()), ("b.png", member.content())]
    )
    return told(raw, raw.parse().usage)


async def speech(member: Member) -> Outcome:
    """Sound tells no usage: the ledger has an estimate."""
    asked = member.client.audio.speech.with_streaming_response
    model = member.dice.choice(["tts-1", "gpt-4o-mini-tts"])
    form: Any = member.dice.choice(["mp3", "wav", "pcm"])
    async with asked.create(model=model, voice="alloy", input=member.text(), response_format=form) as raw:
        assert b"".join([part async for part in raw.iter_bytes()])
        return {"request_id": raw.headers.get(REQUEST_ID)}


async def transcription(member: Member) -> Outcome:
    raw = await member.client.audio.transcriptions.with_raw_response.create(
        model="gpt-4o-transcribe", file=("a.wav", member.sound())
    )
    return told(raw, raw.parse().usage)


async def transcription_stream(member: Member) -> Outcome:
    stream = await member.client.audio.transcriptions.create(
        model="gpt-4o-mini-transcribe", file=("a.wav", member.sound()), stream=True
    )
    events = [event async for event in stream]
    last: Any = events[-1]
    return {"request_id": stream.response.headers.get(REQUEST_ID), "usage": plain(last.usage)}


async def transcription_by_time(member: Member) -> Outcome:
    """Whisper: the seconds are told in JSON, and in no other form."""
    form: Any = member.dice.choice(["json", "verbose_json", "text", "srt", "vtt"])
    heard: Any = member.dice.choice([member.client.audio.transcriptions, member.client.audio.translations])
    raw = await heard.with_raw_response.create(model="whisper-1", file=("a.wav", member.sound()), response_format=form)
    return {"request_id": raw.headers.get(REQUEST_ID)}


async def transcription_after_a_failure(member: Member) -> Outcome:
    """The SDK sends the whole form again."""
    raw = await member.client.with_options(max_retries=2).audio.transcriptions.with_raw_response.create(
        model="gpt-4o-transcribe",
        file=("a.wav", member.sound()),
        extra_headers={"x-upstream-orders": "fail=500 flaky=1"},
    )
    return told(raw, raw.parse().usage)


async def file(member: Member) -> Outcome:
    """Uploaded, read, and deleted; all of it is free."""
    content = member.content()
    made = await member.client.files.create(file=("notes.txt", content), purpose="user_data")
    assert made.bytes == len(content)
    read = await member.client.files.content(made.id)
    assert read.content == content
    raw = await member.client.files.with_raw_response.delete(made.id)
    return {"request_id": raw.headers.get(REQUEST_ID)}


async def upload(member: Member) -> Outcome:
    """A file in parts."""
    content = member.content()
    made = await member.client.uploads.create(
        bytes=len(content), filename="a.txt", mime_type="text/plain", purpose="user_data"
    )
    part = await member.client.uploads.parts.create(made.id, data=content)
    raw = await member.client.uploads.with_raw_response.complete(made.id, part_ids=[part.id])
    return {"request_id": raw.headers.get(REQUEST_ID)}
