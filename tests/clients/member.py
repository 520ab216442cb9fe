"""A member who has a client and two settings, and the ledger that must equal what the upstream served."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.told import Told
from ledger_check import assert_ledger_equals, assert_nothing_is_open, by_event_id
from serving import CountingUpstream, Serving

_TESTS = Path(__file__).parents[1]
_SECONDS = 120
# What a client would send anywhere else fails at once: nobody listens on port 9
_NOWHERE_ELSE = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a team, before a running proxy and an upstream that counts; `home` is their home folder."""

    user_id: str
    key: str = field(repr=False)
    proxy: Serving
    upstream: CountingUpstream
    home: Path

    def run(self, *command: str | Path, settings: Mapping[str, str] | None = None, text: str | None = None) -> str:
        """What a program prints that knows the settings, most often the two, and nothing else; it must end well."""
        two = {"OPENAI_BASE_URL": self.proxy.base_url, "OPENAI_API_KEY": self.key}
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "PYTHONPATH": str(_TESTS)}
        done = subprocess.run(
            command,
            env=environ | _NOWHERE_ELSE | (two if settings is None else dict(settings)),
            cwd=self.home,
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        assert done.returncode == 0, f"{command[1:]}: {done.stderr[-4000:]}"
        return done.stdout

    def calls(self, *command: str | Path) -> Sequence[Told]:
        """What one of this folder's scripts told of its calls."""
        return [json.loads(line) for line in self.run(*command).splitlines()]

    def ledger(self) -> Sequence[Record]:
        """The ledger's records, all this member's, once they equal what the upstream served."""
        records = self.proxy.all_finished()
        served = self._served({record["event_id"] for record in records})
        assert served, "the client asked for nothing"
        assert_nothing_is_open(records)
        assert_ledger_equals(served, records)
        assert {record["user_id"] for record in records} == {self.user_id}
        assert self.proxy.dead_letters() == 0
        return records

    def _served(self, event_ids: set[str]) -> list[dict[str, Any]]:
        """What the upstream served; nobody else has called here, so what tells no `user` is this member's.

        A client may bring an `X-Client-Request-Id` of its own, and it passes: of one such request it is clear which.
        """
        served = [one | {"user": one["user"] or self.user_id} for one in self.upstream.served()]
        named_by_client = [one for one in served if one["event_id"] not in event_ids]
        assert len(named_by_client) <= 1, "whose record is whose?"
        for one in named_by_client:
            (one["event_id"],) = event_ids - {other["event_id"] for other in served}
        return served


def assert_told_as_recorded(told: Sequence[Told], records: Sequence[Record]) -> None:
    """What a client read of its usage, as far as it tells, is what the ledger has of the same requests."""
    counted = [one for one in told if "tokens" in one]
    assert counted, "the client was told nothing"
    ledger = by_event_id(records)
    for one in counted:
        if "request_id" in one:
            assert tuple(one["tokens"]) == _tokens(ledger[one["request_id"]]), one
    untold = Counter(map(_tokens, records))
    untold.subtract(tuple(one["tokens"]) for one in counted)
    assert not -untold, f"told by the client, and not in the ledger: {-untold}"


def _tokens(record: Record) -> tuple[int, int]:
    return record["input_tokens"] or 0, record["output_tokens"] or 0
