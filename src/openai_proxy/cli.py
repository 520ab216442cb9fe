"""The command line: serve, who may call, what was used and cost, and what did not get through."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from openai_proxy import __version__
from openai_proxy.access.callers import AccessFileError
from openai_proxy.access.events import MalformedAccessEventError
from openai_proxy.access.toml_edits import EditError
from openai_proxy.commands import (
    access_files,
    access_keys,
    demo_data,
    members,
    prices,
    serving,
    teams,
    undelivered,
    usage,
)
from openai_proxy.commands.parsing import Arguments, Commands, common_options, complain
from openai_proxy.local import LocalError
from openai_proxy.page.periods import PeriodError
from openai_proxy.ports import QueueError, StoreError
from openai_proxy.settings import SettingsError

_EXPECTED_ERRORS = (
    LocalError,
    AccessFileError,
    MalformedAccessEventError,
    EditError,
    SettingsError,
    PeriodError,
    QueueError,
    StoreError,
    OSError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 1 a failure that one line on standard error explains, 2 a wrong command line."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _EXPECTED_ERRORS as error:
        complain(_said(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _said(error: Exception) -> str:
    """What a person reads of an error; of the system's own, which file it is about, and no number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"cannot use {error.filename}: {error.strerror}"
    return str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="openai-proxy", description=__doc__, parents=[common_options()])
    commands = Commands(parser)
    for subject in (serving, members, access_keys, teams, access_files, usage, prices, undelivered, demo_data):
        subject.add_to(commands)
    commands.add("version", _version, "Print the version")
    return parser


def _version(_arguments: Arguments) -> int:
    print(f"openai-proxy {__version__}")
    return 0
