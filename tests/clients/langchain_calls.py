"""What LangChain's classes for OpenAI ask for, with two settings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from clients.told import QUESTION, Told, tell, tokens


def invoke() -> Told:
    return _told(ChatOpenAI(model="gpt-4o-mini").invoke(QUESTION))


def invoke_with_responses() -> Told:
    return _told(ChatOpenAI(model="gpt-5-mini", use_responses_api=True).invoke(QUESTION))


def stream() -> Told:
    """It turns its `stream_usage` off wherever the base URL is set, so it is told none."""
    whole = _sum(ChatOpenAI(model="gpt-4o-mini").stream(QUESTION))
    assert whole.content
    assert whole.usage_metadata is None
    return {}


def stream_with_usage() -> Told:
    return _told(_sum(ChatOpenAI(model="gpt-4o", stream_usage=True).stream(QUESTION)))


def stream_with_responses() -> Told:
    return _told(_sum(ChatOpenAI(model="gpt-5-mini", use_responses_api=True).stream(QUESTION + " again")))


def batch() -> list[Told]:
    return [_told(one) for one in ChatOpenAI(model="gpt-4.1-nano").batch(["a day", "a house", "the water"])]


async def ainvoke() -> Told:
    return _told(await ChatOpenAI(model="o4-mini").ainvoke(QUESTION))


async def astream() -> Told:
    chunks = [chunk async for chunk in ChatOpenAI(model="gpt-4o-mini", stream_usage=True).astream(QUESTION + " now")]
    return _told(_sum(chunks))


def embeddings() -> Told:
    """Without its check of lengths, for which it would load a tokenizer from elsewhere."""
    found = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False)
    assert [len(one) for one in found.embed_documents([QUESTION, "a house"])] == [4, 4]
    assert len(asyncio.run(found.aembed_query(QUESTION))) == 4
    return {}


def _sum(chunks: Iterable[Any]) -> Any:
    first, *more = chunks
    return sum(more, start=first)


def _told(message: Any) -> Told:
    assert message.text, message
    return {"tokens": tokens(dict(message.usage_metadata))}


async def _at_once() -> list[Told]:
    return list(await asyncio.gather(ainvoke(), astream()))


if __name__ == "__main__":
    for call in (invoke, invoke_with_responses, stream, stream_with_usage, stream_with_responses, embeddings):
        tell(call.__name__, call())
    for one in [*batch(), *asyncio.run(_at_once())]:
        tell("one of many", one)
