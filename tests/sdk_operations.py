"""All operations of the installed `openai` SDK, read from its source.

Each resource calls `self._get`, `self._post` and so on with the path as a string, a `path_template` or an f-string, or
hands that method and the path to a function. WebSockets are none of these: they are opened without them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import openai

_RESOURCES = Path(openai.__file__).with_name("resources")
_METHODS = {
    "_get": "GET", "_post": "POST", "_put": "PUT", "_patch": "PATCH", "_delete": "DELETE", "_get_api_list": "GET",
}  # fmt: skip


def sdk_operations(resources: Path = _RESOURCES) -> Mapping[tuple[str, str], set[str]]:
    """What the SDK calls each method and path; every id in a path is `{id}`, queries are left out.

    Raises:
        AssertionError: a request whose path the source does not tell.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for file in sorted(resources.rglob("*.py")):
        parts = list(file.relative_to(resources).with_suffix("").parts)
        module = ".".join(parts[:-1] if parts[-2:-1] == parts[-1:] else parts)
        tree = ast.parse(file.read_text())
        senders = {part for part in ast.walk(tree) if isinstance(part, ast.Attribute) and part.attr in _METHODS}
        functions = (part for part in ast.walk(tree) if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
        for function in functions:
            for call in (part for part in ast.walk(function) if isinstance(part, ast.Call)):
                for sender in senders.intersection([call.func, *call.args]):
                    found.setdefault(_operation(call, sender.attr), set()).add(f"{module}.{function.name}")
                    senders.remove(sender)
        assert not senders, f"{file}: no path is told in line {min(sender.lineno for sender in senders)}"
    return found


def _operation(call: ast.Call, sender: str) -> tuple[str, str]:
    paths = {path for part in call.args for path in _paths(part)}
    assert len(paths) == 1, f"the path of a request is not told: {ast.unparse(call)[:80]}"
    methods = (
        word.value.value for word in call.keywords if word.arg == "method" and isinstance(word.value, ast.Constant)
    )
    return next((str(method).upper() for method in methods), _METHODS[sender]), paths.pop().partition("?")[0]


def _paths(part: ast.AST) -> Iterator[str]:
    """Strings that begin with a slash, with `{id}` for whatever is filled in."""
    if isinstance(part, ast.JoinedStr):
        text = "".join(str(piece.value) if isinstance(piece, ast.Constant) else "{id}" for piece in part.values)
    elif isinstance(part, ast.Constant) and isinstance(part.value, str):
        text = re.sub(r"\{\w+\}", "{id}", part.value)
    else:
        for child in ast.iter_child_nodes(part):
            yield from _paths(child)
        return
    if text.startswith("/"):
        yield text
