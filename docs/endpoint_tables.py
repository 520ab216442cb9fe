"""Writes the tables of endpoints, permissions and refused families into README.md and docs/endpoints.md: `make docs`.

Each stands between `<!-- NAME: make docs -->` and `<!-- end -->`. With `--check` nothing is written: the exit status
says whether a table is old.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from openai_proxy.api.endpoints import ENDPOINTS, Endpoint, Metering
from openai_proxy.api.permissions import REASONS
from openai_proxy.api.refused_families import REFUSED

ROOT = Path(__file__).parents[1]
METERED_FROM: Mapping[Metering, str] = {
    "chat": "the body; a stream's last chunk, which the proxy asks for",
    "responses": "the body; a stream's terminal event",
    "body": "the body",
    "images": "the body; a stream's last event",
    "speech": "a stream's last event; else estimated of the text or the sound",
    "transcription": "the body; a stream's last event; else the sound's duration, estimated",
    "free": "costs nothing",
    "unmetered": "not metered: recorded as `unknown`",
}


def main() -> int:
    """Write or check both documents."""
    tables = {
        "endpoints": _table(("calls", "metered from"), _everybodys()),
        "permissions": _table(("allow", "opens", "of these cost", "refused by default because"), _permissions()),
        "operations": _table(("call", "`operation_name`", "metered from", "allowed by"), _operations()),
        "refused": _table(("path, and all below it", "why"), _refused()),
    }
    old = [path for path in (ROOT / "README.md", ROOT / "docs/endpoints.md") if _is_old(path, tables)]
    if old and "--check" in sys.argv[1:]:
        sys.stderr.write(f"{', '.join(path.name for path in old)}: a table is old; run: make docs\n")
        return 1
    return 0


def _is_old(path: Path, tables: Mapping[str, str]) -> bool:
    before = text = path.read_text()
    for name, table in tables.items():
        begin = f"<!-- {name}: make docs -->\n"
        head, found, rest = text.partition(begin)
        if found:
            text = head + begin + table + "<!-- end -->" + rest.partition("<!-- end -->")[2]
    if text != before and "--check" not in sys.argv[1:]:
        path.write_text(text)
    return text != before


def _everybodys() -> Iterable[Sequence[str]]:
    groups: dict[Metering, list[Endpoint]] = {}
    for endpoint in ENDPOINTS:
        if endpoint.permission is None:
            groups.setdefault(endpoint.metering, []).append(endpoint)
    for metering, group in groups.items():
        yield _calls(group), METERED_FROM[metering]


def _permissions() -> Iterable[Sequence[str]]:
    for permission, reason in REASONS.items():
        family = [endpoint for endpoint in ENDPOINTS if endpoint.permission == permission]
        opens, costs = _opens(family), _calls([endpoint for endpoint in family if endpoint.metering == "unmetered"])
        if permission == "background_responses":
            opens, costs = '`"background": true` in a body', "`POST /v1/responses`"
        if permission == "lists":
            opens = _calls([endpoint for endpoint in ENDPOINTS if endpoint.lists])
        yield f"`{permission}`", opens, costs or "none", reason[0].lower() + reason[1:]


def _opens(family: Sequence[Endpoint]) -> str:
    """The tops of a family's paths, but those that everybody may call."""
    tops = {endpoint.path.partition("/{id}")[0] for endpoint in family}
    shared = {endpoint.path for endpoint in ENDPOINTS if endpoint.permission is None}
    return ", ".join(f"`/v1{top}/{{id}}`" if top in shared else f"`/v1{top}`" for top in sorted(tops))


def _operations() -> Iterable[Sequence[str]]:
    for endpoint in ENDPOINTS:
        call = f"`{endpoint.method} /v1{endpoint.path}`"
        yield call, f"`{endpoint.operation_name}`", METERED_FROM[endpoint.metering], _allowed_by(endpoint)


def _refused() -> Iterable[Sequence[str]]:
    for family in REFUSED:
        yield f"`{family.method or ''} /v1{family.path}`".replace("` ", "`"), family.reason


def _allowed_by(endpoint: Endpoint) -> str:
    if endpoint.permission is None:
        return "everybody"
    return f"`{endpoint.permission}`" + (" and `lists`" if endpoint.lists else "")


def _calls(endpoints: Sequence[Endpoint]) -> str:
    return ", ".join(f"`{endpoint.method} /v1{endpoint.path}`" for endpoint in endpoints)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
