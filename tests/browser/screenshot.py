"""Make the README's pictures of /log: a real `serve` over the made-up year of `demo-data`, photographed by Chromium.

.venv/bin/python tests/browser/screenshot.py --out docs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parent.parent))

import chromium
from demo_site import DemoSite, demo_site


@dataclass(frozen=True, slots=True)
class Picture:
    """What is seen of one page by one reader; sizes in CSS pixels. With `points`, the pointer is on the chart."""

    role: str
    path: str
    width: int = 1280
    height: int = 800
    scheme: Literal["dark", "light"] = "light"
    points: bool = False
    opens: str = ""
    """The first link with this in its address is followed."""


PICTURES: Mapping[str, Picture] = {
    "log": Picture("admin", "/log?period=12m", height=1000, points=True),
    "log-dark": Picture("admin", "/log?period=12m", height=1000, points=True, scheme="dark"),
    "log-requests": Picture("admin", "/log/requests"),
    "log-request": Picture("admin", "/log/requests", opens="/log/requests/"),
    "log-phone": Picture("member", "/log", width=390, height=844, scheme="dark"),
}


def main() -> None:
    """Save the pictures; exit with one line where there is no browser."""
    parser = argparse.ArgumentParser(description="Save pictures of /log over a made-up year.")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the PNGs")
    parser.add_argument("--records", type=int, default=50_000, help="how many requests the year has")
    parser.add_argument("--only", nargs="*", choices=PICTURES, default=list(PICTURES), help="some of the pictures")
    options = parser.parse_args()
    program = chromium.find()
    if program is None:
        sys.exit(f"screenshot.py: none of {', '.join(chromium.NAMES)} is on PATH; install one")
    options.out.mkdir(parents=True, exist_ok=True)
    with demo_site(options.records, OPENAI_API_KEY="sk-made-up") as site:  # with one, no page says that it is a demo
        save(program, site, options.only, options.out)


def save(program: str, site: DemoSite, names: Sequence[str], folder: Path) -> None:
    """Photograph these pages."""
    with chromium.running(program) as browser:
        for name in names:
            picture = PICTURES[name]
            with chromium.opened(
                browser,
                site.root,
                key=site.keys[picture.role],
                width=picture.width,
                height=picture.height,
                scheme=picture.scheme,
            ) as one:
                one.go(picture.path)
                if picture.opens:
                    one.page.locator(f"tbody a[href*='{picture.opens}']").first.click()
                    one.page.wait_for_load_state("networkidle")
                if picture.points:
                    place = one.page.locator(".u-over")
                    size = place.bounding_box()
                    assert size is not None
                    place.hover(position={"x": size["width"] * 0.04, "y": size["height"] / 2})
                one.page.screenshot(path=folder / f"{name}.png")


if __name__ == "__main__":
    main()
