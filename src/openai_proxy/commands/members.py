"""user and key: who may call."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from openai_proxy.access import Access, Key, Role, User
from openai_proxy.access_edits import NEW_FILE, add_user, issued_key, revoke_user, rotate_key
from openai_proxy.adapters.access_file import AccessFile
from openai_proxy.commands.parsing import Arguments, Commands
from openai_proxy.commands.places import data_folder, existing_folder
from openai_proxy.keys import key_hash, new_key, new_key_id
from openai_proxy.local.data_folder import DataFolder
from openai_proxy.local.usage_text import table
from openai_proxy.records import cell_to_json

_OVERLAP_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_to(commands: Commands) -> None:
    """Declare the commands."""
    users = commands.group("user", "Who may call")
    add = users.add("add", _user_add, "Add a user and print their key, once", as_json=True)
    add.add_argument("name")
    add.add_argument("--team")
    add.add_argument("--role", choices=get_args(Role), default="member", help="an admin sees everybody's usage")
    add.add_argument("--allow-user-name", action="store_true", help="accept the plain name in place of a key")
    users.add("list", _user_list, "List the users and their keys' names", as_json=True)
    revoke = users.add("revoke", _user_revoke, "Make all of a user's keys open nothing")
    revoke.add_argument("name")

    keys = commands.group("key", "Keys of users")
    rotate = keys.add("rotate", _key_rotate, "Give a user a new key and print it, once", as_json=True)
    rotate.add_argument("name")
    rotate.add_argument(
        "--overlap", type=_overlap, default=timedelta(hours=24), help="how long the old key stays valid: 24h, 30m, 0s"
    )


def _user_add(arguments: Arguments) -> int:
    folder = data_folder(arguments)
    folder.make()

    def add(text: str, key: Key) -> str:
        options = {"team_id": arguments.team, "role": arguments.role, "allow_user_name": arguments.allow_user_name}
        return add_user(text, arguments.name, key, **options)

    return _issue_key(folder, arguments, add)


def _key_rotate(arguments: Arguments) -> int:
    def rotate(text: str, key: Key) -> str:
        return rotate_key(text, arguments.name, key, overlap=arguments.overlap)

    return _issue_key(existing_folder(arguments), arguments, rotate)


def _issue_key(folder: DataFolder, arguments: Arguments, edit: Callable[[str, Key], str]) -> int:
    key = new_key()
    entry = issued_key(new_key_id(), key_hash(key), datetime.now(UTC))
    AccessFile(folder.access_file).edit(lambda text: edit(text, entry), new=NEW_FILE)
    if arguments.json:
        print(json.dumps({"user_id": arguments.name, "key_id": entry.key_id, "key": key}))
    else:
        print(f"User {arguments.name}, key {entry.key_id}; shown this once, since only its hash is kept:\n\n  {key}\n")
        print("It is what an OpenAI SDK takes as api_key, or OPENAI_API_KEY. A running proxy knows it within 5 s.")
    _remind_of_deployment(folder)
    return 0


def _user_revoke(arguments: Arguments) -> int:
    folder = existing_folder(arguments)
    AccessFile(folder.access_file).edit(lambda text: revoke_user(text, arguments.name), new=NEW_FILE)
    print(f"User {arguments.name} is revoked; a running proxy refuses their keys within 5 s.")
    _remind_of_deployment(folder)
    return 0


def _remind_of_deployment(folder: DataFolder) -> None:
    """A deployment has a copy of the access file, in its secret; `terraform init` shows that there may be one."""
    terraform = Path(os.environ.get("TERRAFORM_DIR") or Path(__file__).parents[3] / "terraform")
    if (terraform / ".terraform").is_dir():
        print(f"The deployment learns of it by: make access ACCESS_FILE={folder.access_file}", file=sys.stderr)


def _user_list(arguments: Arguments) -> int:
    file = AccessFile(existing_folder(arguments).access_file)
    access = file.current() if file.exists() else Access.parse(NEW_FILE)
    now = datetime.now(UTC)
    if arguments.json:
        print(json.dumps([_user_object(user) for user in access.users.values()], indent=2))
    else:
        sys.stdout.writelines(table(_user_row(user, now) for user in access.users.values()))
    return 0


def _user_object(user: User) -> dict[str, object]:
    keys = [
        {
            "key_id": key.key_id,
            "created_time": cell_to_json(key.created_time),
            "expires_time": cell_to_json(key.expires_time),
        }
        for key in user.keys
    ]
    return {
        "user_id": user.user_id,
        "team_id": user.team_id,
        "role": user.role,
        "revoked": user.revoked,
        "allow_user_name": user.allow_user_name,
        "keys": keys,
    }


def _user_row(user: User, now: datetime) -> dict[str, object]:
    return {
        "user": user.user_id,
        "team": user.team_id,
        "role": user.role,
        "state": "revoked" if user.revoked else "valid",
        "plain name": "accepted" if user.allow_user_name else "refused",
        "keys": " ".join(key.key_id for key in user.keys if key.is_valid(now)) or None,
    }


def _overlap(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError("expected a number and s, m, h or d, as 24h")
    return timedelta(**{_OVERLAP_UNITS[match[2]]: int(match[1])})
