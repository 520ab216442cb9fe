"""docs/cost.md is what deploy/cost.py prints."""

from __future__ import annotations

import subprocess
import sys

from terraform_stub import ROOT


def test_the_page_is_what_the_script_prints() -> None:
    printed = subprocess.run(
        [sys.executable, "deploy/cost.py"], cwd=ROOT, capture_output=True, check=True, encoding="utf-8"
    ).stdout

    assert (ROOT / "docs" / "cost.md").read_text("utf-8") == printed, "run: python deploy/cost.py >docs/cost.md"
