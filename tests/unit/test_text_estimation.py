from __future__ import annotations

from typing import Any

import pytest

from openai_proxy.metering.text_estimation import tokens_of_text, usage_of_text

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")  # bpe_openai's own


def test_text_is_counted_by_the_models_own_encoding() -> None:
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello world!"}]}

    # 3 for the message, 1 for its role, 3 for the text, 3 that prime the answer (OpenAI's cookbook)
    assert usage_of_text(request, ["Hello", " world!"]) == {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13}


@pytest.mark.parametrize(
    ("request_body", "input_tokens"),
    [
        ({}, 0),
        ({"messages": None, "input": None, "tools": []}, 0),
        ({"prompt": "Hello world!"}, 3),
        ({"prompt": ["Hello world!", "Hello world!"]}, 6),
        ({"input": [1, 2, 3]}, 3),
        ({"input": [[1, 2], [3, True]]}, 4),
        ({"input": 1.5}, 0),
        ({"instructions": "Hello", "input": "Hello"}, 2),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]}, 5),
        ({"input": [{"type": "input_image", "image_url": "data:..."}]}, 765),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]}, 772),
        ({"messages": [{"role": "user", "name": "Hello", "content": "Hello"}]}, 10),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"function": {"name": "Hello", "arguments": "Hello"}}]}
                ]
            },
            10,
        ),
        ({"input": [{"type": "function_call_output", "output": "Hello"}]}, 1),
        ({"prompt": "<|endoftext|>"}, 7),
        ({"prompt": "\ud800"}, 1),
        ({"model": ["no", "text"], "prompt": "Hello"}, 1),
        ({"model": "gpt-4", "prompt": "Hello"}, 1),
        ({"model": "gpt-3.5-turbo", "prompt": "Hello"}, 1),
    ],
)
def test_input_is_counted_in_all_its_forms(request_body: dict[str, Any], input_tokens: int) -> None:
    assert usage_of_text(request_body, [])["input_tokens"] == input_tokens


def test_tools_count_by_their_schema() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}

    assert usage_of_text({"tools": [tool]}, [])["input_tokens"] > 5
    assert usage_of_text({"functions": [tool]}, [])["input_tokens"] > 5


def test_old_models_have_an_encoding_of_their_own() -> None:
    text = "Überraschungsgäste 你好世界"

    assert tokens_of_text(text, "gpt-4") > tokens_of_text(text, "gpt-4o")


def test_deep_nesting_is_no_trouble() -> None:
    deep: Any = "Hello"
    for _ in range(100_000):
        deep = [deep]

    assert usage_of_text({"input": deep}, [])["input_tokens"] == 1
