"""The command line: serve, who may call, what was used, and what did not get through."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO, cast, get_args

from openai_proxy import __version__, bootstrap
from openai_proxy.access import Access, AccessFileError, Key, Role, User
from openai_proxy.access_edits import NEW_FILE, AccessEditError, add_user, issued_key, revoke_user, rotate_key
from openai_proxy.adapters.access_file import AccessFile
from openai_proxy.keys import key_hash, new_key, new_key_id
from openai_proxy.local import LocalError
from openai_proxy.local.data_folder import DataFolder
from openai_proxy.local.replay import replay
from openai_proxy.local.usage_text import json_array, record_objects, table, total_objects
from openai_proxy.periods import PeriodError, parse_period
from openai_proxy.ports import DeadLetter, DeadLetterBox, GroupBy, QueueError, StoreError
from openai_proxy.records import cell_to_json
from openai_proxy.settings import Settings, SettingsError

_DEFAULT_GROUPS: tuple[GroupBy, ...] = ("user", "model")
_OVERLAP_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LARGEST_PORT = 65535
_ADDRESSES = ("USAGE_QUEUE_URL", "USAGE_STORE_URL")
_EXPECTED_ERRORS = (
    LocalError,
    AccessFileError,
    AccessEditError,
    SettingsError,
    PeriodError,
    QueueError,
    StoreError,
    OSError,
)

_Arguments = argparse.Namespace


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
    except sqlite3.Error as error:
        _complain(f"the queue cannot be used now: {error}")
        return 1
    except _EXPECTED_ERRORS as error:
        _complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data-dir", default=argparse.SUPPRESS, help="the data folder (DATA_DIR; default: data)")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")

    parser = argparse.ArgumentParser(prog="openai-proxy", description=__doc__, parents=[common])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        of: argparse._SubParsersAction[argparse.ArgumentParser],
        name: str,
        run: Callable[[_Arguments], int],
        text: str,
        *parents: argparse.ArgumentParser,
    ) -> argparse.ArgumentParser:
        made = of.add_parser(name, help=text, description=text, parents=[common, *parents])
        made.set_defaults(run=run)
        return made

    def group(name: str, text: str) -> argparse._SubParsersAction[argparse.ArgumentParser]:
        return commands.add_parser(name, help=text, parents=[common]).add_subparsers(required=True, metavar="COMMAND")

    serve = command(commands, "serve", _serve, "Run the proxy and all that belongs to it on this machine")
    serve.add_argument("--port", help="where to listen (PORT; default: 8080)")
    serve.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")

    users = group("user", "Who may call")
    add = command(users, "add", _user_add, "Add a user and print their key, once", as_json)
    add.add_argument("name")
    add.add_argument("--team")
    add.add_argument("--role", choices=get_args(Role), default="member", help="an admin sees everybody's usage")
    add.add_argument("--allow-user-name", action="store_true", help="accept the plain name in place of a key")
    command(users, "list", _user_list, "List the users and their keys' names", as_json)
    revoke = command(users, "revoke", _user_revoke, "Make all of a user's keys open nothing")
    revoke.add_argument("name")

    keys = group("key", "Keys of users")
    rotate = command(keys, "rotate", _key_rotate, "Give a user a new key and print it, once", as_json)
    rotate.add_argument("name")
    rotate.add_argument(
        "--overlap", type=_overlap, default=timedelta(hours=24), help="how long the old key stays valid: 24h, 30m, 0s"
    )

    usage = command(
        commands,
        "usage",
        _usage,
        "Print the ledger: sums as a table, or with --json each request, newest first",
        as_json,
    )
    usage.add_argument("--user", help="only this user")
    usage.add_argument("--since", default="", help="a date or an RFC 3339 time, included; default: the beginning")
    usage.add_argument("--until", default="", help="a date or an RFC 3339 time, not included; default: now")
    usage.add_argument("--by", type=_groups, help=f"sum by one or more of {','.join(get_args(GroupBy))}")

    log = command(commands, "replay", _replay, "Put usage events found in a log back into the queue")
    log.add_argument("file", help="the log; - is standard input")

    letters = group("dead-letters", "Usage events that were given up")
    command(letters, "list", _dead_letters_list, "List them, with the reasons", as_json)
    command(letters, "replay", _dead_letters_replay, "Put all of them back into the queue", as_json)

    command(commands, "version", _version, "Print the version")
    return parser


def _folder(arguments: _Arguments) -> DataFolder:
    return DataFolder(Path(getattr(arguments, "data_dir", None) or os.environ.get("DATA_DIR") or "data"))


def _existing_folder(arguments: _Arguments) -> DataFolder:
    folder = _folder(arguments)
    folder.must_exist()
    return folder


def _settings(arguments: _Arguments) -> Settings:
    """Where the queue and the ledger are: as the functions' own variables say, or in the data folder."""
    if not hasattr(arguments, "data_dir") and any(os.environ.get(name) for name in _ADDRESSES):
        return Settings.from_environ(os.environ)
    folder = _existing_folder(arguments)
    return Settings.from_environ({"USAGE_QUEUE_URL": folder.queue_url(), "USAGE_STORE_URL": folder.store_url()})


# Serve


def _serve(arguments: _Arguments) -> int:
    from openai_proxy.local.serve import Options, serve

    text = arguments.port or os.environ.get("PORT") or "8080"
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > _LARGEST_PORT:
        raise LocalError(f"the port must be a number from 0 to {_LARGEST_PORT}: --port or PORT")
    options = Options(host=arguments.host, port=int(text), data_dir=_folder(arguments).path)
    serve(options, os.environ)
    return 0


# Users and keys


def _user_add(arguments: _Arguments) -> int:
    folder = _folder(arguments)
    folder.make()

    def add(text: str, key: Key) -> str:
        options = {"team_id": arguments.team, "role": arguments.role, "allow_user_name": arguments.allow_user_name}
        return add_user(text, arguments.name, key, **options)

    return _issue_key(folder, arguments, add)


def _key_rotate(arguments: _Arguments) -> int:
    def rotate(text: str, key: Key) -> str:
        return rotate_key(text, arguments.name, key, overlap=arguments.overlap)

    return _issue_key(_existing_folder(arguments), arguments, rotate)


def _issue_key(folder: DataFolder, arguments: _Arguments, edit: Callable[[str, Key], str]) -> int:
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


def _user_revoke(arguments: _Arguments) -> int:
    folder = _existing_folder(arguments)
    AccessFile(folder.access_file).edit(lambda text: revoke_user(text, arguments.name), new=NEW_FILE)
    print(f"User {arguments.name} is revoked; a running proxy refuses their keys within 5 s.")
    _remind_of_deployment(folder)
    return 0


def _remind_of_deployment(folder: DataFolder) -> None:
    """A deployment has a copy of the access file, in its secret; `terraform init` shows that there may be one."""
    terraform = Path(os.environ.get("TERRAFORM_DIR") or Path(__file__).parents[2] / "terraform")
    if (terraform / ".terraform").is_dir():
        print(f"The deployment learns of it by: make access ACCESS_FILE={folder.access_file}", file=sys.stderr)


def _user_list(arguments: _Arguments) -> int:
    file = AccessFile(_existing_folder(arguments).access_file)
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


# The ledger


def _usage(arguments: _Arguments) -> int:
    bounds = {"period": "all", "since": arguments.since, "until": arguments.until}
    _, period = parse_period(bounds, datetime.now(UTC))
    ledger = bootstrap.usage_ledger(_settings(arguments))
    by = arguments.by or (() if arguments.json else _DEFAULT_GROUPS)
    if by:
        objects = total_objects(ledger.totals(period, user_id=arguments.user, by=by), by)
    else:
        objects = record_objects(ledger.records(period, user_id=arguments.user, limit=None))
    sys.stdout.writelines(json_array(objects) if arguments.json else table(objects))
    return 0


def _groups(text: str) -> tuple[GroupBy, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if any(name not in get_args(GroupBy) for name in names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(get_args(GroupBy))}, each once")
    return cast("tuple[GroupBy, ...]", names)


# What did not get through


def _replay(arguments: _Arguments) -> int:
    queue = bootstrap.usage_queue(_settings(arguments))
    with _lines(arguments.file) as lines:
        counts = asyncio.run(replay(lines, queue, _complain))
    print(f"Replayed {counts.events} usage events; skipped {counts.skipped} lines without one.")
    return 1 if counts.malformed else 0


def _lines(file: str) -> contextlib.AbstractContextManager[TextIO]:
    if file == "-":
        return contextlib.nullcontext(sys.stdin)
    return Path(file).open(encoding="utf-8", errors="replace")


def _dead_letters_list(arguments: _Arguments) -> int:
    with _dead_letter_box(arguments) as box:
        letters = box.dead_letters()
    if arguments.json:
        print(json.dumps([_letter_object(letter) for letter in letters], indent=2))
    else:
        names = ("message_id", "publish_time", "attempts", "reason")
        objects = map(_letter_object, letters)
        sys.stdout.writelines(table({name: letter[name] for name in names} for letter in objects))
    return 0


def _letter_object(letter: DeadLetter) -> dict[str, object]:
    return {
        "message_id": str(letter.message_id),
        "publish_time": cell_to_json(letter.publish_time),
        "dead_time": cell_to_json(letter.dead_time),
        "attempts": letter.attempts,
        "reason": letter.reason,
        "data": letter.data.decode("utf-8", "replace"),
    }


def _dead_letters_replay(arguments: _Arguments) -> int:
    with _dead_letter_box(arguments) as box:
        count = box.replay(datetime.now(UTC))
    print(json.dumps({"replayed": count}) if arguments.json else f"Replayed {count} dead letters.")
    return 0


def _dead_letter_box(arguments: _Arguments) -> contextlib.closing[DeadLetterBox]:
    return contextlib.closing(bootstrap.dead_letter_box(_settings(arguments)))


def _version(_arguments: _Arguments) -> int:
    print(f"openai-proxy {__version__}")
    return 0


def _complain(text: str) -> None:
    sys.stderr.write(f"openai-proxy: {text}\n")
