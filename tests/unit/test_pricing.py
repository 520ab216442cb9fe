from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import AudioModel, EmbeddingModel, ImageModel, ModerationModel
from openai.types.audio import SpeechModel
from openai.types.shared import AllModels

from openai_proxy.pricing.priced import has_price, priced
from openai_proxy.pricing.table import bundled_table
from openai_proxy.records import ListCost, UsedUnit
from used_events import NOW, chat, image, response, tools, used


def line(unit: str, quantity: int, charged: int, price: str | None, cost: str, **fields: Any) -> UsedUnit:
    """A line of a bill; its price is for a million."""
    values: dict[str, Any] = {
        "usage_source": "reported",
        "list_unit_price": None if price is None else Decimal(price),
        "pricing_block_size": None if price is None else 1_000_000,
        **fields,
    }
    return UsedUnit(
        unit=unit, quantity=Decimal(quantity), charged_quantity=Decimal(charged), list_cost=Decimal(cost), **values
    )


def test_every_unit_is_a_line_that_is_charged_once() -> None:
    bill = priced(used("gpt-6-sol", response(2000, 10, cached=1000, written=500, reasoning=8)))

    assert bill.units == (
        line("input_tokens", 2000, 500, "2", "0.001"),
        line("cache_read_tokens", 1000, 1000, "0.2", "0.0002"),
        line("cache_write_tokens", 500, 500, "2.5", "0.00125"),
        line("output_tokens", 10, 10, "10", "0.0001"),
        line("output_reasoning_tokens", 8, 0, None, "0"),  # charged with the output
    )
    assert bill.cost.list_cost == Decimal("0.00255")


def test_lines_say_who_counted_and_for_how_many_the_price_is() -> None:
    calls = {"web_searches": 9, "file_searches": 4, "containers_4g": 1}
    bill = priced(used("gpt-5", response(1000, 0), tool_usage=tools(searches=3), tool_calls=calls))

    assert bill.units == (
        line("input_tokens", 1000, 1000, "1.25", "0.00125"),
        line("web_searches", 3, 3, "10", "0.03", pricing_block_size=1000),
        line("storage_searches", 4, 4, "2.5", "0.01", pricing_block_size=1000, usage_source="estimated"),
        line("containers_4g", 1, 1, "0.12", "0.12", pricing_block_size=1, usage_source="estimated"),
    )


def test_a_fee_for_each_request_is_a_line_by_our_own_count() -> None:
    bill = priced(used("gpt-4o-search-preview", chat(0, 0)))

    assert bill.units == (line("requests", 1, 1, "25", "0.025", pricing_block_size=1000, usage_source="estimated"),)


def test_what_a_tool_drew_has_lines_with_a_price_entry_of_their_own() -> None:
    calls = {"image_generations": 1, "image_model": "gpt-image-1.5"}
    bill = priced(used("gpt-5", response(1000, 0), tool_usage=tools(drawn=image(50, 1000)), tool_calls=calls))

    assert bill.cost.sku_price_id == "gpt-5"
    assert [(unit.unit, unit.sku_price_id, unit.list_cost) for unit in bill.units if unit.list_cost] == [
        ("input_tokens", None, Decimal("0.00125")),
        ("input_tokens", "gpt-image-1.5", Decimal("0.00025")),
        ("output_image_tokens", "gpt-image-1.5", Decimal("0.032")),
    ]
    assert bill.tokens.input_tokens == 1000


def test_seconds_keep_their_fraction() -> None:
    usage = {"type": "duration", "seconds": 12.5}
    bill = priced(used("whisper-1", usage, operation_name="audio.transcriptions"))

    (seconds,) = bill.units
    assert (seconds.quantity, seconds.pricing_block_size, seconds.list_cost) == (
        Decimal("12.5"),
        3600,
        Decimal("0.00125"),
    )


def test_where_there_is_no_cost_the_lines_say_what_was_used_and_no_more() -> None:
    bill = priced(used("gpt-7", chat(1000, 0, cached=400)))

    assert bill.tokens.input_tokens == 1000
    assert bill.units == (
        UsedUnit(unit="input_tokens", quantity=Decimal(1000), usage_source="reported"),
        UsedUnit(unit="cache_read_tokens", quantity=Decimal(400), usage_source="reported"),
    )


def test_one_part_without_a_price_leaves_all_without_a_cost() -> None:
    calls = {"image_generations": 1, "image_model": "no-such-model"}
    bill = priced(used("gpt-5", response(9, 1), tool_usage=tools(drawn=image(50, 1000)), tool_calls=calls))

    assert bill.cost.list_cost is None
    assert {unit.list_cost for unit in bill.units} == {None}
    assert len(bill.units) == 6


def test_the_model_that_was_asked_for_is_priced_where_the_answer_names_none() -> None:
    assert priced(used(None, chat(1000, 100), request_model="gpt-4o")).cost.list_cost == Decimal("0.0035")
    assert not priced(used(None, chat(1000, 100), request_model=None)).cost.priced


def test_a_model_is_known_by_its_name_in_any_case() -> None:
    assert priced(used("GPT-6.2-Sol", response(1000, 0))).cost.list_cost == Decimal("0.002")


def test_says_which_price_was_applied() -> None:
    cost = priced(used("gpt-4o-2024-08-06", chat(1000, 100))).cost

    versions = f"genai-prices {version('genai-prices')}, prices.toml {bundled_table().changed}"
    assert (cost.sku_price_id, cost.price_version, cost.billing_currency) == ("gpt-4o", versions, "USD")


@pytest.mark.parametrize(
    ("day", "expected", "sku"),
    [
        (datetime(2025, 6, 9, 23, 59, tzinfo=UTC), "0.0140", "o3"),  # 10, 40
        (datetime(2025, 6, 10, tzinfo=UTC), "0.0028", "o3@2025-06-10"),  # 2, 8
    ],
)
def test_the_price_of_the_day_of_the_request_holds(day: datetime, expected: str, sku: str) -> None:
    cost = priced(used("o3", chat(1000, 100), event_time=day)).cost

    assert (cost.list_cost, cost.sku_price_id) == (Decimal(expected), sku)


def test_nothing_to_pay_is_a_cost_of_zero() -> None:
    bill = priced(used(None, usage_source="none"))

    assert (bill.cost, bill.units) == (ListCost(list_cost=Decimal(0), priced=True), ())


def test_an_unknown_usage_has_no_cost() -> None:
    assert priced(used("gpt-4o", usage_source="unknown")).cost.unpriced_reason == "OpenAI did not tell the usage"


def test_an_open_request_has_no_cost_yet() -> None:
    opened = used(None, event_type="started", usage_source="unknown")

    assert priced(opened).cost.unpriced_reason == "the request is open, its usage is not known yet"


def test_a_line_is_rounded_once_half_to_even_at_nine_digits() -> None:
    # gpt-5-nano in flex reads its cache at 0.0025 a million: 2.5e-9 a token
    def cost(cached: int) -> Decimal | None:
        return priced(used("gpt-5-nano", chat(cached, 0, cached=cached), service_tier="flex")).cost.list_cost

    assert [cost(cached) for cached in (1, 2, 3)] == [Decimal("2e-9"), Decimal("5e-9"), Decimal("8e-9")]


def test_a_cost_is_the_sum_of_its_rounded_lines() -> None:
    # 2.5e-9 for what was cached, 25e-9 for what was not, 0.2e-6 for the output: the first is rounded to 2e-9
    bill = priced(used("gpt-5-nano", chat(2, 1, cached=1), service_tier="flex"))

    assert bill.cost.list_cost == Decimal("227e-9") == sum(unit.list_cost or 0 for unit in bill.units)


@pytest.mark.parametrize(
    "model", ["gpt-5", "GPT-5", "gpt-6.2-sol", "tts-1-1106", "whisper-1", "ft:babbage-002:acme::x"]
)
def test_knows_which_models_have_a_price(model: str) -> None:
    assert has_price(model, NOW)


@pytest.mark.parametrize("model", ["gpt-7", "", "gpt-6.2-astra-law", "dall-e-3"])
def test_knows_which_models_have_none(model: str) -> None:
    assert not has_price(model, NOW)


def _names(literals: object) -> Iterator[str]:
    for name in get_args(literals):
        if isinstance(name, str):
            yield name
        else:
            yield from _names(name)


def test_every_model_that_the_sdk_names_has_a_price_but_these() -> None:
    kinds = (AllModels, ImageModel, SpeechModel, AudioModel, EmbeddingModel, ModerationModel)
    names = {name for kind in kinds for name in _names(kind)}

    assert len(names) > 100
    assert {name for name in names if not has_price(name, NOW)} == {"gpt-6.2-astra-law", "dall-e-2", "dall-e-3"}


def test_a_model_has_no_price_before_its_first_day() -> None:
    assert not has_price("gpt-6.2-sol", datetime(2026, 11, 16, 23, tzinfo=UTC))
    assert has_price("gpt-6.2-sol", datetime(2026, 11, 17, tzinfo=UTC))


def test_a_reason_never_holds_a_value() -> None:
    usage = json.loads('{"prompt_tokens": "sk-op-secret", "sk-op-SECRET": 1, "completion_tokens": 1}')
    cost = priced(used("gpt-4o", usage, tool_usage={"web_search": "secret", "secret sauce": 3})).cost

    assert cost.unpriced_reason
    assert "secret" not in cost.unpriced_reason.lower()


_NUMBERS = st.integers(-(10**12), 10**12) | st.floats() | st.none() | st.booleans() | st.text(max_size=3)
_MODELS = st.sampled_from(["gpt-5", "gpt-6.1-sol", "gpt-audio", "gpt-image-1.5", "whisper-1", "gpt-4o-mini-tts", "no"])
_MEMBERS = st.sampled_from(
    ["input_tokens", "output_tokens", "total_tokens", "prompt_tokens", "seconds", "input_characters", "cached_tokens",
     "audio_tokens", "image_tokens", "text_tokens", "cache_write_tokens", "reasoning_tokens", "num_requests"]
)  # fmt: skip
_FLAT = st.dictionaries(_MEMBERS, _NUMBERS, max_size=5)


@given(
    model=_MODELS,
    usage=_FLAT,
    of_input=_FLAT,
    of_output=_FLAT,
    tool_usage=st.fixed_dictionaries({}, optional={"web_search": _FLAT, "image_gen": _FLAT, "svg_usage": _FLAT}),
    tool_calls=st.dictionaries(st.sampled_from(["web_searches", "file_searches", "containers_1g"]), _NUMBERS),
    tier=st.sampled_from([None, "flex", "ultrafast"]),
)
def test_whatever_is_told_no_line_costs_less_than_nothing(
    *,
    model: str,
    usage: dict[str, Any],
    of_input: dict[str, Any],
    of_output: dict[str, Any],
    tool_usage: dict[str, Any],
    tool_calls: dict[str, Any],
    tier: str | None,
) -> None:
    whole = usage | {"input_tokens_details": of_input, "output_tokens_details": of_output}
    bill = priced(used(model, whole, tool_usage=tool_usage, tool_calls=tool_calls, service_tier=tier))

    assert bill.cost.priced == (bill.cost.list_cost is not None) == (bill.cost.unpriced_reason is None)
    for unit in bill.units:
        assert unit.quantity > 0
        assert (unit.list_cost is None) == (bill.cost.list_cost is None)
        assert unit.list_cost is None or unit.list_cost >= 0
        assert unit.charged_quantity is None or 0 <= unit.charged_quantity <= unit.quantity
    if bill.cost.priced:
        assert bill.cost.list_cost == sum(unit.list_cost or 0 for unit in bill.units)
