from __future__ import annotations

import pytest

from openai_proxy.wire.headers import for_client, for_upstream, from_raw, value_of


def upstream(*headers: tuple[str, str]) -> dict[str, str]:
    return dict(for_upstream(headers, api_key="sk-team", request_id="ours"))


OURS = {"accept-encoding": "identity", "authorization": "Bearer sk-team", "x-client-request-id": "ours"}


@pytest.mark.parametrize(
    "name",
    [
        "accept-encoding", "api-key", "authorization", "connection", "content-length", "cookie", "expect", "forwarded",
        "function-execution-id", "host", "keep-alive", "openai-organization", "openai-project", "openai-proxy-tags",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "traceparent", "tracestate", "trailer",
        "transfer-encoding", "upgrade", "via", "x-api-key", "x-cloud-trace-context", "x-forwarded-for",
        "x-forwarded-proto", "x-forwarded-anything", "x-http-method", "x-http-method-override", "x-method-override",
        "x-original-url", "x-openwebui-chat-id", "x-openwebui-user-email", "x-openwebui-user-id",
        "x-openwebui-user-jwt", "x-openwebui-user-name", "x-openwebui-user-role", "x-real-ip", "x-rewrite-url",
        "x-serverless-authorization",
    ],
)  # fmt: skip
def test_does_not_go_upstream(name: str) -> None:
    assert upstream((name, "secret")) == OURS


@pytest.mark.parametrize(
    "name",
    [
        "accept", "content-type", "idempotency-key", "openai-beta", "user-agent", "x-stainless-retry-count",
        "x-session-id", "x-openai-proxy-request-id",
    ],
)  # fmt: skip
def test_goes_upstream(name: str) -> None:
    assert upstream((name, "value")) == OURS | {name: "value"}


def test_the_clients_own_request_id_stays() -> None:
    assert upstream(("x-client-request-id", "theirs"))["x-client-request-id"] == "theirs"


def test_what_connection_names_is_dropped_both_ways() -> None:
    headers = [("connection", "close, X-Hop"), ("connection", "x-other"), ("x-hop", "1"), ("x-other", "2"), ("x", "3")]

    assert upstream(*headers) == OURS | {"x": "3"}
    assert for_client(headers) == [("x", "3")]


def test_connection_cannot_name_our_credential_away() -> None:
    assert upstream(("connection", "authorization"))["authorization"] == "Bearer sk-team"


def test_a_header_that_comes_twice_goes_twice() -> None:
    kept = for_upstream([("openai-beta", "a"), ("openai-beta", "b")], api_key="k", request_id="r")

    assert kept[:2] == [("openai-beta", "a"), ("openai-beta", "b")]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (["gzip, deflate, br, zstd"], "gzip, deflate"),
        (["GZIP;q=1.0"], "gzip"),
        (["br", "deflate;q=0.5"], "deflate"),
        (["gzip;q=0"], "identity"),
        (["gzip; q=0, deflate;q=0.1"], "deflate"),
        (["gzip;q=0.0"], "identity"),
        (["gzip;q=0.000, deflate ; Q=0"], "identity"),
        (["gzip;q=much"], "gzip"),
        (["br"], "identity"),
        (["*"], "identity"),
        ([""], "identity"),
        ([], "identity"),
    ],
)
def test_only_codings_that_can_be_metered_are_asked_for(asked: list[str], sent: str) -> None:
    assert upstream(*[("accept-encoding", value) for value in asked])["accept-encoding"] == sent


@pytest.mark.parametrize(
    "name",
    [
        "alt-svc", "connection", "date", "keep-alive", "proxy-authenticate", "server", "set-cookie", "trailer",
        "transfer-encoding", "upgrade",
    ],
)  # fmt: skip
def test_does_not_come_back(name: str) -> None:
    assert for_client([(name, "x")]) == []


@pytest.mark.parametrize(
    "name",
    [
        "content-length", "content-type", "location", "openai-processing-ms", "openai-version", "retry-after",
        "retry-after-ms", "x-ratelimit-limit-tokens", "x-request-id", "x-should-retry",
    ],
)  # fmt: skip
def test_comes_back(name: str) -> None:
    assert for_client([(name, "x")]) == [(name, "x")]
    assert for_client([(name, "x")], drop=frozenset({name})) == []


def test_the_first_value_counts() -> None:
    assert value_of([("a", "1"), ("b", "2"), ("b", "3")], "b") == "2"
    assert value_of([], "b") is None


def test_every_byte_of_a_value_is_kept() -> None:
    assert from_raw([(b"X-Name", "é€".encode())]) == [("x-name", "é€".encode().decode("latin-1"))]
