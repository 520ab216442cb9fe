"""How sub-commands are declared, and answer."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

Arguments = argparse.Namespace
Run = Callable[[Arguments], int]
"""Does the command and answers its exit status."""


class Commands:
    """The sub-commands of a parser, or of one of its groups; each takes the common options."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._of = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(self, name: str, run: Run, text: str, *, as_json: bool = False) -> argparse.ArgumentParser:
        """One command; `text` is for a person, `as_json` lets it print JSON."""
        made = self._of.add_parser(name, help=text, description=text, parents=[common_options()])
        made.set_defaults(run=run, command=made.prog.partition(" ")[2])
        if as_json:
            made.add_argument("--json", action="store_true", help="print JSON")
        return made

    def group(self, name: str, text: str) -> Commands:
        """A command that has commands."""
        return Commands(self._of.add_parser(name, help=text, parents=[common_options()]))


def common_options() -> argparse.ArgumentParser:
    """--data-dir and --as, before and after a command's name."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--data-dir", default=argparse.SUPPRESS, help="the data folder (DATA_DIR; default: data)")
    options.add_argument(
        "--as",
        dest="operator",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="who you are, in the log of changes (OPENAI_PROXY_OPERATOR; default: your account here)",
    )
    return options


def print_json(value: object) -> None:
    """One JSON document for a program."""
    print(json.dumps(value, indent=2))


def complain(text: str) -> None:
    """Say what went wrong, in one line on standard error."""
    sys.stderr.write(f"openai-proxy: {text}\n")
