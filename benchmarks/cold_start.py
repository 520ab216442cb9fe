"""Cold start of `build/proxy` alone: from the process's start to its first answer, its two events acknowledged.

As the platform has it: an environment with that folder's own requirements only, bytecode compiled, one core. The queue
is the Pub/Sub emulator. Files are in the page cache, so this is the part of a cold start that the program decides.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import requests

from emulator import PROJECT, TOPIC, pubsub_emulator
from openai_proxy.keys import key_hash, new_key
from servers import free_port, pin, running

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
_CACHE = _ROOT / ".cache" / "cold_start"
_WANTED_SECONDS = 1.5
_CORES = 2
_CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello world!"}]}


def environment() -> Path:
    """The Python of an environment that holds what `build/proxy` asks for; made anew when that changes."""
    subprocess.run(["make", "-s", "build/proxy"], cwd=_ROOT, check=True)
    build = _ROOT / "build" / "proxy"
    wanted = hashlib.sha256((build / "requirements.txt").read_bytes() + (build / "constraints.txt").read_bytes())
    folder = _CACHE / wanted.hexdigest()[:16]
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        shutil.rmtree(_CACHE, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--compile"]
        subprocess.run([*pip, "-r", "requirements.txt"], cwd=build, check=True)
        (folder / "made").touch()
    subprocess.run([str(python), "-m", "compileall", "-q", "."], cwd=build, check=True)
    return python


def start(python: Path, environ: Mapping[str, str], key: str, core: int | None) -> float:
    """Start the function and ask at once, until it answers; the seconds from its start."""
    port = free_port()
    command = [str(python.with_name("functions-framework")), "--target", "proxy", "--source", "main.py"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=_ROOT / "build" / "proxy", env={**kept, **environ})
    pin(process.pid, core)
    try:
        while True:
            with contextlib.suppress(requests.ConnectionError):
                answer = requests.post(
                    f"http://127.0.0.1:{port}/v1/chat/completions",
                    json=_CHAT,
                    headers={"authorization": f"Bearer {key}"},
                    timeout=30,
                )
                answer.raise_for_status()
                return time.perf_counter() - began
            if process.poll() is not None:
                raise RuntimeError("the proxy ended; its error is above")
            time.sleep(0.005)
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    """Measure, and print one table; 1 when the figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    python = environment()
    key = new_key()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    proxy_core, load_core = (cores[0], cores[1]) if len(cores) >= _CORES else (None, None)
    pin(0, load_core)
    seen: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "access.toml").write_text(
            f'version = 1\n[[users.bench.keys]]\nid = "key_bench"\nsha256 = "{key_hash(key)}"\n'
            "created_time = 2026-01-01T00:00:00Z\n"
        )
        host = stack.enter_context(pubsub_emulator())
        upstream_port = free_port()
        command = [sys.executable, str(_HERE / "raw_upstream.py"), str(upstream_port)]
        stack.enter_context(running(command, port=upstream_port, core=load_core, environ={}))
        environ = {
            "OPENAI_API_KEY": "sk-of-the-team",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
            "ACCESS_FILE": str(folder / "access.toml"),
            "PUBSUB_EMULATOR_HOST": host,
            "PUBLISH_TIMEOUT_SECONDS": "20",  # an event that was only logged would not be an acknowledged one
            "XDG_RUNTIME_DIR": str(folder),  # gunicorn's control socket
        }
        queues = {"Pub/Sub": f"pubsub://{PROJECT}/{TOPIC}", "embedded queue": f"sqlite:///{folder}/queue.db"}
        for number in range(given.rounds + 1):
            for name, url in queues.items():
                seconds = start(python, environ | {"USAGE_QUEUE_URL": url}, key, proxy_core)
                if number:  # the first fills the page cache
                    seen.setdefault(name, []).append(seconds)
    print(f"{'first answer, seconds':22} {'best':>6} {'median':>7} {'worst':>6}")
    for name, values in seen.items():
        print(f"{name:22} {min(values):6.2f} {statistics.median(values):7.2f} {max(values):6.2f}")
    met = statistics.median(seen["Pub/Sub"]) <= _WANTED_SECONDS
    print(f"wanted: under {_WANTED_SECONDS} s with Pub/Sub: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
