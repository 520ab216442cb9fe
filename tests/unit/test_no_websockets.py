"""ADR 9: an upgrade reaches the proxy, which answers 426, only while uvicorn finds no WebSocket library."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

REQUIREMENTS = Path(__file__).parents[2] / "requirements"


def test_the_server_takes_no_upgrade_to_itself() -> None:
    assert AutoWebSocketsProtocol is None


@pytest.mark.parametrize("name", ["run.txt", "dev.txt", "constraints.txt"])
def test_no_locked_environment_has_a_websocket_library(name: str) -> None:
    locked = set(re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==", (REQUIREMENTS / name).read_text(), re.MULTILINE))

    assert "uvicorn" in locked
    assert not locked & {"websockets", "wsproto"}
