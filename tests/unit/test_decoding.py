from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.wire.decoding import Decoder
from packets import Places, cut, places


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


@settings(deadline=None, max_examples=100)
@given(
    st.binary(max_size=200) | st.binary(max_size=4).map(lambda data: data * 300_000),
    st.sampled_from([gzip.compress, zlib.compress, raw_deflate]),
    places,
)
def test_a_decoder_undoes_each_coding_however_it_is_cut(
    data: bytes, compress: Callable[[bytes], bytes], where: Places | None
) -> None:
    decoder = Decoder()

    steps = [step for packet in cut(compress(data), where) for step in decoder.feed(packet)]

    assert b"".join(steps) == data
    assert all(len(step) <= 256 * 1024 for step in steps)
    assert list(decoder.feed(b"what follows is not of it")) == []


@pytest.mark.parametrize("garbage", [b"\x1f\x8bgarbage that claims", b"\x78\x9cgarbage", b"\xff\xff\xff\xff\xff\xff"])
@pytest.mark.parametrize("where", [None, []])
def test_garbage_is_told_from_a_coding(garbage: bytes, where: Places | None) -> None:
    decoder = Decoder()

    with pytest.raises(ValueError, match="not gzip or deflate"):
        list(chain.from_iterable(decoder.feed(packet) for packet in cut(garbage, where)))
