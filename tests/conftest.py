"""What end-to-end and fault tests share: a test upstream for each module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("clients.member", "ledger_check", "serving")

from serving import CountingUpstream, running_upstream  # noqa: E402 - registered before it is imported

if TYPE_CHECKING:
    from emulators import BigQueryEmulator, CloudLedger, PubsubEmulator


@pytest.fixture(scope="session")
def pubsub() -> Iterator[PubsubEmulator]:
    from emulators import pubsub_emulator  # it loads Google's clients, which most tests do without

    with pubsub_emulator() as one:
        yield one


@pytest.fixture(scope="session")
def bigquery() -> Iterator[BigQueryEmulator]:
    from emulators import bigquery_emulator

    with bigquery_emulator() as one:
        yield one


@pytest.fixture(scope="module")
def module_cloud_ledger(bigquery: BigQueryEmulator) -> Iterator[CloudLedger]:
    from emulators import cloud_ledger

    with cloud_ledger(bigquery) as one:
        yield one


@pytest.fixture
def empty_cloud_ledger(
    module_cloud_ledger: CloudLedger, bigquery: BigQueryEmulator, monkeypatch: pytest.MonkeyPatch
) -> CloudLedger:
    """The module's ledger without a row, and the environment that leads to it."""
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.host)
    module_cloud_ledger.clear()
    return module_cloud_ledger


@pytest.fixture(scope="module")
def upstream() -> Iterator[CountingUpstream]:
    with running_upstream() as one:
        yield one
