"""access: what is wrong with an access file, what changes with it before it is shipped, and who changed it."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from openai_proxy.access.callers import Access, AccessFileError
from openai_proxy.access.changes import changes
from openai_proxy.access.mistakes import Mistake
from openai_proxy.access.warnings import warnings
from openai_proxy.adapters.access_file import read_access_file
from openai_proxy.commands import access_trail
from openai_proxy.commands.access_editing import telling_which
from openai_proxy.commands.parsing import Arguments, Commands, print_json
from openai_proxy.commands.places import existing_folder

_STANDARD_INPUT = Path("/dev/stdin")


def add_to(commands: Commands) -> None:
    """Declare the commands."""
    access = commands.group("access", "Access files, before they are shipped, and who changed them")
    check = access.add("check", _check, "Say all that is wrong or odd in an access file, and where", as_json=True)
    check.add_argument("file", nargs="?", help="default: the data folder's; - is standard input")
    diff = access.add("diff", _diff, "Say what changes from one access file to another", as_json=True)
    diff.add_argument("old", help="the access file that holds; - is standard input")
    diff.add_argument("new", help="the one that is to hold; - is standard input")
    access_trail.add_to(access)


def _check(arguments: Arguments) -> int:
    path = _path(arguments.file) if arguments.file else existing_folder(arguments).access_file
    try:
        text = read_access_file(path)
        access = Access.parse(text)
    except AccessFileError as error:
        if not error.mistakes:  # it cannot be read
            raise
        _report(arguments, path, error.mistakes, ())
        return 1
    _report(arguments, path, (), warnings(access, text, now=datetime.now(UTC), is_known=_is_known))
    if not arguments.json:
        print(f"{path} is good: {_summary(access)}.")
    return 0


def _report(arguments: Arguments, path: Path, mistakes: Sequence[Mistake], odd: Sequence[Mistake]) -> None:
    if arguments.json:
        print_json({"mistakes": [asdict(one) for one in mistakes], "warnings": [asdict(one) for one in odd]})
    else:
        sys.stdout.writelines(_line(path, one, "mistake") for one in mistakes)
        sys.stdout.writelines(_line(path, one, "warning") for one in odd)


def _diff(arguments: Arguments) -> int:
    found = changes(_access(_path(arguments.old)), _access(_path(arguments.new)))
    if arguments.json:
        print_json([asdict(change) for change in found])
    else:
        sys.stdout.writelines(f"{change}\n" for change in found or ("Nothing changes.",))
    return 0


def _access(path: Path) -> Access:
    with telling_which(path):
        return Access.parse(read_access_file(path))


def _path(file: str) -> Path:
    return _STANDARD_INPUT if file == "-" else Path(file)


def _line(path: Path, found: Mistake, kind: str) -> str:
    return f"{path}:{found.line}:{found.column}: {kind}: {found.what}\n"


def _summary(access: Access) -> str:
    users, teams = access.users.values(), access.tables.teams
    keys = sum(len(user.keys) for user in users)
    return f"{_count(len(users), 'user')}, {_count(keys, 'key')}, {_count(len(teams), 'team')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _is_known(pattern: str) -> bool:
    """Whether a pattern may fit a model with a price; of fine-tuned and dated models the price table has few names."""
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    from openai_proxy.pricing.priced import has_price

    beginning = re.split(r"[*?\[]", pattern, maxsplit=1)[0].removeprefix("ft:")
    if beginning and has_price(beginning.rstrip("-"), datetime.now(UTC)):
        return True
    provider = find_provider_by_id(get_snapshot().providers, "openai")
    models = provider.models if provider else []
    return any(fnmatchcase(model.id, pattern.removeprefix("ft:")) for model in models)
