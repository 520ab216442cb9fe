from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.events import MOST_TAGS, TAG_NAME, TAG_VALUE
from openai_proxy.forwarding.attribution import TagsError, end_user_of, refusal, tags_of
from openai_proxy.wire.headers import TAGS
from openai_proxy.wire.request_body import RequestFacts

names = st.from_regex(TAG_NAME, fullmatch=True)
values = st.from_regex(TAG_VALUE, fullmatch=True).filter(lambda value: value == value.strip())
spaces = st.sampled_from(["", " ", "\t "])


def tags(*lines: str) -> dict[str, str] | None:
    read = tags_of([("accept", "a=b"), *((TAGS, line) for line in lines)])
    return None if read is None else dict(read)


def complaint(*lines: str) -> str:
    with pytest.raises(TagsError) as caught:
        tags(*lines)
    return str(caught.value)


def test_tags_are_pairs() -> None:
    assert tags("project=apollo, stage=test") == {"project": "apollo", "stage": "test"}


@given(st.dictionaries(names, values, max_size=MOST_TAGS), spaces, spaces)
def test_whatever_the_ledger_can_keep_comes_through(said: dict[str, str], before: str, after: str) -> None:
    pairs = [f"{before}{name}{after}={before}{value}{after}" for name, value in said.items()]

    assert tags(f"{after},{before}".join(pairs)) == (said or None)
    assert tags(*pairs) == (said or None)


@given(st.text(max_size=60))
def test_what_is_read_can_be_kept_and_all_else_is_refused(text: str) -> None:
    try:
        read = tags(text) or {}
    except TagsError:
        return
    assert len(read) <= MOST_TAGS
    assert all(TAG_NAME.fullmatch(name) and TAG_VALUE.fullmatch(value) for name, value in read.items())


@pytest.mark.parametrize("line", ["", " ", ",", " , ,"])
def test_an_empty_header_has_no_tags(line: str) -> None:
    assert tags(line) is None
    assert tags() is None


def test_empty_pairs_count_for_nothing() -> None:
    assert tags(",a=1,, b=2,") == {"a": "1", "b": "2"}


@pytest.mark.parametrize("pair", ["project", "=apollo", "Project=apollo", "1st=a", "a-b=c", "a b=c", "sk-op-secret=1"])
def test_a_name_that_is_none_is_told_by_its_place_alone(pair: str) -> None:
    assert complaint(f"stage=test, {pair}") == complaint("stage=test,?")
    assert complaint("stage=test,?").startswith("pair 2 is not NAME=VALUE. A name has")


@pytest.mark.parametrize("value", ["", "a=b", "50%", "a;b", '"a"', "über", "\x00", "v" * 65])
def test_a_value_that_cannot_be_kept_is_told_by_its_name_alone(value: str) -> None:
    assert complaint(f"project={value}") == complaint("project=?")
    assert complaint("project=?").startswith("the value of 'project', pair 1, cannot be kept. A name has")


def test_a_name_may_come_once() -> None:
    assert complaint("project=apollo", "project=gemini") == "'project' comes twice, again as pair 2"


def test_there_may_be_five() -> None:
    assert len(tags("a=1,b=2,c=3,d=4,e=5") or ()) == 5
    assert complaint("a=1,b=2,c=3,d=4,e=5,f=6") == "there are 6 tags; a request may carry 5"


def test_the_form_that_is_told_is_the_form_that_is_taken() -> None:
    form = complaint("A")

    assert [int(number) for number in re.findall(r"1 to (\d+)", form)] == [32, 64]
    assert tags(f"{'n' * 32}={'v' * 64}")
    assert complaint(f"{'n' * 33}=v")
    assert tags("a_1=aZ9 ._:/@+-") == {"a_1": "aZ9 ._:/@+-"}


def test_tags_that_cannot_be_read_are_refused_in_openais_shape() -> None:
    refused = refusal([(TAGS, "project")], ())

    assert refused is not None
    assert (refused.status, refused.code) == (400, "invalid_tags")
    message = json.loads(refused.body)["error"]["message"]
    assert message.startswith("OpenAI-Proxy-Tags cannot be read: pair 1 is not NAME=VALUE. ")
    assert message.endswith(". Send them as 'OpenAI-Proxy-Tags: project=apollo, stage=test'.")


def test_a_tag_that_is_required_and_missing_is_named() -> None:
    headers = [(TAGS, "stage=test")]
    refused = refusal(headers, ["stage", "project", "cost_centre"])

    assert refused is not None
    assert (refused.status, refused.code) == (400, "tag_required")
    assert "lacks the tag 'project', 'cost_centre'." in refused.message
    assert "OPENAI_CUSTOM_HEADERS" in refused.message
    assert refusal(headers, ["stage"]) is None
    assert refusal([], []) is None


ID, EMAIL = ("x-openwebui-user-id", "7f3c"), ("x-openwebui-user-email", "ada@example.com")
NOBODY, ASKED = RequestFacts(), RequestFacts(end_user="hash")


@pytest.mark.parametrize(
    ("headers", "facts", "user"),
    [
        ([], NOBODY, None),
        ([], ASKED, "hash"),
        ([ID], ASKED, "7f3c"),
        ([EMAIL], ASKED, "ada@example.com"),
        ([EMAIL, ID], NOBODY, "7f3c"),
        ([("x-openwebui-user-name", "Ada"), ("x-openwebui-user-role", "admin")], NOBODY, None),
        ([("x-openwebui-user-id", " "), EMAIL], NOBODY, "ada@example.com"),
        ([("x-openwebui-user-id", "i" * 257)], ASKED, "hash"),
        ([("x-openwebui-user-email", "jürgen@example.com".encode().decode("latin-1"))], NOBODY, "jürgen@example.com"),
    ],
)
def test_whom_open_webui_names_comes_before_whom_the_body_names(
    headers: list[tuple[str, str]], facts: RequestFacts, user: str | None
) -> None:
    assert end_user_of(headers, facts) == user
