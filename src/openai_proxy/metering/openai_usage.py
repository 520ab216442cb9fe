"""Reads what an answer of OpenAI's used: its usage object in any of its shapes, its tools' usage, and what we counted.

Nothing here raises, and nothing is guessed: what is not understood is named in `doubts`, and a usage with doubts has no
list cost (`pricing.priced`). Sources: `CompletionUsage`, `ResponseUsage`, `Response.ToolUsage`, `ImagesResponse`,
`Decision`, `CreateEmbeddingResponse`, `Transcription` and `SpeechAudioDoneEvent` in openai-python 3.54.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openai_proxy.events import UsageEvent
from openai_proxy.metering.units import CONTAINERS, Quantity
from openai_proxy.metering.usage_members import Members, leaves, quantities
from openai_proxy.records import TokenCounts

_INPUT = {
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_tokens_details": {
        "ttl_30m_tokens": "cache_write_30m_tokens",
        "ttl_12h_tokens": "cache_write_12h_tokens",
    },
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "text_tokens": "input_text_tokens",
}
_OUTPUT = {
    "reasoning_tokens": "output_reasoning_tokens",
    "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
    "text_tokens": "output_text_tokens",
    "accepted_prediction_tokens": "output_accepted_prediction_tokens",
    "rejected_prediction_tokens": "output_rejected_prediction_tokens",
}
_USAGE = {
    "prompt_tokens": "input_tokens",
    "prompt_tokens_details": _INPUT,
    "input_tokens": "input_tokens",
    "input_tokens_details": _INPUT,
    "input_token_details": _INPUT,
    "completion_tokens": "output_tokens",
    "completion_tokens_details": _OUTPUT,
    "output_tokens": "output_tokens",
    "output_tokens_details": _OUTPUT,
    "total_tokens": "total_tokens",
    "seconds": "audio_seconds",
    "input_characters": "input_characters",  # ours alone: OpenAI tells nothing of sound that it sends as bytes
}
_DRAWN = _USAGE | {
    "cached_tokens": "cache_read_tokens",
    "cached_tokens_details": {
        "cached_image_tokens": "cache_image_read_tokens",
        "cached_text_tokens": "cache_text_read_tokens",
    },
}
_OF_USAGE, _OF_IMAGES, _OF_SVG = Members(_USAGE), Members(_DRAWN), Members(_USAGE | _OUTPUT)
_OF_SEARCHES, _OF_OTHER_TOOLS = Members({"num_requests": "web_searches"}), Members({})
_OF_CALLS = Members(
    {
        "web_searches": "web_searches",
        "file_searches": "storage_searches",
        "image_generations": "image_generations",
        "svg_generations": "svg_generations",
        "containers_unknown": "containers_unknown",
    }
    | {name: name for name in CONTAINERS}
)

_PART_OF = {
    **dict.fromkeys(Members(_INPUT).units.values(), "input_tokens"),
    **dict.fromkeys(_OUTPUT.values(), "output_tokens"),
    "cache_write_30m_tokens": "cache_write_tokens",
    "cache_write_12h_tokens": "cache_write_tokens",
    "cache_image_read_tokens": "cache_read_tokens",
    "cache_text_read_tokens": "cache_read_tokens",
}
_MODALITIES = ("audio", "image", "text")


@dataclass(frozen=True, slots=True)
class ToolModel:
    """What a model used that the one that answered called: one that draws. Its name is None where it is not told."""

    model: str | None
    units: Mapping[str, Quantity]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedUsage:
    """What a request used.

    `units` are quantities by the unit names of genai-prices (and a few of the same form that it has not), zeros
    included; only believed ones. Those in `counted_by_us` are not OpenAI's word. `doubts` say what was not understood,
    by names of members, never their values.
    """

    tokens: TokenCounts = field(default_factory=TokenCounts)
    units: Mapping[str, Quantity] = field(default_factory=dict)
    counted_by_us: frozenset[str] = frozenset()
    tool_models: tuple[ToolModel, ...] = ()
    doubts: tuple[str, ...] = ()


def read_usage(event: UsageEvent) -> CountedUsage:
    """Count what the event's `usage`, `tool_usage` and `tool_calls` tell.

    Embeddings tell the input and the total only: their output is the difference, which is 0. Speech is sound, and
    images are images, where nothing tells how much of the output is. A quantity that is no number from 0 to a
    thousand million, a part larger than its whole, and two members that disagree are not believed: the quantity is
    left out, and a doubt says so. Calls that we counted are taken only where `tool_usage` does not tell them.
    """
    doubts: list[str] = []
    units: dict[str, Quantity] = {}
    if event.usage is not None:
        units = _units(event.usage, _OF_USAGE, "", doubts, output=_output_of(event.operation_name))
    tokens = _token_counts(units)
    tools, tool_models = _tool_usage(event, doubts)
    calls = _calls(event.tool_calls, doubts)
    if tools.get("web_searches") is not None:
        calls.pop("web_searches", None)
    if _name(event.tool_calls, "search_tool") == "web_search_preview":
        for found in (tools, calls):
            if "web_searches" in found:
                found["web_searches_preview"] = found.pop("web_searches")
    if any(drawn.units.get("output_tokens") for drawn in tool_models):
        calls.pop("image_generations", None)
    return CountedUsage(
        tokens=tokens,
        units=units | tools | calls,
        counted_by_us=frozenset(calls),
        tool_models=tool_models,
        doubts=tuple(doubts),
    )


def _output_of(operation_name: str) -> str | None:
    """The kind of tokens that an operation puts out where its usage does not say."""
    if operation_name.startswith("images."):
        return "image"
    return "audio" if operation_name == "audio.speech" else None


def _tool_usage(event: UsageEvent, doubts: list[str]) -> tuple[dict[str, Quantity], tuple[ToolModel, ...]]:
    """What hosted tools used: fees of the model that answered, and tokens of others."""
    others = dict(event.tool_usage or {})
    searches, images, svg = (others.pop(name, None) for name in ("web_search", "image_gen", "svg_usage"))
    quantities(others, _OF_OTHER_TOOLS, "tool_usage.", doubts)
    tools = quantities(searches, _OF_SEARCHES, "tool_usage.web_search.", doubts)
    models = []
    if _tells(images):
        units = _units(images, _OF_IMAGES, "tool_usage.image_gen.", doubts, output="image")
        models.append(ToolModel(_name(event.tool_calls, "image_model"), units))
    if _tells(svg):
        units = _units(svg, _OF_SVG, "tool_usage.svg_usage.", doubts, output=None)
        models.append(ToolModel(_name(svg, "model"), units))
    return tools, tuple(models)


def _tells(usage: object) -> bool:
    """Whether a tool's usage has anything in it: OpenAI writes zeros for tools that were not used."""
    return any(value for path, value in leaves(usage) if path != ("model",))


def _name(source: object, member: str) -> str | None:
    name = source.get(member) if isinstance(source, Mapping) else None
    return name if isinstance(name, str) else None


def _calls(calls: Mapping[str, Any] | None, doubts: list[str]) -> dict[str, Quantity]:
    """What `tool_calls.py` counted."""
    units = quantities(calls, _OF_CALLS, "tool_calls.", doubts)
    return {unit: quantity for unit, quantity in units.items() if quantity}


def _units(usage: object, known: Members, prefix: str, doubts: list[str], *, output: str | None) -> dict[str, Quantity]:
    """The quantities of one usage object, held against each other; all `output` is of that kind where nothing tells."""
    units = quantities(usage, known, prefix, doubts)
    total = units.pop("total_tokens", None)
    if not {"audio_seconds", "input_characters"} & units.keys():
        _complete(units, total, doubts)
    if output is not None and [unit for unit in units if unit.startswith("output_")] == ["output_tokens"]:
        units[f"output_{output}_tokens"] = units["output_tokens"]
    for part, whole in _PART_OF.items():
        if part in units and units[part] > units.get(whole, 0):
            doubts.append(f"{part} are more than {whole}")
            del units[part]
    for direction in ("input", "output"):
        _complete_modalities(units, direction, doubts)
    return units


def _complete(units: dict[str, Quantity], total: Quantity | None, doubts: list[str]) -> None:
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


def _complete_modalities(units: dict[str, Quantity], direction: str, doubts: list[str]) -> None:
    """Where text, sound and images that are told make up the whole, there are none of the others."""
    whole = units.get(f"{direction}_tokens")
    names = [f"{direction}_{modality}_tokens" for modality in _MODALITIES]
    told = [units[name] for name in names if name in units]
    if whole is None or not told:
        return
    if sum(told) > whole:
        doubts.append(f"text, sound and images are more than {direction}_tokens")
    elif sum(told) == whole:
        for name in names[:2]:
            units.setdefault(name, 0)


def _token_counts(units: Mapping[str, Quantity]) -> TokenCounts:
    def tokens(unit: str) -> int | None:
        return None if unit not in units else int(units[unit])

    return TokenCounts(
        input_tokens=tokens("input_tokens"),
        cache_read_input_tokens=tokens("cache_read_tokens"),
        cache_write_input_tokens=tokens("cache_write_tokens"),
        input_audio_tokens=tokens("input_audio_tokens"),
        output_tokens=tokens("output_tokens"),
        reasoning_output_tokens=tokens("output_reasoning_tokens"),
        output_audio_tokens=tokens("output_audio_tokens"),
    )
