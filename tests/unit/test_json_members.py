from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.wire.json_members import ELEMENT, MemberScanner, Path, value_of
from packets import Places, cut, every_two, places

WANTED: Sequence[Path] = (("usage",), ("stream",), ("response", "usage"), ("response", "error"), ("a", "b", "c"))

names = st.sampled_from(["usage", "stream", "response", "error", "a", "b", "c", 'q"uote', "back\\slash", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names | st.text(max_size=6), values, max_size=6)
layouts = st.sampled_from([(None, (",", ":")), (None, (", ", ": ")), (2, None), ("\t", (" ,\r\n", "\t : "))])


def scanned(packets: Sequence[bytes], **options: Any) -> tuple[bytes, dict[Path, Any], MemberScanner]:
    scanner = MemberScanner(WANTED, **options)
    out = b""
    found: dict[Path, Any] = {}
    for packet in packets:
        for path, raw in scanner.feed(packet):
            out += raw
            if path:
                found[path] = json.loads(raw)
    return out + scanner.held(), found, scanner


def member(document: Any, path: Path) -> Any:
    for name in path:
        if not isinstance(document, dict) or name not in document:
            return KeyError
        document = document[name]
    return document


@settings(deadline=None, max_examples=100)
@given(
    document=objects,
    layout=layouts,
    ascii_only=st.booleans(),
    after=st.sampled_from([b"", b" \r\n\t", b"trailing {"]),
    where=places,
)
def test_any_object_in_any_packets_gives_its_members_and_passes_whole(
    *, document: dict[str, Any], layout: Any, ascii_only: bool, after: bytes, where: Places | None
) -> None:
    indent, separators = layout
    text = b"\n " + json.dumps(document, indent=indent, separators=separators, ensure_ascii=ascii_only).encode() + after

    out, found, scanner = scanned(cut(text, where))

    assert out == text
    assert found == {path: value for path in WANTED if (value := member(document, path)) is not KeyError}
    assert scanner.done
    assert not scanner.broken


@settings(deadline=None, max_examples=100)
@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]",:\\ ntu0"usage', max_size=60).map(str.encode),
    st.binary(max_size=8),
    places,
)
def test_garbage_passes_whole(garbage: bytes, end: bytes, where: Places | None) -> None:
    for text in (garbage + end, b"{" + garbage + end, b'{"usage":' + garbage + end):
        scanner = MemberScanner(WANTED)
        out = b"".join(raw for packet in cut(text, where) for _, raw in scanner.feed(packet))
        assert out + scanner.held() == text


@settings(deadline=None, max_examples=100)
@given(objects, st.floats(0, 1), places)
def test_truncated_json_passes_whole(document: dict[str, Any], end: float, where: Places | None) -> None:
    text = json.dumps(document).encode()
    text = text[: round(end * len(text))]

    out, _, scanner = scanned(cut(text, where))

    assert out == text
    assert not scanner.broken


def test_every_cut_of_one_sample_finds_the_same() -> None:
    text = (
        '{ "a" :{"b":{"c" : [1,{"x":"]}\\"\\\\"}] } }, "str\\u0065am" : true ,"é\\"":"\\\\","usage":{"n":1}}'.encode()
    )

    for packets in every_two(text):
        out, found, _ = scanned(packets)
        assert out == text
        assert found == {("a", "b", "c"): [1, {"x": ']}"\\'}], ("stream",): True, ("usage",): {"n": 1}}


def test_the_pieces_are_the_value_the_end_and_the_rest() -> None:
    scanner = MemberScanner([("stream",)])

    assert scanner.feed(b'{"n":1,"stream": true}\n') == [
        (None, b'{"n":1,"stream": '),
        (("stream",), b"true"),
        ((), b"}"),
        (None, b"\n"),
    ]
    assert scanner.feed(b"more") == [(None, b"more")]


@pytest.mark.parametrize("opening", [b"[", b'{"x":', b'[{"usage":'])
@pytest.mark.parametrize("packet", [999, 1 << 20])
def test_deep_nesting_is_no_trouble(opening: bytes, packet: int) -> None:
    text = b'{"deep":' + opening * 100_000 + b',"usage":1}'

    out, _, scanner = scanned([text[at : at + packet] for at in range(0, len(text), packet)])

    assert out == text
    assert not scanner.done


def test_a_wanted_value_may_be_nested_deeply() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    scanner = MemberScanner(WANTED)

    assert (("usage",), deep) in scanner.feed(b'{"usage":' + deep + b"}")


@pytest.mark.parametrize("where", [None, [], [0.5]])
def test_a_huge_key_passes(where: Places | None) -> None:
    text = b'{"' + b"k" * 5000 + b'":1,"usage":2}'

    out, _, _ = scanned(cut(text, where))

    assert out == text


def test_a_value_larger_than_may_be_held_passes_unread() -> None:
    text = b'{"usage":"' + b"x" * 100 + b'","stream":true}'

    out, found, _ = scanned(cut(text, None), largest_value=50)

    assert out == text
    assert found == {("stream",): True}


def test_no_more_than_the_largest_value_is_held() -> None:
    scanner = MemberScanner([("usage",)], largest_value=50)

    given = sum(len(raw) for packet in cut(b'{"usage":"' + b"x" * 100, None) for _, raw in scanner.feed(packet))

    assert given > 50


@pytest.mark.parametrize("key", [b'"\\ud800"', b'"\\u12"', b'"\\xff"', b'"\xff\\n"', b'"\xff"', b'"a\nb\\n"'])
@pytest.mark.parametrize("where", [None, []])
def test_keys_that_are_no_text_pass(key: bytes, where: Places | None) -> None:
    text = b"{" + key + b':1,"stream":true}'

    out, found, scanner = scanned(cut(text, where))

    assert out == text
    assert found == ({} if scanner.broken else {("stream",): True})


@pytest.mark.parametrize("text", [b"[1]", b"1", b'"usage"', b"{1:2}", b'{"usage" 1}', b'{"a";1}', b"\xef\xbb\xbf{}"])
@pytest.mark.parametrize("where", [None, []])
def test_what_is_no_object_is_broken(text: bytes, where: Places | None) -> None:
    out, found, scanner = scanned(cut(text, where))

    assert (out, found, scanner.broken) == (text, {}, True)


def test_the_last_of_two_equal_keys_comes_last() -> None:
    assert scanned([b'{"stream":false,"stream":true}'])[1] == {("stream",): True}


def test_a_key_on_the_way_that_holds_no_object_is_passed_over() -> None:
    assert scanned([b'{"response":[{"usage":1}],"a":{"b":"c"},"usage":3}'])[1] == {("usage",): 3}


IN_ARRAYS: Sequence[Path] = (
    ("usage",), ("a", ELEMENT, "b"), ("a", ELEMENT, "c", "usage"), ("b", ELEMENT), ("c", ELEMENT, ELEMENT, "a"),
    ("response", "a", ELEMENT, "b"),
)  # fmt: skip
END = object()


def reached(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """What a scanner of `IN_ARRAYS` shall find, in order, by a plain walk over the parsed document."""
    if path in IN_ARRAYS:
        yield path, value
        return
    following = {wanted[len(path)] for wanted in IN_ARRAYS if wanted[: len(path)] == path and len(wanted) > len(path)}
    if following == {ELEMENT}:
        for element in value if isinstance(value, list) else ():
            yield from reached(element, (*path, ELEMENT))
    elif isinstance(value, dict):
        for name in value:
            if name in following:
                yield from reached(value[name], (*path, name))
        if following and path[-1:] == (ELEMENT,):
            yield path, END


def found_in_arrays(packets: Sequence[bytes]) -> tuple[bytes, list[tuple[Path, Any]], MemberScanner]:
    scanner = MemberScanner(IN_ARRAYS)
    pieces = [piece for packet in packets for piece in scanner.feed(packet)]
    found = [(path, value_of(raw) if path in IN_ARRAYS else END) for path, raw in pieces if path]
    return b"".join(raw for _, raw in pieces) + scanner.held(), found, scanner


@settings(deadline=None, max_examples=200)
@given(
    st.fixed_dictionaries(
        {}, optional={name: values | st.lists(objects | values, max_size=4) for name in ("a", "b", "c", "usage", "[]")}
    ),
    st.booleans(),
    layouts,
    places,
)
def test_any_arrays_give_the_members_of_their_elements_in_order(
    document: dict[str, Any],
    nested: bool,  # noqa: FBT001 - hypothesis gives it
    layout: Any,
    where: Places | None,
) -> None:
    indent, separators = layout
    document = {"response": document, "usage": 1} if nested else document
    text = json.dumps(document, indent=indent, separators=separators).encode()

    out, found, scanner = found_in_arrays(cut(text, where))

    assert out == text
    assert found == list(reached(document))
    assert scanner.done


def test_every_cut_of_an_array_gives_each_element_and_its_end() -> None:
    text = (
        b'{"a":[{"b":"\\"]}","x":[{"b":0}]} , 5,[{"b":1}],{},{"c":{"usage":{}} ,"b":null}],'
        b'"b":[ 1 ,"\xc3\xa9",{"d":[]}]}'
    )
    element = ("a", ELEMENT)

    for packets in every_two(text):
        out, found, scanner = found_in_arrays(packets)
        assert out == text
        assert found == [
            ((*element, "b"), '"]}'),
            (element, END),
            (element, END),
            ((*element, "c", "usage"), {}),
            ((*element, "b"), None),
            (element, END),
            (("b", ELEMENT), 1),
            (("b", ELEMENT), "é"),
            (("b", ELEMENT), {"d": []}),
        ]
        assert scanner.done


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet='{}[]",:\\ 0"ab', max_size=60).map(str.encode), places)
def test_garbage_in_an_array_passes_whole(garbage: bytes, where: Places | None) -> None:
    for head in (b'{"a":[', b'{"a":[{', b'{"b":[', b'{"c":[['):
        assert found_in_arrays(cut(head + garbage, where))[0] == head + garbage


@pytest.mark.parametrize("text", [b'{"a":[}', b'{"a":[{"b":1]', b'{"a":[5}'])
@pytest.mark.parametrize("where", [None, []])
def test_brackets_that_do_not_match_are_broken(text: bytes, where: Places | None) -> None:
    out, _, scanner = found_in_arrays(cut(text, where))

    assert (out, scanner.broken) == (text, True)


def test_a_member_named_like_an_element_is_none() -> None:
    assert found_in_arrays([b'{"a":{"[]":{"b":1}},"b":{"[]":2},"usage":3}'])[1] == [(("usage",), 3)]


@pytest.mark.parametrize("string", ["x" * 300, "\\\\" * 90, '\\"' * 90, "x" * 99 + "\\n" + "x" * 99])
def test_every_cut_of_a_long_string_finds_its_end(string: str) -> None:
    text = f'{{"x":"{string}","usage":"{string}"}}'.encode()

    for packets in every_two(text):
        out, found, _ = scanned(packets)
        assert (out, found) == (text, {("usage",): json.loads(f'"{string}"')})
    assert scanned([piece for packet in cut(text, None) for piece in (packet, b"")])[1]


@pytest.mark.parametrize(
    ("text", "value"), [(b' {"a":1} ', {"a": 1}), (b"nul", None), (b"\xff", None), (b"[" * 100_000, None)]
)
def test_a_text_that_is_no_json_has_no_value(text: bytes, value: object) -> None:
    assert value_of(text) == value
