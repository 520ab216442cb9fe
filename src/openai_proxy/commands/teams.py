"""team, defaults, organization: what holds for several users."""

from __future__ import annotations

import argparse
import sys

from openai_proxy.access.callers import Access
from openai_proxy.access.changes import rule_words, team_words, words
from openai_proxy.access.edits import add_team, known_team, remove_team, set_everybody, set_organization, set_team
from openai_proxy.access.reading import ORGANIZATION, RULES, TEAM
from openai_proxy.commands.access_editing import current, edit, something
from openai_proxy.commands.access_values import add_budget, add_rules, add_unset, name_of_secret, values
from openai_proxy.commands.access_views import Object, organization_object, rules_object, said_rows, team_object
from openai_proxy.commands.parsing import Arguments, Commands, print_json
from openai_proxy.commands.places import data_folder
from openai_proxy.local.usage_text import table


def add_to(commands: Commands) -> None:
    """Declare the commands."""
    teams = commands.group("team", "What holds for teams")
    add = teams.add("add", _add, "Add what holds for a team", as_json=True)
    change = teams.add("set", _set, "Change what holds for a team", as_json=True)
    for command in (add, change):
        command.add_argument("name", help="the team")
        add_budget(command, "--budget", "budgets", "of the team together")
        add_rules(command, budget="--user-budget", budgets="user_budgets")
        command.add_argument(
            "--store", action=argparse.BooleanOptionalAction, help="whether OpenAI may keep responses; default: it may"
        )
        command.add_argument("--upstream-key", type=name_of_secret, metavar="NAME", help="the team's own key at OpenAI")
    add_unset(change, TEAM)
    teams.add("list", _list, "List the teams", as_json=True)
    teams.add("show", _show, "Show what holds for a team", as_json=True).add_argument("name", help="the team")
    remove = teams.add("remove", _remove, "Take away what holds for a team without members", as_json=True)
    remove.add_argument("name", help="the team")

    everybody = commands.group("defaults", "What holds for every user, unless their team or they say otherwise")
    change = everybody.add("set", _set_everybody, "Change what holds for every user", as_json=True)
    add_rules(change)
    add_unset(change, RULES)
    everybody.add("show", _show_everybody, "Show what holds for every user", as_json=True)

    organization = commands.group("organization", "What holds for all together")
    change = organization.add("set", _set_organization, "Change what holds for all together", as_json=True)
    add_budget(change, "--budget", "budgets", "of all together")
    add_unset(change, ORGANIZATION)
    organization.add("show", _show_organization, "Show what holds for all together", as_json=True)


def _add(arguments: Arguments) -> int:
    data_folder(arguments).make()
    edit(arguments, lambda text: add_team(text, arguments.name, values(arguments, TEAM)))
    if arguments.json:
        print_json(_team(current(arguments), arguments.name))
    return 0


def _set(arguments: Arguments) -> int:
    said = something(values(arguments, TEAM))
    edit(arguments, lambda text: set_team(text, arguments.name, said))
    if arguments.json:
        print_json(_team(current(arguments), arguments.name))
    return 0


def _remove(arguments: Arguments) -> int:
    edit(arguments, lambda text: remove_team(text, arguments.name))
    if arguments.json:
        print_json({"team_id": arguments.name, "removed": True})
    return 0


def _set_everybody(arguments: Arguments) -> int:
    said = something(values(arguments, RULES))
    edit(arguments, lambda text: set_everybody(text, said))
    return _show_everybody(arguments) if arguments.json else 0


def _set_organization(arguments: Arguments) -> int:
    said = something(values(arguments, ORGANIZATION))
    edit(arguments, lambda text: set_organization(text, said))
    return _show_organization(arguments) if arguments.json else 0


def _list(arguments: Arguments) -> int:
    access = current(arguments)
    if arguments.json:
        print_json([_team(access, name) for name in access.tables.teams])
        return 0
    rows = (
        {
            "team": name,
            "members": len(access.tables.members(name)),
            "budgets": words(team.budgets),
            "of each user": words(team.rules.budgets),
            "kept by OpenAI": words(team.store),
            "key at OpenAI": team.upstream_key,
        }
        for name, team in access.tables.teams.items()
    )
    sys.stdout.writelines(table(rows))
    return 0


def _show(arguments: Arguments) -> int:
    access = current(arguments)
    shown = _team(access, arguments.name)
    if arguments.json:
        print_json(shown)
    else:
        members = words(tuple(access.tables.members(arguments.name)))
        rows = said_rows({**team_words(access.tables.teams[arguments.name]), "members": members})
        sys.stdout.writelines(table(rows))
    return 0


def _show_everybody(arguments: Arguments) -> int:
    rules = current(arguments).tables.defaults
    if arguments.json:
        print_json(rules_object(rules))
    else:
        sys.stdout.writelines(table(said_rows(rule_words(rules))))
    return 0


def _show_organization(arguments: Arguments) -> int:
    access = current(arguments)
    if arguments.json:
        print_json(organization_object(access))
    else:
        sys.stdout.writelines(table(said_rows({"budgets": words(access.tables.organization)})))
    return 0


def _team(access: Access, team_id: str) -> Object:
    return team_object(team_id, known_team(access.tables.teams, team_id), access.tables.members(team_id))
