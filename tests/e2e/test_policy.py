"""Limits and models of the access file, through a real `serve`: who asks too much waits, who may not gets nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from serving import CountingUpstream, Serving, serving, wait_for

pytestmark = pytest.mark.e2e

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def proxy(upstream: CountingUpstream) -> Iterator[Serving]:
    upstream.reset()
    with serving(upstream) as one:
        yield one


def chat(proxy: Serving, key: str, **body: Any) -> requests.Response:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    data = json.dumps({"model": "gpt-4o", "messages": HELLO, **body})
    return requests.post(proxy.base_url + "/chat/completions", data=data, headers=headers, timeout=60)


def refused(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_requests_beyond_the_limit_wait_and_are_told_how_long(proxy: Serving) -> None:
    key = proxy.add_user("alice", "--requests-per-minute", "2")

    answers = [chat(proxy, key) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    last = answers[-1]
    assert refused(last) == (429, "rate_limit_exceeded")
    assert 50 < int(last.headers["retry-after"]) <= 60
    assert last.headers["x-ratelimit-limit-requests"] == "2"
    assert last.headers["x-ratelimit-remaining-requests"] == "0"


def test_tokens_are_counted_as_what_they_came_to_not_as_forecast(proxy: Serving) -> None:
    key = proxy.add_user("bob", "--tokens-per-minute", "4000")
    first = chat(proxy, key, max_tokens=3500)
    used = first.json()["usage"]["total_tokens"]

    second = chat(proxy, key, max_tokens=3500)
    too_large = chat(proxy, key, max_tokens=5000)

    assert used < 400
    assert second.status_code == 200  # what the first did not use was given back
    assert refused(too_large) == (429, "rate_limit_exceeded")
    assert too_large.headers["x-should-retry"] == "false"  # no wait makes room for it


def test_a_stream_takes_a_place_until_it_ends(proxy: Serving, upstream: CountingUpstream) -> None:
    key = proxy.add_user("carol", "--concurrent-requests", "1")
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(chat, proxy, key, model="gpt-4o+gate=2", stream=True)
        wait_for("the stream to begin", lambda: upstream.served(model="gpt-4o+gate=2"))
        meanwhile = chat(proxy, key)
        upstream.open_gate()
        assert held.result().status_code == 200

    assert refused(meanwhile) == (429, "rate_limit_exceeded")
    assert chat(proxy, key).status_code == 200


def test_what_costs_nothing_is_not_limited(proxy: Serving) -> None:
    key = proxy.add_user("dave", "--requests-per-minute", "1")
    headers = {"authorization": f"Bearer {key}"}

    statuses = {requests.get(proxy.base_url + "/models", headers=headers, timeout=60).status_code for _ in range(5)}

    assert statuses == {200}


def test_models_are_open_by_pattern(proxy: Serving, upstream: CountingUpstream) -> None:
    key = proxy.add_user("erin", "--models", "gpt-4*", "--denied-models", "*-mini")
    before = len(upstream.served())

    assert chat(proxy, key).status_code == 200
    for model in ("o3", "gpt-4o-mini", "GPT-4o", None):
        assert refused(chat(proxy, key, model=model)) == (403, "model_not_allowed")

    assert len(upstream.served()) == before + 1


def test_a_model_that_stands_at_the_end_of_a_large_body_is_seen(proxy: Serving, upstream: CountingUpstream) -> None:
    key = proxy.add_user("frank", "--models", "text-embedding-3-small")
    body = json.dumps({"input": "x" * 3_000_000, "model": "text-embedding-3-large"})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    answer = requests.post(proxy.base_url + "/embeddings", data=body, headers=headers, timeout=60)

    assert refused(answer) == (403, "model_not_allowed")
    assert not [one for one in upstream.served() if one["model"] == "text-embedding-3-large"]
