"""log_view as the platform starts it, over a real ledger and a real access file, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from openai_proxy.adapters.sqlite_store import SqliteStore
from openai_proxy.keys import key_hash, new_key
from openai_proxy.records import UsageRecord
from serving import free_port, wait_for

_MAIN = Path(__file__).parent.parent / "functions" / "log_view" / "main.py"
_STOP_SECONDS = 10.0


@dataclass(slots=True)
class PageServing:
    """A running log_view, and what it reads."""

    root: str
    folder: Path
    keys: dict[str, str]

    @property
    def ledger_file(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def log(self) -> str:
        """All that the process wrote."""
        return (self.folder / "log").read_text()

    def write_access(self, *, without: str = "") -> None:
        """Write the access file: everybody with a key, the first of them an admin."""
        admin = next(iter(self.keys))
        text = "version = 1\n"
        for user, key in self.keys.items():
            if user != without:
                text += (
                    f'[users."{user}"]\nrole = "{"admin" if user == admin else "member"}"\n'
                    f'email = "{user}@example.com"\n'
                    f'[[users."{user}".keys]]\nid = "key_{user}"\nsha256 = "{key_hash(key)}"\n'
                    "created_time = 2026-01-01T00:00:00Z\n"
                )
        (self.folder / "access.toml").write_text(text)


@contextlib.contextmanager
def page_serving(
    records: Iterable[UsageRecord], users: Iterable[str], *, demo: bool = False, **further: str
) -> Iterator[PageServing]:
    """Start log_view over these records, with further settings; the first user is an admin."""
    with tempfile.TemporaryDirectory(prefix="openai-proxy-page-") as name:
        port = free_port()
        one = PageServing(f"http://127.0.0.1:{port}", Path(name), {user: new_key() for user in users})
        one.write_access()
        with contextlib.closing(SqliteStore(one.ledger_file)) as store:
            assert store.add(list(records)) == {}
        environ = {
            **os.environ,
            "ACCESS_FILE": str(one.folder / "access.toml"),
            "USAGE_STORE_URL": f"sqlite:///{one.ledger_file}",
            "SESSION_SECRET": "a made-up secret of the tests",
            "DEMO_UPSTREAM": str(demo).lower(),
            "FORWARDED_HOPS": "1",  # as serve does: the proxy says from where a reader calls
            **further,
        }
        command = [
            str(Path(sys.executable).with_name("functions-framework")),
            *("--target", "log_view", "--source", str(_MAIN), "--host", "127.0.0.1", "--port", str(port)),
        ]
        with (one.folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for("log_view to answer", lambda: _answers(one.root) or process.poll() is not None)
            assert process.poll() is None, one.log
            yield one
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)


def _answers(root: str) -> bool:
    try:
        return requests.get(f"{root}/healthz", timeout=10).status_code > 0
    except requests.ConnectionError:
        return False
