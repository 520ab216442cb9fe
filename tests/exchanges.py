"""One request and all that came back, byte for byte, with no library in between that would tidy it up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Got:
    """An answer; `headers` are sorted pairs, names in lower case; `broken`: it did not come to its end."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    broken: bool = False

    def header(self, wanted: str) -> str | None:
        return next((value for name, value in self.headers if name == wanted), None)


def send(
    root: str, method: str, path: str, *, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None = None
) -> requests.Response:
    """Send a request; the answer's body is still to be read, or to be left."""
    return requests.request(
        method, root + path, headers=headers, data=body, stream=True, timeout=_SECONDS, allow_redirects=False
    )


def receive(answer: requests.Response) -> Got:
    """Read an answer to its end, or to where it breaks."""
    raw: Any = answer.raw
    pieces, broken = [], False
    try:
        pieces.extend(raw.stream(65_536, decode_content=False))
    except urllib3.exceptions.HTTPError:
        broken = True
    finally:
        answer.close()
    headers = tuple(sorted((name.lower(), value) for name, value in raw.headers.iteritems()))
    return Got(answer.status_code, headers, b"".join(pieces), broken)


def ask(
    root: str, method: str, path: str, *, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None = None
) -> Got:
    """Send and receive."""
    return receive(send(root, method, path, headers=headers, body=body))


def bearer(key: str, **more: str) -> dict[str, str]:
    """The headers of a JSON request with a key; `more` with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"authorization": f"Bearer {key}", "content-type": "application/json", **named}
