"""What unit tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Done, Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder that is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on the folder."""
    from openai_proxy.cli import main  # it loads the price table, which most tests do without

    def run(*arguments: str) -> Done:
        status = main(["--data-dir", str(folder), *arguments])
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return run
