from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pytest

from openai_proxy.events import UsageEvent
from openai_proxy.openai_usage import read_usage
from openai_proxy.pricing import PriceTable, PriceTableError, bundled_table, list_cost
from openai_proxy.records import ListCost

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(model: str | None = "gpt-4o", usage: dict[str, Any] | None = None, **fields: Any) -> UsageEvent:
    """A finished request."""
    values: dict[str, Any] = {
        "event_id": "e",
        "event_type": "finished",
        "event_time": NOW,
        "user_id": "ada",
        "key_id": "key_1",
        "team_id": None,
        "operation_name": "chat",
        "http_method": "POST",
        "url_path": "/v1/chat/completions",
        "request_model": "asked-for",
        "response_model": model,
        "stream": False,
        "retry_count": 0,
        "usage_source": "reported",
        "usage": usage,
    }
    return UsageEvent(**(values | fields))


def priced(request: UsageEvent, table: PriceTable | None = None) -> ListCost:
    return list_cost(request, read_usage(request.usage, request.tool_usage), table)


def tokens(taken: int, given: int, *, cached: int = 0, written: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": taken,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": given,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": taken + given,
    }


MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        # dollars per million in the comment; tokens times price, by hand
        ("gpt-4o", tokens(1000, 100), "0.0035"),  # 2.50, 10: 0.0025 + 0.001
        ("gpt-4o-2024-08-06", tokens(1000, 100), "0.0035"),  # a snapshot of the same
        ("GPT-4o", tokens(1000, 100), "0.0035"),
        ("gpt-4o-2024-05-13", tokens(1000, 100), "0.0065"),  # 5, 15: 0.005 + 0.0015
        ("gpt-4o", tokens(1000, 100, cached=400), "0.0030"),  # 600 x 2.50 + 400 x 1.25 + 100 x 10
        ("gpt-4o-mini", tokens(1000, 100), "0.00021"),  # 0.15, 0.60
        ("gpt-4", tokens(19, 10), "0.00117"),  # 30, 60: 0.00057 + 0.0006
        ("gpt-4.1", tokens(1000, 100, cached=1000), "0.0013"),  # 0.50, 8: 0.0005 + 0.0008
        ("gpt-4.1-nano", tokens(1, 0), "0.0000001"),  # 0.10
        ("gpt-5", tokens(1000, 500, reasoning=448), "0.00625"),  # 1.25, 10: reasoning is inside the output
        ("gpt-5-mini", tokens(1000, 100, cached=1000), "0.000225"),  # 0.025, 2: 0.000025 + 0.0002
        ("gpt-5.4", tokens(272_000, 1000), "0.695"),  # 2.50, 15: 0.68 + 0.015
        ("gpt-5.4", tokens(272_001, 1000), "1.382505"),  # above 272k all at 5, 22.50: 1.360005 + 0.0225
        ("gpt-6-sol", tokens(2000, 10, cached=1000, written=500), "0.00255"),  # 500 x 2 + 1000 x 0.2 + 500 x 2.5, 10
        ("o3", tokens(1000, 100), "0.0028"),  # 2, 8
        ("o4-mini", tokens(1000, 100), "0.00154"),  # 1.10, 4.40
        ("text-embedding-3-small", {"prompt_tokens": 8, "total_tokens": 8}, "0.00000016"),  # 0.02
        ("text-embedding-3-large", {"prompt_tokens": MILLION, "total_tokens": MILLION}, "0.13"),
        ("ft:gpt-4o-2024-08-06:acme::x", tokens(1000, 100), "0.00525"),  # 3.75, 15
        ("ft:gpt-4.1-mini-2025-04-14:acme::x", tokens(1000, 100, cached=500), "0.00082"),  # ours: 0.8, 0.2, 3.2
        ("gpt-4o", tokens(0, 0), "0"),
    ],
)
def test_the_list_cost_is_what_the_price_page_says(model: str, usage: dict[str, Any], expected: str) -> None:
    cost = priced(event(model, usage))

    assert cost.list_cost == Decimal(expected)
    assert (cost.priced, cost.billing_currency, cost.unpriced_reason) == (True, "USD", None)


@pytest.mark.parametrize(
    ("model", "tier", "expected"),
    [
        ("gpt-5", None, "0.00225"),  # 1.25, 10: 0.00125 + 0.001
        ("gpt-5", "default", "0.00225"),
        ("gpt-5", "standard", "0.00225"),
        ("gpt-5", "flex", "0.001125"),  # 0.625, 5
        ("gpt-5", "priority", "0.0045"),  # 2.50, 20
        ("gpt-5", "fast", "0.0045"),
        ("gpt-4o", "priority", "0.00595"),  # 4.25, 17: 0.00425 + 0.0017
    ],
)
def test_the_tier_of_the_answer_decides(model: str, tier: str | None, expected: str) -> None:
    assert priced(event(model, tokens(1000, 100), service_tier=tier)).list_cost == Decimal(expected)


@pytest.mark.parametrize(
    ("model", "tier"),
    [
        ("gpt-5", "ultrafast"),
        ("gpt-5", "scale"),
        ("gpt-5", "auto"),
        ("gpt-5", "batch"),
        ("gpt-4", "flex"),  # not offered
        ("gpt-5-nano", "priority"),
        ("ft:gpt-4.1-2025-04-14:acme::x", "priority"),
    ],
)
def test_a_tier_without_a_price_is_not_priced_as_standard(model: str, tier: str) -> None:
    cost = priced(event(model, tokens(1000, 100), service_tier=tier))

    assert (cost.list_cost, cost.priced) == (None, False)
    assert cost.unpriced_reason


def test_a_tier_has_no_price_before_its_price_is_known() -> None:
    before = datetime(2026, 10, 11, 23, 59, 59, tzinfo=UTC)

    assert priced(event("gpt-5", tokens(1000, 100), service_tier="flex", event_time=before)).unpriced_reason == (
        "no price is known for this service tier of the model"
    )


def test_an_estimate_that_knows_only_the_tier_auto_is_priced_as_standard() -> None:
    cut = event("gpt-5", tokens(1000, 100), service_tier="auto", usage_source="estimated")

    assert priced(cut).list_cost == Decimal("0.00225")


@pytest.mark.parametrize(
    ("day", "expected", "sku"),
    [
        (datetime(2025, 6, 9, 23, 59, tzinfo=UTC), "0.0140", "o3"),  # 10, 40
        (datetime(2025, 6, 10, tzinfo=UTC), "0.0028", "o3@2025-06-10"),  # 2, 8
    ],
)
def test_the_price_of_the_day_of_the_request_holds(day: datetime, expected: str, sku: str) -> None:
    cost = priced(event("o3", tokens(1000, 100), event_time=day))

    assert (cost.list_cost, cost.sku_price_id) == (Decimal(expected), sku)


def test_says_which_price_was_applied() -> None:
    cost = priced(event("gpt-4o-2024-08-06", tokens(1000, 100)))

    assert (cost.sku_price_id, cost.price_version) == ("gpt-4o", f"genai-prices {version('genai-prices')}")


def test_searches_cost_where_the_model_has_a_price_for_them() -> None:
    usage = tokens(1000, 100)

    # 10 dollars a thousand searches: 0.00225 + 0.03
    assert priced(event("gpt-5", usage, tool_usage={"web_search": {"num_requests": 3}})).list_cost == Decimal("0.03225")
    assert priced(event("gpt-4", usage, tool_usage={"web_search": {"num_requests": 3}})).unpriced_reason == (
        "no price is known for web_searches of this model"
    )
    assert priced(event("gpt-4", usage, tool_usage={"web_search": {"num_requests": 0}})).priced


def test_images_in_the_input_cost_what_text_costs_where_they_have_no_price_of_their_own() -> None:
    usage = tokens(1000, 100) | {"input_tokens_details": {"image_tokens": 800, "text_tokens": 200}}

    assert priced(event("gpt-4o", usage)).list_cost == Decimal("0.0035")


def test_audio_is_priced_by_its_own_price_where_there_is_one() -> None:
    usage = tokens(1000, 100) | {"input_tokens_details": {"audio_tokens": 400}}

    # 600 x 2.50 + 400 x 32 + 100 x 10 dollars a million
    assert priced(event("gpt-audio", usage)).list_cost == Decimal("0.0153")


@pytest.mark.parametrize(
    ("model", "usage", "reason"),
    [
        ("gpt-6.2-sol", tokens(1, 1), "no price is known for this model"),
        ("no-such-model", tokens(1, 1), "no price is known for this model"),
        ("", tokens(1, 1), "no price is known for this model"),
        ("gpt-4o-mini-search-preview", tokens(1, 1), "no price is known for this model"),
        ("gpt-5-search-api", tokens(1, 1), "no price is known for this model"),
        (
            "gpt-4o-audio-preview",
            tokens(9, 1) | {"input_tokens_details": {"audio_tokens": 5}},
            "no price is known for input_audio_tokens of this model",
        ),
        (
            "gpt-4o",
            tokens(9, 9) | {"output_tokens_details": {"audio_tokens": 5}},
            "no price is known for output_audio_tokens of this model",
        ),
        ("gpt-4o", tokens(9, 1, written=5), "no price is known for cache_write_tokens of this model"),
        ("gpt-5-pro", tokens(9, 1, cached=5), "no price is known for cache_read_tokens of this model"),
        (
            "gpt-6-sol",
            tokens(9, 1)
            | {
                "input_tokens_details": {
                    "cache_write_tokens": 5,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 0, "ttl_12h_tokens": 5},
                }
            },
            "no price is known for cache_write_12h_tokens of this model",
        ),
        ("gpt-live-1", tokens(9, 1), "no price is known for input_tokens of this model"),
        (
            "gpt-4o",
            tokens(9, 1, cached=10),
            "the usage is not understood: cache_read_tokens are more than input_tokens",
        ),
        (
            "gpt-6-sol",
            tokens(9, 1, cached=5, written=5),
            "the usage is not understood: its parts do not fit the prices of this model",
        ),
        ("gpt-4o", {"input_tokens": -1, "output_tokens": 1}, None),
        ("gpt-4o", {"prompt_tokens": 5}, "the usage is not understood: output_tokens are not told"),
        ("gpt-4o", tokens(9, 1) | {"pages": 3}, "the usage is not understood: pages is not known"),
        ("gpt-4o", None, "OpenAI did not tell the usage"),
    ],
)
def test_what_cannot_be_priced_has_no_cost_and_a_reason(
    model: str, usage: dict[str, Any] | None, reason: str | None
) -> None:
    cost = priced(event(model, usage))

    assert (cost.list_cost, cost.priced, cost.sku_price_id, cost.price_version) == (None, False, None, None)
    assert cost.unpriced_reason
    assert reason in {None, cost.unpriced_reason}


def test_the_model_that_was_asked_for_is_priced_where_the_answer_names_none() -> None:
    assert priced(event(None, tokens(1000, 100), request_model="gpt-4o")).list_cost == Decimal("0.0035")
    assert not priced(event(None, tokens(1000, 100), request_model=None)).priced


def test_nothing_to_pay_is_a_cost_of_zero() -> None:
    assert priced(event(None, usage_source="none", event_type="finished")) == ListCost(
        list_cost=Decimal(0), priced=True
    )


def test_an_unknown_usage_has_no_cost() -> None:
    assert priced(event("gpt-4o", usage_source="unknown")).unpriced_reason == "OpenAI did not tell the usage"


def test_an_open_request_has_no_cost_yet() -> None:
    opened = event(None, event_type="started", usage_source="unknown")

    assert priced(opened).unpriced_reason == "the request is open, its usage is not known yet"


def test_a_cost_is_rounded_once_half_to_even_at_nine_digits() -> None:
    # gpt-5-nano in flex reads its cache at 0.0025 a million: 2.5e-9 a token
    def cost(cached: int) -> Decimal | None:
        return priced(event("gpt-5-nano", tokens(cached, 0, cached=cached), service_tier="flex")).list_cost

    assert [cost(cached) for cached in (1, 2, 3)] == [Decimal("2e-9"), Decimal("5e-9"), Decimal("8e-9")]


def test_no_count_of_tokens_loses_a_digit() -> None:
    # o1-pro: 150 and 600 a million
    assert priced(event("o1-pro", tokens(999_999_999, 1))).list_cost == Decimal("149999.999850") + Decimal("0.000600")


TABLE = PriceTable.parse("""
date = 2026-11-20

[[prices]]
model = "gpt-6.2-sol"
start_date = 2026-11-10
source = "a page"
input_mtok = "4"
output_mtok = "20"

[[prices]]
model = "gpt-6.2-sol"
start_date = 2026-11-01
source = "a page"
input_mtok = "2"
output_mtok = "10"
web_searches_kcount = "10"
""")


@pytest.mark.parametrize(
    ("day", "expected", "sku"),
    [
        (date(2026, 11, 10), "0.006", "gpt-6.2-sol@2026-11-10"),
        (date(2026, 11, 9), "0.003", "gpt-6.2-sol@2026-11-01"),
    ],
)
def test_our_own_prices_are_dated(day: date, expected: str, sku: str) -> None:
    time = datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC)

    assert priced(event("gpt-6.2-sol", tokens(1000, 100), event_time=time), TABLE) == ListCost(
        list_cost=Decimal(expected), priced=True, sku_price_id=sku, price_version="prices.toml 2026-11-20"
    )


def test_our_own_prices_do_not_hold_before_their_first_day_nor_for_other_models() -> None:
    before = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)

    assert not priced(event("gpt-6.2-sol", tokens(1000, 100), event_time=before), TABLE).priced
    assert not priced(event("gpt-6.2-sol-mini", tokens(1000, 100)), TABLE).priced
    assert priced(event("gpt-6.2-sol:acme", tokens(1000, 100)), TABLE).priced


def test_the_bundled_table_stands() -> None:
    assert bundled_table().find("ft:gpt-4.1-2025-04-14:acme::x", NOW) is not None


ENTRY = 'date = 2026-11-20\n[[prices]]\nmodel = "m"\nstart_date = 2026-11-10\nsource = "s"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date =", "not TOML"),
        ('date = "2026-11-20"', "must have a date"),
        ("date = 2026-11-20T00:00:00Z", "must have a date"),
        ('date = 2026-11-20\n[[prices]]\nmodel = "m"\nstart_date = 2026-11-10', r"prices\[0\] must have model"),
        (ENTRY + 'input_tokens = "1"', "no price that genai-prices knows"),
        (ENTRY + "input_mtok = 0.1", "must be decimal text"),
        (ENTRY + 'input_mtok = "much"', "must be decimal text"),
        (ENTRY + 'input_mtok = "-1"', "must be decimal text"),
    ],
)
def test_a_broken_price_table_says_where(text: str, message: str) -> None:
    with pytest.raises(PriceTableError, match=message):
        PriceTable.parse(text)


def test_a_reason_never_holds_a_value() -> None:
    usage = json.loads('{"prompt_tokens": "sk-op-secret", "sk-op-SECRET": 1, "completion_tokens": 1}')

    assert "secret" not in str(priced(event("gpt-4o", usage)).unpriced_reason).lower()
