from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.endpoints import ENDPOINTS, find

SHAPES = [
    re.compile(re.escape(endpoint.path).replace(r"\{id\}", "[A-Za-z0-9][A-Za-z0-9._:-]*")) for endpoint in ENDPOINTS
]

pieces = st.sampled_from(
    [
        "v1", "openai", "chat", "completions", "responses", "models", "embeddings", "input_items", "compact", "resp_1",
        "..", ".", "", "%2e%2e", "%2f", "%2F..", "chat%2fcompletions", "V1", "Chat", "models.", "%6dodels", "{id}",
        "%7Bid%7D", "resp_1%2f..%2f..", "http:", "?", "#", "%00", "%0a", "%", "%zz", "é", "\\", ";x", " ",
    ]
)  # fmt: skip


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation_name)
@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1"])
def test_each_endpoint_is_found_by_its_three_forms(endpoint: object, prefix: str) -> None:
    for each in ENDPOINTS:
        if each is endpoint:
            route = find(each.method, prefix + each.path.replace("{id}", "a-1:b_c.d"))
            assert route
            assert route.endpoint is each
            assert route.upstream_path == each.path.replace("{id}", "a-1:b_c.d")
            assert route.resource_id == ("a-1:b_c.d" if "{id}" in each.path else None)


def test_the_ancestors_form_is_chat_completions() -> None:
    route = find("POST", "/openai")

    assert route
    assert route.upstream_path == "/chat/completions"
    assert find("GET", "/openai") is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "//v1/chat/completions"),
        ("POST", "/v1//chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/chat/completions."),
        ("POST", "/v1/chat/../chat/completions"),
        ("POST", "/v1/%2e%2e/chat/completions"),
        ("POST", "/v1/chat%2fcompletions"),
        ("POST", "/v1/v1/chat/completions"),
        ("POST", "/openai/openai/v1/chat/completions"),
        ("POST", "/openai/chat/completions"),
        ("POST", "/V1/chat/completions"),
        ("POST", "/v1/Chat/completions"),
        ("POST", "http://api.openai.com/v1/chat/completions"),
        ("POST", "x/chat/completions"),
        ("GET", "x/models"),
        ("POST", ""),
        ("POST", "/"),
        ("POST", "/v1"),
        ("POST", "/openai/"),
        ("post", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/responses/"),
        ("GET", "/v1/responses/.."),
        ("GET", "/v1/responses/%2e%2e"),
        ("GET", "/v1/responses/a%2f.."),
        ("GET", "/v1/responses/a%3fb"),
        ("GET", "/v1/responses/a%00"),
        ("GET", "/v1/responses/a%0a"),
        ("GET", "/v1/responses/{id}"),
        ("GET", "/v1/responses/%7Bid%7D"),
        ("GET", "/v1/models/%7bid%7d"),
        ("DELETE", "/v1/models/gpt-4o"),
        ("GET", "/v1/files"),
        ("GET", "/v1/organization/usage/completions"),
        ("GET", "/v1/responses/" + "a" * 257),
    ],
)
def test_no_other_form_is_accepted(method: str, path: str) -> None:
    assert find(method, path) is None


def test_encoded_letters_become_the_tables_own_path() -> None:
    route = find("GET", "/%761/%6dodels/gpt%2D4o")

    assert route
    assert route.upstream_path == "/models/gpt-4o"


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
    st.one_of(
        st.lists(pieces, max_size=5).map(lambda found: "/" + "/".join(found)),
        st.text(max_size=20),
        st.text(max_size=9).map(quote),
    ),
)
def test_the_upstream_path_is_always_of_the_tables_shapes(method: str, path: str) -> None:
    route = find(method, path)

    assert route is None or any(shape.fullmatch(route.upstream_path) for shape in SHAPES)
