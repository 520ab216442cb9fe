"""A headless Chromium that opens one address in an empty profile: a picture of it, or its page and what it logged."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
_SECONDS = 60


def find() -> str | None:
    """The browser's program, if there is one on PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def run(program: str, address: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Open one address and end."""
    with tempfile.TemporaryDirectory(prefix="openai-proxy-chromium-", ignore_cleanup_errors=True) as profile:
        return subprocess.run(
            [program, *_FLAGS, f"--user-data-dir={profile}", *flags, address],
            check=True,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )


def screenshot(program: str, address: str, out: Path, *, width: int, height: int, dark: bool = False) -> None:
    """Save a PNG of what a window of this many CSS pixels shows; Chromium's own least width is 500."""
    scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    run(program, address, f"--window-size={width},{height}", f"--screenshot={out}", *scheme)


def console(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the page's console said: errors, refused loads, scripts that ran."""
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]
