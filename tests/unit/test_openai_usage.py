from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.metering.openai_usage import CountedUsage, ToolModel, read_usage
from openai_proxy.metering.usage_members import LARGEST_COUNT
from openai_proxy.records import TokenCounts
from used_events import chat, image, response, tools, transcript, used


def read(usage: dict[str, Any] | None, tool_usage: dict[str, Any] | None = None, **fields: Any) -> CountedUsage:
    return read_usage(used("gpt-5", usage, tool_usage=tool_usage, **fields))


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

    assert read(usage) == CountedUsage(
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
            "input_image_tokens": 0,  # text and sound make up the whole
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

    assert read(usage, tool_usage) == CountedUsage(
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
    counted = read({"prompt_tokens": 8, "total_tokens": 8})

    assert counted.tokens == TokenCounts(input_tokens=8, output_tokens=0)
    assert counted.doubts == ()


def test_an_output_that_is_not_told_is_what_the_total_leaves() -> None:
    assert read({"prompt_tokens": 8, "total_tokens": 11}).tokens == TokenCounts(input_tokens=8, output_tokens=3)


def test_details_that_are_not_told_are_not_known_rather_than_zero() -> None:
    usage = {"prompt_tokens": 8, "completion_tokens": 1, "prompt_tokens_details": None}

    assert read(usage) == CountedUsage(
        tokens=TokenCounts(input_tokens=8, output_tokens=1), units={"input_tokens": 8, "output_tokens": 1}
    )


def test_no_usage_is_nothing_known_and_nothing_doubted() -> None:
    assert read(None) == CountedUsage()


@pytest.mark.parametrize("value", [-1, True, "5", 5.0, float("nan"), [5], LARGEST_COUNT + 1, 10**400])
def test_a_quantity_that_is_none_is_not_believed(value: Any) -> None:
    counted = read({"prompt_tokens": value, "completion_tokens": 7})

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
        (
            {"input_tokens": 5, "output_tokens": 1, "input_tokens_details": {"audio_tokens": 3, "text_tokens": 3}},
            "text, sound and images are more than input_tokens",
        ),
    ],
)
def test_what_is_not_understood_is_named(usage: dict[str, Any], doubt: str) -> None:
    assert doubt in read(usage).doubts


def test_a_part_larger_than_its_whole_is_left_out_and_the_whole_kept() -> None:
    usage = {"input_tokens": 10, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 11}}

    assert read(usage).tokens == TokenCounts(input_tokens=10, output_tokens=1)


def test_zeros_and_texts_of_unknown_members_are_no_quantities() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "type": "tokens", "video_tokens": 0, "final": True, "next": None}

    assert read(usage).doubts == ()


def test_speech_is_sound_where_nothing_tells() -> None:
    counted = read({"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}, operation_name="audio.speech")

    assert counted.units == {
        "input_tokens": 14,
        "output_tokens": 101,
        "output_audio_tokens": 101,
        "output_image_tokens": 0,
    }
    assert counted.tokens == TokenCounts(input_tokens=14, output_tokens=101, output_audio_tokens=101)


@pytest.mark.parametrize("operation", ["images.generate", "images.edit"])
def test_an_image_is_an_image_where_nothing_tells(operation: str) -> None:
    units = read(image(20, 4160, of_image=300), operation_name=operation).units

    assert units["output_image_tokens"] == 4160
    assert (units["input_text_tokens"], units["input_image_tokens"]) == (20, 300)


def test_what_an_image_tells_of_its_output_holds() -> None:
    usage = image(20, 300, output_tokens_details={"image_tokens": 200, "text_tokens": 100})
    units = read(usage, operation_name="images.generate").units

    assert (units["output_image_tokens"], units["output_text_tokens"]) == (200, 100)


def test_reads_a_transcript_by_tokens() -> None:
    counted = read(transcript(1000, 200, prompt=40), operation_name="audio.transcriptions")

    assert counted.tokens == TokenCounts(input_tokens=1040, input_audio_tokens=1000, output_tokens=200)
    assert counted.doubts == ()


@pytest.mark.parametrize(
    ("seconds", "counted"),
    [(12.5, "12.5"), (60, "60"), (0, "0"), (0.1, "0.1"), (1e-12, "0"), (3.0000000005, "3"), (0.1 + 0.2, "0.3")],
)
def test_reads_a_transcript_by_seconds_to_the_thousand_millionth(seconds: float, counted: str) -> None:
    usage = read({"type": "duration", "seconds": seconds})

    assert (usage.units, usage.doubts) == ({"audio_seconds": Decimal(counted)}, ())
    assert usage.tokens == TokenCounts()


@pytest.mark.parametrize("seconds", [-0.5, "12.5", True, None, 1e300, float("inf"), float("nan"), {}, [3]])
def test_seconds_that_are_none_are_not_believed(seconds: Any) -> None:
    usage = read({"type": "duration", "seconds": seconds})

    assert usage.units == {}
    assert usage.doubts


def test_reads_our_own_count_of_characters() -> None:
    assert read({"input_characters": 123}, usage_source="estimated") == CountedUsage(units={"input_characters": 123})


def test_a_tool_that_was_not_used_used_nothing() -> None:
    assert read(response(9, 1), tools()).tool_models == ()


def test_a_drawing_is_counted_apart_for_the_model_that_drew_it() -> None:
    drawn = image(
        50, 1056, cached_tokens=40, cached_tokens_details={"cached_image_tokens": 0, "cached_text_tokens": 40}
    )
    counted = read(
        response(9, 1), tools(drawn=drawn), tool_calls={"image_generations": 1, "image_model": "gpt-image-2"}
    )

    assert counted.tokens.input_tokens == 9
    assert "image_generations" not in counted.units
    assert counted.tool_models == (
        ToolModel(
            "gpt-image-2",
            {
                "input_tokens": 50,
                "input_text_tokens": 50,
                "input_image_tokens": 0,
                "output_tokens": 1056,
                "cache_read_tokens": 40,
                "cache_image_read_tokens": 0,
                "cache_text_read_tokens": 40,
                "output_image_tokens": 1056,
                "input_audio_tokens": 0,
                "output_audio_tokens": 0,
            },
        ),
    )
    assert counted.doubts == ()


def test_a_drawing_that_a_model_wrote_is_counted_for_that_model() -> None:
    svg = {"model": "gpt-6-sol", "input_tokens": 5, "output_tokens": 7, "reasoning_tokens": 2, "total_tokens": 12}
    counted = read(image(9, 9), {"svg_usage": svg}, operation_name="images.generate")

    assert counted.tool_models == (
        ToolModel("gpt-6-sol", {"input_tokens": 5, "output_tokens": 7, "output_reasoning_tokens": 2}),
    )
    assert counted.doubts == ()


def test_our_count_of_calls_stands_where_openai_tells_none() -> None:
    calls = {"web_searches": 3, "file_searches": 2, "containers_4g": 1, "image_generations": 1, "image_model": "x"}
    counted = read(response(9, 1), tool_calls=calls)

    assert {unit: counted.units[unit] for unit in counted.counted_by_us} == {
        "web_searches": 3,
        "storage_searches": 2,
        "containers_4g": 1,
        "image_generations": 1,
    }


@pytest.mark.parametrize("searches", [0, 2])
def test_what_openai_tells_of_searches_stands_above_our_count(searches: int) -> None:
    counted = read(response(9, 1), tools(searches=searches), tool_calls={"web_searches": 5})

    assert counted.units["web_searches"] == searches
    assert counted.counted_by_us == frozenset()


@pytest.mark.parametrize(
    ("tool_usage", "doubt"),
    [
        ({"web_search": {"num_requests": -3}}, "tool_usage.web_search.num_requests is no quantity"),
        ({"web_search": {"num_requests": "3"}}, "tool_usage.web_search.num_requests is no quantity"),
        ({"web_search": "3"}, "tool_usage.web_search is no object"),
        ({"web_search": [3]}, "tool_usage.web_search.? is no object"),
        ({"web_search": {"pages": 3}}, "tool_usage.web_search.pages is not known"),
        ({"video_gen": {"seconds": 4}}, "tool_usage.video_gen.seconds is not known"),
        ({"image_gen": "many"}, "tool_usage.image_gen is no object"),
        ({"image_gen": {"output_tokens": "many"}}, "tool_usage.image_gen.output_tokens is no quantity"),
        ({"image_gen": {"output_tokens": -5}}, "tool_usage.image_gen.output_tokens is no quantity"),
        ({"image_gen": {"output_tokens": 5}}, "input_tokens are not told"),
        ({"svg_usage": {"model": "gpt-6-sol", "input_tokens": 1}}, "output_tokens are not told"),
    ],
)
def test_what_is_not_understood_of_a_tool_is_named(tool_usage: dict[str, Any], doubt: str) -> None:
    assert doubt in read(response(9, 1), tool_usage).doubts


@pytest.mark.parametrize("calls", [{"web_searches": -1}, {"containers_1g": "2"}, {"file_searches": 0.5}, {"robots": 3}])
def test_a_count_of_calls_that_is_none_is_not_believed(calls: dict[str, Any]) -> None:
    counted = read(response(9, 1), tool_calls=calls)

    assert counted.counted_by_us == frozenset()
    assert counted.doubts


@pytest.mark.parametrize("details", ["none", True, 0, [], [1], ["a"]])
@pytest.mark.parametrize("member", ["prompt_tokens_details", "completion_tokens_details"])
def test_details_that_are_no_object_are_doubted(member: str, details: Any) -> None:
    assert bool(read(chat(9, 1) | {member: details}).doubts) == (details != [])


_NAMES = st.sampled_from(
    ["prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "total_tokens", "prompt_tokens_details",
     "output_tokens_details", "cached_tokens", "cache_write_tokens_details", "ttl_12h_tokens", "reasoning_tokens",
     "seconds", "x"]
)  # fmt: skip
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=12,
)


@given(
    usage=st.dictionaries(_NAMES, _JSON, max_size=6),
    tool_usage=st.none() | st.dictionaries(st.sampled_from(["image_gen", "web_search", "svg_usage", "x"]), _JSON),
    tool_calls=st.none() | st.dictionaries(st.sampled_from(["web_searches", "containers_1g", "image_model"]), _JSON),
    operation=st.sampled_from(["chat.completions.create", "audio.speech", "images.edit"]),
)
def test_whatever_comes_nothing_raises_and_only_sound_quantities_are_believed(
    usage: dict[str, Any], tool_usage: dict[str, Any] | None, tool_calls: dict[str, Any] | None, operation: str
) -> None:
    counted = read(usage, tool_usage, tool_calls=tool_calls, operation_name=operation)

    for units in (counted.units, *(drawn.units for drawn in counted.tool_models)):
        assert all(0 <= value <= LARGEST_COUNT for value in units.values())
        assert all(type(value) is int or unit == "audio_seconds" for unit, value in units.items())
    assert counted.doubts or counted.units


def test_deep_nesting_is_no_recursion() -> None:
    usage: dict[str, Any] = {}
    for _ in range(100_000):
        usage = {"a": usage}

    assert read(usage).tokens == TokenCounts()
