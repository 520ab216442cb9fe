"""Hosts and ports: what is free, what is loopback, how an address is written."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from openai_proxy.local import LocalError

LOOPBACK = "127.0.0.1"


class PortError(LocalError):
    """Nothing can listen there; the message says where and why."""


@contextmanager
def reserved_port(host: str, port: int = 0) -> Iterator[int]:
    """Find out that a port is free, or find a free one for 0, and keep it from others while the block runs.

    Linux lets a program listen on a port that another socket is merely bound to, if both say SO_REUSEADDR; then no
    outgoing connection can take the port while its program is restarted. Elsewhere it is only looked at.

    Raises:
        PortError: it is in use, or not ours to have.
    """
    with ExitStack() as stack:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
                port = int(probe.getsockname()[1])
            if sys.platform == "linux":
                held = stack.enter_context(socket.socket(family))
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held.bind((address[0], port, *address[2:]))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortError(f"port {port} is in use; end what uses it, or choose another: --port or PORT") from None
            reason = error.strerror or os.strerror(error.errno or 0)
            raise PortError(f"cannot listen on {host}, port {port}: {reason}") from None
        yield port


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reached_at(host: str) -> str:
    """The host at which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def in_url(host: str) -> str:
    """The host as a URL, and gunicorn, write it."""
    return f"[{host}]" if ":" in host else host
