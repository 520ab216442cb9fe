"""Calls with the official SDK that are answered in text, and those that go wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from sdk_member import LONGEST_ANSWER, REQUEST_ID, Member, Outcome, plain, told

# Model names that order trouble of the test upstream (tests/upstream_orders.py)
_TROUBLE = ("fail-400", "fail-404", "fail-429", "fail-500", "fail-502", "fail-503", "no-such-model", "cut-after-3")


async def chat(member: Member) -> Outcome:
    raw = await member.client.chat.completions.with_raw_response.create(
        model=member.model(), messages=member.messages(), user=member.user, max_tokens=LONGEST_ANSWER
    )
    return told(raw, raw.parse().usage)


async def chat_stream(member: Member) -> Outcome:
    """A stream that did not ask for its usage must not be told it."""
    stream = await member.client.chat.completions.create(
        model=member.model(), messages=member.messages(), user=member.user, max_tokens=LONGEST_ANSWER, stream=True
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
        max_tokens=LONGEST_ANSWER,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert not chunks[-1].choices
    return {"request_id": stream.response.headers.get(REQUEST_ID), "usage": plain(chunks[-1].usage)}


async def completion(member: Member) -> Outcome:
    raw = await member.client.completions.with_raw_response.create(
        model="gpt-3.5-turbo-instruct", prompt=member.text(), user=member.user
    )
    return told(raw, raw.parse().usage)


async def completion_stream(member: Member) -> Outcome:
    stream = await member.client.completions.create(
        model="gpt-3.5-turbo-instruct", prompt=member.text(), user=member.user, stream=True
    )
    async for chunk in stream:
        assert chunk.choices
    return {"request_id": stream.response.headers.get(REQUEST_ID)}


async def response(member: Member) -> Outcome:
    raw = await member.client.responses.with_raw_response.create(
        model=member.model(), input=member.text(), user=member.user, max_output_tokens=LONGEST_ANSWER
    )
    return told(raw, raw.parse().usage)


async def response_stream(member: Member) -> Outcome:
    """A Response that may end as completed, incomplete or failed; each has its usage."""
    orders = "" if member.only_model else member.dice.choice(["", "", "incomplete", "failed"])
    stream = await member.client.responses.create(
        model=member.model(),
        input=member.text(),
        user=member.user,
        max_output_tokens=LONGEST_ANSWER,
        stream=True,
        extra_headers={"x-upstream-orders": orders} if orders else {},
    )
    last: Any = None
    async for event in stream:
        last = event
    return {"request_id": stream.response.headers.get(REQUEST_ID), "usage": plain(last.response.usage)}


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
    return told(raw, raw.parse().usage)


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
    return told(raw, raw.parse().usage)


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
    return await _left(stream, after=member.dice.randint(0, 15))


async def response_stream_left(member: Member) -> Outcome:
    stream = await member.client.responses.create(
        model=member.model(),
        input=member.text(),
        user=member.user,
        stream=True,
        extra_headers={"x-upstream-orders": "slow=4"},
    )
    return await _left(stream, after=member.dice.randint(0, 10))


async def _left(stream: Any, *, after: int) -> Outcome:
    """Read so many events and one more, then hang up."""
    async for _ in stream:
        after -= 1
        if after < 0:
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


async def response_with_tools(member: Member) -> Outcome:
    """Searches and containers are charged beside the tokens."""
    raw = await member.client.responses.with_raw_response.create(
        model="gpt-6-sol",
        input=member.text(),
        tools=[
            {"type": "web_search"},
            {"type": "file_search", "vector_store_ids": ["vs_1"]},
            {"type": "code_interpreter", "container": {"type": "auto"}},
        ],
    )
    return told(raw, raw.parse().usage)


async def response_stream_helper(member: Member) -> Outcome:
    async with member.client.responses.stream(model=member.model(), input=member.text()) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    return {"usage": plain(final.usage), "id": final.id}


async def chat_stream_helper(member: Member) -> Outcome:
    async with member.client.chat.completions.stream(model=member.model(), messages=member.messages()) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    assert final.choices[0].message.content
    return {"id": final.id}


async def chat_streamed_response(member: Member) -> Outcome:
    """The answer's bytes as they come, unread by the SDK."""
    asked = member.client.chat.completions.with_streaming_response
    async with asked.create(model=member.model(), messages=member.messages()) as raw:
        body = b"".join([part async for part in raw.iter_bytes()])
        return {"request_id": raw.headers.get(REQUEST_ID), "usage": json.loads(body)["usage"]}


async def chat_in_a_thread(member: Member) -> Outcome:
    """The SDK's synchronous client."""

    def ask() -> Any:
        with member.in_a_thread() as client:
            return client.chat.completions.with_raw_response.create(model=member.model(), messages=member.messages())

    raw = await asyncio.to_thread(ask)
    return told(raw, raw.parse().usage)


async def compaction(member: Member) -> Outcome:
    raw = await member.client.responses.with_raw_response.compact(model="gpt-6-sol", input=member.text())
    return told(raw, raw.parse().usage)


async def decision(member: Member) -> Outcome:
    raw = await member.client.decisions.with_raw_response.create(
        model="gpt-6-luna",
        input=member.text(),
        questions=[{"type": "predicate", "name": "wet", "instructions": "is it wet?"}],
    )
    return told(raw, raw.parse().usage)
