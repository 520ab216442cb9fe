"""Google Cloud's engines without a cloud: Google's Pub/Sub emulator, and `local-bigquery`.

Both are wanted with OPENAI_PROXY_CLOUD=1 (as `.ci/run` sets it); otherwise, or where one cannot be had, tests that need
them are skipped and say what is missing. `local-bigquery` needs Python 3.13 and lives in an environment of its own
under `.cache/`, made once: with the DuckDB extensions from wheels, since it would download them at each start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import pytest
import requests
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from openai_proxy.access import events as access_events
from openai_proxy.adapters.file_lock import FileLock
from openai_proxy.records import schema
from serving import free_port, wait_for

PROJECT = "demo"
WANTED = os.environ.get("OPENAI_PROXY_CLOUD") == "1"
_REPOSITORY = Path(__file__).parent.parent
QUERIES = _REPOSITORY / "src" / "openai_proxy" / "queries" / "bigquery"
_CACHE = _REPOSITORY / ".cache" / "local-bigquery"
_DUCKDB = "1.5.5"  # 0.3.2 is the last release for which extension wheels exist
_EXTENSIONS = ("ducklake", "icu", "spatial")
_PACKAGES = (
    "local-bigquery==0.3.2",
    f"duckdb=={_DUCKDB}",
    *(f"duckdb-extension-{name}=={_DUCKDB}" for name in _EXTENSIONS),
)
_STOP_SECONDS = 20.0
_NOT_WANTED = "set OPENAI_PROXY_CLOUD=1 to run the tests on Google Cloud's emulators"


@dataclass(slots=True)
class PubsubEmulator:
    """A running Pub/Sub emulator; what it holds is in memory."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def host(self) -> str:
        """What PUBSUB_EMULATOR_HOST is set to."""
        return f"127.0.0.1:{self.port}"

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Make a topic or a subscription."""
        answer = requests.put(f"http://{self.host}/v1/projects/{PROJECT}/{path}", json=body, timeout=30)
        assert answer.ok, answer.text

    def delete(self, path: str) -> None:
        """Remove a topic or a subscription."""
        requests.delete(f"http://{self.host}/v1/projects/{PROJECT}/{path}", timeout=30).raise_for_status()

    def topic(self, name: str) -> str:
        """A new topic's full name."""
        self.put(f"topics/{name}", {})
        return f"projects/{PROJECT}/topics/{name}"

    def subscription(self, name: str, topic: str, **options: Any) -> str:
        """A new subscription's full name; `options` as in the REST API."""
        self.put(f"subscriptions/{name}", {"topic": topic, **options})
        return f"projects/{PROJECT}/subscriptions/{name}"

    def publish(self, topic: str, *messages: dict[str, Any]) -> None:
        """Publish messages as in the REST API: `data` is base64."""
        self._post(f"{topic}:publish", {"messages": messages})

    def pull_all(self, subscription: str) -> list[dict[str, Any]]:
        """All messages of a pull subscription, which are acknowledged."""
        messages: list[dict[str, Any]] = []
        while received := self._post(f"{subscription}:pull", {"maxMessages": 1000, "returnImmediately": True}).get(
            "receivedMessages"
        ):
            self._post(f"{subscription}:acknowledge", {"ackIds": [one["ackId"] for one in received]})
            messages += [one["message"] for one in received]
        return messages

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = requests.post(f"http://{self.host}/v1/{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def freeze(self) -> None:
        """Answer nothing any more, as a service that hangs."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on, with what came in between."""
        self.process.send_signal(signal.SIGCONT)


@dataclass(slots=True)
class BigQueryEmulator:
    """A local-bigquery over one data folder; it may be stopped and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """What BIGQUERY_EMULATOR_HOST is set to."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> bigquery.Client:
        """Google's own client for it."""
        return bigquery.Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call] # google-auth has no types here
            client_options=ClientOptions(api_endpoint=self.host),
        )

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [_local_bigquery(), "--host", "127.0.0.1", "--port", str(self.port), "--grpc-port", str(free_port())]
        command += ["--data-dir", str(self.folder / "data"), "--project", PROJECT]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, "HOME": str(_CACHE / "home")}, stdout=log, stderr=log, process_group=0
            )
        wait_for("the BigQuery emulator", self._answers)

    def stop(self) -> None:
        """Stop it; its data stays in the folder."""
        assert self.process is not None
        _stop(self.process)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        return _answers(f"{self.host}/bigquery/v2/projects/{PROJECT}/datasets")


@dataclass(frozen=True, slots=True)
class CloudLedger:
    """A ledger in a dataset of its own, as Terraform makes it: table, table function and views."""

    client: bigquery.Client
    dataset: str

    @property
    def table(self) -> str:
        return f"{PROJECT}.{self.dataset}.usage_records"

    @property
    def url(self) -> str:
        """What USAGE_STORE_URL is set to."""
        return f"bigquery://{PROJECT}/{self.dataset}/usage_records"

    def query(self, text: str, *parameters: bigquery.ScalarQueryParameter) -> list[dict[str, Any]]:
        """The rows of a query."""
        config = bigquery.QueryJobConfig(query_parameters=list(parameters), default_dataset=f"{PROJECT}.{self.dataset}")
        return [dict(row.items()) for row in self.client.query_and_wait(text, job_config=config)]

    def stored(self) -> list[dict[str, Any]]:
        """All rows as they are stored, duplicates included."""
        return self.query("SELECT * FROM usage_records WHERE event_time > TIMESTAMP '1900-01-01'")

    def clear(self) -> None:
        """Delete all rows."""
        self.query("DELETE FROM usage_records WHERE event_time > TIMESTAMP '1900-01-01'")
        self.query("DELETE FROM access_events WHERE event_time > TIMESTAMP '1900-01-01'")

    def make(self) -> None:
        self.client.create_dataset(self.dataset)
        columns = [bigquery.SchemaField.from_api_repr(dict(column)) for column in schema()]
        table = bigquery.Table(self.table, schema=columns)
        table.time_partitioning = bigquery.TimePartitioning(field="event_time")
        table.clustering_fields = ["user_id", "response_model", "event_id"]
        table.require_partition_filter = True
        self.client.create_table(table)
        changes = [bigquery.SchemaField.from_api_repr(dict(column)) for column in access_events.schema()]
        self.client.create_table(bigquery.Table(f"{PROJECT}.{self.dataset}.access_events", schema=changes))
        names = {"table": self.table, "usage": f"{PROJECT}.{self.dataset}.usage"}
        names["access_events"] = f"{PROJECT}.{self.dataset}.access_events"
        queries = {file.stem: Template(file.read_text()).safe_substitute(names) for file in QUERIES.glob("*.sql")}
        bounds = "since TIMESTAMP, until TIMESTAMP"
        self.query(f"CREATE TABLE FUNCTION `{names['usage']}`({bounds}) AS ({queries['usage']})")
        for name, text in queries.items():
            if text.startswith("-- View:"):  # which Terraform takes for a view as well
                self.query(f"CREATE VIEW `{PROJECT}.{self.dataset}.{name}` AS {text}")


@contextlib.contextmanager
def cloud_ledger(emulator: BigQueryEmulator) -> Iterator[CloudLedger]:
    """A new, empty ledger."""
    with contextlib.closing(emulator.client()) as client:
        ledger = CloudLedger(client, f"ledger_{uuid.uuid4().hex[:12]}")
        ledger.make()
        yield ledger


@contextlib.contextmanager
def pubsub_emulator() -> Iterator[PubsubEmulator]:
    """A Pub/Sub emulator until the block ends; skips the test where there is none."""
    jar, port = _pubsub_jar(), free_port()
    # The jar by itself: the gcloud wrapper would leave its child behind when it is ended.
    command = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", str(jar)]
    command += ["--host=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)
    try:
        wait_for("the Pub/Sub emulator", lambda: _answers(f"http://127.0.0.1:{port}/v1/projects/{PROJECT}/topics"))
        yield PubsubEmulator(process, port)
    finally:
        _stop(process)


@contextlib.contextmanager
def bigquery_emulator() -> Iterator[BigQueryEmulator]:
    """A BigQuery emulator until the block ends; skips the test where there is none."""
    _local_bigquery()
    with tempfile.TemporaryDirectory(prefix="openai-proxy-bigquery-", ignore_cleanup_errors=True) as folder:
        emulator = BigQueryEmulator(Path(folder))
        try:
            emulator.start()
            yield emulator
        finally:
            emulator.stop()


@cache
def _pubsub_jar() -> Path:
    _require_wanted()
    if shutil.which("java") is None:
        pytest.skip("the Pub/Sub emulator needs `java` (17 or newer) on PATH")
    if shutil.which("gcloud") is None:
        pytest.skip("the Pub/Sub emulator comes with the gcloud SDK, and `gcloud` is not on PATH")
    command = ["gcloud", "info", "--format=value(installation.sdk_root)"]
    root = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    jars = sorted(Path(root).glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"))
    if not jars:
        pytest.skip("the gcloud SDK lacks its pubsub-emulator: gcloud components install pubsub-emulator")
    return jars[-1]


@cache
def _local_bigquery() -> str:
    """The command of the cached environment, which is made when it is not there; one process makes it."""
    _require_wanted()
    command = _CACHE / "venv" / "bin" / "local-bigquery"
    made = _CACHE / "made"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(_CACHE / "lock"):
        if not made.exists() or made.read_text() != repr(_PACKAGES):
            _make_environment(_python_313())
            made.write_text(repr(_PACKAGES))
    return str(command)


def _make_environment(python: str) -> None:
    venv, home = _CACHE / "venv", _CACHE / "home"
    shutil.rmtree(venv, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)
    _run(python, "-m", "venv", str(venv))
    inner = str(venv / "bin" / "python")
    _run(inner, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_PACKAGES)
    platform = _run(inner, "-c", "import duckdb; print(duckdb.sql('PRAGMA platform').fetchone()[0])").strip()
    target = home / ".duckdb" / "extensions" / f"v{_DUCKDB}" / platform
    target.mkdir(parents=True)
    for name in _EXTENSIONS:
        package = f"import duckdb_extension_{name} as one; print(one.__path__[0])"
        file = Path(_run(inner, "-c", package).strip(), "extensions", f"v{_DUCKDB}", f"{name}.duckdb_extension")
        (target / file.name).symlink_to(file)


def _python_313() -> str:
    pyenv = shutil.which("pyenv")
    prefix = subprocess.run([pyenv, "prefix", "3.13.0"], check=False, capture_output=True, text=True) if pyenv else None
    candidates = (
        os.environ.get("OPENAI_PROXY_PYTHON313"),
        sys.executable,
        f"{prefix.stdout.strip()}/bin/python3.13" if prefix and prefix.returncode == 0 else None,
        shutil.which("python3.13"),
    )
    check = "import sys, venv; sys.exit(sys.version_info[:2] != (3, 13))"
    for python in candidates:
        if python and subprocess.run([python, "-c", check], check=False, capture_output=True).returncode == 0:
            return python
    pytest.skip("local-bigquery needs Python 3.13: name one in OPENAI_PROXY_PYTHON313, or put python3.13 on PATH")


def _require_wanted() -> None:
    if not WANTED:
        pytest.skip(_NOT_WANTED)


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"
    return done.stdout


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
