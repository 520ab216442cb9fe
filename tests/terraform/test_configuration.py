"""The configuration as such: form, types, defaults, and every wrong variable told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from terraform_stub import ROOT, Stub, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Stub:
    return Stub.new(tmp_path_factory.mktemp("configuration"))


def test_it_has_terraforms_own_form() -> None:
    done = subprocess.run(
        ["terraform", f"-chdir={ROOT / 'terraform'}", "fmt", "-check", "-recursive", "-diff"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_every_name_and_type_is_one_that_the_provider_knows(stub: Stub) -> None:
    done = stub.run("validate", "-no-color")

    assert done.returncode == 0, done.stderr


def test_defaults_hold_and_wrong_variables_are_told(stub: Stub) -> None:
    done = stub.run("test", "-no-color")

    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed" in done.stdout


def test_a_misspelt_argument_would_be_found(tmp_path: Path) -> None:
    broken = Stub.new(tmp_path / "broken")
    path = broken.folder / "terraform" / "usage_events.tf"
    path.write_text(path.read_text("utf-8").replace("dead_letter_topic ", "deadletter_topic "), "utf-8")

    assert "deadletter_topic" in broken.run("validate", "-no-color").stderr


def test_no_lock_file_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "terraform"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert not [name for name in listed if name.endswith((".lock.hcl", ".tfstate", ".tfvars"))]
