from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meters import PACKET, fed
from openai_proxy.metering.chat_stream import ChatStream, UnaskedUsageFilter
from packets import Places, cut, every_two, places

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 0}}
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06", "service_tier": "default"}

contents = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ['{"a":1,"usage":null}', ',"usage":null', '"usage":null,', "[DONE]", "data: x\n\n", '{"choices":[]}']
    ),
)


def chat_stream(
    deltas: Sequence[str], *, asked: bool, end: str, compact: bool, place: str, done: bool = True, usage: Any = USAGE
) -> bytes:
    """What OpenAI sends: with usage asked for, `"usage":null` in each chunk, and a chunk with the usage alone."""

    def chunk(choices: Sequence[Any], usage: Any) -> str:
        members = [*HEAD.items(), ("choices", choices)]
        if asked:
            members.insert({"front": 0, "middle": 3, "end": len(members)}[place], ("usage", usage))
        separators = (",", ":") if compact else (", ", ": ")
        return f"data: {json.dumps(dict(members), separators=separators)}{end}{end}"

    parts = [chunk([{"index": 0, "delta": {"content": delta}, "finish_reason": None}], None) for delta in deltas]
    if asked:
        parts.append(chunk([], usage))
    if done:
        parts.append(f"data: [DONE]{end}{end}")
    return "".join(parts).encode()


streams = st.fixed_dictionaries(
    {
        "end": st.sampled_from(["\n", "\r\n"]),
        "compact": st.booleans(),
        "place": st.sampled_from(["front", "middle", "end"]),
        "done": st.booleans(),
    }
)


@settings(deadline=None, max_examples=100)
@given(st.lists(contents, max_size=5), streams, places)
def test_the_client_gets_exactly_what_it_would_have_got_unasked(
    deltas: list[str], form: dict[str, Any], where: Places | None
) -> None:
    meter = UnaskedUsageFilter()

    out = fed(meter, cut(chat_stream(deltas, asked=True, **form), where))

    assert out == chat_stream(deltas, asked=False, **form)
    assert meter.reading.usage == USAGE
    assert meter.reading.ended is form["done"]
    assert "".join(meter.reading.output) == "".join(deltas)
    assert (meter.reading.model, meter.reading.response_id, meter.reading.service_tier) == (
        "gpt-4o-2024-08-06",
        "chatcmpl-1",
        "default",
    )


def test_every_cut_of_one_chat_stream() -> None:
    form: dict[str, Any] = {"end": "\r\n", "compact": True, "place": "middle"}
    asked = chat_stream(["é\n\n", ',"usage":null'], asked=True, **form)
    unasked = chat_stream(["é\n\n", ',"usage":null'], asked=False, **form)

    for packets in every_two(asked):
        assert fed(UnaskedUsageFilter(), packets) == unasked


@pytest.mark.parametrize("place", ["front", "middle", "end"])
@pytest.mark.parametrize("packet", [1000, PACKET, 1 << 22])
def test_a_chunk_too_large_to_be_held_is_filtered_as_well(place: str, packet: int) -> None:
    form: dict[str, Any] = {"end": "\n", "compact": True, "place": place}
    deltas = ["x" * 1_000_000, ',"usage":null' * 50_000]
    asked = chat_stream(deltas, asked=True, **form)
    meter = UnaskedUsageFilter()

    out = fed(meter, [asked[at : at + packet] for at in range(0, len(asked), packet)])

    assert out == chat_stream(deltas, asked=False, **form)
    assert meter.reading.usage == USAGE


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 1), places)
def test_a_stream_cut_in_an_event_loses_nothing_but_what_was_unasked(end: float, where: Places | None) -> None:
    form: dict[str, Any] = {"end": "\n", "compact": True, "place": "end"}
    asked, unasked = (chat_stream(["a", "b"], asked=asked, **form) for asked in (True, False))
    asked = asked[: round(end * len(asked))]

    out = fed(UnaskedUsageFilter(), cut(asked, where))

    whole = out[: out.rfind(b"\n\n") + 2] if b"\n\n" in out else b""
    assert unasked.startswith(whole)
    assert len(asked) - len(out) <= asked.count(b',"usage":null') * 13 + len(asked.rpartition(b'"choices":[]')[0])


def test_a_usage_chunk_without_its_blank_line_is_read_and_taken_out() -> None:
    asked = chat_stream(["a"], asked=True, end="\n", compact=True, place="end", done=False)
    meter = UnaskedUsageFilter()

    out = fed(meter, [asked[:-2]])

    assert out == chat_stream(["a"], asked=False, end="\n", compact=True, place="end", done=False)
    assert meter.reading.usage == USAGE


def test_a_large_chunk_without_its_blank_line_passes() -> None:
    asked = chat_stream(["x" * 400_000], asked=True, end="\n", compact=True, place="end", done=False)
    asked = asked[: asked.index(b"\n\n")]

    assert fed(UnaskedUsageFilter(), cut(asked, [0.9])) == asked.replace(b',"usage":null', b"")


def test_what_the_client_asked_for_passes_untouched() -> None:
    asked = chat_stream(["a", "b"], asked=True, end="\n", compact=True, place="end")
    meter = ChatStream()

    assert fed(meter, cut(asked, None)) == asked
    assert meter.reading.usage == USAGE


def test_usage_beside_choices_stays_in() -> None:
    chunk = b'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}\n\n'
    meter = UnaskedUsageFilter()

    assert fed(meter, [chunk]) == chunk
    assert meter.reading.usage == {"prompt_tokens": 1}


def test_deltas_of_all_kinds_are_kept_to_estimate_from() -> None:
    choices = [
        {"delta": {"content": "a", "refusal": "b", "reasoning_content": "c"}},
        {"delta": {"tool_calls": [{"function": {"name": "d", "arguments": "e"}}, {"function": None}, 5]}},
        {"text": "f", "delta": None},
        "strange",
    ]
    meter = ChatStream()
    meter.feed(f'data: {json.dumps({"choices": choices})}\n\ndata: {{"choices":5}}\n\ndata: 7\n\ndata: {{\n\n'.encode())

    assert "".join(meter.reading.output) == "abcdef"


def test_comments_pass() -> None:
    meter = UnaskedUsageFilter()

    assert fed(meter, [b": keep-alive\n\ndata: [DONE]\n\n"]) == b": keep-alive\n\ndata: [DONE]\n\n"
    assert meter.reading.ended


def test_the_deltas_kept_are_bounded() -> None:
    meter = ChatStream()
    event = json.dumps({"choices": [{"delta": {"content": "x" * 100_000}}]})
    for _ in range(50):
        meter.feed(f"data: {event}\n\n".encode())

    assert meter.reading.output_length <= 2_200_000


def test_an_error_in_a_stream_names_itself() -> None:
    meter = ChatStream()
    meter.feed(b'data: {"error":{"message":"secret","type":"server_error","code":null}}\n\n')

    assert meter.reading.error_type == "server_error"
