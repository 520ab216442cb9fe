"""Each build/<function>/ starts alone: only its own folder and its own requirements, in a fresh environment."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIGNATURE = {"proxy": "http", "usage_sink": "cloudevent", "log_view": "http"}

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.skipif(
        os.environ.get("OPENAI_PROXY_PACKAGING") != "1",
        reason="makes three environments; set OPENAI_PROXY_PACKAGING=1, as .ci/run does",
    ),
]


@pytest.fixture(scope="module")
def build() -> Path:
    subprocess.run(["make", "build"], cwd=ROOT, check=True, capture_output=True)
    return ROOT / "build"


@pytest.mark.parametrize("name", SIGNATURE)
def test_a_built_function_starts_from_its_folder_alone(name: str, build: Path, tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    shutil.copytree(build / name, unit)
    python = _environment(tmp_path / "venv", unit)
    port = _free_port()
    command = [
        str(python.parent / "functions-framework"), "--target", name, "--signature-type", SIGNATURE[name],
        "--source", str(unit / "main.py"), "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=unit, env=_environ(tmp_path), start_new_session=True)
    try:
        status = _status(f"http://127.0.0.1:{port}/healthz", process)
    finally:
        process.terminate()
        process.wait(10)

    # the sink takes only POST; the proxy names what it cannot reach; log_view says how its ledger is
    assert status in {"proxy": {200, 503}, "usage_sink": {404, 405}, "log_view": {200, 503}}[name]


@pytest.mark.parametrize("name", SIGNATURE)
def test_a_built_folder_holds_nothing_else(name: str, build: Path) -> None:
    found = {path.name for path in (build / name).iterdir()}

    assert found - {"templates", "static"} == {"main.py", "requirements.txt", "constraints.txt", "openai_proxy"}
    assert not list((build / name).rglob("__pycache__"))


def _environment(venv: Path, unit: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"]
    subprocess.run(install, cwd=unit, check=True)
    subprocess.run([str(python), "-m", "pip", "check"], check=True, capture_output=True)  # fatal on the platform
    absent = subprocess.run([str(python), "-c", "import openai_proxy"], cwd=venv, capture_output=True, check=False)
    assert absent.returncode, "an installed openai_proxy would hide the one beside main.py"
    return python


def _environ(folder: Path) -> dict[str, str]:
    access = folder / "access.toml"
    access.write_text("version = 1\n")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "OPENAI_API_KEY": "made-up",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "ACCESS_FILE": str(access),
        "SESSION_SECRET": "made-up",
        "USAGE_QUEUE_URL": f"sqlite:///{folder}/queue.sqlite3",
        "USAGE_STORE_URL": f"sqlite:///{folder}/ledger.sqlite3",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _status(url: str, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
                return int(answer.status)
        except urllib.error.HTTPError as answer:
            return int(answer.code)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the function did not start")
