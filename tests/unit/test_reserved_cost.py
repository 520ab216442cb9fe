"""What a request may cost at worst: above what it comes to, and priced by the same rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from openai_proxy.api.endpoints import Metering
from openai_proxy.budgets.reserved_cost import Asked, worst_case
from openai_proxy.pricing.priced import priced
from openai_proxy.records import ListCost
from openai_proxy.wire.request_body import RequestFacts
from used_events import chat, image, response, tools, transcript, used

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")  # bpe_openai's own

QUESTION = {"messages": [{"role": "user", "content": "hello"}]}
MILLION = Decimal(1_000_000)


def cost(
    model: str | None,
    members: dict[str, Any],
    metering: Metering = "chat",
    *,
    operation: str = "chat",
    size: int = 1000,
    is_whole: bool = True,
    seconds: Decimal | None = None,
    **event: Any,
) -> ListCost:
    values = {"event_type": "started", "usage_source": "unknown", "request_model": model} | event
    asked = Asked(
        metering=metering,
        members=members,
        size=size,
        is_whole=is_whole,
        output_limit=RequestFacts.of(members).output_limit,
        seconds=seconds,
    )
    return worst_case(
        used(None, None, operation_name=operation, **values), asked, output_tokens=1000, unseen_tokens=50_000
    )


def dollars(*arguments: Any, **named: Any) -> Decimal:
    amount = cost(*arguments, **named).list_cost
    assert amount is not None
    return amount


def output_of(model: str, **members: Any) -> Decimal:
    """What the output alone may cost: the input is the same few tokens."""
    return dollars(model, {**QUESTION, **members}) - dollars(model, {**QUESTION, "max_tokens": 1}, size=1000)


def test_an_answer_without_a_limit_is_as_long_as_the_setting_says() -> None:
    assert output_of("gpt-4o") == pytest.approx(999 * 10 / MILLION, rel=Decimal("0.01"))


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_a_request_that_limits_its_answer_holds_no_more(limit: str) -> None:
    assert output_of("gpt-4o", **{limit: 101}) == pytest.approx(100 * 10 / MILLION, rel=Decimal("0.3"))


def test_of_two_limits_the_larger_counts_since_nobody_knows_which_one_holds() -> None:
    both = {**QUESTION, "max_tokens": 10, "max_completion_tokens": 500}

    assert dollars("gpt-4o", both) > dollars("gpt-4o", {**QUESTION, "max_completion_tokens": 500})


@pytest.mark.parametrize("times", [{"n": 5}, {"best_of": 5}, {"prompt": ["a", "b", "c", "d", "e"]}])
def test_several_answers_are_several_outputs(times: dict[str, Any]) -> None:
    one = dollars("gpt-3.5-turbo-instruct", {"max_tokens": 900, "prompt": "a"}, operation="text_completion")
    five = dollars("gpt-3.5-turbo-instruct", {"max_tokens": 900, "prompt": "a", **times}, operation="text_completion")

    assert five == pytest.approx(5 * one, rel=Decimal("0.05"))


@pytest.mark.parametrize("nonsense", [{"max_tokens": -5}, {"max_tokens": "many"}, {"max_tokens": True}, {"n": 0}])
def test_a_limit_that_makes_no_sense_is_none(nonsense: dict[str, Any]) -> None:
    assert dollars("gpt-4o", {**QUESTION, **nonsense}) >= dollars("gpt-4o", QUESTION)


def test_a_tier_has_its_own_prices_and_one_without_any_has_a_reason() -> None:
    usual = dollars("gpt-5", QUESTION)

    assert dollars("gpt-5", {**QUESTION, "service_tier": "priority"}) == pytest.approx(2 * usual, rel=Decimal("0.01"))
    assert dollars("gpt-5", {**QUESTION, "service_tier": "flex"}) == pytest.approx(usual / 2, rel=Decimal("0.01"))
    assert dollars("gpt-5", {**QUESTION, "service_tier": "auto"}) == pytest.approx(usual, rel=Decimal("0.01"))
    odd = cost("gpt-5", {**QUESTION, "service_tier": "golden"})
    assert odd.unpriced_reason == "no price is known for this service tier of the model"


@pytest.mark.parametrize("model", ["no-such-model", None])
def test_a_model_without_a_price_has_a_reason_and_no_cost(model: str | None) -> None:
    found = cost(model, QUESTION)

    assert (found.list_cost, found.unpriced_reason) == (None, "no price is known for this model")


def test_a_context_that_is_long_costs_what_long_contexts_cost() -> None:
    short = dollars("gpt-6.2-sol", {"max_output_tokens": 1}, size=200_000, is_whole=False)
    long = dollars("gpt-6.2-sol", {"max_output_tokens": 1}, size=400_000, is_whole=False)

    assert long == pytest.approx(4 * short, rel=Decimal("0.01"))


def test_a_body_too_large_to_be_kept_is_no_longer_than_the_models_context() -> None:
    assert dollars("gpt-4o", {"max_tokens": 1}, size=50_000_000, is_whole=False) == pytest.approx(
        128_000 * Decimal("2.5") / MILLION, rel=Decimal("0.01")
    )


def test_input_that_goes_to_a_cache_costs_more_with_some_models() -> None:
    written = priced(used("gpt-5.6", response(50_000, 1, written=50_000))).cost.list_cost
    assert written is not None

    held = dollars("gpt-5.6", {"previous_response_id": "resp_1", "max_output_tokens": 1}, "responses")
    assert written < held < written * Decimal("1.01")


def test_an_answer_that_is_spoken_costs_what_sound_costs() -> None:
    spoken = dollars("gpt-4o-audio-preview", {**QUESTION, "modalities": ["text", "audio"]})

    assert spoken > 5 * dollars("gpt-4o-audio-preview", QUESTION)


def test_hosted_tools_hold_their_fees_as_often_as_they_may_be_called() -> None:
    plain = dollars("gpt-5", {"input": "x", "previous_response_id": "r"}, "responses")
    search = {"input": "x", "tools": [{"type": "web_search"}]}
    box = {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}

    assert dollars("gpt-5", {**search, "max_tool_calls": 3}, "responses") - plain == pytest.approx(
        Decimal("0.03"), rel=Decimal("0.01")
    )
    assert dollars("gpt-5", search, "responses") - plain == pytest.approx(Decimal("0.1"), rel=Decimal("0.01"))
    assert dollars("gpt-5", {"input": "x", "tools": [box]}, "responses") - plain == pytest.approx(
        Decimal("0.12"), rel=Decimal("0.01")
    )


def test_a_container_that_is_there_already_costs_nothing() -> None:
    mine = {"type": "code_interpreter", "container": "cntr_1"}
    auto = {"type": "code_interpreter", "container": {"type": "auto"}}

    assert dollars("gpt-5", {"tools": [mine]}, "responses") < dollars("gpt-5", {"tools": [auto]}, "responses")


@pytest.mark.parametrize("model", [{}, {"model": "gpt-image-1-mini"}])
def test_a_tool_that_draws_costs_what_the_model_does_that_draws(model: dict[str, str]) -> None:
    held = dollars("gpt-5", {"input": "x", "tools": [{"type": "image_generation", **model}]}, "responses")
    drawn = tools(drawn=image(0, 6240))
    spent = priced(
        used(
            "gpt-5",
            response(50_000, 1000),
            tool_usage=drawn,
            tool_calls={"image_model": model.get("model", "gpt-image-1")},
        )
    )

    assert spent.cost.list_cost is not None
    assert held > spent.cost.list_cost


def test_embeddings_have_no_output_and_lists_of_them_have_no_common_context() -> None:
    many = {"input": ["hello world " * 500] * 40}

    assert (
        dollars("text-embedding-3-small", many, "body", operation="embeddings") >= 40 * 1000 * Decimal("0.02") / MILLION
    )


def test_pictures_cost_by_their_number_and_size() -> None:
    one = dollars("gpt-image-1", {"prompt": "x"}, "images", operation="images.generate")
    spent = priced(used("gpt-image-1", image(10, 6208), operation_name="images.generate")).cost.list_cost
    assert spent is not None

    assert spent <= one < 2 * spent
    assert dollars("gpt-image-1", {"prompt": "x", "n": 3}, "images", operation="images.generate") > Decimal("2.9") * one
    assert (
        dollars("gpt-image-1", {"prompt": "x", "size": "3072x2048"}, "images", operation="images.generate")
        > Decimal("3.9") * one
    )
    assert dollars("gpt-image-1", {"prompt": "x", "n": "3"}, "images", operation="images.edit") > Decimal("2.9") * one


def test_speech_costs_by_its_characters_or_by_how_long_it_may_be() -> None:
    text = {"input": "Hello there. " * 100}
    slow = {**text, "speed": 0.25}

    assert dollars("tts-1", text, "speech", operation="audio.speech") == 1300 * Decimal(15) / MILLION
    assert dollars("gpt-4o-mini-tts", slow, "speech", operation="audio.speech") > 3 * dollars(
        "gpt-4o-mini-tts", text, "speech", operation="audio.speech"
    )


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
def test_a_recording_costs_by_its_length_and_where_that_is_not_known_by_its_bytes(model: str) -> None:
    known = dollars(model, {}, "transcription", operation="audio.transcriptions", size=10**6, seconds=Decimal(60))
    unknown = dollars(model, {}, "transcription", operation="audio.transcriptions", size=10**6)
    usage = {"type": "duration", "seconds": 60} if model == "whisper-1" else transcript(600, 200)
    spent = priced(used(model, usage, operation_name="audio.transcriptions")).cost.list_cost
    assert spent is not None

    assert spent <= known < unknown
    assert unknown == pytest.approx(known * 1000 / 60, rel=Decimal("0.01"))


@pytest.mark.parametrize(
    ("model", "members", "usage"),
    [
        ("gpt-4o", {**QUESTION, "max_tokens": 50}, chat(9, 50)),
        ("o3", {**QUESTION, "max_completion_tokens": 900}, chat(9, 900, output_reasoning_tokens=800)),
        ("gpt-4o-search-preview", {**QUESTION, "max_tokens": 50}, chat(9, 50)),
    ],
)
def test_what_it_comes_to_is_no_more_than_what_was_held(
    model: str, members: dict[str, Any], usage: dict[str, Any]
) -> None:
    spent = priced(used(model, usage)).cost.list_cost

    assert spent is not None
    assert spent <= dollars(model, members)
