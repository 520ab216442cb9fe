"""Reads OpenAI's usage object, in the shape of chat completions, of responses, or of embeddings.

Nothing here raises, and nothing is guessed: what is not understood is named in `doubts`, and a usage with doubts has no
list cost (`pricing`). Sources: `CompletionUsage`, `ResponseUsage` and `Response.ToolUsage` in openai-python 3.54.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from openai_proxy.records import TokenCounts

LARGEST_COUNT = 10**9
"""A thousand of the largest context windows: no request has more, and a ledger's sums stay within 64 bits."""

_INPUT = {
    ("cached_tokens",): "cache_read_tokens",
    ("cache_write_tokens",): "cache_write_tokens",
    ("cache_write_tokens_details", "ttl_30m_tokens"): "cache_write_30m_tokens",
    ("cache_write_tokens_details", "ttl_12h_tokens"): "cache_write_12h_tokens",
    ("audio_tokens",): "input_audio_tokens",
    ("image_tokens",): "input_image_tokens",
    ("text_tokens",): "input_text_tokens",
}
_OUTPUT = {
    ("reasoning_tokens",): "output_reasoning_tokens",
    ("audio_tokens",): "output_audio_tokens",
    ("image_tokens",): "output_image_tokens",
    ("text_tokens",): "output_text_tokens",
    ("accepted_prediction_tokens",): "output_accepted_prediction_tokens",
    ("rejected_prediction_tokens",): "output_rejected_prediction_tokens",
}
_UNITS: Mapping[tuple[str, ...], str] = {
    ("prompt_tokens",): "input_tokens",
    ("input_tokens",): "input_tokens",
    ("completion_tokens",): "output_tokens",
    ("output_tokens",): "output_tokens",
    ("total_tokens",): "total_tokens",
    **{("prompt_tokens_details", *path): unit for path, unit in _INPUT.items()},
    **{("input_tokens_details", *path): unit for path, unit in _INPUT.items()},
    **{("completion_tokens_details", *path): unit for path, unit in _OUTPUT.items()},
    **{("output_tokens_details", *path): unit for path, unit in _OUTPUT.items()},
}
_TOOL_UNITS: Mapping[tuple[str, ...], str] = {("web_search", "num_requests"): "web_searches"}
_PART_OF = {
    **dict.fromkeys(_INPUT.values(), "input_tokens"),
    **dict.fromkeys(_OUTPUT.values(), "output_tokens"),
    "cache_write_30m_tokens": "cache_write_tokens",
    "cache_write_12h_tokens": "cache_write_tokens",
}
_NAME = re.compile(r"[a-z0-9_]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedUsage:
    """What a usage object says.

    `units` are quantities by the unit names of genai-prices (and a few of the same form that it has not), zeros
    included; only believed ones. `doubts` say what was not understood, by names of members, never their values.
    """

    tokens: TokenCounts = field(default_factory=TokenCounts)
    units: Mapping[str, int] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def read_usage(usage: Mapping[str, Any] | None, tool_usage: Mapping[str, Any] | None = None) -> CountedUsage:
    """Count a usage object; `tool_usage` is the one beside it in an answer of the Responses API.

    Embeddings tell the input and the total only: their output is the difference, which is 0. A quantity that is no
    whole number from 0 to `LARGEST_COUNT`, a part larger than its whole, and two members that disagree are not
    believed: the quantity is left out, and a doubt says so.
    """
    doubts: list[str] = []
    units = _quantities(usage or {}, _UNITS, "", doubts)
    total = units.pop("total_tokens", None)
    if usage is not None:
        _complete(units, total, doubts)
    for part, whole in _PART_OF.items():
        if part in units and units[part] > units.get(whole, 0):
            doubts.append(f"{part} are more than {whole}")
            del units[part]
    units |= _quantities(tool_usage or {}, _TOOL_UNITS, "tool_usage.", doubts)
    tokens = TokenCounts(
        input_tokens=units.get("input_tokens"),
        cache_read_input_tokens=units.get("cache_read_tokens"),
        cache_write_input_tokens=units.get("cache_write_tokens"),
        input_audio_tokens=units.get("input_audio_tokens"),
        output_tokens=units.get("output_tokens"),
        reasoning_output_tokens=units.get("output_reasoning_tokens"),
        output_audio_tokens=units.get("output_audio_tokens"),
    )
    return CountedUsage(tokens=tokens, units=units, doubts=tuple(doubts))


def _complete(units: dict[str, int], total: int | None, doubts: list[str]) -> None:
    """Hold the input and the output against the total, or work out an output that is not told."""
    spent = units.get("input_tokens")
    if spent is None:
        doubts.append("input_tokens are not told")
    elif "output_tokens" in units:
        if total is not None and total != spent + units["output_tokens"]:
            doubts.append("total_tokens are not the sum of input_tokens and output_tokens")
    elif total is None or total < spent:
        doubts.append("output_tokens are not told")
    else:
        units["output_tokens"] = total - spent


def _quantities(
    source: Mapping[str, Any], known: Mapping[tuple[str, ...], str], prefix: str, doubts: list[str]
) -> dict[str, int]:
    units: dict[str, int] = {}
    refused = set()
    for path, value in _leaves(source):
        unit = known.get(path)
        if unit is None:
            if isinstance(value, int | float) and not isinstance(value, bool) and value:
                doubts.append(f"{prefix}{_printable(path)} is not known")
        elif value is None:
            continue
        elif not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_COUNT:
            doubts.append(f"{prefix}{_printable(path)} is no quantity")
            refused.add(unit)
        elif units.setdefault(unit, value) != value:
            doubts.append(f"{unit} is told twice, differently")
            refused.add(unit)
    return {unit: value for unit, value in units.items() if unit not in refused}


def _leaves(source: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value that is no object and no list, in order, with the names that lead to it; without recursion."""
    todo: list[tuple[tuple[str, ...], object]] = [((), source)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, Mapping):
            todo += [((*path[:8], str(name)), item) for name, item in reversed(list(value.items()))]
        elif isinstance(value, list):
            todo += [((*path[:8], "[]"), item) for item in reversed(value)]
        else:
            yield path, value


def _printable(path: tuple[str, ...]) -> str:
    return ".".join(name if _NAME.fullmatch(name) else "?" for name in path[:4])
