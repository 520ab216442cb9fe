"""The table of endpoints: what of OpenAI's API may be called, what it is called here, and where its usage stands.

Whatever the table has not is refused. Source of the operations: the `openai` SDK (reference openai-api.md, section 1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote

Metering = Literal["chat", "responses", "body", "images", "speech", "transcription", "free", "unmetered"]
"""Where an answer's usage stands: `chat`: in the body, or in a stream's last chunk if asked for; `responses`: in the
body, or in a stream's terminal event; `body`: in the body; `images`: in the body, or in a stream's last event;
`speech` and `transcription`: in a stream's last event or in JSON, else estimated of the sound; `free`: the call costs
nothing; `unmetered`: it costs something that no answer tells."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation; `path` is relative to the base URL, `{id}` stands for one segment."""

    method: str
    path: str
    operation_name: str
    metering: Metering


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint("POST", "/chat/completions", "chat", "chat"),
    Endpoint("POST", "/completions", "text_completion", "chat"),
    Endpoint("POST", "/responses", "responses", "responses"),
    Endpoint("GET", "/responses/{id}", "responses.retrieve", "free"),
    Endpoint("DELETE", "/responses/{id}", "responses.delete", "free"),
    Endpoint("POST", "/responses/{id}/cancel", "responses.cancel", "free"),
    Endpoint("GET", "/responses/{id}/input_items", "responses.input_items", "free"),
    Endpoint("POST", "/responses/input_tokens", "responses.input_tokens", "free"),
    Endpoint("POST", "/responses/compact", "responses.compact", "body"),
    Endpoint("POST", "/embeddings", "embeddings", "body"),
    Endpoint("POST", "/moderations", "moderations", "free"),
    Endpoint("GET", "/models", "models.list", "free"),
    Endpoint("GET", "/models/{id}", "models.retrieve", "free"),
)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,255}")
_ANCESTOR = ("openai",)  # POST /openai, the ancestor's form of chat completions
_PREFIXES = (("openai", "v1"), ("v1",), ())


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint, the path to ask OpenAI for (rebuilt from the table, never the client's own), and the id in it."""

    endpoint: Endpoint
    upstream_path: str
    resource_id: str | None


@lru_cache(maxsize=256)  # nearly every request is for one of a few paths
def find(method: str, raw_path: str) -> Route | None:
    """The route of a request, or None: `/v1/X`, `/X` and `/openai/v1/X` are the same, and no other form is accepted."""
    root, *rest = raw_path.split("/")
    if root:
        return None
    segments = tuple(unquote(segment) for segment in rest)
    if segments == _ANCESTOR:
        segments = ("chat", "completions")
    prefix = next(prefix for prefix in _PREFIXES if segments[: len(prefix)] == prefix)  # the last one fits all
    return _find(method, segments[len(prefix) :])


def _find(method: str, segments: tuple[str, ...]) -> Route | None:
    for endpoint, template in _BY_SHAPE.get((method, len(segments)), ()):
        resource_id = None
        for part, segment in zip(template, segments, strict=True):
            if part == "{id}":
                resource_id = segment
                if not _ID.fullmatch(segment):
                    break
            elif part != segment:
                break
        else:
            path = endpoint.path.replace("{id}", quote(resource_id or "", safe=":"))
            return Route(endpoint, path, resource_id)
    return None


def _by_shape() -> Mapping[tuple[str, int], Sequence[tuple[Endpoint, tuple[str, ...]]]]:
    table: dict[tuple[str, int], list[tuple[Endpoint, tuple[str, ...]]]] = {}
    for endpoint in ENDPOINTS:
        template = tuple(endpoint.path.split("/")[1:])
        table.setdefault((endpoint.method, len(template)), []).append((endpoint, template))
    return table


_BY_SHAPE = _by_shape()
