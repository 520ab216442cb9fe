"""replay and dead-letters: what did not get through."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from openai_proxy import bootstrap
from openai_proxy.commands.parsing import Arguments, Commands, complain, print_json
from openai_proxy.commands.places import settings
from openai_proxy.local.replay import replay
from openai_proxy.local.usage_text import table
from openai_proxy.ports import DeadLetter, DeadLetterBox, QueueError
from openai_proxy.records import cell_to_json


def add_to(commands: Commands) -> None:
    """Declare the commands."""
    log = commands.add("replay", _replay, "Put usage events found in a log back into the queue")
    log.add_argument("file", help="the log; - is standard input")

    letters = commands.group("dead-letters", "Usage events that were given up")
    letters.add("list", _dead_letters_list, "List the usage events that were given up, with the reasons", as_json=True)
    letters.add(
        "replay", _dead_letters_replay, "Put all usage events that were given up back into the queue", as_json=True
    )


def _replay(arguments: Arguments) -> int:
    queue = bootstrap.usage_queue(settings(arguments))
    with _lines(arguments.file) as lines:
        counts = asyncio.run(replay(lines, queue, complain))
    print(f"Replayed {counts.events} usage events; skipped {counts.skipped} lines without one.")
    return 1 if counts.malformed else 0


def _lines(file: str) -> contextlib.AbstractContextManager[TextIO]:
    if file == "-":
        return contextlib.nullcontext(sys.stdin)
    return Path(file).open(encoding="utf-8", errors="replace")


def _dead_letters_list(arguments: Arguments) -> int:
    with _dead_letter_box(arguments) as box:
        letters = box.dead_letters()
    if arguments.json:
        print_json([_letter_object(letter) for letter in letters])
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


def _dead_letters_replay(arguments: Arguments) -> int:
    with _dead_letter_box(arguments) as box:
        count = box.replay(datetime.now(UTC))
    print(json.dumps({"replayed": count}) if arguments.json else f"Replayed {count} dead letters.")
    return 0


@contextlib.contextmanager
def _dead_letter_box(arguments: Arguments) -> Iterator[DeadLetterBox]:
    where = settings(arguments)
    try:
        with contextlib.closing(bootstrap.dead_letter_box(where)) as box:
            yield box
    except sqlite3.Error as error:
        queue = where.dead_letter_url or where.usage_queue_url
        advice = "try again, and see that its file is there, whole and writable"
        raise QueueError(f"the queue {queue} cannot be used now ({error}); {advice}") from None
