"""Feeds an answer to a meter, and measures what the meter holds of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator, Sequence

from openai_proxy.metering.meters import Meter

PACKET = 64 * 1024
HELD = 1024 * 1024
"""What a meter may hold at most, whatever the size of what passes."""


def fed(meter: Meter, packets: Sequence[bytes]) -> bytes:
    """What the client gets."""
    return b"".join([meter.feed(packet) for packet in packets] + [meter.finish()])


def most_held(meter: Meter, packets: Iterable[bytes]) -> int:
    """The most memory that a meter held at any time, beyond the packet at hand."""
    tracemalloc.start()
    try:
        for packet in packets:
            meter.feed(packet)
        meter.finish()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def filled(head: bytes, tail: bytes, size: int, filler: bytes = b"\\n\xc3\xa9x") -> Iterator[bytes]:
    """Packets of about `size` bytes: the filler, again and again, between a head and a tail."""
    packet = filler * (PACKET // len(filler))
    yield head
    for _ in range(size // len(packet)):
        yield packet
    yield tail
