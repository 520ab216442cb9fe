"""What a request orders of the test upstream, and what the upstream noted of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Orders:
    """What to do otherwise than well. `gpt-4o+slow=5+deltas=40` and `fail-429` are models that order something."""

    fail: int = 0  # answer this status
    flaky: int = 0  # with `fail`: only until the SDK has tried this often
    hang: int = 0  # never answer
    refuse: int = 0  # drop the connection instead of answering
    cut_after: int | None = None  # drop the connection after that many deltas; unary: in the middle of the body
    first: int = 0  # ms before the answer's head
    slow: int = 0  # ms before each event; unary: before the body
    gate: int | None = None  # wait before event number N until POST /__open
    step: int = 0  # wait before each event but the first for a POST /__step of its own
    gzip: int = 0  # compress, asked or not
    deflate: int = 0  # the same, with zlib's head
    error_after: int | None = None  # a stream's last event after that many deltas is an error
    odd_header: int = 0  # a header of the answer has bytes beyond Latin-1
    odd_headers: int = 0  # headers that are repeated, empty, long
    liar: int = 0  # say that it is compressed, and it is not
    unread: int = 0  # say that it is compressed in a way that the proxy does not read
    crlf: int = 0  # end lines with CR LF
    split: int = 0  # write each byte by itself
    chunks: int = 0  # unary: send it without a length, in parts of that many bytes
    comments: int = 0  # a comment before each delta
    deltas: int | None = None  # this many content deltas
    big: int = 0  # bytes of filler: embeddings' data, a Response's last event, pictures, a file's content
    incomplete: int = 0  # a Response ends as incomplete
    failed: int = 0  # a Response ends as failed

    @classmethod
    def of(cls, header: str, model: str) -> Orders:
        known = {one.name for one in dataclasses.fields(cls)}
        given: dict[str, Any] = {}
        for word in header.split() + model.split("+"):
            found = re.fullmatch(r"(.+?)(?:[-=](\d+))?", word)
            name = found.group(1).replace("-", "_") if found else ""
            if found and name in known:
                given[name] = int(found.group(2) or 1)
        return cls(**given)


_NOTHING = {"input": 0, "cached": 0, "output": 0, "reasoning": 0}


@dataclass(slots=True, kw_only=True)
class Served:
    """One request as the upstream saw it.

    `billed` is what OpenAI would put on the bill, in tokens; `units` is the rest of it, by the ledger's names of units:
    parts of these tokens that have a price of their own, and what is no token. `told`: the answer says so, in a way
    that can be read; where it does not, the ledger can estimate at best. `completed`: all was written; `ended`: that,
    or the connection is gone. `project` is None for the key that has no name.
    """

    number: int
    event_id: str | None
    method: str
    path: str
    query: str
    team_key: bool
    headers: Mapping[str, str]
    project: str | None = None
    user: str | None = None
    model: str | None = None
    stream: bool = False
    asked_usage: bool | None = None
    body_bytes: int = 0
    body_sha256: str | None = None
    file_bytes: int | None = None
    file_sha256: str | None = None
    status: int | None = None
    response_model: str | None = None
    billed: Mapping[str, int] = field(default_factory=lambda: dict(_NOTHING))
    units: Mapping[str, float] = field(default_factory=dict)
    told: bool = True
    tokens_sent: int = 0
    completed: bool = False
    ended: bool = False
