"""demo-data: a made-up year in an empty data folder, to look at /log before there is any usage."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice

from openai_proxy import bootstrap
from openai_proxy.access.edits import NEW_FILE
from openai_proxy.adapters.access_file import AccessFile
from openai_proxy.adapters.access_trail import AccessTrail
from openai_proxy.commands.access_trail import editor
from openai_proxy.commands.parsing import Arguments, Commands, print_json
from openai_proxy.commands.places import data_folder
from openai_proxy.local import LocalError, demo_user
from openai_proxy.local.data_folder import DataFolder
from openai_proxy.local.demo_usage_access import SHOWN, ShownKey, Spent, access_file
from openai_proxy.local.demo_usage_people import MARK, PEOPLE, TEAM_BUDGETS
from openai_proxy.local.demo_usage_times import Story
from openai_proxy.page.periods import BEGINNING
from openai_proxy.period import Period
from openai_proxy.ports import Selection, StoreError, UsageLedger, UsageTotal
from openai_proxy.settings import Settings

_MOST_RECORDS, _MOST_DAYS, _LARGEST_SEED = 10_000_000, 3660, 2**31
_BATCH = 1000  # records in one commit
_TOLD_EACH = 20_000
_SEES = {"admin": "everybody's usage", "lead": "the usage of team {team}", "member": "their own usage"}


def add_to(commands: Commands) -> None:
    """Declare the command."""
    text = "Fill an empty data folder with a made-up year of usage, to look at /log"
    demo = commands.add("demo-data", _demo_data, text, as_json=True)
    demo.add_argument("--records", type=_whole(1, _MOST_RECORDS), default=50_000, help="requests; default: 50000")
    demo.add_argument("--days", type=_whole(1, _MOST_DAYS), default=365, help="until now; default: 365")
    demo.add_argument("--seed", type=_whole(0, _LARGEST_SEED), default=1, help="another one makes other usage")


def _demo_data(arguments: Arguments) -> int:
    folder = data_folder(arguments)
    folder.make()
    settings = Settings.from_environ({"USAGE_STORE_URL": folder.store_url()})  # never a deployment's ledger
    ledger = bootstrap.usage_ledger(settings)
    story = Story(now=datetime.now(UTC), records=arguments.records, days=arguments.days, seed=arguments.seed)
    _must_be_empty(folder, ledger, story.now)
    _fill(story, settings)
    keys = _let_in(arguments, folder, settings, _spent_this_month(ledger, story.now))
    (total,) = ledger.totals(Selection(period=_until(story.now)), by=())
    if arguments.json:
        print_json(_object(story, total, folder, keys))
    else:
        print(_words(story, total, folder, keys))
    return 0


def _must_be_empty(folder: DataFolder, ledger: UsageLedger, now: datetime) -> None:
    """Refuse a folder that has usage or users, made up or real.

    Raises:
        LocalError: it has; the message says what to do.
        AccessFileError, StoreError: nobody can tell.
    """
    elsewhere = "name another folder: --data-dir or DATA_DIR"
    teams = {total.group[0] for total in ledger.totals(Selection(period=_until(now)), by=("team",))}
    if teams - TEAM_BUDGETS.keys():
        raise LocalError(
            f"the data folder {folder.path} has usage that is not made up, and none is added to that; {elsewhere}"
        )
    if teams:
        raise LocalError(
            f"the data folder {folder.path} has demo data already; to sign in, take a new key: openai-proxy key rotate"
            f" {SHOWN[0]}; to begin anew, remove the folder, or {elsewhere}"
        )
    access = AccessFile(folder.access_file)
    if access.exists() and access.current().users.keys() - {demo_user.USER_ID}:
        raise LocalError(f"the data folder {folder.path} has users, and no made-up ones are added; {elsewhere}")


def _fill(story: Story, settings: Settings) -> None:
    from openai_proxy.local.demo_usage import records  # it loads the prices, which other commands do without

    made = records(story)
    written = 0
    with contextlib.closing(bootstrap.usage_store(settings)) as store:
        while batch := list(islice(made, _BATCH)):
            refused = store.add(batch)
            if refused:
                raise StoreError(f"the ledger refuses a made-up record: {next(iter(refused.values()))}")
            written += len(batch)
            if written % _TOLD_EACH == 0 and written < story.records:
                print(f"{written:,} of {story.records:,} requests are made ...", file=sys.stderr)


def _spent_this_month(ledger: UsageLedger, now: datetime) -> Spent:
    month = Period(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), now + timedelta(days=1))

    def amounts(totals: Sequence[UsageTotal]) -> Mapping[str, Decimal]:
        return {str(total.group[0]): Decimal(total.list_cost) for total in totals}

    return Spent(
        by_user=amounts(ledger.totals(Selection(period=month), by=("user",))),
        by_team=amounts(ledger.totals(Selection(period=month), by=("team",))),
    )


def _let_in(arguments: Arguments, folder: DataFolder, settings: Settings, spent: Spent) -> Sequence[ShownKey]:
    """Write the access file, and tell the ledger of it as any other command does."""
    shown: list[ShownKey] = []

    def change(text: str) -> str:
        text, keys = access_file(text, spent, datetime.now(UTC))
        shown[:] = keys
        return text

    AccessFile(folder.access_file).edit(change, new=NEW_FILE, editor=editor(arguments))
    with contextlib.closing(bootstrap.access_log(settings)) as log:
        AccessTrail(folder.access_file).deliver(log.add)
    return shown


def _until(now: datetime) -> Period:
    return Period(BEGINNING, now + timedelta(days=1))


def _object(story: Story, total: UsageTotal, folder: DataFolder, keys: Sequence[ShownKey]) -> Mapping[str, object]:
    return {
        "made_up": True,
        "data_dir": str(folder.path),
        "records": total.requests,
        "since": story.first_day.isoformat(),
        "users": len(PEOPLE),
        "teams": len(TEAM_BUDGETS),
        "list_cost": total.list_cost,
        "keys": [asdict(key) for key in keys],
    }


def _words(story: Story, total: UsageTotal, folder: DataFolder, keys: Sequence[ShownKey]) -> str:
    lines = [
        f"{folder.path} has {total.requests:,} requests of {len(PEOPLE)} users in {len(TEAM_BUDGETS)} teams now, since",
        f"{story.first_day}, for {Decimal(total.list_cost):,.2f} USD at list price.",
        f"All of it is made up: each team's name and each request's id begin with {MARK}.",
        "",
        "Look at it:",
        "",
        f"  openai-proxy serve --data-dir {shlex.quote(str(folder.path))}    then open http://localhost:8080/log",
        "",
        "Sign in with one of these keys; shown this once, since only their hashes are kept:",
        "",
    ]
    for one in keys:
        lines.append(f"  {one.user_id}, {one.role}, sees {_SEES[one.role].format(team=one.team_id)}:")
        lines += [f"    {one.key}", ""]
    return "\n".join(lines[:-1])


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}")
        return int(text)

    return read
