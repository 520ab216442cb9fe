"""What the official SDK offers to a program that does one thing after another; `openai` 2.x or 3.x, two settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai

from clients.told import MESSAGES, QUESTION, REQUEST_ID, USER, Told, answered, tell, tokens


def chat(client: openai.OpenAI) -> Told:
    completion = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, user=USER)
    assert completion.choices[0].message.content
    assert completion._request_id  # noqa: SLF001 - OpenAI's own id of the request; public, the SDK's README says
    return {"tokens": tokens(completion.usage)}


def chat_raw(client: openai.OpenAI) -> Told:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES, user=USER)
    assert raw.headers["x-ratelimit-limit-requests"] == "10000"
    return answered(raw.headers, raw.parse().usage)


def chat_streaming_response(client: openai.OpenAI) -> Told:
    create = client.chat.completions.with_streaming_response.create
    with create(model="gpt-4o", messages=MESSAGES, user=USER) as answer:
        read = b"".join(answer.iter_bytes())
    return answered(answer.headers, json.loads(read)["usage"])


def chat_stream(client: openai.OpenAI) -> Told:
    """It did not ask for its usage, and is told none."""
    stream = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, user=USER, stream=True)
    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in stream)
    return {"request_id": stream.response.headers[REQUEST_ID]}


def chat_stream_helper(client: openai.OpenAI) -> Told:
    kinds, text = set(), ""
    with client.chat.completions.stream(model="gpt-4o-mini", messages=MESSAGES, user=USER) as stream:
        for event in stream:
            kinds.add(event.type)
            text += event.delta if event.type == "content.delta" else ""
        whole = stream.get_final_completion()
    assert kinds == {"chunk", "content.delta", "content.done"}, kinds
    assert whole.choices[0].message.content == text
    assert whole.usage is None
    return {}


def chat_stream_helper_with_usage(client: openai.OpenAI) -> Told:
    with client.chat.completions.stream(
        model="gpt-5-mini", messages=MESSAGES, user=USER, stream_options={"include_usage": True}
    ) as stream:
        return {"tokens": tokens(stream.until_done().get_final_completion().usage)}


def response(client: openai.OpenAI) -> Told:
    raw = client.responses.with_raw_response.create(model="gpt-5-mini", input=QUESTION, user=USER)
    parsed = raw.parse()
    assert parsed.output_text
    return answered(raw.headers, parsed.usage)


def response_stream_helper(client: openai.OpenAI) -> Told:
    text = ""
    with client.responses.stream(model="o4-mini", input=QUESTION, user=USER) as stream:
        for event in stream:
            text += event.delta if event.type == "response.output_text.delta" else ""
        whole = stream.get_final_response()
    assert whole.output_text == text
    return {"tokens": tokens(whole.usage)}


def response_read_again_page_by_page(client: openai.OpenAI) -> Told:
    """Reading is not billed; the helper asks for pages until there is no more."""
    created = client.responses.create(model="gpt-4o-mini", input=f"{QUESTION} again", user=USER)
    assert client.responses.retrieve(created.id).usage == created.usage
    assert list(client.responses.input_items.list(created.id)) == []
    client.responses.delete(created.id)
    return {"tokens": tokens(created.usage)}


def response_input_tokens(client: openai.OpenAI) -> Told:
    assert client.responses.input_tokens.count(model="gpt-5-mini", input=QUESTION).input_tokens
    return {}


def completion(client: openai.OpenAI) -> Told:
    raw = client.completions.with_raw_response.create(model="gpt-3.5-turbo-instruct", prompt=QUESTION, user=USER)
    return answered(raw.headers, raw.parse().usage)


def embeddings(client: openai.OpenAI) -> Told:
    """The SDK asks for base64 by itself, and decodes it."""
    raw = client.embeddings.with_raw_response.create(model="text-embedding-3-small", input=[QUESTION, "a"], user=USER)
    parsed = raw.parse()
    assert [len(one.embedding) for one in parsed.data] == [4, 4]
    return answered(raw.headers, parsed.usage)


def moderation(client: openai.OpenAI) -> Told:
    assert not client.moderations.create(model="omni-moderation-latest", input=QUESTION).results[0].flagged
    return {}


def models(client: openai.OpenAI) -> Told:
    assert "gpt-4o" in {model.id for model in client.models.list()}
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"
    return {}


def tried_three_times(client: openai.OpenAI) -> Told:
    """OpenAI fails twice, and the SDK tries again by itself."""
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=MESSAGES, user=USER, extra_headers={"x-upstream-orders": "fail=500 flaky=2"}
    )
    assert raw.retries_taken == 2
    return answered(raw.headers, raw.parse().usage)


def unknown_model(client: openai.OpenAI) -> Told:
    return _refused(lambda: client.chat.completions.create(model="no-such-model", messages=MESSAGES, user=USER))


def in_the_background(client: openai.OpenAI) -> Told:
    return _refused(lambda: client.responses.create(model="gpt-5-mini", input=QUESTION, background=True))


def with_a_key_of_nobody(client: openai.OpenAI) -> Told:
    return _refused(client.with_options(api_key="sk-op-nobodys").models.list)


CALLS = (
    chat, chat_raw, chat_streaming_response, chat_stream, chat_stream_helper, chat_stream_helper_with_usage,
    response, response_stream_helper, response_read_again_page_by_page, response_input_tokens,
    completion, embeddings, moderation, models, tried_three_times,
    unknown_model, in_the_background, with_a_key_of_nobody,
)  # fmt: skip


def _refused(ask: Callable[[], Any]) -> Told:
    """The SDK's own exception for an answer that is an error, and how often it tried again."""
    try:
        ask()
    except openai.APIStatusError as error:
        retries = error.request.headers.get("x-stainless-retry-count", "0")
        return {"error": [type(error).__name__, error.code, int(retries)]}
    raise AssertionError("this should have been refused")


if __name__ == "__main__":
    with openai.OpenAI() as one:
        for call in CALLS:
            tell(call.__name__, call(one))
