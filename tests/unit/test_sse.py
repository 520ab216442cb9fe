from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.wire.sse import DataReader, EventSplitter, Piece, data_of
from packets import Places, cut, every_two, places

lines = st.one_of(
    st.sampled_from(
        ["data: {}", "data:x", "data", "data:", "data:  two", "event: e", ": note", "", "", "datax: no", "id"]
    ),
    st.text(alphabet="d:at é€😀", max_size=10),
)
streams = st.lists(st.tuples(lines, st.sampled_from(["\n", "\r\n", "\r"])), max_size=12).map(
    lambda parts: "".join(line + end for line, end in parts).encode()
)


def reference_data(stream: bytes) -> list[bytes]:
    """The data of each event, by the WHATWG algorithm; what no blank line ends is dropped, and so is empty data."""
    events: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", stream)[:-1]:
        name, _, value = line.partition(b":")
        if not line:
            events.append(b"\n".join(data))
            data = []
        elif name == b"data":
            data.append(value.removeprefix(b" "))
    return [event for event in events if event]


def split(packets: Sequence[bytes], splitter: EventSplitter) -> tuple[list[Piece], bytes]:
    pieces = [piece for packet in packets for piece in splitter.feed(packet)]
    rest = splitter.rest()
    return pieces, rest.raw if rest else b""


def read_data(pieces: Sequence[Piece]) -> list[bytes]:
    found: list[bytes] = []
    reader, data = DataReader(), b""
    for piece in pieces:
        if piece.first:
            reader, data = DataReader(), b""
        data += reader.feed(piece.raw)
        if piece.last:
            found.append(data.removesuffix(b"\n"))
    return [data for data in found if data]


@settings(deadline=None, max_examples=150)
@given(streams, places)
def test_events_are_those_of_a_plain_parser_however_they_are_cut(stream: bytes, where: Places | None) -> None:
    pieces, rest = split(cut(stream, where), EventSplitter())

    assert b"".join(piece.raw for piece in pieces) + rest == stream
    assert all(piece.whole for piece in pieces)
    data = [data for piece in pieces if (data := data_of(piece.raw))]
    # At the very end an LF may still belong to a CR: that event is given as the rest
    assert data == reference_data(stream) or [*data, data_of(rest)] == reference_data(stream)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.lists(st.text(max_size=8), max_size=3), max_size=3), max_size=4),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", ": note\n", "event: e\n", "datax\n"]),
    places,
    st.integers(0, 40),
)
def test_large_events_come_in_parts_and_say_the_same(
    documents: list[object], end: str, other: str, where: Places | None, largest: int
) -> None:
    texts = [json.dumps(document, indent=1, ensure_ascii=False) for document in documents]
    events = ["".join(f"data: {line}\n{other}" for line in text.split("\n")) for text in texts]
    stream = "".join(f"{event}\n" for event in events).replace("\n", end).encode()
    splitter = EventSplitter(largest_whole=largest)

    pieces = [piece for packet in cut(stream, where) for piece in splitter.feed(packet)]
    rest = splitter.rest()

    assert b"".join(piece.raw for piece in [*pieces, *([rest] if rest else [])]) == stream
    assert all(len(piece.raw) > largest for piece in pieces if piece.first and not piece.last)
    assert [json.loads(data) for data in read_data([*pieces, *([rest] if rest else [])])] == documents


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("largest", [4, 1000])
def test_every_cut_of_one_sample(end: str, largest: int) -> None:
    text = ': hello\nevent: e\ndata: {"a":\ndata:"é😀"}\n\ndata: [DONE]\n\n: bye'.replace("\n", end).encode()

    for packets in every_two(text):
        splitter = EventSplitter(largest_whole=largest)
        pieces, rest = split(packets, splitter)
        assert b"".join(piece.raw for piece in pieces) + rest == text
        assert read_data(pieces) == ['{"a":\n"é😀"}'.encode(), b"[DONE]"]


def test_a_whole_event_is_given_with_its_last_byte() -> None:
    for end in (b"\n\n", b"\r\n\r\n", b"\r\r"):
        assert EventSplitter().feed(b"data: x" + end) == [Piece(b"data: x" + end, first=True, last=True)]


def test_parts_of_a_large_event_are_given_as_they_come() -> None:
    splitter = EventSplitter(largest_whole=8)

    assert splitter.feed(b"data: 12345678") == [Piece(b"data: 1234", first=True, last=False)]
    assert splitter.feed(b"9") == [Piece(b"5", first=False, last=False)]
    assert splitter.feed(b"\n\n") == [Piece(b"6789\n\n", first=False, last=True)]
    assert splitter.rest() is None


def test_the_rest_of_a_large_event_is_its_last_part() -> None:
    splitter = EventSplitter(largest_whole=8)
    splitter.feed(b"data: 12345678")

    assert splitter.rest() == Piece(b"5678", first=False, last=True)
