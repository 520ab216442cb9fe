from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from openai_proxy.access.events import AccessEvent, MalformedAccessEventError
from openai_proxy.adapters.access_trail import AccessTrail
from openai_proxy.ports import StoreError

EVENT = AccessEvent(
    event_id="c1-001",
    event_time=datetime(2026, 11, 23, 12, tzinfo=UTC),
    operator="grace",
    action="user add",
    user_id="ada",
    team_id=None,
    description="ada: added",
)
NEXT = replace(EVENT, event_id="c2-001")


@dataclass
class LogDouble:
    """A ledger; `meanwhile` happens while it is told."""

    broken: bool = False
    kept: list[AccessEvent] = field(default_factory=list)
    meanwhile: AccessTrail | None = None

    def add(self, events: Sequence[AccessEvent]) -> None:
        if self.meanwhile:
            self.meanwhile.add([NEXT])
        if self.broken:
            raise StoreError("the ledger was told to fail")
        self.kept += events


@pytest.fixture
def trail(tmp_path: Path) -> AccessTrail:
    return AccessTrail(tmp_path / "access.toml")


def add(trail: AccessTrail, *events: AccessEvent) -> None:
    with trail.adding(events):
        assert trail.waiting()[-len(events) :] == list(events)  # it is there before the change is


def test_events_wait_until_the_ledger_has_them(trail: AccessTrail) -> None:
    log = LogDouble()
    add(trail, EVENT)
    add(trail, NEXT)

    assert trail.deliver(log.add) == 2
    assert log.kept == [EVENT, NEXT]
    assert trail.waiting() == []
    assert not trail.path.exists()
    assert trail.deliver(log.add) == 0
    assert log.kept == [EVENT, NEXT]


def test_they_stay_where_the_ledger_cannot_be_written(trail: AccessTrail) -> None:
    add(trail, EVENT)

    with pytest.raises(StoreError):
        trail.deliver(LogDouble(broken=True).add)

    assert trail.waiting() == [EVENT]


def test_what_comes_while_the_ledger_is_told_waits_for_the_next_time(trail: AccessTrail) -> None:
    add(trail, EVENT)

    trail.deliver(LogDouble(meanwhile=trail).add)

    assert trail.waiting() == [NEXT]


def test_two_may_tell_the_ledger_at_the_same_time(trail: AccessTrail) -> None:
    log = LogDouble()
    add(trail, EVENT)

    def add_and_be_overtaken(events: Sequence[AccessEvent]) -> None:
        log.add(events)
        trail.deliver(log.add)

    assert trail.deliver(add_and_be_overtaken) == 1
    assert log.kept == [EVENT, EVENT]  # which the ledger counts once
    assert trail.waiting() == []


def test_a_change_that_fails_is_not_told(trail: AccessTrail) -> None:
    add(trail, EVENT)

    with pytest.raises(OSError, match="disk"), trail.adding([NEXT]):
        raise OSError("the disk is full")

    assert trail.waiting() == [EVENT]


def test_nothing_to_tell_leaves_nothing(trail: AccessTrail) -> None:
    with trail.adding([]):
        pass

    assert not trail.path.exists()


def test_the_file_is_its_owners_alone(trail: AccessTrail) -> None:
    add(trail, EVENT)
    assert stat.S_IMODE(trail.path.stat().st_mode) == 0o600

    trail.deliver(LogDouble(meanwhile=trail).add)
    assert stat.S_IMODE(trail.path.stat().st_mode) == 0o600


def test_a_line_that_a_crash_cut_off_tells_of_no_change(trail: AccessTrail) -> None:
    add(trail, EVENT)
    with trail.path.open("a") as file:
        file.write(NEXT.to_json()[:40])

    assert trail.waiting() == [EVENT]
    add(trail, NEXT)
    assert trail.waiting() == [EVENT, NEXT]


@pytest.mark.parametrize(("content", "where"), [(b"\n{}\n", ", line 2: "), (b"\xff\n", " is not UTF-8")])
def test_what_somebody_else_wrote_is_pointed_at_and_kept(trail: AccessTrail, content: bytes, where: str) -> None:
    trail.path.write_bytes(content)

    with pytest.raises(MalformedAccessEventError) as caught:
        trail.deliver(LogDouble().add)

    assert f"{trail.path}{where}" in str(caught.value)
    assert trail.path.read_bytes() == content
