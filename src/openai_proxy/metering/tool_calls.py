"""Counts what an answer of the Responses API used of hosted tools that are paid by the call or by the container.

OpenAI tells a part of it in `tool_usage`, and not always (reference openai-api.md, 2.2); the output items tell the
rest. Items and tools: `ResponseOutputItem` and `Tool` in openai-python 3.54. Calls of functions and of MCP servers cost
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from openai_proxy.metering.reading import short_text
from openai_proxy.wire.json_members import Path

ITEM_MEMBERS: tuple[Path, ...] = (
    ("type",), ("status",), ("action", "type"), ("container_id",), ("environment", "container_id"), ("svg_usage",),
)  # fmt: skip
"""The members of an output item that are read, for where an item is too large to be held."""

TOOL_MEMBERS: tuple[Path, ...] = (
    ("type",), ("model",), ("container", "type"), ("container", "memory_limit"),
    ("environment", "type"), ("environment", "memory_limit"),
)  # fmt: skip
"""The members of one of an answer's `tools` that are read."""

_PREVIEW_OF_SEARCH = "web_search_preview"  # the tool of before `web_search`, with prices of its own

_COUNTED = {
    "web_search_call": "web_searches",
    "file_search_call": "file_searches",
    "image_generation_call": "image_generations",
}
_TOOL_OF = {"code_interpreter_call": "code_interpreter", "shell_call": "shell"}
_MADE_BY_OPENAI = (("code_interpreter", "auto"), ("shell", "container_auto"))
_DEFAULT_SIZE, _SIZES = "1g", ("1g", "4g", "16g", "64g")
_MOST_CONTAINERS = 1000  # of one answer; what is beyond is not counted, so that memory stays bounded


class ToolCalls:
    """The calls of one answer.

    A stream tells each item when it is done, and all of them again in its terminal event; either may be cut. So both
    are counted apart, and the larger number of each holds.
    """

    def __init__(self) -> None:
        self._passed: Counter[str] = Counter()  # of items that came as events of their own
        self._listed: Counter[str] = Counter()  # of the answer's `output`
        self._containers: dict[str, str] = {}  # by the tool that used it
        self._sizes: dict[str, str] = {}  # of the containers that OpenAI makes for a tool
        self._image_model: str | None = None
        self._search_tool: str | None = None
        self._drew = False

    def item_done(self, item: Mapping[str, Any]) -> None:
        """Count an item of an event of its own."""
        self._count(item, self._passed)

    def list_begins(self) -> None:
        """The answer's `output` comes; an earlier one was not the last."""
        self._listed.clear()

    def listed(self, item: Mapping[str, Any]) -> None:
        """Count an item of the answer's `output`."""
        self._count(item, self._listed)

    def tool(self, tool: Mapping[str, Any]) -> None:
        """Take one of the answer's `tools`: its model, its container's size, or under which name it searches."""
        kind = tool.get("type")
        if isinstance(kind, str) and kind.startswith(_PREVIEW_OF_SEARCH):  # a date may follow
            self._search_tool = _PREVIEW_OF_SEARCH
        if kind == "image_generation":
            self._image_model = short_text(tool.get("model")) or self._image_model
        elif kind == "code_interpreter":
            self._container_of(kind, tool.get("container"))
        elif kind == "shell":
            self._container_of(kind, tool.get("environment"))

    def counted(self) -> Mapping[str, Any] | None:
        """What was used, by the names of `UsageEvent.tool_calls`; None for nothing.

        A container that an earlier answer of the same conversation made is counted again: nothing tells it apart. A
        size that is not known is counted as `containers_unknown`, a drawing whose author model has a price of its own
        (`svg_usage`) as `svg_generations`.
        """
        found: Counter[str] = self._passed | self._listed  # the larger of each
        for tool in self._containers.values():
            if size := self._sizes.get(tool):
                found[f"containers_{size}"] += 1
        calls: dict[str, Any] = dict(found)
        if self._drew and self._image_model:
            calls["image_model"] = self._image_model
        if self._search_tool:
            calls["search_tool"] = self._search_tool
        return calls or None

    def _count(self, item: Mapping[str, Any], counter: Counter[str]) -> None:
        kind = item.get("type")
        if not isinstance(kind, str):
            return
        if kind in _TOOL_OF:
            container = short_text(item.get("container_id")) or short_text(_inner(item, "environment", "container_id"))
            if container and len(self._containers) < _MOST_CONTAINERS:
                self._containers[container] = _TOOL_OF[kind]
        elif kind in _COUNTED and item.get("status") != "failed" and _is_paid(kind, item):
            counter[_COUNTED[kind]] += 1
        if kind == "image_generation_call":
            self._drew = True
            counter["svg_generations"] += isinstance(item.get("svg_usage"), dict)

    def _container_of(self, tool: str, container: object) -> None:
        if isinstance(container, dict) and (tool, container.get("type")) in _MADE_BY_OPENAI:
            limit = container.get("memory_limit")
            self._sizes[tool] = _DEFAULT_SIZE if limit is None else limit if limit in _SIZES else "unknown"


def _is_paid(kind: str, item: Mapping[str, Any]) -> bool:
    """Not so where the web is not searched, but a page opened. Before there were actions, each call was a search."""
    return kind != "web_search_call" or _inner(item, "action", "type") in (None, "search")


def _inner(item: Mapping[str, Any], name: str, inner: str) -> object:
    value = item.get(name)
    return value.get(inner) if isinstance(value, dict) else None
