"""Google on loopback for gcloud: `fake_gcp.py` for functions, a secret's versions, a table, the proxy's own health."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from terraform_stub import TOOLS

_APIS = (
    "CLOUDFUNCTIONS", "CLOUDRESOURCEMANAGER", "SERVICEUSAGE", "RUN", "ARTIFACTREGISTRY", "CLOUDBUILD", "IAM",
    "EVENTARC", "PUBSUB",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FakeGoogle:
    """`fake_gcp.py`, which keeps every call and every uploaded zip."""

    url: str
    log: Path

    def seed(self, functions: Mapping[str, Any]) -> None:
        """Let functions exist, as `terraform apply` would have made them."""
        body = json.dumps(functions).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_seed", body), timeout=10).close()  # noqa: S310 - loopback

    def calls(self, method: str) -> list[Mapping[str, Any]]:
        """What was asked, in order."""
        lines = [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]
        return [line for line in lines if line["m"] == method]

    def upload(self, name: str) -> Path:
        """One uploaded zip."""
        return self.log.with_name(f"{self.log.name}.{name}")


@contextlib.contextmanager
def fake_google(folder: Path) -> Iterator[FakeGoogle]:
    log, port_file = folder / "calls.jsonl", folder / "port"
    log.touch()
    command = [
        sys.executable,
        str(TOOLS / "fake-gcp" / "fake_gcp.py"),
        "--log",
        str(log),
        "--port-file",
        str(port_file),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 30
            while not (port_file.exists() and port_file.read_text()):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield FakeGoogle(f"http://127.0.0.1:{port_file.read_text()}", log)
        finally:
            process.terminate()


@dataclass(slots=True)
class Loopback:
    """A deployed proxy's /health, Secret Manager's addVersion, Cloud Storage's upload, and BigQuery's insertAll.

    The last two may be told to fail.
    """

    url: str
    health: tuple[int, str] = (200, "{}")
    versions: list[tuple[str, str]] = field(default_factory=list)
    inserted: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    insert_answer: tuple[int, str] = (200, "{}")
    uploaded: list[tuple[str, str]] = field(default_factory=list)
    upload_answer: tuple[int, str] = (200, "{}")
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)


@contextlib.contextmanager
def loopback() -> Iterator[Loopback]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stub.asked.append((self.path, dict(self.headers)))
            self._answer(stub.health[0], stub.health[1].encode())

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/upload/"):
                stub.uploaded.append((self.path, data.decode()))
                self._answer(stub.upload_answer[0], stub.upload_answer[1].encode())
                return
            body = json.loads(data)
            if self.path.endswith("/insertAll"):
                stub.inserted += [(self.path, row["json"]) for row in body["rows"]]
                self._answer(stub.insert_answer[0], stub.insert_answer[1].encode())
                return
            secret = self.path.partition(":addVersion")[0].removeprefix("/v1/")
            stub.versions.append((secret, base64.b64decode(body["payload"]["data"]).decode()))
            version = {"name": f"{secret}/versions/2", "clientSpecifiedPayloadChecksum": True}
            self._answer(200, json.dumps(version).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stub = Loopback(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()


def gcloud_environ(folder: Path, *, functions: str, secrets: str) -> dict[str, str]:
    """An environment in which gcloud knows nobody and reaches nothing but loopback."""
    foreign = ("CLOUDSDK_", "TF_", "OPENAI_", "MAKE", "PYTHON")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return environ | {
        "CLOUDSDK_CONFIG": str(folder / "gcloud"),
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "made-up",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}": f"{functions}/" for api in _APIS},
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": f"{secrets}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_BIGQUERY": f"{secrets}/bigquery/v2/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{secrets}/storage/v1/",
    }
