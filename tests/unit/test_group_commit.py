from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from openai_proxy.adapters.group_commit import GroupCommit

_SECONDS = 30


class GatedWrite:
    """Keeps every write waiting until `gate` is open, and remembers what each was given."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.calls: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[str]:
        self.calls.append(list(items))
        self.begun.release()
        assert self.gate.wait(_SECONDS)
        if -1 in items:
            raise ValueError("-1 was among them")
        return [f"wrote {item}" for item in items]


def test_an_item_alone_is_written_at_once_and_gets_its_outcome() -> None:
    write = GatedWrite()
    write.gate.set()
    commits = GroupCommit(write, longest_wait_seconds=_SECONDS)

    assert [commits.submit(1), commits.submit(2)] == ["wrote 1", "wrote 2"]
    assert write.calls == [[1], [2]]


def test_what_comes_during_a_write_goes_together_in_the_next() -> None:
    write = GatedWrite()
    commits = GroupCommit(write, longest_wait_seconds=_SECONDS)
    with ThreadPoolExecutor(20) as threads:
        first = threads.submit(commits.submit, 0)
        assert write.begun.acquire(timeout=_SECONDS)
        others = [threads.submit(commits.submit, number) for number in range(1, 20)]
        while len(commits._waiting) < 19:  # noqa: SLF001 - nothing else tells that they wait
            pass
        write.gate.set()

        assert [done.result(_SECONDS) for done in (first, *others)] == [f"wrote {number}" for number in range(20)]
    assert [len(call) for call in write.calls] == [1, 19]


def test_an_item_waits_no_longer_than_told_for_a_write_that_hangs() -> None:
    write = GatedWrite()
    commits = GroupCommit(write, longest_wait_seconds=0.01)
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(commits.submit, number) for number in (1, 2)]
        for _ in both:
            assert write.begun.acquire(timeout=_SECONDS)  # the second began while the first was still under way
        write.gate.set()

        assert [done.result(_SECONDS) for done in both] == ["wrote 1", "wrote 2"]


def test_as_many_as_one_write_takes_do_not_wait_and_no_write_takes_more() -> None:
    write = GatedWrite()
    commits = GroupCommit(write, most_items=2, longest_wait_seconds=_SECONDS)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(commits.submit, 1)
        assert write.begun.acquire(timeout=_SECONDS)
        others = [threads.submit(commits.submit, number) for number in (2, 3)]
        assert write.begun.acquire(timeout=_SECONDS)
        write.gate.set()

        assert [done.result(_SECONDS) for done in (first, *others)] == ["wrote 1", "wrote 2", "wrote 3"]
    assert sorted(map(sorted, write.calls)) == [[1], [2, 3]]


def test_everybody_whose_write_failed_is_told_and_nobody_else() -> None:
    write = GatedWrite()
    commits = GroupCommit(write, longest_wait_seconds=_SECONDS)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(commits.submit, 1)
        assert write.begun.acquire(timeout=_SECONDS)
        others = [threads.submit(commits.submit, number) for number in (-1, 14)]
        while len(commits._waiting) < 2:  # noqa: SLF001 - as above
            pass
        write.gate.set()

        assert first.result(_SECONDS) == "wrote 1"
        for done in others:
            with pytest.raises(ValueError, match="-1 was among them"):
                done.result(_SECONDS)
    assert commits.submit(2) == "wrote 2"


def test_a_thread_that_is_ended_while_it_writes_leaves_nobody_waiting() -> None:
    def end(_: Sequence[int]) -> list[str]:
        raise SystemExit

    with pytest.raises(SystemExit):
        GroupCommit(end).submit(1)


def test_a_write_that_answers_for_too_few_items_is_an_error_for_all() -> None:
    with pytest.raises(ValueError, match="zip"):
        GroupCommit[int, str](lambda _: []).submit(1)


def test_a_thousand_items_of_many_threads_each_get_their_own_outcome() -> None:
    write = GatedWrite()
    write.gate.set()
    commits = GroupCommit(write, most_items=10)
    numbers = list(range(1_000))
    with ThreadPoolExecutor(32) as threads:
        outcomes = list(threads.map(commits.submit, numbers))

    assert outcomes == [f"wrote {number}" for number in numbers]
    assert sum(map(len, write.calls)) == len(numbers)
    assert max(map(len, write.calls)) <= 10
