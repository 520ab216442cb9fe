from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger_engines import ENGINES, Engine


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from ENGINES[request.param](request)
