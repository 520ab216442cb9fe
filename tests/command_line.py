"""The command line, run in this process on a data folder of the test's own: the fixtures `folder` and `run`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai_proxy.access.callers import Access


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left: its exit status, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read."""
        return json.loads(self.out)


Run = Callable[..., Done]


def access(folder: Path) -> Access:
    """The folder's access file."""
    return Access.parse((folder / "access.toml").read_text())
