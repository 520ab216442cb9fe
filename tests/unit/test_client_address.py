from __future__ import annotations

import pytest

from openai_proxy.wire.client_address import client_address

PEER = "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded_for", "hops", "address"),
    [
        ("", 0, PEER),
        ("203.0.113.7", 0, PEER),
        ("203.0.113.7", 1, "203.0.113.7"),
        ("forged, 203.0.113.7", 1, "203.0.113.7"),
        ("forged,203.0.113.7,198.51.100.1", 2, "203.0.113.7"),
        ("forged, , 203.0.113.7 ,", 1, "203.0.113.7"),
        ("", 1, PEER),
        ("203.0.113.7", 2, PEER),
    ],
)
def test_only_the_entries_of_servers_in_front_count(forwarded_for: str, hops: int, address: str) -> None:
    assert client_address(forwarded_for, PEER, hops) == address
