"""Real clients in environments of their own, made once, under pytest's cache, from this folder's lock files."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.member import Member
from serving import CountingUpstream, serving

_HERE = Path(__file__).parent


@pytest.fixture(scope="session", autouse=True)
def _asked_for() -> None:
    if os.environ.get("OPENAI_PROXY_CLIENTS") != "1":
        pytest.skip("installs clients into environments of their own; set OPENAI_PROXY_CLIENTS=1, as .ci/run does")


@pytest.fixture
def member(upstream: CountingUpstream, tmp_path: Path) -> Iterator[Member]:
    upstream.reset()
    with serving(upstream) as proxy:
        proxy.allow_team("research", "files", "lists")
        yield Member("alice", proxy.add_user("alice", "--team", "research"), proxy, upstream, tmp_path)


@pytest.fixture(scope="session")
def newest(pytestconfig: pytest.Config) -> Path:
    """The Python that has the newest clients."""
    return _python(pytestconfig, "newest")


@pytest.fixture(scope="session")
def sdk2(pytestconfig: pytest.Config) -> Path:
    """The Python that has the official SDK's second major version."""
    return _python(pytestconfig, "sdk2")


@pytest.fixture(params=["newest", "sdk2"])
def openai_python(request: pytest.FixtureRequest) -> Path:
    """A Python that has the official SDK."""
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def node(pytestconfig: pytest.Config) -> Path:
    """The folder of the JavaScript clients, and of this folder's scripts for them."""
    if not shutil.which("npm"):
        pytest.skip("npm is not there: install Node.js 20 or newer")
    folder = _made_once(pytestconfig, "node", _HERE / "package-lock.json", _install_packages)
    for script in _HERE.glob("*.mjs"):  # an ES module finds only the packages that lie beside it
        shutil.copy(script, folder)
    return folder


def _python(config: pytest.Config, name: str) -> Path:
    return _made_once(config, name, _HERE / f"{name}.txt", _install_requirements) / "bin" / "python"


def _made_once(config: pytest.Config, name: str, lock: Path, make: Callable[[Path, Path], None]) -> Path:
    """A folder that is made anew only when its lock file or our Python is another."""
    assert config.cache is not None
    folder = config.cache.mkdir(f"clients-{name}")
    made_of = hashlib.sha256(sys.executable.encode() + sys.version.encode() + lock.read_bytes()).hexdigest()
    stamp = folder / "made-of"
    if not stamp.exists() or stamp.read_text() != made_of:
        shutil.rmtree(folder)
        folder.mkdir()
        make(folder, lock)
        stamp.write_text(made_of)
    return folder


def _install_requirements(folder: Path, requirements: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(requirements)], check=True)


def _install_packages(folder: Path, _: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(_HERE / name, folder)
    subprocess.run(["npm", "ci", "--silent"], cwd=folder, check=True)
