"""OpenAI's stored objects: files, uploads, batches, vector stores, conversations, containers, fine-tuning jobs.

Small, and believable: the official SDK reads them all. An object's id depends on its question alone, and what was made
stays, so the same requests get the same answers however often they are asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any

from openai_wire import CREATED, ApiError, Json, Question, Reply

_FILLER = bytes(range(256)) * 256


@dataclass(frozen=True, slots=True)
class _Kind:
    """One collection; `made` gives the rest of an object, from its question and the object that it is in."""

    prefix: str
    name: str
    made: Callable[[Question, str], Json]
    deleted: str | None = None


def _file(question: Question, _: str) -> Json:
    if not question.files:
        raise ApiError(400, "'file' is a required property")
    (sent,) = question.files
    named = {"bytes": sent.size, "filename": sent.filename, "purpose": question.body.get("purpose")}
    return {**named, "status": "processed", "expires_at": None, "status_details": None}


def _upload(question: Question, _: str) -> Json:
    asked = {name: question.body.get(name) for name in ("bytes", "filename", "purpose")}
    return {**asked, "status": "pending", "expires_at": CREATED + 3600, "file": None}


def _upload_part(_: Question, upload: str) -> Json:
    return {"upload_id": upload}


def _batch(question: Question, _: str) -> Json:
    asked = {name: question.body.get(name) for name in ("endpoint", "completion_window", "input_file_id", "metadata")}
    usage = {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    }
    counts = {"total": 0, "completed": 0, "failed": 0}
    return {**asked, "status": "validating", "errors": None, "request_counts": counts, "usage": usage, "model": None}


def _vector_store(question: Question, _: str) -> Json:
    counts = {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}
    rest = {"usage_bytes": 0, "file_counts": counts, "status": "completed", "last_active_at": CREATED}
    return {"name": question.body.get("name"), **rest, "metadata": question.body.get("metadata") or {}}


def _vector_store_file(_: Question, store: str) -> Json:
    return {"vector_store_id": store, "status": "completed", "usage_bytes": 1234, "last_error": None, "attributes": {}}


def _vector_store_batch(_: Question, store: str) -> Json:
    counts = {"in_progress": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1}
    return {"vector_store_id": store, "status": "completed", "file_counts": counts}


def _conversation(question: Question, _: str) -> Json:
    return {"metadata": question.body.get("metadata") or {}}


def _container(question: Question, _: str) -> Json:
    size = question.body.get("memory_limit") or "1g"
    expires = {"anchor": "last_active_at", "minutes": 20}
    return {"name": question.body.get("name"), "status": "running", "expires_after": expires, "memory_limit": size}


def _container_file(question: Question, container: str) -> Json:
    sent = question.files[0] if question.files else None
    path = f"/mnt/data/{sent.filename if sent else question.body.get('file_id')}"
    return {"container_id": container, "bytes": sent.size if sent else 0, "path": path, "source": "user"}


def _job(question: Question, _: str) -> Json:
    tuned = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    return {
        "model": question.body.get("model"),
        "training_file": question.body.get("training_file"),
        "validation_file": None,
        "status": "queued",
        "hyperparameters": tuned,
        "organization_id": "org-made-up",
        "result_files": [],
        "seed": 1,
        "error": None,
        "fine_tuned_model": None,
        "finished_at": None,
        "trained_tokens": None,
        "method": {"type": "supervised", "supervised": {"hyperparameters": tuned}},
    }


_KINDS: Mapping[str, _Kind] = {
    "/files": _Kind("file-", "file", _file, "file"),
    "/uploads": _Kind("upload_", "upload", _upload),
    "/uploads/*/parts": _Kind("part_", "upload.part", _upload_part),
    "/batches": _Kind("batch_", "batch", _batch),
    "/vector_stores": _Kind("vs_", "vector_store", _vector_store),
    "/vector_stores/*/files": _Kind("file-", "vector_store.file", _vector_store_file),
    "/vector_stores/*/file_batches": _Kind("vsfb_", "vector_store.files_batch", _vector_store_batch),
    "/conversations": _Kind("conv_", "conversation", _conversation),
    "/containers": _Kind("cntr_", "container", _container),
    "/containers/*/files": _Kind("cfile_", "container.file", _container_file),
    "/fine_tuning/jobs": _Kind("ftjob-", "fine_tuning.job", _job),
}
_COLLECTIONS_WITHIN = {"files", "file_batches", "items", "parts"}
_FOUND = {"file_id": "file-a", "filename": "a.txt", "score": 0.5, "attributes": {}}
_LISTS: Mapping[str, Json] = {
    "events": {"object": "list", "data": [], "has_more": False},
    "checkpoints": {"object": "list", "data": [], "has_more": False},
    "search": {
        "object": "vector_store.search_results.page",
        "data": [{**_FOUND, "content": [{"type": "text", "text": "water"}]}],
        "has_more": False,
    },
}
_STATUS_AFTER = {"cancel": "cancelled", "pause": "paused", "resume": "queued", "complete": "completed"}


@dataclass(slots=True)
class Objects:
    """What was made so far."""

    _made: dict[str, Json] = field(default_factory=dict)
    _contents: dict[str, bytes] = field(default_factory=dict)

    def forget(self) -> None:
        self._made.clear()
        self._contents.clear()

    def reply(self, method: str, question: Question) -> Reply | None:
        """The answer to a request about an object, or None where the path is none of theirs."""
        for path, kind in _KINDS.items():
            within = path.replace("*", "(?P<within>[^/]+)") if "*" in path else f"{path}(?P<within>)"
            found = re.fullmatch(within + r"(?:/(?P<name>[^/]+))?(?:/(?P<action>[^/]+))?", question.path)
            if found and found["action"] not in _COLLECTIONS_WITHIN:
                reply = self._reply(method, question, kind, **found.groupdict())
                return replace(reply, told=method != "POST")  # some cost by the day, the session or the search
        return self._items(method, question)

    def _reply(
        self, method: str, question: Question, kind: _Kind, *, within: str, name: str | None, action: str | None
    ) -> Reply:
        if within and within not in self._made:
            raise ApiError(404, f"No such object: {within}", "not_found")
        if name is None:
            return Reply(self._create(question, kind, within) if method == "POST" else self._list(kind, within))
        known = self._made.get(name)
        if known is None:
            raise ApiError(404, f"No such {kind.name} object: {name}", "not_found")
        if action == "content":
            pieces = chain([self._contents.get(name, b"")], repeat(_FILLER, question.orders.big // len(_FILLER)))
            return Reply(pieces, content_type="application/octet-stream")
        if action:
            return Reply({**known, "status": _STATUS_AFTER[action]} if action in _STATUS_AFTER else _LISTS[action])
        if method == "DELETE":
            return Reply({"id": name, "object": kind.deleted or f"{kind.name}.deleted", "deleted": True})
        return Reply({**known, **question.body} if method == "POST" else known)

    def _create(self, question: Question, kind: _Kind, within: str) -> Json:
        name = question.body.get("file_id") if kind.name == "vector_store.file" else None
        name = name or kind.prefix + question.unique[:24]
        made = {"id": name, "object": kind.name, "created_at": CREATED, **kind.made(question, within)}
        self._made[name] = self._made.get(name, made)
        self._contents[name] = question.files[0].head if question.files else b""
        return made

    def _list(self, kind: _Kind, within: str) -> Json:
        listed = [one for one in self._made.values() if one["object"] == kind.name and within in json.dumps(one)]
        return _listed(listed)

    def _items(self, method: str, question: Question) -> Reply | None:
        """A conversation's items; they are given back, and not kept."""
        found = re.fullmatch(r"/conversations/([^/]+)/items(?:/([^/]+))?", question.path)
        if found is None:
            return None
        if found[1] not in self._made:
            raise ApiError(404, f"Conversation with id '{found[1]}' not found.", "not_found")
        item: dict[str, Any] = {"id": found[2] or f"msg_{question.unique}", "type": "message", "status": "completed"}
        item |= {"role": "user", "content": [{"type": "input_text", "text": "water"}]}
        if method == "DELETE":
            return Reply(self._made[found[1]])
        return Reply(item if found[2] else _listed([item]))


def _listed(listed: list[Json]) -> Json:
    ends = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]} if listed else {"first_id": None, "last_id": None}
    return {"object": "list", "data": listed, **ends, "has_more": False}
