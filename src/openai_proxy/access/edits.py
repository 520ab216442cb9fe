"""Edits of the access file by the command line: text in, text out, comments kept.

Pure: keys, hashes and times are arguments. `adapters/access_file.py` reads and writes the file, and lets nothing be
written that is not an access file. Values are those of TOML by field; None takes one away.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from openai_proxy.access.fields import NAME, NAME_FORM
from openai_proxy.access.reading import VERSION, parse
from openai_proxy.access.tables import Key, Team, User
from openai_proxy.access.toml_edits import EditError, add_listed, add_table, remove, set_values

NEW_FILE = f"""\
# Who may call. Written by `openai-proxy user` and `openai-proxy key`, and by you if you like: it holds no key, only
# SHA-256 hashes. A running proxy sees a change within 5 s.
version = {VERSION}
"""

Values = Mapping[str, object]
_NOTHING: Values = {}


def issued_key(
    key_id: str, sha256: str, now: datetime, *, expires_time: datetime | None = None, note: str | None = None
) -> Key:
    """A key's entry, valid from now on; times in the file have whole seconds."""
    expires = expires_time and expires_time.replace(microsecond=0)
    return Key(key_id=key_id, sha256=sha256, created_time=now.replace(microsecond=0), expires_time=expires, note=note)


def add_user(text: str, user_id: str, key: Key, values: Values = _NOTHING) -> str:
    """Add a user who holds one key; a member, unless the values say another role.

    Raises:
        EditError: the name is taken, or it or the team's name is none.
    """
    _must_be_name("user", user_id)
    team_id = values.get("team")
    if isinstance(team_id, str):
        _must_be_name("team", team_id)
    known = parse(text).users.get(user_id)
    if known is not None:
        what_to_do = "it is revoked; choose another name" if known.revoked else f"try: key rotate {user_id}"
        raise EditError(f"user {user_id!r} exists already; {what_to_do}")
    fields = {"team": None, "role": "member", **values}  # these first
    return add_listed(add_table(text, ("users", user_id), fields), ("users", user_id, "keys"), _fields(key))


def set_user(text: str, user_id: str, values: Values) -> str:
    """Set fields of a user's.

    Raises:
        EditError: there is no such user.
    """
    known_user(parse(text).users, user_id)
    return set_values(text, ("users", user_id), values)


def revoke_user(text: str, user_id: str) -> str:
    """Make a user's keys open nothing; the entry stays, so that nobody takes the name in the ledger.

    Raises:
        EditError: there is no such user.
    """
    return set_user(text, user_id, {"revoked": True})


def add_team(text: str, team_id: str, values: Values) -> str:
    """Add a team's table.

    Raises:
        EditError: the name is taken, or is none.
    """
    _must_be_name("team", team_id)
    if team_id in parse(text).teams:
        raise EditError(f"team {team_id!r} exists already; try: team set {team_id}")
    return add_table(text, ("teams", team_id), values)


def set_team(text: str, team_id: str, values: Values) -> str:
    """Set fields of a team's.

    Raises:
        EditError: there is no such team.
    """
    known_team(parse(text).teams, team_id)
    return set_values(text, ("teams", team_id), values)


def remove_team(text: str, team_id: str) -> str:
    """Take a team's table away, and so its budgets and limits.

    Raises:
        EditError: there is no such team, or somebody is in it who may call.
    """
    tables = parse(text)
    known_team(tables.teams, team_id)
    members = tables.members(team_id)
    if members:
        named = ", ".join(members[:3]) + (f" and {len(members) - 3} more" if len(members) > 3 else "")  # noqa: PLR2004
        raise EditError(f"team {team_id!r} has members: {named}; move each first: user set NAME --team TEAM")
    return remove(text, ("teams", team_id))


def set_everybody(text: str, values: Values) -> str:
    """Set fields of `[defaults]`."""
    return _set_or_add(text, "defaults", values)


def set_organization(text: str, values: Values) -> str:
    """Set fields of `[organization]`."""
    return _set_or_add(text, "organization", values)


def add_key(text: str, user_id: str, key: Key) -> str:
    """Give a user one more key; the others stay as they are.

    Raises:
        EditError: there is no such user, or they are revoked.
    """
    _user_who_calls(text, user_id)
    return add_listed(text, ("users", user_id, "keys"), _fields(key))


def rotate_key(text: str, user_id: str, key: Key, *, overlap: timedelta) -> str:
    """Give a user a new key; the newest of the others stays valid until `overlap` has passed, the rest go.

    Raises:
        EditError: there is no such user, or they are revoked.
    """
    held = _user_who_calls(text, user_id).keys
    now = key.created_time
    valid = sorted((number for number, one in enumerate(held) if one.is_valid(now)), key=lambda n: held[n].created_time)
    kept = valid[-1] if valid and overlap > timedelta(0) else None
    text = add_listed(text, ("users", user_id, "keys"), _fields(key))
    for number in reversed(range(len(held))):
        path = ("users", user_id, "keys", number)
        if number == kept:
            expires = min(held[number].expires_time or now + overlap, now + overlap)
            text = set_values(text, path, {"expires_time": expires})
        else:
            text = remove(text, path)
    return text


def revoke_key(text: str, key_id: str, now: datetime) -> str:
    """Make one key open nothing from now on; the entry stays, with the time.

    Raises:
        EditError: nobody holds such a key, or it opens nothing already.
    """
    holders = [(user, number) for user in parse(text).users.values() for number in _numbers(user, key_id)]
    if not holders:
        raise EditError(f"nobody holds a key {key_id!r}; see: key list")
    now = now.replace(microsecond=0)
    valid = [(user, number) for user, number in holders if user.keys[number].is_valid(now)]
    if not valid:
        raise EditError(f"key {key_id!r} has expired already")
    for user, number in valid:
        text = set_values(text, ("users", user.user_id, "keys", number), {"expires_time": now})
    return text


def known_user(users: Mapping[str, User], user_id: str) -> User:
    """A user by name.

    Raises:
        EditError: there is no such user.
    """
    if user_id not in users:
        raise EditError(f"there is no user {user_id!r}; see: user list")
    return users[user_id]


def known_team(teams: Mapping[str, Team], team_id: str) -> Team:
    """A team's table by name.

    Raises:
        EditError: there is no such table.
    """
    if team_id not in teams:
        raise EditError(f"there is no team {team_id!r} in the access file; see: team list")
    return teams[team_id]


def _numbers(user: User, key_id: str) -> list[int]:
    return [number for number, key in enumerate(user.keys) if key.key_id == key_id]


def _must_be_name(what: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise EditError(f"a {what}'s name has {NAME_FORM}")


def _user_who_calls(text: str, user_id: str) -> User:
    user = known_user(parse(text).users, user_id)
    if user.revoked:
        raise EditError(f"user {user_id!r} is revoked and gets no key; add a user with another name")
    return user


def _set_or_add(text: str, name: str, values: Values) -> str:
    try:
        return set_values(text, (name,), values)
    except KeyError:
        return add_table(text, (name,), values)


def _fields(key: Key) -> Values:
    return {
        "id": key.key_id,
        "sha256": key.sha256,
        "created_time": key.created_time,
        "expires_time": key.expires_time,
        "note": key.note,
    }
