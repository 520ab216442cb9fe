"""Make the README's picture of /log: a real log_view over a made-up month, photographed by Chromium.

.venv/bin/python tests/browser/screenshot.py --out docs/log.png
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import chromium
from made_usage import month
from page_serving import page_serving
from signed_in import signed_in


def main() -> None:
    """Save the picture; exit with one line where there is no browser."""
    parser = argparse.ArgumentParser(description="Save a picture of /log over made-up usage.")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--path", default="/log", help="what to open, as /log?period=today")
    parser.add_argument("--width", type=int, default=1200, help="in CSS pixels, from 500")
    parser.add_argument("--height", type=int, default=1000, help="in CSS pixels")
    parser.add_argument("--dark", action="store_true", help="as a person sees it who prefers dark")
    options = parser.parse_args()
    program = chromium.find()
    if program is None:
        sys.exit(f"screenshot.py: none of {', '.join(chromium.NAMES)} is on PATH; install one")
    now = datetime.now(UTC)
    with page_serving(month(now), ["ada", "grace", "linus", "nightly-evals"]) as page, signed_in(page, "ada") as root:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        size = {"width": options.width, "height": options.height}
        chromium.screenshot(program, root + options.path, options.out.resolve(), dark=options.dark, **size)


if __name__ == "__main__":
    main()
