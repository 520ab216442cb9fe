"""How many wrong keys may be tried at `/log`: so many a minute from one address, and so many from all together.

A good key is never refused for what others did elsewhere: where too many were wrong altogether, only addresses with a
wrong key of their own wait. What is remembered takes constant memory; the oldest address is forgotten first, so that
who has very many addresses is stopped late, rather than somebody else wrongly. Each instance counts for itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

WINDOW = timedelta(minutes=1)
FROM_ONE = 10
FROM_ALL = 100
ADDRESSES = 10_000
_NETWORK_BITS = 64  # of an IPv6 address: who has one has all that begin so (RFC 6177)


@dataclass(slots=True)
class _Count:
    ends: datetime
    wrong: int = 0


class WrongKeys:
    """Counts for one process, in windows that begin with a wrong key; safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._addresses: OrderedDict[str, _Count] = OrderedDict()  # the latest last
        self._all: _Count | None = None

    def wait_seconds(self, address: str, now: datetime) -> int:
        """How long this address must wait before a key of its is looked at; 0: not at all."""
        with self._lock:
            own = self._standing(self._addresses.get(_counted(address)), now)
            if own is None:
                return 0
            found = ((own, FROM_ONE), (self._standing(self._all, now), FROM_ALL))
            full = [count.ends for count, most in found if count is not None and count.wrong >= most]
            return ceil((max(full) - now).total_seconds()) if full else 0

    def add(self, address: str, now: datetime) -> None:
        """Note a wrong key."""
        with self._lock:
            name = _counted(address)
            own = self._addresses.pop(name, None)
            self._addresses[name] = self._one_more(own, now)
            if len(self._addresses) > ADDRESSES:
                self._addresses.popitem(last=False)
            self._all = self._one_more(self._all, now)

    def _standing(self, count: _Count | None, now: datetime) -> _Count | None:
        return None if count is None or count.ends <= now else count

    def _one_more(self, count: _Count | None, now: datetime) -> _Count:
        count = self._standing(count, now) or _Count(now + WINDOW)
        count.wrong += 1
        return count


def _counted(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 address; what is none counts as it stands, cut short."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, _NETWORK_BITS), strict=False))
    return str(found)
