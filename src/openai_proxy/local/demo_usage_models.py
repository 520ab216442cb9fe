"""Which models a made-up company uses, and how a newer one takes over from an older.

Prices are not known here: each is in genai-prices or in `prices.toml`, but for one, on purpose.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

Role = Literal[
    "best", "quick", "patient", "chat", "deep", "embedding", "drawing", "voice", "reader", "ear", "tuned", "guard"
]
"""What a model is used for."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model: the name that is asked for, the one that answers, and how many tokens a second it writes.

    `service_tier` is the tier that is asked for with it.
    """

    name: str
    snapshot: str
    tokens_per_second: float = 80.0
    reasons: bool = False
    writes_cache: bool = False
    service_tier: str = "default"


@dataclass(frozen=True, slots=True)
class _Successor:
    """A model that takes over, beginning some days after the last 1 April."""

    model: Model
    days_after_spring: int


_FIRST: Mapping[Role, Model] = {
    "best": Model("gpt-5.1", "gpt-5.1-2025-11-13", 62, reasons=True),
    "quick": Model("gpt-5-mini", "gpt-5-mini-2025-08-07", 118, reasons=True),
    "patient": Model("gpt-5-mini", "gpt-5-mini-2025-08-07", 118, reasons=True),
    "chat": Model("gpt-4.1", "gpt-4.1-2025-04-14", 74),
    "deep": Model("gpt-5.2-pro", "gpt-5.2-pro-2025-12-11", 21, reasons=True),
    "embedding": Model("text-embedding-3-small", "text-embedding-3-small"),
    "drawing": Model("gpt-image-1.5", "gpt-image-1.5"),
    "voice": Model("gpt-4o-mini-tts", "gpt-4o-mini-tts"),
    "reader": Model("tts-1", "tts-1"),
    "ear": Model("gpt-4o-transcribe", "gpt-4o-transcribe", 240),
    "tuned": Model("ft:gpt-4.1-mini:demo:triage:C4x", "ft:gpt-4.1-mini:demo:triage:C4x", 110),  # has no list price
    "guard": Model("omni-moderation-latest", "omni-moderation-2024-09-26"),
}
_SUCCESSORS: Mapping[Role, tuple[_Successor, ...]] = {
    "best": (
        _Successor(Model("gpt-5.4", "gpt-5.4-2026-03-05", 71, reasons=True), 0),
        _Successor(Model("gpt-6.1-sol", "gpt-6.1-sol", 96, reasons=True, writes_cache=True), 200),
    ),
    "quick": (_Successor(Model("gpt-5.4-mini", "gpt-5.4-mini-2026-03-17", 140, reasons=True), 14),),
    "patient": (
        _Successor(Model("gpt-5.4-mini", "gpt-5.4-mini-2026-03-17", 140, reasons=True), 14),
        _Successor(Model("gpt-5.4-mini", "gpt-5.4-mini-2026-03-17", 90, reasons=True, service_tier="flex"), 200),
    ),
    "deep": (_Successor(Model("gpt-5.4-pro", "gpt-5.4-pro-2026-03-05", 26, reasons=True), 4),),
    "drawing": (_Successor(Model("gpt-image-2", "gpt-image-2"), 60),),
}
_HALF_OVER_DAYS, _PACE_DAYS = 12, 4  # half of the requests go to the newer one after 12 days, nearly all after 30


def days_after_spring(day: date, today: date) -> int:
    """How many days after the last 1 April, as seen from today; below 0 before it."""
    spring = date(today.year, 4, 1)
    return (day - (spring if spring <= today else date(today.year - 1, 4, 1))).days


def model_of(role: Role | None, days: int, rolls: random.Random) -> Model | None:
    """The model that somebody picks so many days after spring; None where none is asked for."""
    if role is None:
        return None
    picked = _FIRST[role]
    for successor in _SUCCESSORS.get(role, ()):
        age = days - successor.days_after_spring
        if age >= 0 and rolls.random() < 1 / (1 + math.exp((_HALF_OVER_DAYS - age) / _PACE_DAYS)):
            picked = successor.model
    return picked
