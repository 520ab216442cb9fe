"""user: who may call."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from openai_proxy.access.edits import add_user, known_user, revoke_user, set_user
from openai_proxy.access.fields import ROLES
from openai_proxy.access.reading import USER
from openai_proxy.commands.access_editing import current, edit, something
from openai_proxy.commands.access_keys import add_key_options, issue_key
from openai_proxy.commands.access_values import add_rules, add_unset, email, values
from openai_proxy.commands.access_views import Object, policy_object, policy_rows, user_object, user_row
from openai_proxy.commands.parsing import Arguments, Commands, print_json
from openai_proxy.commands.places import data_folder
from openai_proxy.local.usage_text import table

_FIELDS = tuple(name for name in USER if name not in {"keys", "revoked"})


def add_to(commands: Commands) -> None:
    """Declare the commands."""
    users = commands.group("user", "Who may call")
    add = users.add("add", _add, "Add a user and print their key, once", as_json=True)
    change = users.add("set", _set, "Change what holds for a user", as_json=True)
    for command in (add, change):
        command.add_argument("name", help="the user")
        command.add_argument("--team", help="the team that they are in; it need not have budgets or rules of its own")
        command.add_argument("--role", choices=ROLES, help="a lead sees their team's usage, an admin everybody's")
        command.add_argument("--email", type=email, metavar="ADDRESS", help="by which Google's sign-in knows them")
        for option, text in (
            ("--allow-user-name", "accept the plain name in place of a key"),
            ("--may-name-users", "a trusted application: it may say on whose behalf it calls"),
        ):
            command.add_argument(option, action=argparse.BooleanOptionalAction, help=text)
        add_rules(command)
    add_key_options(add)
    add_unset(change, (*_FIELDS, "revoked"))
    users.add("list", _list, "List the users and their keys' names", as_json=True)
    users.add("show", _show, "Show what holds for a user", as_json=True).add_argument("name", help="the user")
    revoke = users.add("revoke", _revoke, "Make all of a user's keys open nothing", as_json=True)
    revoke.add_argument("name", help="the user")


def _add(arguments: Arguments) -> int:
    data_folder(arguments).make()
    said = values(arguments, _FIELDS)
    return issue_key(arguments, lambda text, key: add_user(text, arguments.name, key, said))


def _set(arguments: Arguments) -> int:
    said = something(values(arguments, _FIELDS))
    edit(arguments, lambda text: set_user(text, arguments.name, said))
    if arguments.json:
        print_json(_user(arguments))
    return 0


def _revoke(arguments: Arguments) -> int:
    edit(arguments, lambda text: revoke_user(text, arguments.name), quiet=True)
    if arguments.json:
        print_json(_user(arguments))
    else:
        print(f"User {arguments.name} is revoked; a running proxy refuses their keys within 5 s.")
    return 0


def _list(arguments: Arguments) -> int:
    users = current(arguments).users.values()
    if arguments.json:
        print_json([user_object(user) for user in users])
    else:
        now = datetime.now(UTC)
        sys.stdout.writelines(table(user_row(user, now) for user in users))
    return 0


def _show(arguments: Arguments) -> int:
    access = current(arguments)
    user = known_user(access.users, arguments.name)
    if arguments.json:
        print_json(user_object(user) | {"policy": policy_object(access, user)})
    else:
        now = datetime.now(UTC)
        sys.stdout.writelines(table([user_row(user, now)]))
        print()
        sys.stdout.writelines(table(policy_rows(access, user)))
    return 0


def _user(arguments: Arguments) -> Object:
    return user_object(known_user(current(arguments).users, arguments.name))
