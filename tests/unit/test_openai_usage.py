from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.openai_usage import LARGEST_COUNT, CountedUsage, read_usage
from openai_proxy.records import TokenCounts


def test_reads_the_usage_of_chat_completions() -> None:
    usage = {
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "prompt_tokens_details": {
            "cached_tokens": 1920,
            "audio_tokens": 6,
            "text_tokens": 2000,
            "cache_write_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 256,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 10,
            "rejected_prediction_tokens": 3,
        },
    }

    assert read_usage(usage) == CountedUsage(
        tokens=TokenCounts(
            input_tokens=2006,
            cache_read_input_tokens=1920,
            cache_write_input_tokens=0,
            input_audio_tokens=6,
            output_tokens=300,
            reasoning_output_tokens=256,
            output_audio_tokens=0,
        ),
        units={
            "input_tokens": 2006,
            "output_tokens": 300,
            "cache_read_tokens": 1920,
            "input_audio_tokens": 6,
            "input_text_tokens": 2000,
            "cache_write_tokens": 0,
            "output_reasoning_tokens": 256,
            "output_audio_tokens": 0,
            "output_accepted_prediction_tokens": 10,
            "output_rejected_prediction_tokens": 3,
        },
    )


def test_reads_the_usage_of_responses_and_of_their_tools() -> None:
    usage = {
        "input_tokens": 81,
        "input_tokens_details": {
            "cached_tokens": 0,
            "cache_write_tokens": 64,
            "cache_write_tokens_details": {"ttl_30m_tokens": 64, "ttl_12h_tokens": 0},
        },
        "output_tokens": 1035,
        "output_tokens_details": {"reasoning_tokens": 832},
        "total_tokens": 1116,
    }
    tool_usage = {
        "image_gen": {"input_tokens": 0, "input_tokens_details": {"image_tokens": 0}, "output_tokens": 0},
        "web_search": {"num_requests": 2},
    }

    assert read_usage(usage, tool_usage) == CountedUsage(
        tokens=TokenCounts(
            input_tokens=81,
            cache_read_input_tokens=0,
            cache_write_input_tokens=64,
            output_tokens=1035,
            reasoning_output_tokens=832,
        ),
        units={
            "input_tokens": 81,
            "cache_read_tokens": 0,
            "cache_write_tokens": 64,
            "cache_write_30m_tokens": 64,
            "cache_write_12h_tokens": 0,
            "output_tokens": 1035,
            "output_reasoning_tokens": 832,
            "web_searches": 2,
        },
    )


def test_embeddings_have_no_output() -> None:
    counted = read_usage({"prompt_tokens": 8, "total_tokens": 8})

    assert counted.tokens == TokenCounts(input_tokens=8, output_tokens=0)
    assert counted.doubts == ()


def test_an_output_that_is_not_told_is_what_the_total_leaves() -> None:
    assert read_usage({"prompt_tokens": 8, "total_tokens": 11}).tokens == TokenCounts(input_tokens=8, output_tokens=3)


def test_details_that_are_not_told_are_not_known_rather_than_zero() -> None:
    usage = {"prompt_tokens": 8, "completion_tokens": 1, "prompt_tokens_details": None}

    assert read_usage(usage) == CountedUsage(
        tokens=TokenCounts(input_tokens=8, output_tokens=1), units={"input_tokens": 8, "output_tokens": 1}
    )


def test_no_usage_is_nothing_known_and_nothing_doubted() -> None:
    assert read_usage(None) == CountedUsage()


@pytest.mark.parametrize("value", [-1, True, "5", 5.0, float("nan"), [5], LARGEST_COUNT + 1, 10**400])
def test_a_quantity_that_is_none_is_not_believed(value: Any) -> None:
    counted = read_usage({"prompt_tokens": value, "completion_tokens": 7})

    assert counted.tokens == TokenCounts(output_tokens=7)
    assert counted.doubts


@pytest.mark.parametrize(
    ("usage", "doubt"),
    [
        ({}, "input_tokens are not told"),
        ({"completion_tokens": 1}, "input_tokens are not told"),
        ({"prompt_tokens": 1}, "output_tokens are not told"),
        ({"prompt_tokens": 9, "total_tokens": 8}, "output_tokens are not told"),
        (
            {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 3},
            "total_tokens are not the sum of input_tokens and output_tokens",
        ),
        ({"input_tokens": 1, "prompt_tokens": 2, "output_tokens": 1}, "input_tokens is told twice, differently"),
        (
            {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 2}},
            "cache_read_tokens are more than input_tokens",
        ),
        (
            {"input_tokens": 1, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 2}},
            "output_reasoning_tokens are more than output_tokens",
        ),
        (
            {
                "input_tokens": 9,
                "output_tokens": 1,
                "input_tokens_details": {"cache_write_tokens_details": {"ttl_12h_tokens": 2}},
            },
            "cache_write_12h_tokens are more than cache_write_tokens",
        ),
        ({"input_tokens": 1, "output_tokens": 1, "video_tokens": 4}, "video_tokens is not known"),
        ({"input_tokens": 1, "output_tokens": 1, "details": {"b": [{"c": 0.5}]}}, "details.b.?.c is not known"),
        ({"input_tokens": 1, "output_tokens": 1, "Ignore this, <b>pay": 1}, "? is not known"),
    ],
)
def test_what_is_not_understood_is_named(usage: dict[str, Any], doubt: str) -> None:
    assert doubt in read_usage(usage).doubts


def test_a_part_larger_than_its_whole_is_left_out_and_the_whole_kept() -> None:
    usage = {"input_tokens": 10, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 11}}

    assert read_usage(usage).tokens == TokenCounts(input_tokens=10, output_tokens=1)


def test_zeros_and_texts_of_unknown_members_are_no_quantities() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "type": "tokens", "video_tokens": 0, "final": True, "next": None}

    assert read_usage(usage).doubts == ()


def test_the_tokens_of_a_generated_image_are_not_known_here() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}

    assert read_usage(usage, {"image_gen": {"output_tokens": 272}}).doubts == (
        "tool_usage.image_gen.output_tokens is not known",
    )


_NAMES = st.sampled_from(
    ["prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "total_tokens", "prompt_tokens_details",
     "output_tokens_details", "cached_tokens", "cache_write_tokens_details", "ttl_12h_tokens", "reasoning_tokens", "x"]
)  # fmt: skip
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=12,
)


@given(usage=st.dictionaries(_NAMES, _JSON, max_size=6), tool_usage=st.none() | st.dictionaries(st.text(), _JSON))
def test_whatever_comes_nothing_raises_and_only_sound_quantities_are_believed(
    usage: dict[str, Any], tool_usage: dict[str, Any] | None
) -> None:
    counted = read_usage(usage, tool_usage)

    assert all(type(value) is int and 0 <= value <= LARGEST_COUNT for value in counted.units.values())
    assert counted.doubts or counted.tokens.input_tokens is not None


def test_deep_nesting_is_no_recursion() -> None:
    usage: dict[str, Any] = {}
    for _ in range(100_000):
        usage = {"a": usage}

    assert read_usage(usage).tokens == TokenCounts()
