"""Calls that a team makes with the official SDK, many at a time; needs nothing but `openai`, 2.x or 3.x.

Reads one plan from standard input: {"base_url", "keys": {user: key}, "calls", "concurrency", "seed", "model", "media"};
`model` is for a real model server that obeys no orders, `media`: also pictures, sound, files and tools. Writes one line
of JSON a call: how it ended, as the member saw it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import openai

import sdk_media_calls as media
import sdk_text_calls as text
from sdk_member import REQUEST_ID, USER, Member, Outcome

_TRANSPORTS = {"httpx", "httpx2"}  # a stream that breaks raises theirs

Call = Callable[[Member], Awaitable[Outcome]]
_ANY_SERVER: Mapping[Call, int] = {
    text.chat: 10,
    text.chat_stream: 10,
    text.chat_stream_with_usage: 6,
    text.response: 8,
    text.response_stream: 8,
}
_TEST_UPSTREAM: Mapping[Call, int] = {
    **_ANY_SERVER,
    text.completion: 3,
    text.completion_stream: 3,
    text.response_read_again: 3,
    text.embedding: 6,
    text.free: 3,
    text.trouble: 8,
    text.rate_limited_then_served: 3,
    text.stream_left: 7,
    text.response_stream_left: 4,
    text.call_left: 4,
}
_MEDIA: Mapping[Call, int] = {
    **_TEST_UPSTREAM,
    text.response_with_tools: 3,
    text.response_stream_helper: 3,
    text.chat_stream_helper: 3,
    text.chat_streamed_response: 3,
    text.chat_in_a_thread: 3,
    text.compaction: 2,
    text.decision: 2,
    media.image: 3,
    media.image_stream: 3,
    media.image_edit: 3,
    media.speech: 4,
    media.transcription: 3,
    media.transcription_stream: 3,
    media.transcription_by_time: 5,
    media.transcription_after_a_failure: 2,
    media.file: 3,
    media.upload: 2,
}
# What older SDKs have not, and the attribute of a client that says so
_NEWER: Mapping[Call, str] = {text.decision: "decisions"}


async def _outcome(call: Call, member: Member) -> Outcome:
    told: Outcome = {"call": call.__name__, "user": member.user}
    try:
        return told | await call(member)
    except openai.APIStatusError as error:
        return told | {"request_id": error.response.headers.get(REQUEST_ID), "status": error.status_code}
    except openai.APIConnectionError:
        return told | {"broken": True}
    except Exception as error:  # noqa: BLE001 - whatever it is, the test is told and fails
        if type(error).__module__.partition(".")[0] in _TRANSPORTS:
            return told | {"broken": True}
        return told | {"unexpected": f"{type(error).__name__}: {error}"}


async def _run(plan: Mapping[str, Any]) -> None:
    dice = random.Random(plan["seed"])  # noqa: S311 - no secret; seeded: the same calls each time
    calls = _ANY_SERVER if plan.get("model") else _MEDIA if plan.get("media") else _TEST_UPSTREAM
    calls = {call: often for call, often in calls.items() if hasattr(openai.AsyncOpenAI, _NEWER.get(call, "chat"))}
    turns = asyncio.Semaphore(plan["concurrency"])
    clients = {
        user: openai.AsyncOpenAI(
            api_key=key, base_url=plan["base_url"], max_retries=0, timeout=60, default_headers={USER: user}
        )
        for user, key in plan["keys"].items()
    }

    async def one(number: int, call: Call) -> None:
        user = list(clients)[number % len(clients)]
        own = random.Random(f"{plan['seed']} {number}")  # noqa: S311 - no secret; seeded: the same texts each time
        async with turns:
            outcome = await _outcome(call, Member(user, clients[user], own, plan.get("model")))
        print(json.dumps(outcome), flush=True)  # noqa: T201 - standard output is how the test is told

    # Each kind of call once, whatever the dice say.
    chosen = list(calls) + dice.choices(list(calls), weights=list(calls.values()), k=plan["calls"])
    await asyncio.gather(*(one(number, call) for number, call in enumerate(chosen[: plan["calls"]])))
    for client in clients.values():
        await client.close()


if __name__ == "__main__":
    asyncio.run(_run(json.load(sys.stdin)))
