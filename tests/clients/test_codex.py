"""Codex asks for a WebSocket first; told at once that there is none, it sends the same over HTTP."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from clients.member import Member

pytestmark = [pytest.mark.clients, pytest.mark.e2e]

_CONFIG = """
model = "gpt-5-mini"
openai_base_url = "{base_url}"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
plugins = false
"""
"""Without the last three it also asks ab.chatgpt.com, github.com and chatgpt.com."""


def test_codex_works_with_its_base_url_and_a_login(member: Member, node: Path) -> None:
    codex = node / "node_modules" / ".bin" / "codex"
    (member.home / ".codex").mkdir()
    (member.home / ".codex" / "config.toml").write_text(_CONFIG.format(base_url=member.proxy.base_url))
    member.run(codex, "login", "--with-api-key", settings={}, text=member.key)

    printed = member.run(codex, "exec", "--skip-git-repo-check", "--json", "how many people need water", settings={})

    (record,) = member.ledger()
    (done,) = [event for line in printed.splitlines() if (event := json.loads(line))["type"] == "turn.completed"]
    assert record["operation_name"] == "responses"
    for column in ("input_tokens", "output_tokens", "reasoning_output_tokens"):
        assert done["usage"][column] == record[column]


def test_a_websocket_is_refused_and_the_same_connection_serves_the_post_after_it(member: Member) -> None:
    body = json.dumps({"model": "gpt-5-mini", "input": "how many people", "stream": True}).encode()
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    beta = {"openai-beta": "responses_websockets=2026-02-06", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
    post = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}

    with socket.create_connection(("127.0.0.1", member.proxy.port), timeout=30) as client, client.makefile("rb") as got:
        client.sendall(_head(member, "GET", {**upgrade, **beta}))
        refused = got.readline()
        while got.readline() != b"\r\n":
            pass
        served_before = member.upstream.served()
        client.sendall(_head(member, "POST", post) + body)
        rest = got.read()

    assert refused.startswith(b"HTTP/1.1 426 ")
    assert served_before == []
    assert b"HTTP/1.1 200 OK\r\n" in rest
    assert b"event: response.completed\n" in rest
    assert len(member.ledger()) == 1


def _head(member: Member, method: str, headers: dict[str, str]) -> bytes:
    named = {"host": "localhost", "authorization": f"Bearer {member.key}", **headers}
    lines = [f"{method} /v1/responses HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
