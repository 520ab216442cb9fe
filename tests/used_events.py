"""Finished requests to be counted and priced in tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from openai_proxy.events import UsageEvent

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def used(model: str | None = "gpt-4o", usage: dict[str, Any] | None = None, **fields: Any) -> UsageEvent:
    """A finished request that `model` answered; its usage as OpenAI wrote it."""
    values: dict[str, Any] = {
        "event_id": "e",
        "event_type": "finished",
        "event_time": NOW,
        "user_id": "ada",
        "key_id": "key_1",
        "team_id": None,
        "operation_name": "chat.completions.create",
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


def chat(taken: int, given: int, *, cached: int = 0, **details: int) -> dict[str, Any]:
    """A usage of chat completions; `details` are of the input, or of the output where their name starts so."""
    of_input = {name: count for name, count in details.items() if not name.startswith("output_")}
    of_output = {name.removeprefix("output_"): count for name, count in details.items() if name.startswith("output_")}
    return {
        "prompt_tokens": taken,
        "completion_tokens": given,
        "total_tokens": taken + given,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0, **of_input},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, **of_output},
    }


def response(
    taken: int, given: int, *, cached: int = 0, written: int = 0, reasoning: int = 0, for_12h: int | None = None
) -> dict[str, Any]:
    """A usage of the Responses API; of what was written to the cache, `for_12h` is to stay that long."""
    details: dict[str, Any] = {"cached_tokens": cached, "cache_write_tokens": written}
    if for_12h is not None:
        details["cache_write_tokens_details"] = {"ttl_30m_tokens": written - for_12h, "ttl_12h_tokens": for_12h}
    return {
        "input_tokens": taken,
        "input_tokens_details": details,
        "output_tokens": given,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": taken + given,
    }


def image(text: int, drawn: int, *, of_image: int = 0, **members: Any) -> dict[str, Any]:
    """A usage of the Images API, as its streams tell it: nothing says what the output is."""
    return {
        "input_tokens": text + of_image,
        "input_tokens_details": {"text_tokens": text, "image_tokens": of_image},
        "output_tokens": drawn,
        "total_tokens": text + of_image + drawn,
        **members,
    }


def transcript(heard: int, written: int, *, prompt: int = 0) -> dict[str, Any]:
    """A usage of a transcript by tokens."""
    return {
        "type": "tokens",
        "input_tokens": heard + prompt,
        "input_token_details": {"audio_tokens": heard, "text_tokens": prompt},
        "output_tokens": written,
        "total_tokens": heard + prompt + written,
    }


def tools(*, searches: int = 0, drawn: dict[str, Any] | None = None) -> dict[str, Any]:
    """A `tool_usage`, with zeros for what was not used."""
    nothing = image(0, 0)
    return {"image_gen": drawn or nothing, "web_search": {"num_requests": searches}}
