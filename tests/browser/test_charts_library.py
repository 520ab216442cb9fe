"""The charts' library lies in the tree as npm has it."""

from __future__ import annotations

import hashlib
from pathlib import Path

_VENDOR = Path(__file__).parents[2] / "functions/log_view/static/vendor"


def test_every_file_of_the_charts_library_is_the_recorded_one() -> None:
    lines = (_VENDOR / "SHA256SUMS").read_text().splitlines()
    recorded = {name: digest for digest, name in map(str.split, lines)}

    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _VENDOR.iterdir()
        if path.name != "SHA256SUMS"
    }

    assert found == recorded
    assert "uPlot.LICENSE" in found
