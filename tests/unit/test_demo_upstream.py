"""The built-in demo, as OpenAI's own SDK sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import requests
from openai.types.chat import ChatCompletionMessageParam

from openai_proxy.local.demo_upstream import count_tokens
from serving import free_port, wait_for

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello world!"}]


def answers(url: str) -> bool:
    try:
        return requests.get(url + "/models", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "openai_proxy.local.demo_upstream", "--port", str(port)])
    url = f"http://127.0.0.1:{port}/v1"
    try:
        wait_for("the demo upstream", lambda: answers(url), 30)
        yield url
    finally:
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="anything", max_retries=0) as made:
        yield made


def stream_of(url: str, path: str, body: dict[str, Any]) -> list[Any]:
    """The data of each event, as JSON; the end mark as it is."""
    text = requests.post(url + path, json=body | {"stream": True}, timeout=60).text
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_a_chat_completion_says_that_it_is_the_demo_and_reports_usage(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="gpt-4", messages=HELLO)

    text = completion.choices[0].message.content
    assert text is not None
    assert "built-in demo" in text
    assert completion.model == "gpt-4"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == count_tokens("Hello world!") + 4
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion._request_id is not None  # noqa: SLF001 - the SDK's documented name


def test_a_longer_question_costs_more(client: openai.OpenAI) -> None:
    parts: list[ChatCompletionMessageParam] = [{"role": "user", "content": [{"type": "text", "text": "x" * 4000}]}]

    usage = client.chat.completions.create(model="gpt-4", messages=parts).usage

    assert usage is not None
    assert usage.prompt_tokens == 1004


def test_a_limit_cuts_the_answer(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="gpt-4", messages=HELLO, max_completion_tokens=3)

    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 3


def test_a_chat_stream_adds_up_to_the_same_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="gpt-4", messages=HELLO)

    chunks = list(client.chat.completions.create(model="gpt-4", messages=HELLO, stream=True))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_chat_stream_tells_its_usage_only_when_asked(url: str) -> None:
    asked = {"model": "gpt-4", "messages": HELLO, "max_tokens": 2}

    silent = stream_of(url, "/chat/completions", asked)
    telling = stream_of(url, "/chat/completions", asked | {"stream_options": {"include_usage": True}})

    assert silent[-1] == telling[-1] == "[DONE]"
    assert not any("usage" in chunk for chunk in silent[:-1])
    assert [chunk["usage"] is None for chunk in telling[:-1]] == [True] * (len(telling) - 2) + [False]
    assert telling[-2]["choices"] == []
    assert telling[-2]["usage"]["completion_tokens"] == 2


def test_a_response_reports_usage(client: openai.OpenAI) -> None:
    response = client.responses.create(model="gpt-4o", input="Hello world!", instructions="Be brief.")

    assert "built-in demo" in response.output_text
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.output_tokens > 0


def test_a_response_stream_has_every_event_in_order(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="gpt-4o", input=[{"role": "user", "content": "Hello"}], stream=True))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert list(dict.fromkeys(kinds)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    last = events[-1]
    assert last.type == "response.completed"
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == last.response.output_text
    assert last.response.usage is not None


def test_a_response_that_is_cut_is_incomplete(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="gpt-4o", input="Hello", max_output_tokens=4)
    streamed = list(client.responses.create(model="gpt-4o", input="Hello", max_output_tokens=4, stream=True))

    assert whole.status == "incomplete"
    assert whole.incomplete_details is not None
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert streamed[-1].type == "response.incomplete"


def test_a_legacy_completion_works_whole_and_streamed(client: openai.OpenAI, url: str) -> None:
    whole = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello", max_tokens=5)
    streamed = list(
        client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello", max_tokens=5, stream=True)
    )
    asked = {"model": "x", "prompt": "Hello", "max_tokens": 5, "stream_options": {"include_usage": True}}

    assert whole.usage is not None
    assert whole.usage.completion_tokens == 5
    assert "".join(chunk.choices[0].text for chunk in streamed) == whole.choices[0].text
    assert stream_of(url, "/completions", asked)[-2]["usage"]["completion_tokens"] == 5


def test_embeddings_count_their_input(client: openai.OpenAI, url: str) -> None:
    several = client.embeddings.create(model="text-embedding-3-small", input=["a" * 8, "b" * 4], dimensions=8)
    asked = {"model": "text-embedding-3-small", "input": [1, 2, 3], "encoding_format": "float"}
    of_tokens = requests.post(url + "/embeddings", json=asked, timeout=30).json()

    assert [len(one.embedding) for one in several.data] == [8, 8]
    assert several.usage.prompt_tokens == 3
    assert of_tokens["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert len(of_tokens["data"][0]["embedding"]) == 1536


def test_moderations_flag_nothing(client: openai.OpenAI) -> None:
    one = client.moderations.create(input="Hello")
    two = client.moderations.create(input=["Hello", "world"])

    assert [result.flagged for result in one.results] == [False]
    assert len(two.results) == 2


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]

    assert "gpt-4" in names
    assert client.models.retrieve("gpt-4").owned_by == "openai-proxy-demo"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-none")


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/chat/completions", b"{", 400, "could not parse"),
        ("/chat/completions", b"[]", 400, "must be a JSON object"),
        ("/chat/completions", b'{"model": "gpt-4"}', 400, "Missing required parameter: 'messages'"),
        ("/chat/completions", b'{"model": 4, "messages": [1]}', 400, "Invalid type for 'model'"),
        ("/chat/completions", b'{"model": "gpt-4", "messages": "x"}', 400, "Invalid type for 'messages'"),
        ("/responses", b'{"model": "gpt-4"}', 400, "Missing required parameter: 'input'"),
        ("/embeddings", b'{"model": "x", "input": "x", "dimensions": 5000}', 400, "'dimensions' must be"),
        ("/videos", b"{}", 404, "Invalid URL (POST /v1/videos)"),
        ("/models", b"{}", 405, "Not allowed to POST"),
    ],
)
def test_a_wrong_request_gets_an_error_in_openais_shape(
    url: str, path: str, body: bytes, status: int, says: str
) -> None:
    answer = requests.post(url + path, data=body, timeout=30)

    assert answer.status_code == status
    assert says in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_input_that_is_no_text_counts_as_none(url: str) -> None:
    asked = {"model": "gpt-4", "messages": [{"role": "user", "content": None}, 7], "max_tokens": True}

    usage = requests.post(url + "/chat/completions", json=asked, timeout=30).json()["usage"]

    assert usage["prompt_tokens"] == count_tokens(" ") + 8


def test_answers_bear_openais_headers(url: str) -> None:
    for asked in ({}, {"stream": True}):
        body = {"model": "gpt-4", "messages": HELLO, "max_tokens": 1} | asked
        headers = requests.post(url + "/chat/completions", json=body, timeout=30).headers

        assert headers["x-request-id"].startswith("req_")
        assert int(headers["openai-processing-ms"]) >= 0
        assert {"openai-version", "x-ratelimit-limit-requests", "x-ratelimit-remaining-tokens"} <= set(headers)
