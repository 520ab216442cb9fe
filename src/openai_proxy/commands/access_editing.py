"""The access file of the data folder, as the commands read and change it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from openai_proxy.access.callers import Access, AccessFileError
from openai_proxy.access.changes import Change
from openai_proxy.access.edits import NEW_FILE
from openai_proxy.access.toml_edits import EditError
from openai_proxy.adapters.access_file import AccessFile
from openai_proxy.commands.access_trail import editor, tell_ledger
from openai_proxy.commands.parsing import Arguments
from openai_proxy.commands.places import existing_folder
from openai_proxy.local.data_folder import DataFolder


def current(arguments: Arguments) -> Access:
    """The access file as it is; no users where there is none yet."""
    path = existing_folder(arguments).access_file
    file = AccessFile(path)
    with telling_which(path):
        return file.current() if file.exists() else Access.parse(NEW_FILE)


def edit(arguments: Arguments, change: Callable[[str], str], *, quiet: bool = False) -> tuple[Change, ...]:
    """Change the access file, and say in words what changed, unless it is quiet or --json."""
    folder = existing_folder(arguments)
    with telling_which(folder.access_file):
        made = AccessFile(folder.access_file).edit(change, new=NEW_FILE, editor=editor(arguments))
    if not quiet and not arguments.json:
        sys.stdout.writelines(f"{one}\n" for one in made or ("Nothing changed: it was so already.",))
        if made:
            print("A running proxy knows it within 5 s.")
    tell_ledger(arguments)
    remind_of_deployment(folder)
    return made


@contextlib.contextmanager
def telling_which(path: Path) -> Iterator[None]:
    """Let an error about an access file say which one it is.

    Raises:
        AccessFileError: the one that came up in the block, with the file's path.
    """
    try:
        yield
    except AccessFileError as error:
        if str(path) in str(error):
            raise
        raise AccessFileError(f"{path}: {error}", error.mistakes) from None


def remind_of_deployment(folder: DataFolder) -> None:
    """A deployment has a copy of the access file, in its secret; `terraform init` shows that there may be one."""
    terraform = Path(os.environ.get("TERRAFORM_DIR") or Path(__file__).parents[3] / "terraform")
    if (terraform / ".terraform").is_dir():
        print(f"The deployment learns of it by: make access ACCESS_FILE={folder.access_file}", file=sys.stderr)


def something(values: Mapping[str, object]) -> Mapping[str, object]:
    """The values to set.

    Raises:
        EditError: there are none.
    """
    if not values:
        raise EditError("there is nothing to set: name a field and its value, or --unset FIELD; see --help")
    return values
