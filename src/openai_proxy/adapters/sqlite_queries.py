"""The texts of `queries/sqlite`; what is put into them is fixed text of the adapters, every value is bound."""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template


def query(name: str, **parts: str) -> str:
    """The query with its parts in place."""
    return _text_of(name).substitute(parts)


def words(row: str) -> str:
    """The columns that questions have and `usage_records` has not, of that row."""
    return query("words", row=row)


def requests(index: str = "") -> str:
    """The final records, with those columns; `index` names the one that must be used, where that is known."""
    return query("requests", words=words("usage_records"), index=f"INDEXED BY {index}" if index else "")


@cache
def _text_of(name: str) -> Template:
    return Template(resources.files("openai_proxy").joinpath("queries", "sqlite", f"{name}.sql").read_text("utf-8"))
