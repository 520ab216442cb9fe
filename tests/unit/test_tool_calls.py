from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from openai.types.responses import ResponseOutputItem, Tool
from pydantic import TypeAdapter

from openai_proxy.metering.tool_calls import ToolCalls

AUTO = {"type": "code_interpreter", "container": {"type": "auto"}}
SHELL = {"type": "shell", "environment": {"type": "container_auto", "memory_limit": "16g"}}
DRAWS = {"type": "image_generation", "model": "gpt-image-1-mini"}


def search(action: Any = None, **more: Any) -> Mapping[str, Any]:
    action = {"type": "search", "query": "q", "queries": ["q"]} if action is None else action
    return {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": action} | more


def code(container: Any, **more: Any) -> Mapping[str, Any]:
    item = {"id": "ci_1", "type": "code_interpreter_call", "status": "completed", "code": None, "outputs": None}
    return item | {"container_id": container} | more


def shell(container: Any, **more: Any) -> Mapping[str, Any]:
    environment = {"type": "container_reference", "container_id": container}
    action = {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}
    return {
        "id": "sh_1", "type": "shell_call", "call_id": "call_1", "status": "completed",
        "action": action, "environment": environment,
    } | more  # fmt: skip


def drawing(**more: Any) -> Mapping[str, Any]:
    return {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "aGk="} | more


FILES = {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["q"], "results": None}


def counted(items: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> Mapping[str, Any] | None:
    calls = ToolCalls()
    for item in items:
        calls.listed(item)
    for tool in tools:
        calls.tool(tool)
    return calls.counted()


@pytest.mark.parametrize("item", [search(), FILES, code("cntr_1"), shell("cntr_1"), drawing()])
def test_the_items_of_these_tests_are_items_of_the_sdk(item: Mapping[str, Any]) -> None:
    read: Any = TypeAdapter(ResponseOutputItem).validate_python(item)

    assert read.type == item["type"]


@pytest.mark.parametrize("tool", [AUTO, SHELL, DRAWS])
def test_the_tools_of_these_tests_are_tools_of_the_sdk(tool: Mapping[str, Any]) -> None:
    read: Any = TypeAdapter(Tool).validate_python(tool)

    assert read.type == tool["type"]


@pytest.mark.parametrize(
    ("item", "searches"),
    [
        (search(), 1),
        (search(status="in_progress"), 1),
        (search(status="failed"), None),
        (search({"type": "open_page", "url": "https://example.com"}), None),
        (search({"type": "find_in_page", "url": "https://example.com", "pattern": "p"}), None),
        (search({"type": "what comes next"}), None),
        (search({"type": 5}), None),
        ({"id": "ws_1", "type": "web_search_call", "status": "completed"}, 1),
        (search(status=["failed"]), 1),
    ],
)
def test_a_web_search_is_paid_unless_it_opened_a_page_or_failed(item: Mapping[str, Any], searches: int | None) -> None:
    assert counted([item]) == (searches and {"web_searches": searches})


def test_calls_of_a_kind_are_added() -> None:
    assert counted([search(), FILES, search(), FILES | {"status": "failed"}, FILES]) == {
        "web_searches": 2,
        "file_searches": 2,
    }


@pytest.mark.parametrize(
    "kind", ["message", "mcp_call", "function_call", "local_shell_call", "computer_call", None, 5, []]
)
def test_what_costs_nothing_by_the_call_is_not_counted(kind: object) -> None:
    assert counted([{"id": "x_1", "type": kind, "status": "completed"}]) is None


def test_containers_are_counted_once_each_by_their_size() -> None:
    large = {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "64g"}}

    assert counted([code("cntr_1"), code("cntr_1"), code("cntr_2")], [AUTO]) == {"containers_1g": 2}
    assert counted([code("cntr_1", status="failed")], [large]) == {"containers_64g": 1}
    assert counted([code("cntr_1"), shell("cntr_2"), shell("cntr_2")], [large, SHELL]) == {
        "containers_64g": 1,
        "containers_16g": 1,
    }


@pytest.mark.parametrize(
    "tools",
    [
        [],
        [{"type": "code_interpreter", "container": "cntr_1"}],
        [{"type": "code_interpreter", "container": {"type": "what comes next"}}],
        [{"type": "code_interpreter", "container": {"type": ["auto"]}}],
        [{"type": "code_interpreter"}],
        [SHELL],
    ],
)
def test_a_container_that_the_client_made_is_not_counted_here(tools: Sequence[Mapping[str, Any]]) -> None:
    assert counted([code("cntr_1")], tools) is None


def test_a_local_shell_has_no_container() -> None:
    assert counted([shell(None, environment={"type": "local"})], [SHELL]) is None


@pytest.mark.parametrize("limit", ["2g", "", 4, ["1g"], {}])
def test_a_container_of_a_size_that_is_not_known_is_counted_as_such(limit: object) -> None:
    tool = {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": limit}}

    assert counted([code("cntr_1")], [tool]) == {"containers_unknown": 1}


@pytest.mark.parametrize("container", [None, 5, "", "x" * 300, []])
def test_a_container_without_a_name_is_not_counted(container: object) -> None:
    assert counted([code(container)], [AUTO]) is None


def test_no_more_than_a_thousand_containers_are_remembered() -> None:
    assert counted([code(f"cntr_{number}") for number in range(1500)], [AUTO]) == {"containers_1g": 1000}


@pytest.mark.parametrize("tool", ["web_search_preview", "web_search_preview_2025_03_11"])
def test_searches_of_the_older_tool_are_told_apart(tool: str) -> None:
    assert counted([search()], [{"type": tool}]) == {"web_searches": 1, "search_tool": "web_search_preview"}
    assert counted([search()], [{"type": "web_search"}]) == {"web_searches": 1}


def test_a_drawing_names_its_model_where_that_is_told() -> None:
    assert counted([drawing()], [DRAWS]) == {"image_generations": 1, "image_model": "gpt-image-1-mini"}
    assert counted([drawing()], [{"type": "image_generation"}]) == {"image_generations": 1}
    assert counted([drawing()], [{"type": "image_generation", "model": 5}]) == {"image_generations": 1}
    assert counted([drawing(status="failed")], [DRAWS]) == {"image_model": "gpt-image-1-mini"}
    assert counted([search()], [DRAWS]) == {"web_searches": 1}


def test_a_drawing_whose_author_is_a_model_of_its_own_says_so() -> None:
    usage = {"model": "gpt-5.6", "input_tokens": 1, "output_tokens": 2, "reasoning_tokens": 0, "total_tokens": 3}

    assert counted([drawing(svg_usage=usage), drawing(svg_usage=None)]) == {
        "image_generations": 2,
        "svg_generations": 1,
    }


def test_items_told_twice_are_counted_once_and_the_longer_list_holds() -> None:
    calls = ToolCalls()
    calls.item_done(search())
    calls.item_done(search())
    assert calls.counted() == {"web_searches": 2}

    calls.listed(search())
    calls.listed(FILES)
    assert calls.counted() == {"web_searches": 2, "file_searches": 1}

    calls.list_begins()
    for _ in range(3):
        calls.listed(search())
    assert calls.counted() == {"web_searches": 3}
