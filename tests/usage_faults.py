"""All that can be wrong with what OpenAI tells of a usage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from usage_shapes import Json, Shape

MISSING, NULL = "missing", "null"
_HONEST = frozenset({MISSING, NULL, "zero"})
_WRONG: Mapping[str, Any] = {
    NULL: None,
    "zero": 0,
    "negative": -7,
    "negative and huge": -(10**18),
    "huge": 10**18,
    "beyond 64 bits": 10**30,
    "a string": "12",
    "words": "many",
    "a float": 1.5,
    "negative float": -0.25,
    "true": True,
    "garbage": {"a": [{"b": [1, None, {"c": -1}]}]},
    "a list": [1, 2],
    "infinite": float("inf"),
    "not a number": float("nan"),
}
_BESIDE = ("model", "service_tier", "id")  # what decides the price, or names the answer


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with what is told: `path` is a JSON Pointer, `value` a name in words."""

    path: str
    value: str

    @property
    def patch(self) -> Sequence[Json]:
        if self.value == MISSING:
            return [{"op": "remove", "path": self.path}]
        return [{"op": "replace", "path": self.path, "value": _WRONG[self.value]}]

    @property
    def is_json(self) -> bool:
        """Whether what is told is JSON at all (RFC 8259, 6); many parsers take it all the same."""
        return self.value not in {"infinite", "not a number"}

    @property
    def is_honest(self) -> bool:
        """Whether OpenAI may leave it out, or mean it: nothing absurd is told. Seconds need not be whole."""
        return self.value in _HONEST or (self.path == "/usage/seconds" and self.value == "a float")

    def __str__(self) -> str:
        return f"{self.path} is {self.value}"


_USUAL = (MISSING, NULL, "negative", "huge", "a string")


def faults(shape: Shape) -> Iterator[Fault]:
    """Everything that can be wrong: each member of the usage and of the tool usage, at any depth, and both as such.

    Of a form that differs from another only in where the usage stands, the usual ones.
    """
    values = _USUAL if shape.repeats else (MISSING, *_WRONG)
    for top in ("usage", "tool_usage"):
        for path in _paths(shape.told[top], f"/{top}") if top in shape.told else ():
            yield from (Fault(path, value) for value in values)
    for name in _BESIDE:
        if name in shape.told:
            yield from (Fault(f"/{name}", value) for value in values)


def _paths(value: object, path: str) -> Iterator[str]:
    yield path
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _paths(member, f"{path}/{name}")
