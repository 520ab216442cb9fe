"""What the official SDK offers to a program that does many things at once; `openai` 2.x or 3.x, two settings.

All calls are made at the same time.
"""

from __future__ import annotations

import asyncio
import json

import openai

from clients.told import MESSAGES, QUESTION, REQUEST_ID, USER, Told, answered, tell, tokens


async def chat(client: openai.AsyncOpenAI) -> Told:
    raw = await client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES, user=USER)
    return answered(raw.headers, raw.parse().usage)


async def chat_streaming_response(client: openai.AsyncOpenAI) -> Told:
    create = client.chat.completions.with_streaming_response.create
    async with create(model="gpt-4o", messages=MESSAGES, user=USER) as answer:
        lines = [line async for line in answer.iter_lines()]
    return answered(answer.headers, json.loads("".join(lines))["usage"])


async def chat_stream(client: openai.AsyncOpenAI) -> Told:
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, user=USER, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    return answered(stream.response.headers, chunks[-1].usage)


async def chat_stream_helper(client: openai.AsyncOpenAI) -> Told:
    """It did not ask for its usage, and is told none."""
    async with client.chat.completions.stream(model="gpt-4.1-nano", messages=MESSAGES, user=USER) as stream:
        text = "".join([event.delta async for event in stream if event.type == "content.delta"])
        whole = await stream.get_final_completion()
    assert whole.choices[0].message.content == text
    assert whole.usage is None
    return {}


async def chat_stream_left(client: openai.AsyncOpenAI) -> Told:
    """The program has read enough."""
    stream = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=MESSAGES,
        user=USER,
        stream=True,
        extra_headers={"x-upstream-orders": "deltas=50 slow=5"},
    )
    async with stream:
        await anext(aiter(stream))
    return {"request_id": stream.response.headers[REQUEST_ID]}


async def response(client: openai.AsyncOpenAI) -> Told:
    raw = await client.responses.with_raw_response.create(model="gpt-5-mini", input=QUESTION, user=USER)
    return answered(raw.headers, raw.parse().usage)


async def response_stream_helper(client: openai.AsyncOpenAI) -> Told:
    async with client.responses.stream(model="o4-mini", input=QUESTION, user=USER) as stream:
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
        whole = await stream.get_final_response()
    assert whole.output_text == text
    return {"tokens": tokens(whole.usage)}


async def response_read_again_page_by_page(client: openai.AsyncOpenAI) -> Told:
    created = await client.responses.create(model="gpt-4o-mini", input=f"{QUESTION} again", user=USER)
    assert [item async for item in client.responses.input_items.list(created.id)] == []
    return {}


async def embeddings(client: openai.AsyncOpenAI) -> Told:
    raw = await client.embeddings.with_raw_response.create(model="text-embedding-3-small", input=QUESTION, user=USER)
    return answered(raw.headers, raw.parse().usage)


async def models(client: openai.AsyncOpenAI) -> Told:
    assert "gpt-4o" in {model.id async for model in client.models.list()}
    return {}


async def tried_three_times(client: openai.AsyncOpenAI) -> Told:
    raw = await client.responses.with_raw_response.create(
        model="gpt-4o-mini", input=QUESTION, user=USER, extra_headers={"x-upstream-orders": "fail=429 flaky=2"}
    )
    assert raw.retries_taken == 2
    return answered(raw.headers, raw.parse().usage)


CALLS = (
    chat, chat_streaming_response, chat_stream, chat_stream_helper, chat_stream_left, response,
    response_stream_helper, response_read_again_page_by_page, embeddings, models, tried_three_times,
)  # fmt: skip


async def _run() -> None:
    async with openai.AsyncOpenAI() as client:
        all_told = await asyncio.gather(*(call(client) for call in CALLS))
    for call, told in zip(CALLS, all_told, strict=True):
        tell(call.__name__, told)


if __name__ == "__main__":
    asyncio.run(_run())
