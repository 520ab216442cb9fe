"""access log: who changed what in the access file, and when; and how the ledger comes to know it."""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from openai_proxy import bootstrap
from openai_proxy.access.events import AccessEvent, Editor, MalformedAccessEventError
from openai_proxy.adapters.access_trail import AccessTrail
from openai_proxy.commands.parsing import Arguments, Commands, complain, print_json
from openai_proxy.commands.places import data_folder, settings
from openai_proxy.commands.usage import add_period, period_of
from openai_proxy.local.usage_text import table
from openai_proxy.ports import StoreError
from openai_proxy.records import cell_to_json
from openai_proxy.settings import Settings, SettingsError


def add_to(access: Commands) -> None:
    """Declare the command among those of the access file."""
    text = "List who changed what by the command line, newest first"
    add_period(access.add("log", _log, text, as_json=True))


def editor(arguments: Arguments) -> Editor:
    """Who runs this command: as they say, or their account on this machine; behind sudo, the one who called it."""
    said = getattr(arguments, "operator", None) or os.environ.get("OPENAI_PROXY_OPERATOR")
    return Editor(said or os.environ.get("SUDO_USER") or _account(), arguments.command)


def tell_ledger(arguments: Arguments) -> None:
    """Move what waits beside the access file into the ledger, if there is one yet; what fails waits, and is said."""
    trail = AccessTrail(data_folder(arguments).access_file)
    try:
        where = settings(arguments)
        if not _is_new(arguments, where):
            with contextlib.closing(bootstrap.access_log(where)) as log:
                trail.deliver(log.add)
    except (StoreError, SettingsError, MalformedAccessEventError, OSError) as error:
        complain(f"the ledger does not know all changes of who may call: {error}; {trail.path} keeps them")


def _is_new(arguments: Arguments, where: Settings) -> bool:
    """Whether the folder has no ledger: it was never served, or only holds what `make access` sends."""
    folder = data_folder(arguments)
    return where.usage_store_url == folder.store_url() and not folder.ledger_file.exists()


def _log(arguments: Arguments) -> int:
    period = period_of(arguments, datetime.now(UTC))
    tell_ledger(arguments)
    with contextlib.closing(bootstrap.access_log(settings(arguments))) as log:
        known = log.events(period)
    told = {event.event_id for event in known}
    waiting = [
        event
        for event in reversed(AccessTrail(data_folder(arguments).access_file).waiting())
        if event.event_id not in told and period.since <= event.event_time < period.until
    ]
    objects = [_object(event, in_ledger=False) for event in waiting]
    objects += [_object(event, in_ledger=True) for event in known]
    if arguments.json:
        print_json(objects)
    else:
        sys.stdout.writelines(table(map(_row, objects)))
    return 0


def _object(event: AccessEvent, *, in_ledger: bool) -> dict[str, object]:
    return {name: cell_to_json(value) for name, value in event.row().items()} | {"in_ledger": in_ledger}


def _row(event: Mapping[str, object]) -> dict[str, object]:
    return {
        "time": event["event_time"],
        "who": event["operator"],
        "command": event["action"],
        "what": event["description"],
        "ledger": "yes" if event["in_ledger"] else "waiting",
    }


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, nobody may have this number
        return f"uid {os.getuid()}"
