from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from openai_proxy.adapters import access_file
from openai_proxy.adapters.access_file import NewestAccess
from openai_proxy.adapters.bucket_object import BucketObject
from openai_proxy.bootstrap import access_source
from openai_proxy.settings import Settings, SettingsError

OBJECT = "/storage/v1/b/acme/o/team%2Faccess.toml?alt=media"


@dataclass(slots=True)
class Storage:
    """An object, and how it was asked for."""

    content: bytes | None = b"one"
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """Cloud Storage on loopback, as its JSON API answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            known = self.headers.get("if-none-match")
            one.asked.append((self.path, known))
            content, etag = one.content, f'"{hash(one.content)}"'
            status = 404 if content is None else 304 if etag == known else 200
            body = content if content is not None and status == 200 else b""
            one.sent.append(status)
            self.send_response(status)
            self.send_header("etag", etag)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    one = Storage()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield one
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every use is one after a pause, so that no test waits four seconds."""
    monkeypatch.setattr(access_file, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(access_file, "_STALE_SECONDS", 0.0)


def test_the_content_is_asked_for_by_its_name_and_seen_when_it_changes(storage: Storage) -> None:
    found = BucketObject("acme", "team/access.toml")

    assert found.content() == b"one"
    storage.content = b"two"
    assert found.content() == b"two"
    assert [path for path, _ in storage.asked] == [OBJECT] * 2


def test_content_that_did_not_change_is_not_sent_again(storage: Storage) -> None:
    found = BucketObject("acme", "team/access.toml")

    assert [found.content(), found.content()] == [b"one", b"one"]
    assert storage.sent == [200, 304]


def test_no_object_and_no_storage_are_reasons_and_no_content(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.content = None
    assert BucketObject("acme", "access.toml").content() == "Cloud Storage answers 404"

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    assert BucketObject("acme", "access.toml").content() == "ConnectionError"


@pytest.mark.usefixtures("at_once")
def test_the_access_file_may_be_an_object_and_its_last_good_version_stays_in_force(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    users = "".join(f"[users.u{number}]\nteam = 'research'\n" for number in range(5000))
    storage.content = b"version = 1\n" + users.encode()
    source = access_source(Settings(access_file="gs://acme/team/access.toml"))
    assert isinstance(source, NewestAccess)
    assert len(storage.content) > 65_536
    assert len(source.current().users) == 5000

    for broken in (b"version =", None):
        storage.content = broken
        assert len(source.current().users) == 5000
        assert source.current().broken
    assert "its last good version stays in force" in capsys.readouterr().err

    storage.content = b"version = 1\n[users.alice]\n"
    assert [*source.current().users] == ["alice"]
    assert source.current().broken is None


@pytest.mark.parametrize("name", ["gs://acme", "gs:///access.toml", "gs://acme/"])
def test_half_an_object_is_told(name: str) -> None:
    with pytest.raises(SettingsError, match="gs://BUCKET/OBJECT"):
        access_source(Settings(access_file=name))
