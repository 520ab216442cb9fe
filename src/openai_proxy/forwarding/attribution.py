"""What a caller says of a request: what it is for, and on whose behalf; said beside who they are, never instead.

Tags come in a header of ours. `OPENAI_CUSTOM_HEADERS` of OpenAI's SDKs, a line `Name: value` each, can send it without
a change of code. An end user is named in OpenAI's own fields, or in Open WebUI's headers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openai_proxy.api.refusals import Refusal
from openai_proxy.events import MOST_TAGS, TAG_NAME, TAG_VALUE
from openai_proxy.wire.headers import TAGS, Header, value_of
from openai_proxy.wire.request_body import RequestFacts, user_name

_HOW = "Send them as 'OpenAI-Proxy-Tags: project=apollo, stage=test'"
_FORM = (
    "A name has 1 to 32 small letters, digits or _, and begins with a letter; a value has 1 to 64 letters, digits,"
    " spaces or . _ : / @ + -"
)
# As ENABLE_FORWARD_USER_INFO_HEADERS sends them, where it signs nothing (open_webui/utils/headers.py, 0.9)
_FORWARDED_USER = ("x-openwebui-user-id", "x-openwebui-user-email")


class TagsError(ValueError):
    """The header cannot be read; the message says where, and of what was sent at most the name of a tag."""


def tags_of(headers: Iterable[Header]) -> Mapping[str, str] | None:
    """The tags of a request by name; None where it has none. The header may come more than once (RFC 9110, 5.3).

    Raises:
        TagsError: a pair that is none, a name that comes twice, or too many of them.
    """
    text = ",".join(value for name, value in headers if name == TAGS)
    pairs = [pair.strip() for pair in text.split(",")]
    tags: dict[str, str] = {}
    for number, pair in enumerate(filter(None, pairs), start=1):  # empty ones count for nothing (RFC 9110, 5.6.1.2)
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or not TAG_NAME.fullmatch(name):
            raise TagsError(f"pair {number} is not NAME=VALUE. {_FORM}")
        if not TAG_VALUE.fullmatch(value):
            raise TagsError(f"the value of {name!r}, pair {number}, cannot be kept. {_FORM}")
        if name in tags:
            raise TagsError(f"{name!r} comes twice, again as pair {number}")
        tags[name] = value
    if len(tags) > MOST_TAGS:
        raise TagsError(f"there are {len(tags)} tags; a request may carry {MOST_TAGS}")
    return tags or None


def refusal(headers: Iterable[Header], required: Iterable[str]) -> Refusal | None:
    """Why a request's tags keep it from going on: they cannot be read, or one that is required is not there."""
    try:
        tags = tags_of(headers) or {}
    except TagsError as error:
        return Refusal(400, f"OpenAI-Proxy-Tags cannot be read: {error}. {_HOW}.", code="invalid_tags")
    missing = [name for name in required if name not in tags]
    if not missing:
        return None
    need = f"Each of your requests must say what it is for, and this one lacks the tag {', '.join(map(repr, missing))}."
    return Refusal(
        400, f"{need} {_HOW}; SDKs take it in OPENAI_CUSTOM_HEADERS or default_headers.", code="tag_required"
    )


def end_user_of(headers: Iterable[Header], facts: RequestFacts) -> str | None:
    """On whose behalf a request is made; for callers only who may name users, since anybody could write a name.

    Open WebUI's headers come first: they name people as they are known there, where OpenAI asks for a hash of that.
    """
    headers = list(headers)
    forwarded = (_utf8(value_of(headers, name) or "") for name in _FORWARDED_USER)
    return next(filter(None, map(user_name, forwarded)), None) or facts.end_user


def _utf8(value: str) -> str:
    """A header's value as it was meant: ASGI's is bytes, which are read here as if they were Latin-1."""
    return value.encode("latin-1").decode("utf-8", "replace")
