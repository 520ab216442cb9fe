"""Times the access file: to read it, to find a key's holder in it, and to edit it. CPU time, the machine may be shared.

Half of the keys expire, each tenth user has a budget of their own, each hundredth a model list.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime

from openai_proxy.access.callers import Access
from openai_proxy.access.edits import add_user, issued_key, rotate_key
from openai_proxy.access.reading import mistakes
from openai_proxy.keys import key_hash

_SIZES = (50, 500, 5_000)
_WANTED_MS = 200
_ROUNDS = 9
_LOOK_UPS = 10_000
_NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def main() -> int:
    """Print the table; 1 when the largest file is read slower than wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=_SIZES)
    sizes = parser.parse_args().users
    columns = [measure(size) for size in sizes]
    print(f"| access file, median of {_ROUNDS}, CPU time | {' | '.join(f'{size:,} users' for size in sizes)} |")
    print(f"| --- |{' ---: |' * len(sizes)}")
    for name in columns[0]:
        print(f"| {name} | {' | '.join(column[name] for column in columns)} |")
    return int(float(columns[-1]["read and check, ms"]) >= _WANTED_MS)


def measure(users: int) -> dict[str, str]:
    """What is measured of a file with so many users, as text."""
    text = made(users)
    access = Access.parse(text)
    header, stranger = f"Bearer {key_of(users // 2, 1)}", "Bearer sk-op-nobody"
    key = issued_key("key_new", "f" * 64, _NOW)
    last = f"user-{users - 1}"
    return {
        "size, KiB": f"{len(text) / 1024:,.0f}",
        "tomllib alone, ms": milliseconds(lambda: tomllib.loads(text)),
        "read and check, ms": milliseconds(lambda: Access.parse(text)),
        "read and place one mistake, ms": milliseconds(lambda: mistakes(f"{text}\n[users.x]\nrole = 1\n")),
        "a key's holder and policy, µs": microseconds(lambda: access.authenticate(header, _NOW)),
        "a key of nobody, µs": microseconds(lambda: access.authenticate(stranger, _NOW)),
        "user add, ms": milliseconds(lambda: add_user(text, "new", key)),
        "key rotate, ms": milliseconds(lambda: rotate_key(text, last, key, overlap=datetime.resolution)),
    }


def milliseconds(work: Callable[[], object]) -> str:
    """The median CPU time of one call."""
    times = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return f"{statistics.median(times) * 1e3:.1f}"


def microseconds(work: Callable[[], object]) -> str:
    """The CPU time of one of many calls."""
    began = time.process_time()
    for _ in range(_LOOK_UPS):
        work()
    return f"{(time.process_time() - began) / _LOOK_UPS * 1e6:.1f}"


def made(users: int) -> str:
    """A file as the command line writes it, with two keys a user."""
    parts = ['version = 1\n\n[defaults]\nmodels = ["gpt-*"]\nbudgets = [{ amount = "20", period = "month" }]\n']
    for user in range(users):
        parts.append(f'\n[users.user-{user}]\nteam = "team-{user % 50}"\nrole = "member"\n')
        if not user % 10:
            parts.append('budgets = [{amount = "50.00", period = "month"}]\n')
        if not user % 100:
            parts.append('models = ["gpt-*", "o3"]\n')
        for number in range(2):
            parts.append(f'\n[[users.user-{user}.keys]]\nid = "key_{user}_{number}"\n')
            parts.append(
                f'sha256 = "{key_hash(key_of(user, number))}"\ncreated_time = 2026-04-0{number + 1}T00:00:00Z\n'
            )
            if not number:
                parts.append("expires_time = 2026-06-01T00:00:00Z\n")
    return "".join(parts)


def key_of(user: int, number: int) -> str:
    """A made-up key."""
    return f"sk-op-{user}-{number}"


if __name__ == "__main__":
    raise SystemExit(main())
