"""Edits of the access file: text in, text out, comments kept.

Pure: keys, hashes and times are arguments. `adapters/access_file.py` reads and writes the file.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import tomlkit
from tomlkit.items import AoT, InlineTable, Item

from openai_proxy.access import USER_ID, VERSION, Access, Key, Role

NEW_FILE = f"""\
# Who may call. Written by `openai-proxy user` and `openai-proxy key`, and by you if you like: it holds no key, only
# SHA-256 hashes. A running proxy sees a change within 5 s.
version = {VERSION}
"""


class AccessEditError(ValueError):
    """The edit does not fit the file as it is; the message says what to do."""


def add_user(
    text: str,
    user_id: str,
    key: Key,
    *,
    team_id: str | None = None,
    role: Role = "member",
    allow_user_name: bool = False,
) -> str:
    """Add a user who holds one key.

    Raises:
        AccessEditError: the name is taken, or it or the team's name is none.
    """
    for what, name in (("user", user_id), ("team", team_id)):
        if name is not None and not USER_ID.fullmatch(name):
            raise AccessEditError(f"a {what}'s name has 1 to 64 letters, digits or . _ @ + -, and begins with one")
    known = Access.parse(text).users.get(user_id)
    if known is not None:
        what_to_do = "it is revoked; choose another name" if known.revoked else f"try: key rotate {user_id}"
        raise AccessEditError(f"user {user_id!r} exists already; {what_to_do}")
    fields: dict[str, object] = {} if team_id is None else {"team": team_id}
    fields |= {"role": role} | ({"allow_user_name": True} if allow_user_name else {}) | {"keys": [_fields(key)]}
    document = tomlkit.parse(text)
    if isinstance(document.get("users"), InlineTable):
        _users(document)[user_id] = fields
        return _text(document)
    added = tomlkit.document()
    added["users"] = tomlkit.table(is_super_table=True)
    _users(added)[user_id] = fields
    return f"{text.rstrip()}\n\n{tomlkit.dumps(added)}"  # at the end, where no comment of another table can move


def revoke_user(text: str, user_id: str) -> str:
    """Make a user's keys open nothing; the entry stays, so that nobody takes the name in the ledger.

    Raises:
        AccessEditError: there is no such user.
    """
    document = tomlkit.parse(text)
    user = _user(document, text, user_id)
    tail = _taken_tail(user)
    user["revoked"] = True
    _put_tail(user, tail)
    return _text(document)


def rotate_key(text: str, user_id: str, key: Key, *, overlap: timedelta) -> str:
    """Give a user a new key; the newest of the others stays valid until `overlap` has passed, the rest go.

    Raises:
        AccessEditError: there is no such user, or they are revoked.
    """
    document = tomlkit.parse(text)
    user = _user(document, text, user_id)
    entry = Access.parse(text).users[user_id]
    if entry.revoked:
        raise AccessEditError(f"user {user_id!r} is revoked and gets no key; add a user with another name")
    now = key.created_time
    valid = sorted((held for held in entry.keys if held.is_valid(now)), key=lambda held: held.created_time)
    kept = valid[-1:] if overlap > timedelta(0) else []
    shortened = [replace(held, expires_time=min(held.expires_time or now + overlap, now + overlap)) for held in kept]
    tail = _taken_tail(user)
    user["keys"] = [_fields(held) for held in (*shortened, key)]  # tables, or inline where the user is inline
    _put_tail(user, tail)
    return _text(document)


def _users(document: tomlkit.TOMLDocument) -> Any:  # noqa: ANN401 - tomlkit's containers
    return document["users"]


def _user(document: tomlkit.TOMLDocument, text: str, user_id: str) -> Any:  # noqa: ANN401 - as above
    if user_id not in Access.parse(text).users:
        raise AccessEditError(f"there is no user {user_id!r}; see: user list")
    return _users(document)[user_id]


def _fields(key: Key) -> dict[str, object]:
    fields: dict[str, object] = {"id": key.key_id, "sha256": key.sha256, "created_time": key.created_time}
    return fields if key.expires_time is None else fields | {"expires_time": key.expires_time}


def _taken_tail(user: Any) -> list[Item]:  # noqa: ANN401 - as above
    """Takes off the comments and empty lines after a user's last value: they belong to what comes next in the file."""
    if isinstance(user, InlineTable):
        return []
    body = _last_table(user).value.body
    values = max((position for position, (name, _) in enumerate(body) if name is not None), default=-1) + 1
    tail = [item for _, item in body[values:]]
    del body[values:]
    return tail


def _put_tail(user: Any, tail: list[Item]) -> None:  # noqa: ANN401 - as above
    for item in tail:
        _last_table(user).add(item)


def _last_table(user: Any) -> Any:  # noqa: ANN401 - as above
    keys = user.get("keys")
    return keys[-1] if isinstance(keys, AoT) and len(keys) else user


def _text(document: tomlkit.TOMLDocument) -> str:
    """The document, with an empty line before each table but keys; no value of this file holds a line break."""
    return re.sub(r"(?m)^([^#\n].*)\n(?=\[(?:users\.|teams\.|defaults\]))", r"\1\n\n", tomlkit.dumps(document))


def issued_key(key_id: str, sha256: str, now: datetime) -> Key:
    """A key's entry, valid from now on; times in the file have whole seconds."""
    return Key(key_id=key_id, sha256=sha256, created_time=now.replace(microsecond=0))
