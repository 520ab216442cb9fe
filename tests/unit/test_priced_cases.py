"""What requests cost, worked out by hand.

The price of a million tokens stands in each case as OpenAI's price list has it (genai-prices' and LiteLLM's copies,
read 2026-11-23); the expected cost is arithmetic in this file, and nothing of it comes from the code that is tested.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D  # noqa: N817 - a column of prices is easier to read so
from typing import Any

import pytest

from openai_proxy.pricing.priced import priced
from used_events import chat, image, response, tools, transcript, used

M = 1_000_000
SPEECH = {"operation_name": "audio.speech", "url_path": "/v1/audio/speech"}
IMAGES = {"operation_name": "images.generate", "url_path": "/v1/images/generations"}
EDITS = {"operation_name": "images.edit", "url_path": "/v1/images/edits"}
TRANSCRIPTS = {"operation_name": "audio.transcriptions", "url_path": "/v1/audio/transcriptions"}
RESPONSES = {"operation_name": "responses", "url_path": "/v1/responses"}
DECISIONS = {"operation_name": "decisions", "url_path": "/v1/decisions"}
OURS = {"usage_source": "estimated"}


def speech(read: int, spoken: int) -> dict[str, Any]:
    return {"input_tokens": read, "output_tokens": spoken, "total_tokens": read + spoken}


CASES: list[tuple[str, str, dict[str, Any], dict[str, Any], D]] = [
    # ---- chat completions
    ("plain", "gpt-4o", chat(1000, 100), {}, (1000 * D("2.50") + 100 * D(10)) / M),
    ("a snapshot", "gpt-4o-2024-11-20", chat(1000, 100), {}, (1000 * D("2.50") + 100 * D(10)) / M),
    ("a dearer snapshot", "gpt-4o-2024-05-13", chat(1000, 100), {}, (1000 * D(5) + 100 * D(15)) / M),
    ("small", "gpt-4o-mini", chat(1, 1), {}, (1 * D("0.15") + 1 * D("0.60")) / M),
    ("old", "gpt-3.5-turbo", chat(1234, 56), {}, (1234 * D("0.50") + 56 * D("1.50")) / M),
    ("cached", "gpt-4o", chat(2006, 300, cached=1920), {}, (86 * D("2.50") + 1920 * D("1.25") + 300 * D(10)) / M),
    ("wholly cached", "gpt-4.1", chat(1024, 0, cached=1024), {}, 1024 * D("0.50") / M),
    (
        "reasoning is output",
        "gpt-5",
        chat(1000, 500, output_reasoning_tokens=448),
        {},
        (1000 * D("1.25") + 500 * D(10)) / M,
    ),
    (
        "cached and reasoning",
        "gpt-5-mini",
        chat(1000, 400, cached=400, output_reasoning_tokens=300),
        {},
        (600 * D("0.25") + 400 * D("0.025") + 400 * D(2)) / M,
    ),
    (
        "predictions are output",
        "gpt-4o",
        chat(500, 200, output_accepted_prediction_tokens=150, output_rejected_prediction_tokens=40),
        {},
        (500 * D("2.50") + 200 * D(10)) / M,
    ),
    ("images in the prompt", "gpt-4o", chat(1105, 20, image_tokens=765), {}, (1105 * D("2.50") + 20 * D(10)) / M),
    (
        "cache writes were free before GPT-5.6",
        "gpt-5.5",
        chat(2000, 10, cache_write_tokens=1500),
        {},
        (2000 * D(5) + 10 * D(30)) / M,
    ),
    (
        "sound in and out",
        "gpt-audio",
        chat(1000, 500, audio_tokens=400, output_audio_tokens=450),
        {},
        (600 * D("2.50") + 400 * D(32) + 50 * D(10) + 450 * D(64)) / M,
    ),
    (
        "sound of the preview",
        "gpt-4o-audio-preview",
        chat(300, 200, audio_tokens=250, output_audio_tokens=150),
        {},
        (50 * D("2.50") + 250 * D(40) + 50 * D(10) + 150 * D(80)) / M,
    ),
    (
        "sound of the small preview",
        "gpt-4o-mini-audio-preview-2024-12-17",
        chat(300, 200, audio_tokens=250, output_audio_tokens=150),
        {},
        (50 * D("0.15") + 250 * D(10) + 50 * D("0.60") + 150 * D(20)) / M,
    ),
    ("the dearest", "o1-pro", chat(999_999_999, 1), {}, (999_999_999 * D(150) + 1 * D(600)) / M),
    (
        "a searching model",
        "gpt-4o-search-preview",
        chat(100, 50),
        {},
        (100 * D("2.50") + 50 * D(10)) / M + D("0.025"),
    ),
    (
        "a small searching model",
        "gpt-4o-mini-search-preview-2025-03-11",
        chat(100, 50),
        {},
        (100 * D("0.15") + 50 * D("0.60")) / M + D("0.025"),
    ),
    (
        "a newer searching model",
        "gpt-5-search-api-2025-10-14",
        chat(9000, 50, cached=1000),
        {},
        (8000 * D("1.25") + 1000 * D("0.125") + 50 * D(10)) / M + D("0.010"),
    ),
    # ---- responses, and the cache since GPT-5.6
    ("responses", "gpt-5.2", response(100, 10), RESPONSES, (100 * D("1.75") + 10 * D(14)) / M),
    (
        "compact",
        "gpt-5.6-sol",
        response(50_000, 900, cached=40_000),
        {"operation_name": "responses.compact", "url_path": "/v1/responses/compact"},
        (10_000 * D(4) + 40_000 * D("0.40") + 900 * D(20)) / M,
    ),
    (
        "written to the cache",
        "gpt-6-sol",
        response(2000, 10, cached=1000, written=500),
        RESPONSES,
        (500 * D(2) + 1000 * D("0.20") + 500 * D("2.50") + 10 * D(10)) / M,
    ),
    (
        "written for 30 minutes",
        "gpt-6-sol",
        response(2000, 10, written=500, for_12h=0),
        RESPONSES,
        (1500 * D(2) + 500 * D("2.50") + 10 * D(10)) / M,
    ),
    (
        "written for 12 hours",
        "gpt-6-sol",
        response(2000, 10, written=500, for_12h=500),
        RESPONSES,
        (1500 * D(2) + 500 * D(5) + 10 * D(10)) / M,
    ),
    (
        "written for both",
        "gpt-6.1-sol",
        response(3000, 0, cached=1000, written=1500, for_12h=600),
        RESPONSES,
        (500 * D(2) + 1000 * D("0.10") + 900 * D("2.50") + 600 * D(5)) / M,
    ),
    (
        "written for 12 hours on Astra",
        "gpt-6-astra",
        response(1000, 0, written=1000, for_12h=1000),
        RESPONSES,
        1000 * D(25) / M,
    ),
    (
        "GPT-6.2 Sol",
        "gpt-6.2-sol",
        response(3000, 200, cached=1000, written=500, for_12h=100),
        RESPONSES,
        (1500 * D(2) + 1000 * D("0.10") + 400 * D("2.50") + 100 * D(5) + 200 * D(10)) / M,
    ),
    (
        "GPT-6.2 Astra",
        "gpt-6.2-astra",
        response(3000, 200, cached=1000, written=500),
        RESPONSES,
        (1500 * D(8) + 1000 * D("0.40") + 500 * D(10) + 200 * D(40)) / M,
    ),
    # ---- long context: above 272 000 tokens all of the request is dearer
    ("just short", "gpt-5.4", response(272_000, 1000), RESPONSES, (272_000 * D("2.50") + 1000 * D(15)) / M),
    ("just long", "gpt-5.4", response(272_001, 1000), RESPONSES, (272_001 * D(5) + 1000 * D("22.50")) / M),
    (
        "long and cached",
        "gpt-6-sol",
        response(300_000, 1000, cached=200_000, written=50_000),
        RESPONSES,
        (50_000 * D(4) + 200_000 * D("0.40") + 50_000 * D(5) + 1000 * D(15)) / M,
    ),
    (
        "long and written for 12 hours",
        "gpt-6-luna",
        response(300_000, 0, written=300_000, for_12h=300_000),
        RESPONSES,
        300_000 * D("0.50") / M,
    ),
    (
        "long, of our own table",
        "gpt-6.2-sol",
        response(300_000, 1000, cached=100_000),
        RESPONSES,
        (200_000 * D(4) + 100_000 * D("0.20") + 1000 * D(15)) / M,
    ),
    (
        "long, where genai-prices has one price",
        "gpt-5.6-cyber",
        response(300_000, 1000),
        RESPONSES,
        (300_000 * D(25) + 1000 * D("112.50")) / M,
    ),
    (
        "a long context without a price of its own",
        "gpt-4.1",
        chat(900_000, 10),
        {},
        (900_000 * D(2) + 10 * D(8)) / M,
    ),
    # ---- service tiers
    ("default", "gpt-5", response(1000, 100), {"service_tier": "default"}, (1000 * D("1.25") + 100 * D(10)) / M),
    ("flex", "gpt-5", response(1000, 100), {"service_tier": "flex"}, (1000 * D("0.625") + 100 * D(5)) / M),
    (
        "flex, cached",
        "gpt-5-nano",
        response(2000, 0, cached=1999),
        {"service_tier": "flex"},
        (1 * D("0.025") + 1999 * D("0.0025")) / M,
    ),
    ("priority", "gpt-5", response(1000, 100), {"service_tier": "priority"}, (1000 * D("2.50") + 100 * D(20)) / M),
    ("priority, 1.7 times", "gpt-4o", chat(1000, 0), {"service_tier": "priority"}, 1000 * D("4.25") / M),
    ("fast", "gpt-6-sol", response(1000, 100), {"service_tier": "fast"}, (1000 * D(4) + 100 * D(20)) / M),
    (
        "fast, long",
        "gpt-6-sol",
        response(300_000, 100),
        {"service_tier": "fast"},
        (300_000 * D(8) + 100 * D(30)) / M,
    ),
    (
        "flex, written for 12 hours",
        "gpt-6-astra",
        response(1000, 0, written=1000, for_12h=1000),
        {"service_tier": "flex"},
        1000 * D("12.50") / M,
    ),
    (
        "ultrafast",
        "gpt-6-astra",
        response(1000, 100, cached=500),
        {"service_tier": "ultrafast"},
        (500 * D(60) + 500 * D(6) + 100 * D(300)) / M,
    ),
    (
        "ultrafast, all at once",
        "gpt-6.1-sol",
        response(300_000, 1000, cached=100_000, written=60_000, for_12h=20_000),
        {"service_tier": "ultrafast"},
        (140_000 * D(24) + 100_000 * D("1.20") + 40_000 * D(30) + 20_000 * D(60) + 1000 * D(90)) / M,
    ),
    (
        "ultrafast, half the price for a time",
        "gpt-6.2-sol",
        response(1000, 100),
        {"service_tier": "ultrafast"},
        (1000 * D(6) + 100 * D(30)) / M,
    ),
    (
        "fast, of our own table",
        "gpt-6.2-sol",
        response(1000, 100, cached=400),
        {"service_tier": "fast"},
        (600 * D(4) + 400 * D("0.20") + 100 * D(20)) / M,
    ),
    # ---- background responses that can wait: 30 % and 40 % below standard
    (
        "within 2 hours",
        "gpt-6.2-sol",
        response(10_000, 1000),
        {"completion_window": "2h"},
        (10_000 * D("1.40") + 1000 * D(7)) / M,
    ),
    (
        "within 8 hours",
        "gpt-6.1-terra",
        response(10_000, 1000, cached=4000),
        {"completion_window": "8h"},
        (6000 * D("0.60") + 4000 * D("0.03") + 1000 * D(3)) / M,
    ),
    (
        "as soon as may be",
        "gpt-6-sol",
        response(10_000, 1000),
        {"completion_window": "soonest", "service_tier": "priority"},
        (10_000 * D(4) + 1000 * D(20)) / M,
    ),
    (
        "within 8 hours, with a fee that is not reduced",
        "gpt-6-sol",
        response(10_000, 0),
        {"completion_window": "8h", "tool_usage": tools(searches=2)},
        10_000 * D("1.20") / M + 2 * D("0.010"),
    ),
    # ---- regional processing: 10 % on models since March 2026
    ("in the EU", "gpt-5.4", response(1000, 100), {"upstream_region": "eu"}, (1000 * D("2.75") + 100 * D("16.5")) / M),
    ("in the EU, older", "gpt-4.1", chat(1000, 100), {"upstream_region": "eu"}, (1000 * D(2) + 100 * D(8)) / M),
    (
        "in the US, in flex",
        "gpt-6-sol",
        response(1000, 100),
        {"upstream_region": "us", "service_tier": "flex"},
        (1000 * D("1.10") + 100 * D("5.50")) / M,
    ),
    (
        "in the EU, within 2 hours",
        "gpt-6-astra",
        response(1000, 100),
        {"upstream_region": "eu", "completion_window": "2h"},
        (1000 * D("7.70") + 100 * D("38.50")) / M,
    ),
    # ---- tools
    (
        "searched, as OpenAI tells",
        "gpt-5",
        response(1000, 100),
        {"tool_usage": tools(searches=3), "tool_calls": {"web_searches": 5}},
        (1000 * D("1.25") + 100 * D(10)) / M + 3 * D("0.010"),
    ),
    (
        "searched with the older tool, by a model that does not reason",
        "gpt-4.1",
        response(1000, 100),
        {"tool_usage": tools(searches=3), "tool_calls": {"search_tool": "web_search_preview"}},
        (1000 * D(2) + 100 * D(8)) / M + 3 * D("0.025"),
    ),
    (
        "searched with the older tool, by a model that reasons",
        "gpt-5",
        response(1000, 100),
        {"tool_calls": {"web_searches": 2, "search_tool": "web_search_preview"}},
        (1000 * D("1.25") + 100 * D(10)) / M + 2 * D("0.010"),
    ),
    (
        "searched, by our count",
        "gpt-5",
        response(1000, 100),
        {"tool_calls": {"web_searches": 5}},
        (1000 * D("1.25") + 100 * D(10)) / M + 5 * D("0.010"),
    ),
    (
        "searched by a model without a price of searches",
        "gpt-6-rosalind",
        response(1000, 0),
        {"tool_usage": tools(searches=1)},
        1000 * D(15) / M + D("0.010"),
    ),
    (
        "searched files",
        "gpt-4.1-nano",
        response(1000, 0),
        {"tool_calls": {"file_searches": 4}},
        1000 * D("0.10") / M + 4 * D("0.0025"),
    ),
    (
        "ran code",
        "gpt-5",
        response(1000, 0),
        {"tool_calls": {"containers_1g": 2, "containers_4g": 1, "containers_64g": 1}},
        1000 * D("1.25") / M + 2 * D("0.03") + D("0.12") + D("1.92"),
    ),
    (
        "ran code in 16 GB, in flex: the fee is the same",
        "gpt-5",
        response(1000, 0),
        {"tool_calls": {"containers_16g": 1}, "service_tier": "flex"},
        1000 * D("0.625") / M + D("0.48"),
    ),
    (
        "drew",
        "gpt-5",
        response(1000, 100),
        {
            "tool_usage": tools(searches=1, drawn=image(50, 1056)),
            "tool_calls": {"image_generations": 1, "image_model": "gpt-image-1.5"},
        },
        (1000 * D("1.25") + 100 * D(10) + 50 * D(5) + 1056 * D(32)) / M + D("0.010"),
    ),
    (
        "drew after a picture, partly from the cache, in flex",
        "gpt-5",
        response(1000, 100),
        {
            "service_tier": "flex",
            "tool_usage": tools(
                drawn=image(
                    100,
                    4160,
                    of_image=1000,
                    cached_tokens=640,
                    cached_tokens_details={"cached_image_tokens": 600, "cached_text_tokens": 40},
                    output_tokens_details={"image_tokens": 4160, "text_tokens": 0},
                )
            ),
            "tool_calls": {"image_generations": 1, "image_model": "gpt-image-2"},
        },
        (1000 * D("0.625") + 100 * D(5)) / M
        + (60 * D(5) + 40 * D("1.25") + 400 * D(8) + 600 * D(2) + 4160 * D(30)) / M,
    ),
    # ---- embeddings, completions, decisions
    (
        "embeddings",
        "text-embedding-3-small",
        {"prompt_tokens": 8, "total_tokens": 8},
        {"operation_name": "embeddings", "url_path": "/v1/embeddings"},
        8 * D("0.02") / M,
    ),
    (
        "large embeddings",
        "text-embedding-3-large",
        {"prompt_tokens": 123_457, "total_tokens": 123_457},
        {"operation_name": "embeddings", "url_path": "/v1/embeddings"},
        123_457 * D("0.13") / M,
    ),
    (
        "completions",
        "gpt-3.5-turbo-instruct",
        {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
        {"operation_name": "completions", "url_path": "/v1/completions"},
        (5 * D("1.50") + 7 * D(2)) / M,
    ),
    ("decisions", "gpt-6-luna", response(100_000, 5000, reasoning=4000), DECISIONS, 100_000 * D("0.10") / M),
    ("decisions, cached", "gpt-6-luna", response(100_000, 5000, cached=60_000), DECISIONS, 40_000 * D("0.10") / M),
    ("no decision", "gpt-6-luna", response(100_000, 5000), RESPONSES, (100_000 * D("0.10") + 5000 * D("0.50")) / M),
    # ---- images
    ("an image", "gpt-image-1", image(20, 4160), IMAGES, (20 * D(5) + 4160 * D(40)) / M),
    ("a small image", "gpt-image-1-mini", image(20, 272), IMAGES, (20 * D(2) + 272 * D(8)) / M),
    ("an image of a stream", "gpt-image-1.5", image(50, 4160), IMAGES, (50 * D(5) + 4160 * D(32)) / M),
    (
        "an image with text",
        "gpt-image-1.5",
        image(50, 4260, output_tokens_details={"image_tokens": 4160, "text_tokens": 100}),
        IMAGES,
        (50 * D(5) + 4160 * D(32) + 100 * D(10)) / M,
    ),
    (
        "an edited image",
        "gpt-image-2-2026-04-21",
        image(30, 1056, of_image=2000),
        EDITS,
        (30 * D(5) + 2000 * D(8) + 1056 * D(30)) / M,
    ),
    (
        "an image of the newest",
        "gpt-image-2.6-flare",
        image(30, 1056, of_image=100),
        EDITS,
        (30 * D(5) + 100 * D(8) + 1056 * D(30)) / M,
    ),
    (
        "an image in the EU",
        "gpt-image-2",
        image(100, 1000),
        IMAGES | {"upstream_region": "eu"},
        (100 * D("5.5") + 1000 * D(33)) / M,
    ),
    (
        "a drawing that a model wrote",
        "gpt-image-2.6-sunburst",
        image(30, 100),
        IMAGES
        | {
            "tool_usage": {
                "svg_usage": {
                    "model": "gpt-6-sol",
                    "input_tokens": 2000,
                    "output_tokens": 900,
                    "reasoning_tokens": 300,
                    "total_tokens": 2900,
                }
            }
        },
        (30 * D(5) + 100 * D(30)) / M + (2000 * D(2) + 900 * D(10)) / M,
    ),
    # ---- transcripts and speech
    ("seconds", "whisper-1", {"type": "duration", "seconds": 12.5}, TRANSCRIPTS, D("12.5") * D("0.36") / 3600),
    ("whole seconds", "gpt-transcribe", {"type": "duration", "seconds": 60}, TRANSCRIPTS, 60 * D("0.27") / 3600),
    (
        "a transcript",
        "gpt-4o-transcribe",
        transcript(1000, 200),
        TRANSCRIPTS,
        (1000 * D(6) + 200 * D(10)) / M,
    ),
    (
        "a transcript with a prompt",
        "gpt-4o-mini-transcribe-2025-12-15",
        transcript(1000, 200, prompt=40),
        TRANSCRIPTS,
        (1000 * D(3) + 40 * D("1.25") + 200 * D(5)) / M,
    ),
    ("speech", "gpt-4o-mini-tts", speech(20, 400), SPEECH, (20 * D("0.60") + 400 * D(12)) / M),
    (
        "speech of a snapshot",
        "gpt-4o-mini-tts-2025-12-15",
        speech(20, 400),
        SPEECH,
        (20 * D("0.60") + 400 * D(12)) / M,
    ),
    # ---- by our own count
    ("speech by characters", "tts-1", {"input_characters": 123}, SPEECH | OURS, 123 * D(15) / M),
    ("speech by characters, old", "tts-1-hd-1106", {"input_characters": 4096}, SPEECH | OURS, 4096 * D(30) / M),
    ("speech by our count", "gpt-4o-mini-tts", speech(20, 400), SPEECH | OURS, (20 * D("0.60") + 400 * D(12)) / M),
    ("subtitles", "whisper-1", {"type": "duration", "seconds": 0.1}, TRANSCRIPTS | OURS, D("0.1") * D("0.36") / 3600),
    (
        "a stream that was cut",
        "gpt-5",
        {"input_tokens": 900, "output_tokens": 77, "total_tokens": 977},
        OURS | {"service_tier": "auto"},
        (900 * D("1.25") + 77 * D(10)) / M,
    ),
    # ---- fine-tuned models
    ("fine-tuned", "ft:gpt-4o-2024-08-06:acme::x", chat(1000, 100), {}, (1000 * D("3.75") + 100 * D(15)) / M),
    (
        "fine-tuned, cached",
        "ft:gpt-4o-mini-2024-07-18:acme::x",
        chat(1000, 100, cached=500),
        {},
        (500 * D("0.30") + 500 * D("0.15") + 100 * D("1.20")) / M,
    ),
    (
        "fine-tuned, of our own table",
        "ft:gpt-4.1-mini-2025-04-14:acme::x",
        chat(1000, 100, cached=500),
        {},
        (500 * D("0.80") + 500 * D("0.20") + 100 * D("3.20")) / M,
    ),
    ("fine-tuned, legacy", "ft:davinci-002:acme::x", chat(10, 20), {}, (10 * D(12) + 20 * D(12)) / M),
    # ---- prices that changed
    (
        "before a price fell",
        "gpt-5.6-luna",
        response(1000, 100),
        {"event_time": datetime(2026, 7, 29, 23, 59, 59, tzinfo=UTC)},
        (1000 * D(1) + 100 * D(6)) / M,
    ),
    (
        "after a price fell",
        "gpt-5.6-luna",
        response(1000, 100),
        {"event_time": datetime(2026, 7, 30, tzinfo=UTC)},
        (1000 * D("0.20") + 100 * D("1.20")) / M,
    ),
    (
        "after a price rose",
        "gpt-6.2-sol",
        response(1000, 100),
        {"event_time": datetime(2027, 3, 1, tzinfo=UTC), "service_tier": "ultrafast"},
        (1000 * D(12) + 100 * D(60)) / M,
    ),
]


@pytest.mark.parametrize(
    ("model", "usage", "fields", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_request_costs_what_the_price_list_says(
    model: str, usage: dict[str, Any], fields: dict[str, Any], expected: D
) -> None:
    bill = priced(used(model, usage, **fields))

    assert bill.cost.unpriced_reason is None
    assert bill.cost.list_cost is not None
    assert abs(bill.cost.list_cost - expected) < D("0.00000001")
    assert bill.cost.list_cost == sum(line.list_cost or 0 for line in bill.units)


NO_MODEL = "no price is known for this model"
NO_TIER = "no price is known for this service tier of the model"

UNPRICED: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
    ("an unknown model", "gpt-7", chat(1, 1), {}, NO_MODEL),
    ("no model", "", chat(1, 1), {}, NO_MODEL),
    ("a newer image model", "gpt-image-3", image(1, 1), IMAGES, NO_MODEL),
    ("ultrafast elsewhere", "gpt-5", response(1, 1), {"service_tier": "ultrafast"}, NO_TIER),
    ("ultrafast in preview", "gpt-5.6-sol", response(1, 1), {"service_tier": "ultrafast"}, NO_TIER),
    ("scale", "gpt-5", response(1, 1), {"service_tier": "scale"}, NO_TIER),
    ("auto, reported", "gpt-5", response(1, 1), {"service_tier": "auto"}, NO_TIER),
    ("flex on a model without", "gpt-6.2-sol", response(1, 1), {"service_tier": "flex"}, NO_TIER),
    (
        "a tier before its price is known",
        "gpt-5",
        response(1, 1),
        {"service_tier": "flex", "event_time": datetime(2026, 10, 11, tzinfo=UTC)},
        NO_TIER,
    ),
    (
        "another window",
        "gpt-6-sol",
        response(1, 1),
        {"completion_window": "24h"},
        "no price is known for this completion window",
    ),
    (
        "a window in a tier",
        "gpt-6-sol",
        response(1, 1),
        {"completion_window": "2h", "service_tier": "flex"},
        "no price is known for a completion window in this service tier",
    ),
    (
        "a model of no known age in a region",
        "gpt-audio-1.5",
        chat(1, 1),
        {"upstream_region": "eu"},
        "no price is known for this model in a region",
    ),
    (
        "12 hours on an older model",
        "gpt-5.5",
        response(9, 1, written=5, for_12h=5),
        {},
        "no price is known for cache_write_12h_tokens of this model",
    ),
    (
        "cached where nothing is cached",
        "gpt-5-pro",
        response(9, 1, cached=5),
        {},
        "no price is known for cache_read_tokens of this model",
    ),
    (
        "sound where there is none",
        "gpt-4o",
        chat(9, 1, audio_tokens=5),
        {},
        "no price is known for input_audio_tokens of this model",
    ),
    (
        "a long context in a tier without a price of it",
        "gpt-5.5",
        response(272_001, 1),
        {"service_tier": "priority"},
        "no price is known for more than 272000 input_tokens",
    ),
    (
        "a long context where it is not listed",
        "gpt-6-astra-law",
        response(272_001, 1),
        {},
        "no price is known for more than 272000 input_tokens",
    ),
    (
        "sound by the second of a model that counts tokens",
        "gpt-4o-transcribe",
        {"type": "duration", "seconds": 3},
        TRANSCRIPTS,
        "no price is known for audio_seconds of this model",
    ),
    (
        "a transcript without its details",
        "gpt-4o-transcribe",
        {"type": "tokens", "input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
        TRANSCRIPTS,
        "input_audio_tokens are not told, which have a price of their own",
    ),
    (
        "text of a model that has a price of images alone",
        "gpt-image-2.6-flare",
        image(9, 300, output_tokens_details={"image_tokens": 200, "text_tokens": 100}),
        IMAGES,
        "no price is known for output_text_tokens of this model",
    ),
    (
        "a decision of another model",
        "gpt-6-sol",
        response(9, 1),
        DECISIONS,
        "no price is known for this operation of the model",
    ),
    (
        "a container of unknown size",
        "gpt-5",
        response(9, 1),
        {"tool_calls": {"containers_unknown": 1}},
        "no price is known for containers_unknown of this model",
    ),
    (
        "drawn, and its tokens not told",
        "gpt-5",
        response(9, 1),
        {"tool_usage": tools(), "tool_calls": {"image_generations": 1, "image_model": "gpt-image-1"}},
        "no price is known for image_generations of this model",
    ),
    (
        "drawn by a model that is not told",
        "gpt-5",
        response(9, 1),
        {"tool_usage": tools(drawn=image(9, 9)), "tool_calls": {"image_generations": 1}},
        NO_MODEL,
    ),
    (
        "written as SVG by nobody knows whom",
        "gpt-5",
        response(9, 1),
        {"tool_calls": {"svg_generations": 1}},
        "no price is known for svg_generations of this model",
    ),
    ("no usage", "gpt-4o", {}, {"usage": None}, "OpenAI did not tell the usage"),
    ("less than nothing", "gpt-4o", chat(-1, 1), {}, "the usage is not understood: prompt_tokens is no quantity"),
]


@pytest.mark.parametrize(
    ("model", "usage", "fields", "reason"), [case[1:] for case in UNPRICED], ids=[case[0] for case in UNPRICED]
)
def test_what_has_no_known_price_has_no_cost_and_a_reason(
    model: str, usage: dict[str, Any], fields: dict[str, Any], reason: str
) -> None:
    cost = priced(used(model, **({"usage": usage} | fields))).cost

    assert (cost.list_cost, cost.priced, cost.sku_price_id, cost.price_version) == (None, False, None, None)
    assert cost.unpriced_reason is not None
    assert cost.unpriced_reason.startswith(reason)


def test_there_are_at_least_eighty_cases_each_with_a_name_of_its_own() -> None:
    names = [case[0] for case in CASES] + [case[0] for case in UNPRICED]

    assert len(CASES) >= 80
    assert len(names) == len(set(names))
