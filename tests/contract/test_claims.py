"""What every engine of claims does: of all that claim a name, one is the first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from openai_proxy.adapters.bucket_claims import BucketClaims
from openai_proxy.adapters.folder_claims import FolderClaims
from openai_proxy.bootstrap import claims as claims_of
from openai_proxy.ports import ClaimError, Claims
from openai_proxy.settings import Settings, SettingsError


class Engine(NamedTuple):
    open: Callable[[], Claims]
    """What another instance would open."""
    break_it: Callable[[], None]


def folder(tmp_path: Path, _: pytest.MonkeyPatch) -> Iterator[Engine]:
    place = tmp_path / "new" / "claims"

    def break_it() -> None:
        place.parent.write_text("a file where a folder should be")

    yield Engine(lambda: FolderClaims(place), break_it)


class Storage(BaseHTTPRequestHandler):
    """Cloud Storage on loopback, for an account that may create and nothing else."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    held: set[str]
    existing = (412, b"At least one of the pre-conditions you specified did not hold.")
    broken = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert (parts.path, query["uploadType"]) == ("/upload/storage/v1/b/acme/o", "media")
        with self.lock:
            status, body = (200, b"{}") if query["name"] not in self.held else self.existing
            if query.get("ifGenerationMatch") == "0" and not self.broken:
                self.held.add(query["name"])
        self.send_response(503 if self.broken else status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class ForbiddingStorage(Storage):
    """What it says instead, as others saw it: github.com/google-github-actions/upload-cloud-storage/issues/388."""

    existing = (403, b"Caller does not have storage.objects.delete access to the Google Cloud Storage object.")


def _bucket(monkeypatch: pytest.MonkeyPatch, kind: type[Storage]) -> Iterator[Engine]:
    class Own(kind):  # type: ignore[valid-type,misc] # a server's state is its handler's class
        held = set[str]()  # noqa: RUF012 - the server's own

    def break_it() -> None:
        Own.broken = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        server.daemon_threads = True
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Engine(lambda: BucketClaims("acme"), break_it)
        finally:
            server.shutdown()
            thread.join()


def bucket(_: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    yield from _bucket(monkeypatch, Storage)


def forbidding_bucket(_: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    yield from _bucket(monkeypatch, ForbiddingStorage)


ENGINES: Mapping[str, Callable[[Path, pytest.MonkeyPatch], Iterator[Engine]]] = {
    "folder": folder,
    "bucket": bucket,
    "forbidding_bucket": forbidding_bucket,
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    yield from ENGINES[request.param](tmp_path, monkeypatch)


def test_the_first_is_the_first_for_ever(engine: Engine) -> None:
    assert engine.open().claim("user.ada.month.2026-11-01.20.80.0123abcd")
    assert not engine.open().claim("user.ada.month.2026-11-01.20.80.0123abcd")
    assert engine.open().claim("user.ada.month.2026-11-01.20.100.0123abcd")


def test_of_many_at_once_one_is_the_first(engine: Engine) -> None:
    several = [engine.open() for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        firsts = list(pool.map(lambda claims: claims.claim("team.r+d@acme_x.day"), several * 4))

    assert sorted(firsts) == [False] * 31 + [True]


def test_what_cannot_be_known_is_no_claim(engine: Engine) -> None:
    engine.break_it()

    with pytest.raises(ClaimError):
        engine.open().claim("x")


def test_a_bucket_that_cannot_be_reached_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")

    with pytest.raises(ClaimError, match="acme cannot be reached"):
        BucketClaims("acme").claim("x")


def test_the_address_says_which_engine_it_is(tmp_path: Path) -> None:
    found = claims_of(Settings(budget_claims_url=f"file://{tmp_path}/with%20space"))

    assert claims_of(Settings()) is None
    assert isinstance(claims_of(Settings(budget_claims_url="gs://acme")), BucketClaims)
    assert isinstance(found, FolderClaims)
    assert found.claim("x")
    assert (tmp_path / "with space" / "x").exists()
    for wrong in ("gs://acme/folder", "gs://", "/a/folder", "file://host/folder", "s3://acme"):
        with pytest.raises(SettingsError, match="BUDGET_CLAIMS_URL must be"):
            claims_of(Settings(budget_claims_url=wrong))
