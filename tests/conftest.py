"""What end-to-end and fault tests share: a test upstream for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("ledger_check", "serving")

from serving import CountingUpstream, running_upstream  # noqa: E402 - registered before it is imported


@pytest.fixture(scope="module")
def upstream() -> Iterator[CountingUpstream]:
    with running_upstream() as one:
        yield one
