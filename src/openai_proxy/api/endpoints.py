"""The table of endpoints: what of OpenAI's API may be called, by whom, what it is called here, where its usage stands.

Whatever the table has not is refused; `refused_families` has the reasons that can be told. Source of the operations:
the `openai` SDK (reference openai-api.md, section 1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

from openai_proxy.api.permissions import Permission
from openai_proxy.api.refused_families import Refused, refused

Metering = Literal["chat", "responses", "body", "images", "speech", "transcription", "free", "unmetered"]
"""Where an answer's usage stands: `chat`: in the body, or in a stream's last chunk if asked for; `responses`: in the
body, or in a stream's terminal event; `body`: in the body; `images`: in the body, or in a stream's last event;
`speech` and `transcription`: in a stream's last event or in JSON, else estimated of the sound; `free`: the call costs
nothing; `unmetered`: it costs something that no answer tells."""

UNCOUNTED: AbstractSet[Metering] = {"free", "unmetered"}
"""No budget can count these, and no list of models holds for them."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation; `path` is relative to the base URL, `{id}` stands for one segment.

    `operation_name` is the SDK's name of it, without a `create` that says nothing. `permission` must be allowed to the
    caller; None: everybody may. `lists`: it shows objects of everybody, so it is for admins, and for `lists`.
    """

    method: str
    path: str
    operation_name: str
    metering: Metering
    permission: Permission | None = None
    lists: bool = False

    def missing(self, allow: AbstractSet[Permission], *, is_admin: bool) -> Permission | None:
        """What must still be allowed to a caller before this operation is open to them, or None."""
        if self.permission is not None and self.permission not in allow:
            return self.permission
        return "lists" if self.lists and not is_admin and "lists" not in allow else None


def _allowed(permission: Permission, *endpoints: Endpoint) -> Sequence[Endpoint]:
    return [replace(endpoint, permission=permission) for endpoint in endpoints]


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
    Endpoint("POST", "/decisions", "decisions", "body"),
    Endpoint("POST", "/embeddings", "embeddings", "body"),
    Endpoint("POST", "/moderations", "moderations", "free"),
    Endpoint("GET", "/models", "models.list", "free"),
    Endpoint("GET", "/models/{id}", "models.retrieve", "free"),
    Endpoint("POST", "/images/generations", "images.generate", "images"),
    Endpoint("POST", "/images/edits", "images.edit", "images"),
    Endpoint("POST", "/images/variations", "images.create_variation", "images"),
    Endpoint("POST", "/audio/speech", "audio.speech", "speech"),
    Endpoint("POST", "/audio/transcriptions", "audio.transcriptions", "transcription"),
    Endpoint("POST", "/audio/translations", "audio.translations", "transcription"),
    *_allowed(
        "provenance_checks",
        Endpoint("POST", "/content_provenance_checks", "content_provenance_checks", "unmetered"),
    ),
    *_allowed(
        "stored_completions",
        Endpoint("GET", "/chat/completions", "chat.completions.list", "free", lists=True),
        Endpoint("GET", "/chat/completions/{id}", "chat.completions.retrieve", "free"),
        Endpoint("POST", "/chat/completions/{id}", "chat.completions.update", "free"),
        Endpoint("DELETE", "/chat/completions/{id}", "chat.completions.delete", "free"),
        Endpoint("GET", "/chat/completions/{id}/messages", "chat.completions.messages.list", "free"),
    ),
    *_allowed(
        "conversations",
        Endpoint("POST", "/conversations", "conversations.create", "free"),
        Endpoint("GET", "/conversations/{id}", "conversations.retrieve", "free"),
        Endpoint("POST", "/conversations/{id}", "conversations.update", "free"),
        Endpoint("DELETE", "/conversations/{id}", "conversations.delete", "free"),
        Endpoint("GET", "/conversations/{id}/items", "conversations.items.list", "free"),
        Endpoint("POST", "/conversations/{id}/items", "conversations.items.create", "free"),
        Endpoint("GET", "/conversations/{id}/items/{id}", "conversations.items.retrieve", "free"),
        Endpoint("DELETE", "/conversations/{id}/items/{id}", "conversations.items.delete", "free"),
    ),
    *_allowed(
        "files",
        Endpoint("GET", "/files", "files.list", "free", lists=True),
        Endpoint("POST", "/files", "files.create", "free"),
        Endpoint("GET", "/files/{id}", "files.retrieve", "free"),
        Endpoint("DELETE", "/files/{id}", "files.delete", "free"),
        Endpoint("GET", "/files/{id}/content", "files.content", "free"),
        Endpoint("POST", "/uploads", "uploads.create", "free"),
        Endpoint("POST", "/uploads/{id}/parts", "uploads.parts.create", "free"),
        Endpoint("POST", "/uploads/{id}/complete", "uploads.complete", "free"),
        Endpoint("POST", "/uploads/{id}/cancel", "uploads.cancel", "free"),
    ),
    *_allowed(
        "vector_stores",
        Endpoint("GET", "/vector_stores", "vector_stores.list", "free", lists=True),
        Endpoint("POST", "/vector_stores", "vector_stores.create", "unmetered"),
        Endpoint("GET", "/vector_stores/{id}", "vector_stores.retrieve", "free"),
        Endpoint("POST", "/vector_stores/{id}", "vector_stores.update", "free"),
        Endpoint("DELETE", "/vector_stores/{id}", "vector_stores.delete", "free"),
        Endpoint("POST", "/vector_stores/{id}/search", "vector_stores.search", "unmetered"),
        Endpoint("GET", "/vector_stores/{id}/files", "vector_stores.files.list", "free"),
        Endpoint("POST", "/vector_stores/{id}/files", "vector_stores.files.create", "unmetered"),
        Endpoint("GET", "/vector_stores/{id}/files/{id}", "vector_stores.files.retrieve", "free"),
        Endpoint("POST", "/vector_stores/{id}/files/{id}", "vector_stores.files.update", "free"),
        Endpoint("DELETE", "/vector_stores/{id}/files/{id}", "vector_stores.files.delete", "free"),
        Endpoint("GET", "/vector_stores/{id}/files/{id}/content", "vector_stores.files.content", "free"),
        Endpoint("POST", "/vector_stores/{id}/file_batches", "vector_stores.file_batches.create", "unmetered"),
        Endpoint("GET", "/vector_stores/{id}/file_batches/{id}", "vector_stores.file_batches.retrieve", "free"),
        Endpoint("POST", "/vector_stores/{id}/file_batches/{id}/cancel", "vector_stores.file_batches.cancel", "free"),
        Endpoint("GET", "/vector_stores/{id}/file_batches/{id}/files", "vector_stores.file_batches.list_files", "free"),
    ),
    *_allowed(
        "containers",
        Endpoint("GET", "/containers", "containers.list", "free", lists=True),
        Endpoint("POST", "/containers", "containers.create", "unmetered"),
        Endpoint("GET", "/containers/{id}", "containers.retrieve", "free"),
        Endpoint("DELETE", "/containers/{id}", "containers.delete", "free"),
        Endpoint("GET", "/containers/{id}/files", "containers.files.list", "free"),
        Endpoint("POST", "/containers/{id}/files", "containers.files.create", "free"),
        Endpoint("GET", "/containers/{id}/files/{id}", "containers.files.retrieve", "free"),
        Endpoint("DELETE", "/containers/{id}/files/{id}", "containers.files.delete", "free"),
        Endpoint("GET", "/containers/{id}/files/{id}/content", "containers.files.content.retrieve", "free"),
    ),
    *_allowed(
        "skills",
        Endpoint("GET", "/skills", "skills.list", "free", lists=True),
        Endpoint("POST", "/skills", "skills.create", "free"),
        Endpoint("GET", "/skills/{id}", "skills.retrieve", "free"),
        Endpoint("POST", "/skills/{id}", "skills.update", "free"),
        Endpoint("DELETE", "/skills/{id}", "skills.delete", "free"),
        Endpoint("GET", "/skills/{id}/content", "skills.content.retrieve", "free"),
        Endpoint("GET", "/skills/{id}/versions", "skills.versions.list", "free"),
        Endpoint("POST", "/skills/{id}/versions", "skills.versions.create", "free"),
        Endpoint("GET", "/skills/{id}/versions/{id}", "skills.versions.retrieve", "free"),
        Endpoint("DELETE", "/skills/{id}/versions/{id}", "skills.versions.delete", "free"),
        Endpoint("GET", "/skills/{id}/versions/{id}/content", "skills.versions.content.retrieve", "free"),
    ),
    *_allowed(
        "voices",
        Endpoint("POST", "/audio/voices", "audio.voices.create", "free"),
        Endpoint("DELETE", "/audio/voices/{id}", "audio.voices.delete", "free"),
        Endpoint("GET", "/audio/voice_consents", "audio.voice_consents.list", "free", lists=True),
        Endpoint("POST", "/audio/voice_consents", "audio.voice_consents.create", "free"),
        Endpoint("GET", "/audio/voice_consents/{id}", "audio.voice_consents.retrieve", "free"),
        Endpoint("POST", "/audio/voice_consents/{id}", "audio.voice_consents.update", "free"),
        Endpoint("DELETE", "/audio/voice_consents/{id}", "audio.voice_consents.delete", "free"),
    ),
    *_allowed(
        "batches",
        Endpoint("GET", "/batches", "batches.list", "free", lists=True),
        Endpoint("POST", "/batches", "batches.create", "unmetered"),
        Endpoint("GET", "/batches/{id}", "batches.retrieve", "free"),
        Endpoint("POST", "/batches/{id}/cancel", "batches.cancel", "free"),
    ),
    *_allowed(
        "fine_tuning",
        Endpoint("GET", "/fine_tuning/jobs", "fine_tuning.jobs.list", "free", lists=True),
        Endpoint("POST", "/fine_tuning/jobs", "fine_tuning.jobs.create", "unmetered"),
        Endpoint("GET", "/fine_tuning/jobs/{id}", "fine_tuning.jobs.retrieve", "free"),
        Endpoint("POST", "/fine_tuning/jobs/{id}/cancel", "fine_tuning.jobs.cancel", "free"),
        Endpoint("POST", "/fine_tuning/jobs/{id}/pause", "fine_tuning.jobs.pause", "free"),
        Endpoint("POST", "/fine_tuning/jobs/{id}/resume", "fine_tuning.jobs.resume", "unmetered"),
        Endpoint("GET", "/fine_tuning/jobs/{id}/checkpoints", "fine_tuning.jobs.checkpoints.list", "free"),
        Endpoint("GET", "/fine_tuning/jobs/{id}/events", "fine_tuning.jobs.list_events", "free"),
        Endpoint("POST", "/fine_tuning/alpha/graders/run", "fine_tuning.alpha.graders.run", "unmetered"),
        Endpoint("POST", "/fine_tuning/alpha/graders/validate", "fine_tuning.alpha.graders.validate", "free"),
    ),
    *_allowed(
        "evals",
        Endpoint("GET", "/evals", "evals.list", "free", lists=True),
        Endpoint("POST", "/evals", "evals.create", "free"),
        Endpoint("GET", "/evals/{id}", "evals.retrieve", "free"),
        Endpoint("POST", "/evals/{id}", "evals.update", "free"),
        Endpoint("DELETE", "/evals/{id}", "evals.delete", "free"),
        Endpoint("GET", "/evals/{id}/runs", "evals.runs.list", "free"),
        Endpoint("POST", "/evals/{id}/runs", "evals.runs.create", "unmetered"),
        Endpoint("GET", "/evals/{id}/runs/{id}", "evals.runs.retrieve", "free"),
        Endpoint("DELETE", "/evals/{id}/runs/{id}", "evals.runs.delete", "free"),
        Endpoint("POST", "/evals/{id}/runs/{id}/cancel", "evals.runs.cancel", "free"),
        Endpoint("GET", "/evals/{id}/runs/{id}/output_items", "evals.runs.output_items.list", "free"),
        Endpoint("GET", "/evals/{id}/runs/{id}/output_items/{id}", "evals.runs.output_items.retrieve", "free"),
    ),
    *_allowed(
        "realtime",
        Endpoint("POST", "/realtime/calls", "realtime.calls.create", "unmetered"),
        Endpoint("POST", "/realtime/calls/{id}/accept", "realtime.calls.accept", "unmetered"),
        Endpoint("POST", "/realtime/calls/{id}/hangup", "realtime.calls.hangup", "free"),
        Endpoint("POST", "/realtime/calls/{id}/refer", "realtime.calls.refer", "free"),
        Endpoint("POST", "/realtime/calls/{id}/reject", "realtime.calls.reject", "free"),
        Endpoint("POST", "/live/sessions", "live.create", "unmetered"),
        Endpoint("POST", "/live/sessions/{id}/accept", "live.sessions.accept", "unmetered"),
        Endpoint("POST", "/live/sessions/{id}/fork", "live.sessions.fork", "unmetered"),
        Endpoint("POST", "/live/sessions/{id}/hangup", "live.sessions.hangup", "free"),
        Endpoint("POST", "/live/sessions/{id}/refer", "live.sessions.refer", "free"),
        Endpoint("POST", "/live/sessions/{id}/reject", "live.sessions.reject", "free"),
        Endpoint("GET", "/live/sessions/{id}/content", "live.sessions.download_recording", "free"),
    ),
)

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,255}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")
_ANCESTOR = ("POST", ("openai",))  # the ancestor's form of chat completions
_PREFIXES = (("openai", "v1"), ("v1",), ())
_LONGEST_PATH = 4096  # three ids, every character percent-encoded; nothing longer is kept below


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint, the path to ask OpenAI for (rebuilt, of the table's shape), and the first id in it."""

    endpoint: Endpoint
    upstream_path: str
    resource_id: str | None


def find(method: str, raw_path: str) -> Route | Refused | None:
    """The route of a request, what refuses it by name, or None.

    `/v1/X`, `/X` and `/openai/v1/X` are the same, and no other form is accepted.
    """
    return _find(method, raw_path) if len(raw_path) <= _LONGEST_PATH else None


@lru_cache(maxsize=256)  # nearly every request is for one of a few paths
def _find(method: str, raw_path: str) -> Route | Refused | None:
    root, *rest = raw_path.split("/")
    if root:
        return None
    segments = tuple(unquote(segment) for segment in rest)
    if (method, segments) == _ANCESTOR:
        segments = ("chat", "completions")
    prefix = next(prefix for prefix in _PREFIXES if segments[: len(prefix)] == prefix)  # the last one fits all
    segments = segments[len(prefix) :]
    return _served(method, segments) or refused(method, segments)


def _served(method: str, segments: tuple[str, ...]) -> Route | None:
    for endpoint, template in _BY_SHAPE.get((method, len(segments)), ()):
        shape = _MODEL_ID if template[0] == "models" else _ID
        pairs = list(zip(template, segments, strict=True))
        if all(shape.fullmatch(segment) if part == "{id}" else part == segment for part, segment in pairs):
            resource_id = next((segment for part, segment in pairs if part == "{id}"), None)
            return Route(endpoint, "/" + "/".join(segments), resource_id)
    return None


def _by_shape() -> Mapping[tuple[str, int], Sequence[tuple[Endpoint, tuple[str, ...]]]]:
    table: dict[tuple[str, int], list[tuple[Endpoint, tuple[str, ...]]]] = {}
    for endpoint in ENDPOINTS:
        template = tuple(endpoint.path.split("/")[1:])
        table.setdefault((endpoint.method, len(template)), []).append((endpoint, template))
    return table


_BY_SHAPE = _by_shape()
