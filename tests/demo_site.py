"""`openai-proxy serve` over the made-up year of `demo-data`, with a key for each kind of reader."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving import Serving


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A running site; `keys` by role: `admin`, `lead`, `member`."""

    serving: Serving
    keys: Mapping[str, str]

    @property
    def root(self) -> str:
        return self.serving.root


@contextlib.contextmanager
def demo_site(records: int, **environ: str) -> Iterator[DemoSite]:
    """Fill an empty folder with so many requests of the last year, and serve it until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="openai-proxy-demo-"))
    one = Serving(folder / "data", environ)
    try:
        made = json.loads(one.cli("demo-data", "--records", str(records), "--json"))
        one.start()
        yield DemoSite(one, {key["role"]: key["key"] for key in made["keys"]})
    finally:
        one.stop()
        shutil.rmtree(folder, ignore_errors=True)
