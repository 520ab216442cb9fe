"""Calls that a team makes with the official SDK, many at a time; needs nothing but `openai`, 2.x or 3.x.

Reads one plan from standard input: {"base_url", "keys": {user: key}, "calls", "concurrency", "seed", "model"}; `model`
is for a real model server that obeys no orders. Writes one line of JSON a call: how it ended, as the member saw it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import openai

REQUEST_ID = "x-openai-proxy-request-id"
_WORDS = "how many people need water on a day and what is the way to the house of an answer".split()  # noqa: SIM905 - reads
_LONGEST_ANSWER = 8  # tokens of a real model; the test upstream obeys no limit
_TRANSPORTS = {"httpx", "httpx2"}  # a stream that breaks raises theirs
_MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-nano", "gpt-5-mini", "o4-mini")
# Model names that order trouble of the test upstream (tests/upstream.py, Orders)
_TROUBLE = ("fail-400", "fail-404", "fail-429", "fail-500", "fail-502", "fail-503", "no-such-model", "cut-after-3")

Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """One user's client, and the dice of one call."""

    user: str
    client: openai.AsyncOpenAI
    dice: random.Random
    only_model: str | None

    def model(self) -> str:
        return self.only_model or self.dice.choice(_MODELS)

    def text(self) -> str:
        words = self.dice.randint(1, 8 if self.only_model else 60)  # a real model takes its time
        return " ".join(self.dice.choices(_WORDS, k=words)) + f" {self.dice.randrange(1_000_000)}"

    def messages(self) -> Any:
        return [{"role": "user", "content": self.text()}]


async def chat(member: Member) -> Outcome:
    raw = await member.client.chat.completions.with_raw_response.create(
        model=member.model(), messages=member.messages(), user=member.user, max_tokens=_LONGEST_ANSWER
    )
    return _told(raw, raw.parse().usage)


async def chat_stream(member: Member) -> Outcome:
    """A stream that did not ask for its usage must not be told it."""
    stream = await member.client.chat.completions.create(
        model=member.model(), messages=member.messages(), user=member.user, max_tokens=_LONGEST_ANSWER, stream=True
    )
    async for chunk in stream:
        assert chunk.choices, "a chunk without choices, and the usage was not asked for"
        assert chunk.usage is None
        assert "usage" not in chunk.model_fields_set, "the key `usage`, and it was not asked for"
    return {"request_id": stream.response.headers.get(REQUEST_ID)}


async def chat_stream_with_usage(member: Member) -> Outcome:
    stream = await member.client.chat.completions.create(
        model=member.model(),
        messages=member.messages(),
        user=member.user,
        max_tokens=_LONGEST_ANSWER,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert not chunks[-1].choices
    return {"request_id": stream.response.headers.get(REQUEST_ID), "usage": _plain(chunks[-1].usage)}


async def completion(member: Member) -> Outcome:
    raw = await member.client.completions.with_raw_response.create(
        model="gpt-3.5-turbo-instruct", prompt=member.text(), user=member.user
    )
    return _told(raw, raw.parse().usage)


async def completion_stream(member: Member) -> Outcome:
    stream = await member.client.completions.create(
        model="gpt-3.5-turbo-instruct", prompt=member.text(), user=member.user, stream=True
    )
    async for chunk in stream:
        assert chunk.choices
    return {"request_id": stream.response.headers.get(REQUEST_ID)}


async def response(member: Member) -> Outcome:
    raw = await member.client.responses.with_raw_response.create(
        model=member.model(), input=member.text(), user=member.user, max_output_tokens=_LONGEST_ANSWER
    )
    return _told(raw, raw.parse().usage)


async def response_stream(member: Member) -> Outcome:
    """A Response that may end as completed, incomplete or failed; each has its usage."""
    orders = "" if member.only_model else member.dice.choice(["", "", "incomplete", "failed"])
    stream = await member.client.responses.create(
        model=member.model(),
        input=member.text(),
        user=member.user,
        max_output_tokens=_LONGEST_ANSWER,
        stream=True,
        extra_headers={"x-upstream-orders": orders} if orders else {},
    )
    last: Any = None
    async for event in stream:
        last = event
    return {"request_id": stream.response.headers.get(REQUEST_ID), "usage": _plain(last.response.usage)}


async def response_read_again(member: Member) -> Outcome:
    """A stored Response tells its usage again whenever it is read; it is billed once."""
    created = await member.client.responses.create(model=member.model(), input=member.text(), user=member.user)
    await member.client.responses.retrieve(created.id)
    await member.client.responses.input_items.list(created.id)
    raw = await member.client.responses.with_raw_response.retrieve(created.id)
    return {"request_id": raw.headers.get(REQUEST_ID)}


async def embedding(member: Member) -> Outcome:
    texts = [member.text() for _ in range(member.dice.randint(1, 4))]
    raw = await member.client.embeddings.with_raw_response.create(
        model="text-embedding-3-small", input=texts, user=member.user
    )
    return _told(raw, raw.parse().usage)


async def free(member: Member) -> Outcome:
    await member.client.moderations.create(model="omni-moderation-latest", input=member.text())
    raw = await member.client.models.with_raw_response.list()
    return {"request_id": raw.headers.get(REQUEST_ID)}


async def trouble(member: Member) -> Outcome:
    """What OpenAI refuses or breaks off."""
    await member.client.chat.completions.create(
        model=member.dice.choice(_TROUBLE), messages=member.messages(), user=member.user
    )
    raise AssertionError("this should have failed")


async def rate_limited_then_served(member: Member) -> Outcome:
    """The SDK tries again after each 429, so one call is three requests."""
    raw = await member.client.with_options(max_retries=2).chat.completions.with_raw_response.create(
        model=member.model(),
        messages=member.messages(),
        user=member.user,
        extra_headers={"x-upstream-orders": "fail=429 flaky=2"},
    )
    return _told(raw, raw.parse().usage)


async def stream_left(member: Member) -> Outcome:
    """The member hangs up in the middle of a stream; some are nearly done, some go on for long."""
    deltas, slow = member.dice.choice([(20, 4), (60, 4), (3000, 1)])
    stream = await member.client.chat.completions.create(
        model=member.model(),
        messages=member.messages(),
        user=member.user,
        stream=True,
        extra_headers={"x-upstream-orders": f"deltas={deltas} slow={slow}"},
    )
    left = member.dice.randint(0, 15)
    async for _ in stream:
        left -= 1
        if left < 0:
            break
    await stream.close()
    return {"request_id": stream.response.headers.get(REQUEST_ID), "aborted": True}


async def response_stream_left(member: Member) -> Outcome:
    stream = await member.client.responses.create(
        model=member.model(),
        input=member.text(),
        user=member.user,
        stream=True,
        extra_headers={"x-upstream-orders": "slow=4"},
    )
    left = member.dice.randint(0, 10)
    async for _ in stream:
        left -= 1
        if left < 0:
            break
    await stream.close()
    return {"request_id": stream.response.headers.get(REQUEST_ID), "aborted": True}


async def call_left(member: Member) -> Outcome:
    """The member hangs up while they wait for an answer that comes in one piece."""
    patience = member.dice.uniform(0.0, 0.15)
    try:
        await asyncio.wait_for(
            member.client.chat.completions.create(
                model=member.model(),
                messages=member.messages(),
                user=member.user,
                extra_headers={"x-upstream-orders": "first=60 slow=60"},
            ),
            patience,
        )
    except TimeoutError:
        return {"aborted": True}
    return {}


Call = Callable[[Member], Awaitable[Outcome]]
_ANY_SERVER: Mapping[Call, int] = {
    chat: 10,
    chat_stream: 10,
    chat_stream_with_usage: 6,
    response: 8,
    response_stream: 8,
}
_TEST_UPSTREAM: Mapping[Call, int] = {
    **_ANY_SERVER,
    completion: 3,
    completion_stream: 3,
    response_read_again: 3,
    embedding: 6,
    free: 3,
    trouble: 8,
    rate_limited_then_served: 3,
    stream_left: 7,
    response_stream_left: 4,
    call_left: 4,
}


def _told(raw: Any, usage: Any) -> Outcome:
    return {"request_id": raw.headers.get(REQUEST_ID), "usage": _plain(usage)}


def _plain(usage: Any) -> Any:
    return usage.model_dump(mode="json") if usage is not None else None


async def _outcome(call: Call, member: Member) -> Outcome:
    told: Outcome = {"call": call.__name__, "user": member.user}
    try:
        return told | await call(member)
    except openai.APIStatusError as error:
        return told | {"request_id": error.response.headers.get(REQUEST_ID), "status": error.status_code}
    except openai.APIConnectionError:
        return told | {"broken": True}
    except Exception as error:  # noqa: BLE001 - told to the test, which fails
        if type(error).__module__.partition(".")[0] in _TRANSPORTS:
            return told | {"broken": True}
        return told | {"unexpected": f"{type(error).__name__}: {error}"}


async def _run(plan: Mapping[str, Any]) -> None:
    dice = random.Random(plan["seed"])  # noqa: S311 - the same calls each time
    calls = _ANY_SERVER if plan.get("model") else _TEST_UPSTREAM
    turns = asyncio.Semaphore(plan["concurrency"])
    clients = {
        user: openai.AsyncOpenAI(api_key=key, base_url=plan["base_url"], max_retries=0, timeout=60)
        for user, key in plan["keys"].items()
    }

    async def one(number: int, call: Call) -> None:
        user = list(clients)[number % len(clients)]
        own = random.Random(f"{plan['seed']} {number}")  # noqa: S311 - as above
        async with turns:
            outcome = await _outcome(call, Member(user, clients[user], own, plan.get("model")))
        print(json.dumps(outcome), flush=True)  # noqa: T201 - the result

    # Each kind of call once, whatever the dice say.
    chosen = list(calls) + dice.choices(list(calls), weights=list(calls.values()), k=plan["calls"])
    await asyncio.gather(*(one(number, call) for number, call in enumerate(chosen[: plan["calls"]])))
    for client in clients.values():
        await client.close()


if __name__ == "__main__":
    asyncio.run(_run(json.load(sys.stdin)))
