"""What genai-prices prices at nothing, or as something else, without a word: each has a test, and a reason here."""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from hypothesis import assume, given
from hypothesis import strategies as st

from openai_proxy.metering.units import UNITS
from openai_proxy.pricing.charges import charges
from openai_proxy.pricing.gaps import gap_in
from openai_proxy.pricing.list_prices import Circumstances, UnpricedError, prices_of
from openai_proxy.pricing.priced import priced
from openai_proxy.pricing.table import PriceTable, bundled_table
from used_events import NOW, chat, image, response, transcript, used

NOTHING_OF_OURS = PriceTable.parse("date = 2026-01-01")
SILENT: dict[str, Any] = {"provider_id": "openai", "genai_request_timestamp": NOW}


def of_genai_prices(model: str, context: dict[str, str] | None = None, **units: int) -> Decimal:
    return genai_prices.calc_price(
        genai_prices.Usage(**units), model, price_context=context, **SILENT
    ).total_price  # fmt: skip


def reason(model: str, usage: dict[str, Any], table: PriceTable | None = None, **fields: Any) -> str | None:
    return priced(used(model, usage, **fields), table).cost.unpriced_reason


@pytest.mark.parametrize("tier", ["ultrafast", "scale", "auto"])
def test_a_tier_that_is_not_known_is_not_priced_as_standard(tier: str) -> None:
    standard = of_genai_prices("gpt-5", input_tokens=1000)

    assert of_genai_prices("gpt-5", {"service_tier": tier}, input_tokens=1000) == standard
    assert reason("gpt-5", chat(1000, 0), service_tier=tier) == "no price is known for this service tier of the model"


def test_searches_on_a_model_without_a_price_of_them_are_not_free() -> None:
    searched = {"web_search": {"num_requests": 3}}

    assert of_genai_prices("gpt-4", web_searches=3) == 0
    assert reason("gpt-4", chat(9, 1), NOTHING_OF_OURS, tool_usage=searched) == (
        "no price is known for web_searches of this model"
    )


@pytest.mark.parametrize("container", ["containers_1g", "containers_64g", "containers_unknown"])
def test_containers_are_not_free(container: str) -> None:
    assert of_genai_prices("gpt-5", code_executions=3) == 0
    assert reason("gpt-5", chat(9, 1), NOTHING_OF_OURS, tool_calls={container: 1}) == (
        f"no price is known for {container} of this model"
    )


@pytest.mark.parametrize("model", ["gpt-4o-audio-preview", "gpt-4o"])
def test_sound_does_not_cost_what_text_does(model: str) -> None:
    as_text = of_genai_prices(model, input_tokens=1000)

    assert of_genai_prices(model, input_tokens=1000, input_audio_tokens=1000) == as_text
    assert reason(model, chat(1000, 0, audio_tokens=1000), NOTHING_OF_OURS) == (
        "no price is known for input_audio_tokens of this model"
    )
    assert reason(model, chat(0, 10, output_audio_tokens=10), NOTHING_OF_OURS) == (
        "no price is known for output_audio_tokens of this model"
    )


def test_cache_writes_do_not_cost_what_input_does_unless_that_is_known() -> None:
    as_input = of_genai_prices("gpt-5.5-cyber", input_tokens=1000)

    assert of_genai_prices("gpt-5.5-cyber", input_tokens=1000, cache_write_tokens=900) == as_input
    assert reason("gpt-5.5-cyber", response(1000, 0, written=900), NOTHING_OF_OURS) == (
        "no price is known for cache_write_tokens of this model"
    )


def test_cache_reads_do_not_cost_what_input_does() -> None:
    assert reason("gpt-5-pro", response(9, 1, cached=5)) == "no price is known for cache_read_tokens of this model"


def test_what_is_written_for_12_hours_does_not_cost_what_30_minutes_do() -> None:
    assert reason("gpt-6-sol", response(9, 1, written=5, for_12h=5), NOTHING_OF_OURS) == (
        "no price is known for cache_write_12h_tokens of this model"
    )


def test_an_image_does_not_cost_what_text_does_where_its_stream_tells_no_details() -> None:
    usage = image(50, 4160)
    cost = priced(used("gpt-image-1.5", usage, operation_name="images.generate")).cost.list_cost

    as_text = of_genai_prices("gpt-image-1.5", input_tokens=50, output_tokens=4160)
    assert as_text == Decimal("0.04185")
    assert cost == Decimal("0.13337")
    assert reason("gpt-image-1.5", usage) == "output_image_tokens are not told, which have a price of their own"


def test_text_does_not_cost_what_an_image_does() -> None:
    usage = image(50, 300, output_tokens_details={"image_tokens": 200, "text_tokens": 100})

    assert reason("gpt-image-2", usage, operation_name="images.generate") == (
        "no price is known for output_text_tokens of this model"
    )


@pytest.mark.parametrize(
    ("model", "usage", "unit"),
    [
        ("gpt-4o-transcribe", {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}, "input_audio_tokens"),
        ("gpt-audio", {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}, "input_audio_tokens"),
        ("gpt-audio", chat(9, 1) | {"completion_tokens_details": None}, "output_audio_tokens"),
        ("gpt-image-1.5", image(9, 0) | {"input_tokens_details": None}, "input_image_tokens"),
    ],
)
def test_a_detail_that_is_not_told_is_not_taken_for_zero(model: str, usage: dict[str, Any], unit: str) -> None:
    assert reason(model, usage) == f"{unit} are not told, which have a price of their own"


def test_a_detail_that_is_told_by_the_others_is_known() -> None:
    assert reason("gpt-4o-transcribe", transcript(9, 1) | {"input_token_details": {"text_tokens": 9}}) is None


@pytest.mark.parametrize(
    ("model", "usage", "both"),
    [
        ("gpt-realtime", chat(100, 0, cached=50, audio_tokens=60, image_tokens=0), "cache_audio_read_tokens"),
        ("gpt-image-1", image(9, 0, of_image=9, input_tokens_details={"image_tokens": 9, "text_tokens": 9,
                                                                      "cached_tokens": 5}), "cache_image_read_tokens"),
    ],
)  # fmt: skip
def test_what_of_sound_and_images_was_cached_must_be_told(model: str, usage: dict[str, Any], both: str) -> None:
    assert reason(model, usage) == f"{both} are not told, which have a price of their own"


@pytest.mark.parametrize(
    ("model", "tier"), [("gpt-5.4", "priority"), ("gpt-5.5", "fast"), ("gpt-5.5-pro", "flex"), ("gpt-6-cyber", None)]
)
def test_a_long_context_does_not_cost_what_a_short_one_does(model: str, tier: str | None) -> None:
    context = None if tier is None else {"service_tier": tier}
    short = of_genai_prices(model, context, input_tokens=272_000)

    assert of_genai_prices(model, context, input_tokens=544_000) == 2 * short
    assert reason(model, response(272_000, 1), service_tier=tier) is None
    assert reason(model, response(272_001, 1), service_tier=tier) == (
        "no price is known for more than 272000 input_tokens"
    )


_ROUNDED = ("gpt-5.4", "flex", "cache_read_tokens")  # 0.125, published as 0.13

LONG = [
    "gpt-5.4", "gpt-5.4-pro", "gpt-5.5", "gpt-5.5-pro", "gpt-5.6", "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna",
    "gpt-5.6-cyber", "gpt-6-astra", "gpt-6-sol", "gpt-6-luna", "gpt-6-rosalind", "gpt-6.1-sol", "gpt-6.1-terra",
    "gpt-6.2-astra", "gpt-6.2-sol", "daybreak-blue-latest", "daybreak-red-latest",
]  # fmt: skip


@pytest.mark.parametrize("tier", [None, "flex", "priority", "fast", "ultrafast"])
@pytest.mark.parametrize("model", LONG)
def test_a_long_context_costs_twice_the_input_and_one_and_a_half_times_the_output(model: str, tier: str | None) -> None:
    circumstances = Circumstances(day=NOW.date(), service_tier=tier)
    try:
        prices = prices_of(model, circumstances, bundled_table())
    except UnpricedError:
        assert tier is not None
        return
    if prices.known_up_to is not None:
        assert (tier is not None, prices.known_up_to) == (True, 272_000)
        return
    for unit, rate in prices.rates.items():
        if UNITS[unit].is_token:
            factor = Decimal("1.5") if unit == "output_tokens" else Decimal(2)
            rounded = Decimal("0.01") if (model, tier, unit) == _ROUNDED else Decimal(0)
            assert rate.at(272_000) == rate.base
            assert rate.at(272_001) == rate.base * factor - rounded, unit


def test_every_model_with_a_million_tokens_of_context_is_in_that_list() -> None:
    openai = find_provider_by_id(get_snapshot().providers, "openai")
    assert openai is not None
    large = {model.id for model in openai.models if (model.context_window or 0) >= 1_000_000}

    assert large - set(LONG) == {"gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"}  # one price for any length


def test_every_tier_of_genai_prices_lists_all_prices_of_tokens() -> None:
    openai = find_provider_by_id(get_snapshot().providers, "openai")
    assert openai is not None
    for model in openai.models:
        standard = model.get_prices(NOW).__dict__.keys()
        of_tokens = {unit.price_key for unit in UNITS.values() if unit.is_token and unit.price_key in standard}
        for variant in model.price_variants or ():  # what a tier does not list would silently be as in the standard one
            if "service_tier" in variant.when and variant.prices.__dict__:
                assert of_tokens <= variant.prices.__dict__.keys(), (model.id, variant.when)


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (chat(9, 1, cached=10), "cache_read_tokens are more than input_tokens"),
        (response(9, 1, cached=5, written=5), "its parts do not fit the prices of this model"),
    ],
)
def test_parts_that_are_more_than_the_whole_are_an_answer_and_no_error(usage: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="Invalid usage data"):
        of_genai_prices("gpt-6-sol", input_tokens=9, cache_read_tokens=5, cache_write_tokens=5)

    assert reason("gpt-6-sol", usage) == f"the usage is not understood: {words}"


_WHOLES, _COUNTS = st.integers(5 * 10**8, 10**9), st.integers(0, 10**8)
_MODELS = ["gpt-4o", "gpt-5.4", "gpt-6-sol", "gpt-audio", "gpt-realtime", "gpt-image-1.5", "gpt-4o-transcribe", "o3"]


@given(
    model=st.sampled_from(_MODELS),
    tier=st.sampled_from([None, "flex", "priority"]),
    units=st.dictionaries(
        st.sampled_from(
            ["cache_read_tokens", "cache_write_tokens", "input_audio_tokens", "input_image_tokens",
             "cache_image_read_tokens", "output_audio_tokens", "output_image_tokens", "output_reasoning_tokens",
             "web_searches", "storage_searches"]
        ),
        _COUNTS,
    ),
    given_tokens=st.tuples(_WHOLES, _WHOLES),
)  # fmt: skip
def test_where_nothing_is_missing_the_cost_is_that_of_genai_prices(
    model: str, tier: str | None, units: dict[str, int], given_tokens: tuple[int, int]
) -> None:
    assume("cache_image_read_tokens" not in units or {"cache_read_tokens", "input_image_tokens"} <= units.keys())
    counted = {"input_tokens": given_tokens[0], "output_tokens": given_tokens[1], **units}
    try:
        prices = prices_of(model, Circumstances(day=NOW.date(), service_tier=tier), NOTHING_OF_OURS)
        if gap_in(prices, counted) is not None:
            return
        lines = charges(prices, counted)
    except UnpricedError:
        return
    context = None if tier is None else {"service_tier": tier}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = of_genai_prices(model, context, **counted)
    total = sum((line.list_cost for line in lines.values() if line.list_cost is not None), Decimal(0))
    assert abs(total - expected) <= Decimal("0.5e-9") * len(lines)
