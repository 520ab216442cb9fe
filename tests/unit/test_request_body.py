from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.wire.request_body import BodyEditor, RequestFacts, UnreadBody, WholeBody
from packets import Places, cut, every_two, places

others = st.dictionaries(
    st.text(max_size=6).filter(lambda name: name not in {"model", "stream", "stream_options", "background"}),
    st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)),
    max_size=3,
)
chosen = st.fixed_dictionaries(
    {},
    optional={
        "stream": st.sampled_from([True, False, None]),
        "stream_options": st.sampled_from(
            [None, {}, {"include_usage": True}, {"include_usage": False}, {"include_obfuscation": False}]
        ),
        "model": st.sampled_from(["gpt-4o", "", 5]),
    },
)
bodies = st.builds(lambda a, b: list((a | b).items()), others, chosen).flatmap(st.permutations).map(dict)


def edited(body: bytes, where: Places | None, **options: Any) -> tuple[bytes, RequestFacts]:
    editor = BodyEditor(**options)
    out = b"".join(editor.feed(packet) for packet in cut(body, where)) + editor.finish()
    return out, editor.facts


def read(body: bytes) -> WholeBody:
    reader = WholeBody()
    assert reader.feed(body) + reader.finish() == body
    return reader


def facts_of(body: bytes) -> RequestFacts:
    return read(body).facts


def asking(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"stream_options": (document.get("stream_options") or {}) | {"include_usage": True}}


@settings(deadline=None, max_examples=100)
@given(document=bodies, asks=st.booleans(), where=places)
def test_streams_are_asked_for_their_usage_and_nothing_else_changes(
    *, document: dict[str, Any], asks: bool, where: Places | None
) -> None:
    body = json.dumps(document).encode()
    stream = document.get("stream") is True

    out, facts = edited(body, where, asks=asks, stream=stream)

    assert facts == RequestFacts.of(document) == facts_of(body)
    if stream and asks and not facts.usage_asked:
        assert json.loads(out) == asking(document)
        # Less the options, the bytes are the same
        for options in (b', "stream_options": ', b'"stream_options": '):
            given_text = options + json.dumps(document.get("stream_options")).encode()
            if given_text in body:
                head, tail = body.split(given_text)
                break
        else:
            head, tail = body[:-1], b"}"
        assert out.startswith(head)
        assert out.endswith(tail)
    else:
        assert out == body


@settings(deadline=None, max_examples=100)
@given(document=bodies, asks=st.booleans(), unstored=st.booleans())
def test_a_body_that_came_whole_is_changed_as_one_that_comes_in_parts(
    *, document: dict[str, Any], asks: bool, unstored: bool
) -> None:
    body = json.dumps(document).encode()
    reader = WholeBody(asks=asks, unstored=unstored)

    out = reader.feed(body) + reader.finish()

    stream = document.get("stream") is True
    assert (out, reader.facts) == edited(body, [], asks=asks and stream, unstored=unstored, stream=stream)
    assert reader.members() == document


@settings(deadline=None, max_examples=100)
@given(bodies, places)
def test_a_body_that_is_edited_while_it_comes_is_asked_as_well(document: dict[str, Any], where: Places | None) -> None:
    body = json.dumps(document).encode()

    out, facts = edited(body, where, asks=True)

    if facts.stream:
        assert json.loads(out) == asking(document)
    elif not document.get("stream_options") and document.get("stream_options") != {}:
        assert out == body  # options of a body that is no stream are OpenAI's to refuse


@settings(deadline=None, max_examples=100)
@given(body=st.binary(max_size=40), stream=st.booleans(), where=places)
def test_what_is_no_json_passes_unchanged(*, body: bytes, stream: bool, where: Places | None) -> None:
    assert edited(body, where, asks=True, stream=stream)[0] == body


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"x"', b"{", b'{"stream":tru', b'{"stream":true', b'{"stream":true,"stream_options":{"']
)
def test_what_is_no_whole_object_passes_unchanged(body: bytes) -> None:
    assert edited(body, [], asks=True) == (body, facts_of(body))


def test_every_cut_of_one_sample_is_edited_the_same() -> None:
    body = b' {"stream_options" : {"include_obfuscation":false} , "input":"}\\"", "stream": true}\n'

    for packets in every_two(body):
        editor = BodyEditor(asks=True)
        out = b"".join(map(editor.feed, packets)) + editor.finish()
        assert out == body.replace(
            b'{"include_obfuscation":false}', b'{"include_obfuscation":false,"include_usage":true}'
        )


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":false,"stream":true}',
        b'{"stream":true,"stream_options":{"include_usage":true},"stream_options":{"include_usage":false}}',
        b'{"stream":true,"stream_options":{"include_usage":true},"stream_options":null}',
        b'{"stream_options":{},"stream_options":null,"stream":true}',
        b'{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
        b'{"str\\u0065am":true}',
        b'{"str\\u0065am":true,"stream_option\\u0073":{"include_usage":false}}',
    ],
)
@pytest.mark.parametrize("known", [True, None])
def test_no_way_of_writing_evades_the_asking(body: bytes, *, known: bool | None) -> None:
    out, facts = edited(body, [], asks=True, stream=known)

    assert json.loads(out)["stream_options"]["include_usage"] is True
    assert facts.stream
    assert not facts.usage_asked


def test_null_options_of_a_large_body_stay_where_it_may_be_no_stream() -> None:
    body = b'{"stream_options":null,"stream":false}'

    assert edited(body, [], asks=True)[0] == body


def test_options_that_are_no_object_are_for_openai_to_refuse() -> None:
    body = b'{"stream":true,"stream_options":5}'

    assert edited(body, [], asks=True, stream=True)[0] == body


def test_options_too_large_to_be_held_are_followed_by_better_ones() -> None:
    body = b'{"stream":true,"stream_options":{"x":"' + b"x" * 300_000 + b'"}}'

    out, _ = edited(body, [0.3, 0.9], asks=True, stream=True)

    assert out == body[:-1] + b',"stream_options":{"include_usage":true}}'


@pytest.mark.parametrize(
    ("written", "background"),
    [("true", True), ("false", False), ("null", False), ('"true"', True), ("1", True), ("0", False)],
)
def test_background_is_whatever_might_be_taken_for_true(written: str, *, background: bool) -> None:
    assert edited(f'{{"background":{written}}}'.encode(), [], asks=False)[1].background is background
    assert facts_of(f'{{"background":{written}}}'.encode()).background is background


@pytest.mark.parametrize(
    "strange", [b"[" * 100_000 + b"]" * 100_000, b"1" * 5000, b'{"x":' * 100_000 + b"1" + b"}" * 100_000]
)
def test_what_our_parser_refuses_does_not_hide_the_facts(strange: bytes) -> None:
    reader = read(b'{"x":' + strange + b',"background":true,"stream":true,"model":"gpt-4o"}')

    assert reader.facts == RequestFacts(model="gpt-4o", stream=True, background=True)
    assert reader.members() == {"background": True, "stream": True, "model": "gpt-4o"}
    assert not reader.is_whole  # so its input counts by its size, and not as none


def test_a_value_that_our_parser_refuses_is_no_reason_to_fail() -> None:
    body = b'{"stream":true,"model":' + b"1" * 5000 + b',"background":tru}'

    out, facts = edited(body, [], asks=True)

    assert out == body[:-1] + b',"stream_options":{"include_usage":true}}'
    assert facts == RequestFacts(stream=True, background=True)


@pytest.mark.parametrize(
    ("members", "window"),
    [
        ('"background":true,"background_options":{"completion_window":"8h"}', "8h"),
        ('"background_options":{"completion_window":"2h"},"background":true', "2h"),
        ('"background":false,"background_options":{"completion_window":"8h"}', None),
        ('"background_options":{"completion_window":"8h"}', None),
        ('"background":true,"background_options":{"completion_window":8}', None),
        ('"background":true,"background_options":{}', None),
        ('"background":true,"background_options":"8h"', None),
        ('"background":true', None),
    ],
)
def test_a_window_counts_where_the_request_runs_in_the_background(members: str, window: str | None) -> None:
    body = f"{{{members}}}".encode()

    assert facts_of(body).completion_window == window
    assert edited(body, None)[1].completion_window == window


@pytest.mark.parametrize(
    ("members", "limit"),
    [
        ('"max_tokens":9', 9),
        ('"max_completion_tokens":9,"max_tokens":5', 9),
        ('"max_output_tokens":null,"max_tokens":5', 5),
        ('"max_output_tokens":1' + "0" * 30, 10_000_000),
        ('"max_tokens":0', None),
        ('"max_tokens":-5', None),
        ('"max_tokens":true', None),
        ('"max_tokens":"9"', None),
        ('"n":2', None),
    ],
)
def test_an_answer_is_limited_by_the_largest_of_its_limits(members: str, limit: int | None) -> None:
    body = f'{{"model":"gpt-4o",{members}}}'.encode()

    assert facts_of(body).output_limit == limit
    assert edited(body, [0.5], asks=False)[1].output_limit == limit


def test_the_format_of_an_answer_is_known_where_it_is_a_name() -> None:
    assert facts_of(b'{"response_format":"mp3"}').response_format == "mp3"
    assert facts_of(b'{"response_format":{"type":"json_object"}}').response_format is None


# What may not be stored

_MEMBERS = st.lists(
    st.tuples(
        st.sampled_from(['"store"', '"st\\u006fre"', '"\\u0073tore"', '"Store"', '"stored"', '"input"', '"metadata"']),
        st.sampled_from(
            ["true", "false", "null", '"true"', "1", '{"store": true}', '[{"store":true}]', '"\\"store\\":"']
        ),
    ),
    max_size=5,
)
_SPACES = st.sampled_from(["", " ", "\r\n\t"])


@settings(deadline=None, max_examples=200)
@given(members=_MEMBERS, space=_SPACES, where=places)
def test_nothing_is_stored_and_no_other_byte_changes(
    members: list[tuple[str, str]], space: str, where: Places | None
) -> None:
    def written(pairs: list[tuple[str, str]]) -> str:
        return f",{space}".join(f"{key}{space}:{space}{value}" for key, value in pairs)

    body = f"{space}{{{space}{written(members)}{space}}}{space}".encode()
    stores = [json.loads(key) == "store" for key, _ in members]
    unstored = [(key, "false" if store else value) for (key, value), store in zip(members, stores, strict=True)]
    added = "" if any(stores) else ',"store":false' if members else '"store":false'
    expected = f"{space}{{{space}{written(unstored)}{space}{added}}}{space}".encode()
    reader = WholeBody(unstored=True)

    assert edited(body, where, unstored=True)[0] == expected
    assert reader.feed(body) + reader.finish() == expected
    assert json.loads(expected)["store"] is False


def test_a_stream_is_asked_for_its_usage_and_not_stored() -> None:
    body = b'{"stream":true,"store":true}'

    assert edited(body, None, asks=True, unstored=True)[0] == (
        b'{"stream":true,"store":false,"stream_options":{"include_usage":true}}'
    )


def test_store_is_false_behind_a_value_of_it_that_is_too_large_to_be_held() -> None:
    body = b'{"store":"' + b"x" * 300_000 + b'"}'

    assert edited(body, [0.3, 0.9], unstored=True)[0] == body[:-1] + b',"store":false}'


@pytest.mark.parametrize("body", [b"", b"[]", b'"store"', b"{", b'{"input":1', b"store=true"])
def test_what_is_no_object_has_nothing_to_store(body: bytes) -> None:
    assert edited(body, [0.5], unstored=True)[0] == body


def test_nothing_is_known_of_a_body_that_is_not_read() -> None:
    reader = UnreadBody()

    assert reader.feed(b'{"model":"m"}') + reader.finish() == b'{"model":"m"}'
    assert (reader.facts, reader.members()) == (RequestFacts(), {})


def test_of_a_large_body_only_what_matters_is_kept() -> None:
    editor = BodyEditor()
    editor.feed(b'{"model":"m","input":"Hello","max_tokens":5}')

    assert editor.members() == {"model": "m", "max_tokens": 5}
    assert not editor.is_whole


def test_a_model_is_text_of_a_sane_length() -> None:
    assert facts_of(b'{"model":"' + b"m" * 257 + b'"}').model is None
    assert facts_of(b'{"model":"m"}').model == "m"


@pytest.mark.parametrize(
    ("members", "user"),
    [
        ('"user":"ada"', "ada"),
        ('"safety_identifier":"hash","user":"ada"', "hash"),
        ('"user":"ada","safety_identifier":null', "ada"),
        ('"safety_identifier":"","user":"ada"', "ada"),
        ('"user":"\\u00e4da L."', "äda L."),
        ('"user":{"id":"ada"}', None),
        ('"user":5', None),
        ('"user":" "', None),
        ('"user":"a\\nb"', None),
        ('"user":"\\ud800"', None),
        ('"user":"' + "u" * 257 + '"', None),
        ('"metadata":{"user":"ada"}', None),
    ],
)
def test_an_end_user_is_a_name_in_one_of_openais_two_fields(members: str, user: str | None) -> None:
    body = f"{{{members}}}".encode()

    assert facts_of(body).end_user == user
    assert edited(body, None) == (body, facts_of(body))
