"""usage: the ledger, as sums or request by request."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import cast, get_args

from openai_proxy import bootstrap
from openai_proxy.commands.parsing import Arguments, Commands
from openai_proxy.commands.places import settings
from openai_proxy.events import TAG_NAME
from openai_proxy.local.usage_text import TAG, json_array, record_objects, table, total_objects
from openai_proxy.page.periods import parse_period
from openai_proxy.period import Period
from openai_proxy.ports import GroupBy, Selection, Tag, TagValues

_GROUPS: tuple[str, ...] = get_args(get_args(GroupBy)[0])
_KNOWN = f"{','.join(_GROUPS)},{TAG}NAME"
_DEFAULT_GROUPS: tuple[GroupBy, ...] = ("user", "model")


def add_to(commands: Commands) -> None:
    """Declare the command."""
    text = "Print the ledger: sums as a table, or with --json each request, newest first"
    usage = commands.add("usage", _usage, text, as_json=True)
    usage.add_argument("--user", help="only this user")
    add_period(usage)
    usage.add_argument("--tag", type=_tag, metavar="NAME=VALUE", help="only what bears this tag")
    usage.add_argument("--by", type=_groups, help=f"sum by one or more of {_KNOWN}")


def add_period(command: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Declare --since and --until."""
    beginning = "" if required else "; default: the beginning"
    text = f"a date or an RFC 3339 time, included{beginning}"
    command.add_argument("--since", default="", required=required, help=text)
    text = "a date, that day included, or an RFC 3339 time, not included; default: now"
    command.add_argument("--until", default="", help=text)


def period_of(arguments: Arguments, now: datetime) -> Period:
    """The bounds that --since and --until name.

    Raises:
        PeriodError: no dates, or in the wrong order.
    """
    bounds = {"period": "all", "since": arguments.since, "until": arguments.until}
    return parse_period(bounds, now)[1]


def _usage(arguments: Arguments) -> int:
    ledger = bootstrap.usage_ledger(settings(arguments))
    by = arguments.by or (() if arguments.json else _DEFAULT_GROUPS)
    selection = Selection(period=period_of(arguments, datetime.now(UTC)), user_id=arguments.user, tag=arguments.tag)
    if by:
        objects = total_objects(ledger.totals(selection, by=by), by)
    else:
        objects = record_objects(ledger.records(selection, limit=None))
    sys.stdout.writelines(json_array(objects) if arguments.json else table(objects))
    return 0


def _groups(text: str) -> tuple[GroupBy, ...]:
    names = [name.strip() for name in text.split(",")]
    tags = [name for name in names if name.startswith(TAG)]
    known = all(name in _GROUPS or (name in tags and TAG_NAME.fullmatch(name.removeprefix(TAG))) for name in names)
    if not known or len(tags) > 1 or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"expected some of {_KNOWN}, each once, and one tag at most")
    return tuple(TagValues(name.removeprefix(TAG)) if name in tags else cast("GroupBy", name) for name in names)


def _tag(text: str) -> Tag:
    tag = Tag.parse(text)
    if tag is None:
        raise argparse.ArgumentTypeError("expected NAME=VALUE, as project=apollo")
    return tag
