from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

import pytest
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.data_units import unit_data

from openai_proxy.metering.units import BY_PRICE_KEY
from openai_proxy.pricing.priced import priced
from openai_proxy.pricing.table import PriceTable, PriceTableError, Rate, bundled_table
from openai_proxy.records import ListCost
from used_events import response, used

TABLE = PriceTable.parse("""
date = 2026-11-20

[[prices]]
models = ["gpt-7-sol", "gpt-7-sol-20??-??-??"]
start_date = 2026-11-10
source = "a page"
input_mtok = "4"
output_mtok = "20"
long_context = { above = 100, input = "3", output = "1.5" }

[[prices]]
models = ["gpt-7-sol"]
start_date = 2026-11-01
source = "a page"
input_mtok = "2"
output_mtok = "10"
cache_write_12h_mtok = "7"
input_tokens_at_most = 1000

[[prices]]
models = ["gpt-7-sol"]
operation_name = "decisions"
start_date = 2026-11-01
source = "a page"
input_mtok = "1"
output_mtok = "0"

[[prices]]
models = ["alias"]
like = "gpt-5"
start_date = 2026-11-01
source = "a page"
cache_write_mtok = "9"

[[factors]]
when = { service_tier = ["fast", "priority"] }
models = ["gpt-7-*"]
start_date = 2026-11-01
source = "a page"
factor = "2"

[[factors]]
when = { service_tier = ["fast"] }
models = ["gpt-7-*"]
start_date = 2026-11-15
source = "a page"
factor = "3"

[[factors]]
when = { upstream_region = ["*"] }
models = ["gpt-7-*"]
start_date = 2026-11-01
source = "a page"
factor = "1.5"

[[ratios]]
unit = "cache_write_tokens"
of = "input_tokens"
models = ["gpt-7-*"]
start_date = 2026-11-01
source = "a page"
factor = "1.25"

[[ratios]]
unit = "cache_write_12h_tokens"
of = "input_tokens"
models = ["gpt-7-*"]
start_date = 2026-11-01
source = "a page"
factor = "2.5"

[[fees]]
models = ["*"]
start_date = 2026-11-12
source = "a page"
web_searches_kcount = "12"
containers_1g_count = "0.03"
""")


def cost(usage: dict[str, Any], day: int = 16, model: str = "gpt-7-sol", **fields: Any) -> ListCost:
    time = datetime(2026, 11, day, 23, 59, tzinfo=UTC)
    return priced(used(model, usage, event_time=time, **fields), TABLE).cost


@pytest.mark.parametrize(("day", "expected"), [(9, "0.0003"), (10, "0.0006")])
def test_prices_are_dated(day: int, expected: str) -> None:
    assert cost(response(100, 10), day).list_cost == Decimal(expected)


def test_says_which_entry_was_applied() -> None:
    applied = cost(response(100, 10), model="gpt-7-sol-2026-11-10")

    assert applied.sku_price_id == "gpt-7-sol-20??-??-??@2026-11-10"
    assert applied.price_version is not None
    assert applied.price_version.endswith("prices.toml 2026-11-20")


def test_prices_do_not_hold_before_their_first_day_nor_for_other_models() -> None:
    before = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)

    assert not priced(used("gpt-7-sol", response(1, 1), event_time=before), TABLE).cost.priced
    assert not cost(response(1, 1), model="gpt-7-sol-mini").priced


def test_a_price_that_is_not_listed_is_not_known() -> None:
    assert cost(response(9, 1, cached=5)).unpriced_reason == "no price is known for cache_read_tokens of this model"


def test_a_long_context_is_dearer_in_all_of_a_request() -> None:
    assert cost(response(101, 10)).list_cost == (101 * Decimal(12) + 10 * Decimal(30)) / 1_000_000


def test_a_price_may_be_known_up_to_some_length() -> None:
    assert cost(response(1000, 0), 9).list_cost == Decimal("0.002")
    assert cost(response(1001, 0), 9).unpriced_reason == "no price is known for more than 1000 input_tokens"


def test_an_operation_with_prices_of_its_own_has_no_others() -> None:
    assert cost(response(100, 10), operation_name="decisions").list_cost == Decimal("0.0001")
    assert cost(response(100, 10), model="gpt-5", operation_name="decisions").unpriced_reason == (
        "no price is known for this operation of the model"
    )
    assert cost(response(100, 10), model="gpt-5", operation_name="responses").priced


def test_an_entry_stands_beside_the_prices_of_the_model_that_it_is_like() -> None:
    usage = response(100, 10, cached=40, written=20)

    assert cost(usage, model="alias").list_cost == (
        40 * Decimal("1.25") + 40 * Decimal("0.125") + 20 * Decimal(9) + 10 * Decimal(10)
    ) / Decimal(1_000_000)


def test_the_prices_that_stand_beside_are_those_of_the_standard_tier() -> None:
    assert cost(response(100, 10), model="alias", service_tier="flex").list_cost == Decimal("0.0001125")
    assert cost(response(100, 10, written=20), model="alias", service_tier="flex").unpriced_reason == (
        "no price is known for cache_write_tokens of this model"
    )


@pytest.mark.parametrize(
    ("tier", "day", "expected"),
    [("fast", 14, "0.0008"), ("fast", 15, "0.0012"), ("priority", 15, "0.0008"), (None, 15, "0.0004")],
)
def test_a_factor_multiplies_the_price_of_tokens_from_its_day(tier: str | None, day: int, expected: str) -> None:
    assert cost(response(100, 0), day, service_tier=tier).list_cost == Decimal(expected)


def test_a_circumstance_without_a_factor_has_no_price() -> None:
    assert not cost(response(1, 1), service_tier="flex").priced
    assert not cost(response(1, 1), completion_window="2h").priced
    assert not cost(response(1, 1), model="gpt-5", upstream_region="eu").priced


def test_factors_multiply_each_other_and_no_fees() -> None:
    fees: dict[str, Any] = {"tool_calls": {"web_searches": 1, "containers_1g": 2}}

    dear = cost(response(100, 0), service_tier="fast", upstream_region="eu", **fees)
    assert dear.list_cost == Decimal("0.0004") * 3 * Decimal("1.5") + Decimal("0.012") + 2 * Decimal("0.03")


def test_a_ratio_stands_in_for_a_price_and_follows_the_other() -> None:
    usage = response(101, 0, written=101)  # long: 4 x 3 x 1.25

    assert cost(usage, service_tier="priority").list_cost == 101 * Decimal(30) / 1_000_000


def test_a_price_stands_above_a_ratio() -> None:
    usage = response(100, 0, written=100, for_12h=100)

    assert cost(usage, 10).list_cost == 100 * Decimal(10) / 1_000_000
    assert cost(usage, 9).list_cost == 100 * Decimal(7) / 1_000_000


def test_a_fee_fills_a_gap_from_its_day() -> None:
    searched: dict[str, Any] = {"tool_calls": {"web_searches": 1}}

    assert cost(response(0, 0), 12, **searched).list_cost == Decimal("0.012")
    assert not cost(response(0, 0), 11, **searched).priced
    assert cost(response(0, 0), 12, model="gpt-5", **searched).list_cost == Decimal("0.01")  # genai-prices has it


def test_a_rate_is_of_the_longest_input_that_is_reached() -> None:
    rate = Rate(Decimal(1), ((10, Decimal(2)), (20, Decimal(3))))

    assert [rate.at(tokens) for tokens in (0, 10, 11, 20, 21)] == [1, 1, 2, 2, 3]
    assert rate.times(Decimal(2)).at(21) == 6


PRICES = 'date = 2026-11-20\n[[prices]]\nmodels = ["m"]\nstart_date = 2026-11-10\nsource = "s"\n'
FACTOR = PRICES.replace("prices", "factors") + 'factor = "2"\n'
RATIO = PRICES.replace("prices", "ratios")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date =", "not TOML"),
        ('date = "2026-11-20"', "must have a date"),
        ("date = 2026-11-20T00:00:00Z", "must have a date"),
        ("date = 2026-11-20\n[[price]]", "has prices, factors, ratios, fees, not 'price'"),
        ("date = 2026-11-20\nprices = 3", "has prices, factors, ratios, fees, not 'prices'"),
        ("date = 2026-11-20\nprices = [3]", r"prices\[0\] must have models"),
        ('date = 2026-11-20\n[[fees]]\nmodels = ["m"]\nstart_date = 2026-11-10', r"fees\[0\] must have models"),
        (PRICES.replace('["m"]', "[]"), r"prices\[0\] must have models"),
        (PRICES.replace('["m"]', '"m"'), r"prices\[0\] must have models"),
        (PRICES + PRICES.partition("\n")[2] + 'input_tokens = "1"', r"prices\[1\]: 'input_tokens' is no price"),
        (PRICES + "input_mtok = 0.1", r"prices\[0\].input_mtok must be decimal text"),
        (PRICES + 'input_mtok = "much"', "must be decimal text"),
        (PRICES + 'input_mtok = "-1"', "must be decimal text"),
        (PRICES + 'input_mtok = "inf"', "must be decimal text"),
        (PRICES + "like = 3", r"prices\[0\].like must be text"),
        (PRICES + "operation_name = 3", r"prices\[0\].operation_name must be text"),
        (PRICES + 'input_tokens_at_most = "3"', "must be a whole number"),
        (PRICES + "input_tokens_at_most = true", "must be a whole number"),
        (PRICES + 'long_context = { above = 3, input = "2" }', r"prices\[0\].long_context must be"),
        (PRICES + 'long_context = { above = 3, input = 2, output = "2" }', "long_context.input must be decimal text"),
        (FACTOR, r"factors\[0\] must have when"),
        (FACTOR + 'when = { service_tier = "flex" }', r"factors\[0\].when must be one of"),
        (FACTOR + 'when = { weather = ["fair"] }', r"factors\[0\].when must be one of service_tier"),
        (FACTOR + 'when = { service_tier = ["a"], upstream_region = ["*"] }', r"factors\[0\] must have when"),
        (FACTOR + 'when = { service_tier = ["a"] }\nmore = 1', "and no more"),
        (FACTOR.replace('"2"', "2") + 'when = { service_tier = ["a"] }', r"factors\[0\].factor must be decimal text"),
        (RATIO + 'unit = "input_tokens"\nof = "thoughts"\nfactor = "2"', r"ratios\[0\] must have unit and of"),
        (RATIO + 'unit = "input_tokens"\nof = "output_tokens"', r"ratios\[0\].factor must be decimal text"),
    ],
)
def test_a_broken_price_table_says_where(text: str, message: str) -> None:
    with pytest.raises(PriceTableError, match=message):
        PriceTable.parse(text)


def bundled_entries(section: str) -> list[dict[str, Any]]:
    """The entries of `prices.toml` as they are written."""
    text = resources.files("openai_proxy").joinpath("prices.toml").read_text("utf-8")
    entries: list[dict[str, Any]] = tomllib.loads(text)[section]
    return entries


@pytest.mark.parametrize("section", ["prices", "factors", "ratios", "fees"])
def test_every_entry_of_ours_names_its_source_and_when_it_was_read(section: str) -> None:
    for entry in bundled_entries(section):
        assert "read 2026-" in entry["source"], entry
        assert entry["start_date"] <= bundled_table().changed or entry["start_date"] == date(2027, 3, 1)


def test_no_entry_of_ours_says_what_genai_prices_says() -> None:
    openai = find_provider_by_id(get_snapshot().providers, "openai")
    assert openai is not None
    today = datetime(2026, 11, 23, tzinfo=UTC)
    for entry in bundled_entries("prices"):
        names = [name for name in entry["models"] if "*" not in name and "?" not in name]
        like = openai.find_model(entry["like"]) if "like" in entry else None
        if entry.get("operation_name"):
            continue
        if like is None:
            assert [name for name in names if openai.find_model(name)] == []
            continue
        known = like.get_prices(today).__dict__
        listed = {key for key in entry if key in BY_PRICE_KEY}
        aliases = [name for name in names if openai.find_model(name) is None]
        assert aliases or listed or entry.keys() & {"long_context", "input_tokens_at_most"}
        assert not {key for key in listed if known.get(key) is not None}
    for entry in bundled_entries("factors"):
        for tier in entry["when"].get("service_tier", ()):
            models = [model for model in openai.models if any(fnmatchcase(model.id, name) for name in entry["models"])]
            assert not [
                model.id
                for model in models
                for variant in model.price_variants or ()
                if variant.when == {"service_tier": tier}
            ]
    assert "cache_write_12h_tokens" not in unit_data
