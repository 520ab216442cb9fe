from __future__ import annotations

import pytest

from openai_proxy.budgets.asked_input import AskedInput
from openai_proxy.metering.text_estimation import tokens_of_text

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")  # bpe_openai's own

PROSE = "The quick brown fox jumps over the lazy dog. " * 400


def of(model: str = "gpt-4o", **request: object) -> AskedInput:
    return AskedInput.of(request, model)


def chat(*parts: object) -> object:
    return [{"role": "user", "content": list(parts)}]


def test_a_short_text_is_taken_for_its_bytes_names_and_all() -> None:
    asked = of(messages=[{"role": "user", "content": "häh?"}])

    assert asked.text_tokens == len(b"messagesroleusercontent") + len("häh?".encode())


def test_a_long_text_is_counted_as_openai_counts_it() -> None:
    asked = of(input=PROSE)

    assert tokens_of_text(PROSE, "gpt-4o") <= asked.text_tokens < tokens_of_text(PROSE, "gpt-4o") + 5


def test_a_text_that_cannot_be_encoded_is_taken_for_its_bytes() -> None:
    assert of(input="a" * 1_000_000).text_tokens >= 1_000_000


def test_tools_and_schemas_count_as_text() -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"properties": {"x" * 100: {"type": "string"}}}},
    }

    assert of(tools=[tool]).text_tokens > 100


def test_numbers_of_a_list_of_tokens_are_tokens() -> None:
    assert of(input=[1, 2, 3] * 100).text_tokens == len("input") + 300


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}},
        {"type": "input_image", "image_url": "https://example.org/x.png", "detail": "low"},
    ],
)
def test_an_image_has_the_most_tokens_that_one_can_have_and_its_bytes_do_not_count(part: object) -> None:
    asked = of(messages=chat({"type": "text", "text": "?"}, part, part))

    assert asked.image_tokens == 20_000
    assert asked.text_tokens < 100
    assert of("gpt-4o-mini", messages=chat(part)).image_tokens == 48_169


def test_a_sound_has_a_token_for_each_100_bytes() -> None:
    asked = of(messages=chat({"type": "input_audio", "input_audio": {"data": "A" * 133_000, "format": "mp3"}}))

    assert asked.audio_tokens == 1001
    assert asked.text_tokens < 100


@pytest.mark.parametrize(
    "request_",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"type": "input_file", "file_id": "file_1"}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "mcp"}, {"type": "file_search"}]},
    ],
)
def test_what_is_only_referred_to_is_unseen(request_: dict[str, object]) -> None:
    assert AskedInput.of(request_, "gpt-5").unseen == 1


def test_functions_of_the_clients_own_and_plain_prompts_are_seen() -> None:
    assert of(tools=[{"type": "function", "name": "f"}], prompt="hello", previous_response_id=None).unseen == 0


@pytest.mark.parametrize(
    "odd", [{"tools": 7}, {"tools": [None]}, {"input": [{"type": ["x"]}]}, {"messages": {"a": None}}]
)
def test_what_makes_no_sense_is_counted_as_well(odd: dict[str, object]) -> None:
    assert AskedInput.of(odd, "gpt-5").unseen == 0
