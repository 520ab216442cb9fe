"""A browser, and the made-up year that it looks at, for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

import chromium
from demo_site import DemoSite, demo_site

_RECORDS = 6_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium.find()
    if program is None:
        pytest.skip(f"none of {', '.join(chromium.NAMES)} is on PATH")
    with chromium.running(program) as one:
        yield one


@pytest.fixture(scope="module")
def site() -> Iterator[DemoSite]:
    with demo_site(_RECORDS) as one:
        yield one
