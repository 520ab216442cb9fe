"""Cuts bytes into packets: at random places, at each place once, and into single bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hypothesis import strategies as st

Places = Sequence[float]

places = st.one_of(st.lists(st.floats(0, 1, allow_nan=False), max_size=8), st.none())
"""Where to cut, as parts of the length; None cuts into single bytes."""


def cut(data: bytes, where: Places | None) -> list[bytes]:
    if where is None:
        return [data[at : at + 1] for at in range(len(data))]
    ends = [0, *sorted(round(place * len(data)) for place in where), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


def every_two(data: bytes) -> Iterator[list[bytes]]:
    """All ways to cut into two packets, and the one into single bytes."""
    yield from ([data[:at], data[at:]] for at in range(len(data) + 1))
    yield cut(data, None)
