"""The documents say what is: settings, make targets, invariants, links."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from openai_proxy.access.reading import KEY, ORGANIZATION, RULES, TEAM, USER, mistakes
from openai_proxy.api.endpoints import ENDPOINTS
from openai_proxy.api.permissions import PERMISSIONS
from openai_proxy.api.refused_families import REFUSED
from openai_proxy.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_readme_lists_exactly_the_settings_that_there_are() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))

    assert documented == {field.name.upper() for field in fields(Settings)} | {"PORT", "DATA_DIR"}


def test_the_tables_of_endpoints_are_written_from_the_table_that_decides() -> None:
    command = [sys.executable, "docs/endpoint_tables.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert done.stderr == ""
    assert done.returncode == 0


def test_the_documents_list_every_endpoint_every_permission_and_every_refused_family() -> None:
    listed = (ROOT / "docs" / "endpoints.md").read_text()

    assert re.findall(r"^\| `(?:([A-Z]+) )?/v1(/[^`]*)` \|", listed, re.MULTILINE) == [
        *((endpoint.method, endpoint.path) for endpoint in ENDPOINTS),
        *((family.method or "", family.path) for family in REFUSED),
    ]
    assert tuple(re.findall(r"^\| `([a-z_]+)` \|", listed, re.MULTILINE)) == PERMISSIONS
    for endpoint in ENDPOINTS:
        assert endpoint.permission or f"`{endpoint.method} /v1{endpoint.path}`" in README


def test_every_make_target_has_its_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z_-]+)%?:", makefile, re.MULTILINE))
    printed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert targets == set(re.findall(r"^  make ([a-z_-]+)", printed, re.MULTILINE))


def test_every_invariant_names_a_test_that_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"`((?:unit|contract|functions|e2e|faults|packaging|browser|cloud)/test_\w+\.py)`", text)

    assert named
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)\)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_access_file_of_the_documents_is_a_good_one_with_every_field() -> None:
    text = (ROOT / "docs" / "access.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)

    assert mistakes(example) == ()
    assert set(re.findall(r"^([a-z_0-9]+) = ", example, re.MULTILINE)) == {
        *RULES, *ORGANIZATION, *TEAM, *KEY, *USER.keys() - {"keys"}, "version",
    }  # fmt: skip
