"""Which rows of a long table stand on a page. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from openai_proxy.page.views import Pages

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Paging:
    """The page of that number, from 1, where `size` rows stand on one and `rows` are there in all."""

    number: int
    size: int
    rows: int

    @property
    def offset(self) -> int:
        """How many rows stand on the pages before."""
        return (self.number - 1) * self.size

    def slice(self, rows: Sequence[_T]) -> Sequence[_T]:
        """Those of all rows that stand on it."""
        return rows[self.offset : self.offset + self.size]

    def pages(self, href: Callable[[int], str]) -> Pages | None:
        """Where it is, and the way to others; None where there is one page alone."""
        if self.rows <= self.size and self.number == 1:
            return None
        last = min(self.offset + self.size, self.rows)
        shown = (
            f"{self.offset + 1:,} to {last:,} of {self.rows:,}" if self.offset < self.rows else f"none of {self.rows:,}"
        )
        return Pages(
            shown=shown,
            previous_href=href(self.number - 1) if self.number > 1 else None,
            next_href=href(self.number + 1) if last < self.rows and self.offset < self.rows else None,
        )
