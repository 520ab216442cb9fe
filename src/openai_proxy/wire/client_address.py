"""Whose address a request came from, where servers in front of us write it into `X-Forwarded-For`.

Each of them appends whom it was called by, so only the last entries can be believed: as many as there are such servers.
What stands before them the client may have made up. For Google's: docs.cloud.google.com/load-balancing/docs/https,
"X-Forwarded-For header".
"""

from __future__ import annotations


def client_address(forwarded_for: str, peer: str, hops: int) -> str:
    """The address of the client.

    Args:
        forwarded_for: the header, several of them joined by commas.
        peer: who holds the other end of the connection.
        hops: how many servers in front of us append to the header; 0: there is none, and the header counts nothing.
    """
    named = [entry for part in forwarded_for.split(",") if (entry := part.strip())]
    return named[-hops] if 0 < hops <= len(named) else peer
