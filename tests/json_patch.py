"""JSON Patch, as far as the tests need it: `add`, `replace` and `remove` (RFC 6902), by JSON Pointer (RFC 6901)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def patched(document: Json, patch: Sequence[Json]) -> Json:
    """A copy of the document with the patch applied; an operation whose place is not there changes nothing."""
    if not patch:
        return document
    changed = copy.deepcopy(document)
    for operation in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = changed
        for name in parents:
            place = _member(place, name)
        if isinstance(place, list) and last.isdigit() and int(last) < len(place):
            _change(place, int(last), operation)
        elif isinstance(place, dict) and (last in place or operation["op"] == "add"):
            _change(place, last, operation)
    return changed


def _member(place: Any, name: str) -> Any:
    if isinstance(place, list):
        return place[int(name)] if name.isdigit() and int(name) < len(place) else None
    return place.get(name) if isinstance(place, dict) else None


def _change(place: Any, name: Any, operation: Json) -> None:
    if operation["op"] == "remove":
        del place[name]
    else:
        place[name] = operation["value"]
