"""key: the keys of users."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from openai_proxy.access.edits import add_key, issued_key, known_user, revoke_key, rotate_key
from openai_proxy.access.tables import Key
from openai_proxy.commands.access_editing import current, edit
from openai_proxy.commands.access_values import duration, moment, note
from openai_proxy.commands.access_views import key_object, key_row, opens
from openai_proxy.commands.parsing import Arguments, Commands, print_json
from openai_proxy.keys import key_hash, new_key, new_key_id
from openai_proxy.local.usage_text import table


def add_to(commands: Commands) -> None:
    """Declare the commands."""
    keys = commands.group("key", "Keys of users")
    add = keys.add("add", _add, "Give a user one more key and print it, once", as_json=True)
    rotate = keys.add("rotate", _rotate, "Give a user a new key in place of the old and print it, once", as_json=True)
    for command in (add, rotate):
        command.add_argument("name", help="the user")
        add_key_options(command)
    rotate.add_argument(
        "--overlap",
        type=duration,
        default=timedelta(hours=24),
        help="how long the newest old key stays valid, as 30m or 0s; default: 24h",
    )
    revoke = keys.add("revoke", _revoke, "Make one key open nothing", as_json=True)
    revoke.add_argument("key_id", help="as key list names it")
    listed = keys.add("list", _list, "List the keys, never themselves", as_json=True)
    listed.add_argument("name", nargs="?", help="only this user's")


def add_key_options(command: argparse.ArgumentParser) -> None:
    """Declare what can be said of a new key."""
    command.add_argument("--expires", type=moment, metavar="WHEN", help="90d, a date, or a time; default: never")
    command.add_argument("--note", type=note, help="for people, as laptop; never a key")


def issue_key(arguments: Arguments, change: Callable[[str, Key], str]) -> int:
    """Make a key, let the change put its entry into the file, and print it, and what became of the user's others."""
    key = new_key()
    entry = issued_key(
        new_key_id(), key_hash(key), datetime.now(UTC), expires_time=arguments.expires, note=arguments.note
    )
    made = edit(arguments, lambda text: change(text, entry), quiet=True)
    if arguments.json:
        print_json({"user_id": arguments.name, "key_id": entry.key_id, "key": key})
    else:
        print(f"User {arguments.name}, key {entry.key_id}; shown this once, since only its hash is kept:\n\n  {key}\n")
        print("It is what an OpenAI SDK takes as api_key, or OPENAI_API_KEY. A running proxy knows it within 5 s.")
        sys.stdout.writelines(f"{one}\n" for one in made if entry.key_id not in one.what)
    return 0


def _add(arguments: Arguments) -> int:
    return issue_key(arguments, lambda text, key: add_key(text, arguments.name, key))


def _rotate(arguments: Arguments) -> int:
    return issue_key(arguments, lambda text, key: rotate_key(text, arguments.name, key, overlap=arguments.overlap))


def _revoke(arguments: Arguments) -> int:
    now = datetime.now(UTC)
    edit(arguments, lambda text: revoke_key(text, arguments.key_id, now))
    if arguments.json:
        print_json({"key_id": arguments.key_id, "revoked": True})
    return 0


def _list(arguments: Arguments) -> int:
    users = current(arguments).users
    chosen = users.values() if arguments.name is None else [known_user(users, arguments.name)]
    held = [(user, key) for user in chosen for key in user.keys]
    now = datetime.now(UTC)
    if arguments.json:
        print_json([{"user_id": user.user_id, **key_object(key), "valid": opens(user, key, now)} for user, key in held])
    else:
        sys.stdout.writelines(table(key_row(user, key, now) for user, key in held))
    return 0
