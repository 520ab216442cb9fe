"""A stretch of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Period:
    """From `since`, included, until `until`, excluded; aware UTC."""

    since: datetime
    until: datetime
