from __future__ import annotations

import os
from pathlib import Path

import pytest

from openai_proxy.adapters import secret_file
from openai_proxy.adapters.secret_file import SecretFile
from openai_proxy.ports import SecretError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "openai_api_key"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at each use, so that no test waits five seconds."""
    monkeypatch.setattr(secret_file, "_LOOK_SECONDS", 0.0)


def test_the_secret_is_the_files_only_word(path: Path) -> None:
    path.write_text("  sk-first\n")

    assert SecretFile(path, "OPENAI_API_KEY_FILE").current() == "sk-first"


@pytest.mark.usefixtures("at_once")
def test_a_changed_file_is_a_new_secret(path: Path) -> None:
    path.write_text("sk-first")
    secret = SecretFile(path, "OPENAI_API_KEY_FILE")
    assert secret.current() == "sk-first"

    path.write_text("sk-second")
    os.utime(path, ns=(1, 1))

    assert secret.current() == "sk-second"


def test_between_two_looks_the_secret_is_kept(path: Path) -> None:
    path.write_text("sk-first")
    secret = SecretFile(path, "OPENAI_API_KEY_FILE")
    assert secret.current() == "sk-first"

    path.write_text("sk-second")

    assert secret.current() == "sk-first"


@pytest.mark.usefixtures("at_once")
def test_a_secret_that_changes_without_telling_so_is_read_again_after_a_minute(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("sk-one")
    os.utime(path, ns=(1, 1))
    secret = SecretFile(path, "OPENAI_API_KEY_FILE")
    assert secret.current() == "sk-one"

    path.write_text("sk-two")
    os.utime(path, ns=(1, 1))
    monkeypatch.setattr(secret_file, "_READ_SECONDS", 1e-6)  # many of these minutes have passed

    assert secret.current() == "sk-two"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"two words", "more than one word"),
        ("schlüssel".encode(), "it is not ASCII"),
    ],
)
def test_a_file_without_a_secret_is_one_clear_error_that_does_not_quote_it(
    path: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SecretError, match=says) as caught:
        SecretFile(path, "OPENAI_API_KEY_FILE").current()

    assert str(caught.value).startswith(f"OPENAI_API_KEY_FILE {path} cannot be used")
    assert "two" not in str(caught.value)
    assert "schl" not in str(caught.value)


@pytest.mark.usefixtures("at_once")
def test_a_file_that_breaks_leaves_the_last_good_secret_in_force_and_is_logged(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("sk-first")
    secret = SecretFile(path, "OPENAI_API_KEY_FILE")
    assert secret.current() == "sk-first"

    path.unlink()

    assert secret.current() == "sk-first"
    assert "last good value stays in force" in capsys.readouterr().err
