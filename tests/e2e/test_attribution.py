"""What a request is for and on whose behalf: from the SDK's settings and Open WebUI's headers to the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from exchanges import Got, ask, bearer
from serving import CountingUpstream, Serving, serving

pytestmark = pytest.mark.e2e

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
REQUEST_ID = "x-openai-proxy-request-id"
OPEN_WEBUI = {
    "X-OpenWebUI-User-Id": "7f3c-ada",
    "X-OpenWebUI-User-Email": "ada@example.com",
    "X-OpenWebUI-User-Name": "Ada%20L",
    "X-OpenWebUI-User-Role": "user",
}


@dataclass(frozen=True, slots=True)
class World:
    """`webui` is an application that may name users, `bob`'s team must say what each request is for."""

    upstream: CountingUpstream
    proxy: Serving
    ada: str
    bob: str
    webui: str

    def chat(self, key: str, body: Any = None, **headers: str) -> Got:
        data = json.dumps(body or CHAT).encode()
        return ask(self.proxy.base_url, "POST", "/chat/completions", headers=bearer(key) | headers, body=data)

    def record(self, got: Got) -> dict[str, Any]:
        assert got.status == 200, got.body
        return self.proxy.record(got.header(REQUEST_ID) or "")

    def sent(self, got: Got) -> dict[str, Any]:
        return self.upstream.served_as(got.header(REQUEST_ID) or "")


@pytest.fixture(scope="module")
def world(upstream: CountingUpstream) -> Iterator[World]:
    with serving(upstream) as proxy:
        webui = proxy.add_user("webui")
        bob = proxy.add_user("bob", "--team", "apollo")
        text = proxy.access_file.read_text()
        trusted = text.replace("[users.webui]\n", "[users.webui]\nmay_name_users = true\n")
        assert trusted != text
        proxy.access_file.write_text(trusted + '\n[teams.apollo]\nrequired_tags = ["project"]\n')
        yield World(upstream, proxy, proxy.add_user("ada"), bob, webui)  # ada comes last: then the proxy knows it all


def test_tags_of_the_sdks_own_settings_are_in_the_ledger_and_never_at_openai(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "OpenAI-Proxy-Tags: project=apollo, stage=test")

    with openai.OpenAI(base_url=world.proxy.base_url, api_key=world.bob) as client:
        raw = client.chat.completions.with_raw_response.create(**CHAT)
    event_id = raw.headers[REQUEST_ID]

    assert world.proxy.record(event_id)["tags"] == {"project": "apollo", "stage": "test"}
    assert not [name for name in world.upstream.served_as(event_id)["headers"] if "tags" in name]


def test_default_headers_of_the_sdk_do_as_well(world: World) -> None:
    tags = {"OpenAI-Proxy-Tags": "project=gemini"}

    with openai.OpenAI(base_url=world.proxy.base_url, api_key=world.ada, default_headers=tags) as client:
        raw = client.responses.with_raw_response.create(model="gpt-4o-mini", input="Hello")

    assert world.proxy.record(raw.headers[REQUEST_ID])["tags"] == {"project": "gemini"}


def test_what_says_nothing_has_nothing(world: World) -> None:
    record = world.record(world.chat(world.ada))

    assert (record["tags"], record["end_user_id"]) == (None, None)


def test_a_required_tag_is_asked_for_by_name_and_nothing_goes_upstream(world: World) -> None:
    before = len(world.upstream.served())

    with (
        openai.OpenAI(base_url=world.proxy.base_url, api_key=world.bob) as client,
        pytest.raises(openai.BadRequestError) as refused,
    ):
        client.chat.completions.create(**CHAT)

    assert refused.value.code == "tag_required"
    assert "'project'" in refused.value.message
    assert len(world.upstream.served()) == before


def test_malformed_tags_are_refused_without_a_word_of_theirs(world: World) -> None:
    before = len(world.upstream.served())
    got = world.chat(world.ada, **{"OpenAI-Proxy-Tags": "project=apollo, Top-Secret-Name=x"})

    assert got.status == 400
    assert json.loads(got.body)["error"]["code"] == "invalid_tags"
    assert b"pair 2" in got.body
    assert b"Secret" not in got.body
    assert len(world.upstream.served()) == before
    assert b"Top-Secret-Name" not in world.proxy.everything_written()


@pytest.mark.parametrize(
    ("body", "headers", "end_user"),
    [
        ({"user": "grace"}, {}, "grace"),
        ({"user": "grace", "safety_identifier": "hash-of-grace"}, {}, "hash-of-grace"),
        ({}, OPEN_WEBUI, "7f3c-ada"),
        ({}, {"X-OpenWebUI-User-Email": "ada@example.com"}, "ada@example.com"),
        ({"messages": [{"role": "user", "content": " " * 1_500_000}], "user": "grace"}, {}, "grace"),
    ],
    ids=["user", "safety_identifier", "open_webui", "email", "behind_a_large_body"],
)
def test_a_trusted_application_names_the_end_user_beside_itself(
    world: World, body: dict[str, Any], headers: dict[str, str], end_user: str
) -> None:
    got = world.chat(world.webui, CHAT | body, **headers)

    record = world.record(got)
    assert (record["user_id"], record["end_user_id"]) == ("webui", end_user)
    assert not [name for name in world.sent(got)["headers"] if "openwebui" in name]


def test_from_anybody_else_a_name_is_not_taken_down(world: World) -> None:
    got = world.chat(world.ada, CHAT | {"user": "bob", "safety_identifier": "bob"}, **OPEN_WEBUI)

    record = world.record(got)
    assert (record["user_id"], record["end_user_id"]) == ("ada", None)
    assert not [name for name in world.sent(got)["headers"] if "openwebui" in name]
