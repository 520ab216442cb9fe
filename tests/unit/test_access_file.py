from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.access.callers import Access, AccessFileError
from openai_proxy.access.edits import NEW_FILE, add_user, issued_key
from openai_proxy.access.events import Editor
from openai_proxy.adapters import access_file
from openai_proxy.adapters.access_file import AccessFile, NewestAccess
from serving import wait_for

EDITOR = Editor("ada", "user add")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.toml"


def adding(name: str) -> Callable[[str], str]:
    number = abs(hash(name))
    key = issued_key(f"key_{name}", f"{number:064x}", datetime.now(UTC))
    return lambda text: add_user(text, name, key)


def look(file: AccessFile) -> Access:
    file._looked = -inf  # noqa: SLF001 - four seconds pass
    return file.current()


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_change_is_seen_soon(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    assert set(file.current().users) == {"ada"}

    AccessFile(path).edit(adding("grace"), new=NEW_FILE, editor=EDITOR)

    wait_for("the change", lambda: set(file.current().users) == {"ada", "grace"}, 5)


def test_an_unchanged_file_is_not_parsed_again(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    first = file.current()

    assert look(file) is first


def test_while_a_change_is_read_everybody_is_served_what_held_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_file, "_LOOK_SECONDS", 0.0)
    path.write_text(adding("ada")(NEW_FILE))
    looks, gate = 0, threading.Event()

    def content() -> str | bytes:
        nonlocal looks
        looks += 1
        if looks > 1:
            gate.wait()
        return path.read_bytes()

    newest = NewestAccess(path, content)
    assert set(newest.current().users) == {"ada"}

    path.write_text(adding("grace")(NEW_FILE))
    assert [set(newest.current().users) for _ in range(100)] == [{"ada"}] * 100
    assert looks <= 2
    gate.set()
    wait_for("the change", lambda: set(newest.current().users) == {"grace"}, 5)


def test_after_a_pause_nobody_is_served_what_was_true_before_it(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    assert set(file.current().users) == {"ada"}

    path.write_text(adding("grace")(NEW_FILE))

    assert set(look(file).users) == {"grace"}


def test_a_change_is_seen_that_the_files_times_and_size_do_not_tell(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    assert set(file.current().users) == {"ada"}
    before = path.stat()

    path.write_text(path.read_text().replace("ada", "bob"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    wait_for("the change", lambda: set(file.current().users) == {"bob"}, 5)


BROKEN = "the access file is broken; its last good version stays in force"


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lambda path: path.write_text("version = 1\n["), "broken at line 2"),
        (lambda path: path.write_bytes(b"version = 1\n# \xff\xfe"), "broken at line 2"),
        (lambda path: path.write_text("version = 1\n\n[users.ada]\nrole = 1\nteam = 1\n"), "broken at line 4"),
        (lambda path: path.unlink(), "unreadable"),
    ],
    ids=["broken", "not text", "mistakes", "gone"],
)
def test_a_file_that_broke_leaves_the_last_good_version_in_force_and_is_logged_once(
    path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], where: str
) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    good = file.current()

    spoil(path)
    for _ in range(3):
        found = look(file)
        assert found == good
        assert found.broken
        assert found.broken.where == where
    (line,) = logged(capsys)
    assert (line["severity"], line["message"]) == ("ERROR", BROKEN)
    assert len(line["mistakes"]) == (2 if where.endswith("4") else 0 if where == "unreadable" else 1)

    path.write_text(adding("grace")(NEW_FILE))
    wait_for("the mended file", lambda: set(file.current().users) == {"grace"}, 5)
    assert file.current().broken is None


def test_each_new_breakage_is_logged(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    file.current()

    for text in ("version = 2", "version = 3", "version = 3", "version = 2"):
        path.write_text(text)
        assert set(look(file).users) == {"ada"}

    assert [line["message"] for line in logged(capsys)] == [BROKEN] * 3


def test_a_file_that_is_good_again_as_it_was_is_in_force_again(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    file.current()
    good = path.read_text()

    path.write_text("version = 2")
    assert look(file).broken
    path.write_text(good)

    assert not look(file).broken


def test_a_broken_file_is_parsed_once(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    file.current()
    path.write_text("version = 2")

    assert look(file) is look(file)


def test_whatever_is_written_the_last_good_version_stays_in_force(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    good, content = file.current(), path.read_bytes()
    dice = random.Random(5)  # noqa: S311 - a test that can be repeated
    broken = 0

    for _ in range(300):
        place, length = dice.randrange(len(content)), dice.randrange(9)
        path.write_bytes(content[:place] + dice.randbytes(dice.randrange(3)) + content[place + length :])
        found = look(file)
        assert found.broken is None or found == good
        broken += found.broken is not None
        path.write_bytes(content)
        good = look(file)
        assert good.broken is None

    assert 50 < broken < 300


def test_a_file_of_windows_is_read(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + adding("ada")(NEW_FILE).replace("\n", "\r\n").encode())

    assert set(AccessFile(path).current().users) == {"ada"}
    AccessFile(path).edit(adding("grace"), new=NEW_FILE, editor=EDITOR)
    assert set(AccessFile(path).current().users) == {"ada", "grace"}


def test_without_a_good_version_the_error_is_raised_until_there_is_one(path: Path) -> None:
    file = AccessFile(path)
    with pytest.raises(AccessFileError, match="cannot be read: No such file or directory"):
        file.current()
    path.write_text("version = 1\n[")
    with pytest.raises(AccessFileError, match="not TOML"):
        file.current()

    path.write_text(NEW_FILE)

    assert file.current().users == {}


def test_the_file_is_for_its_owner_only_and_nothing_else_is_left(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {found.name for found in path.parent.iterdir()} == {"access.toml", "access.toml.lock", "access_events.jsonl"}


def test_a_link_stays_a_link(tmp_path: Path, path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "access.toml"
    target.write_text(NEW_FILE)
    path.symlink_to(target)

    AccessFile(path).edit(adding("ada"), new=NEW_FILE, editor=EDITOR)

    assert path.is_symlink()
    assert "[users.ada]" in target.read_text()


def test_an_edit_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    before = path.read_bytes()

    with pytest.raises(AccessFileError, match="not TOML"):
        file.edit(lambda text: text + "[", new=NEW_FILE, editor=EDITOR)
    (path.parent / f".access.toml.{os.getpid()}.new").mkdir()
    with pytest.raises(IsADirectoryError):
        file.edit(adding("grace"), new=NEW_FILE, editor=EDITOR)

    assert path.read_bytes() == before


def test_a_broken_file_is_not_edited(path: Path) -> None:
    path.write_text("version = 1\n[")

    with pytest.raises(AccessFileError, match="not TOML"):
        AccessFile(path).edit(adding("ada"), new=NEW_FILE, editor=EDITOR)

    assert path.read_text() == "version = 1\n["


def test_editors_at_the_same_time_lose_nothing(path: Path) -> None:
    script = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from openai_proxy.access.edits import NEW_FILE, add_user, issued_key
from openai_proxy.access.events import Editor
from openai_proxy.adapters.access_file import AccessFile
first = int(sys.argv[2])
for number in range(first, first + 10):
    key = issued_key(f"key_{number}", f"{number:064x}", datetime.now(UTC))
    change = lambda text: add_user(text, f"user-{number}", key)
    AccessFile(Path(sys.argv[1])).edit(change, new=NEW_FILE, editor=Editor("ada", "user add"))
"""
    editors = [subprocess.Popen([sys.executable, "-c", script, str(path), str(first)]) for first in (0, 100, 200)]

    assert [editor.wait(60) for editor in editors] == [0, 0, 0]
    assert len(AccessFile(path).current().users) == 30


def test_many_threads_read_it(path: Path) -> None:
    file = AccessFile(path)
    file.edit(adding("ada"), new=NEW_FILE, editor=EDITOR)
    seen: list[set[str]] = []
    threads = [threading.Thread(target=lambda: seen.append(set(file.current().users))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [{"ada"}] * 16
