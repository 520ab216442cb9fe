"""Files of any size pass both ways in constant memory, and the sound in them is measured on its way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from aiohttp import web

from exchanges import bearer, receive, send
from serving import Serving, serving, wait_for

pytestmark = pytest.mark.e2e

_MEGABYTE = 1_000_000
_PIECE = bytes(range(256)) * 256
_FILE_BYTES = 512 * _MEGABYTE
_MOST_GROWTH = 20 * _MEGABYTE
_SECOND = 2 * 8000  # bytes of the WAV file below


@dataclass
class Storage:
    """An upstream that keeps nothing of a file but its digest."""

    base_url: str = ""
    digests: list[str] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            return await self._download(request)
        digest = hashlib.sha256()
        async for part in request.content.iter_any():
            digest.update(part)
        self.digests.append(digest.hexdigest())
        if request.path == "/v1/audio/transcriptions":
            return web.Response(text="So be it.\n")
        return web.json_response({"id": "file-1", "object": "file", "filename": "a", "bytes": 1, "purpose": "batch"})

    async def _download(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/octet-stream"})
        response.content_length = _FILE_BYTES
        await response.prepare(request)
        for part in _content(_FILE_BYTES):
            await response.write(part)
        return response


def _content(size: int) -> Iterator[bytes]:
    for _ in range(size // len(_PIECE)):
        yield _PIECE
    yield _PIECE[: size % len(_PIECE)]


@dataclass
class Form:
    """A form with one field and one file, made up while it is sent."""

    name: str
    value: str
    size: int
    head: bytes = b""

    content_type = "multipart/form-data; boundary=xyz"

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        yield from _content(self.size - len(self.head))
        yield self._after

    def __len__(self) -> int:
        return len(self._before) - len(self.head) + self.size + len(self._after)

    @property
    def _before(self) -> bytes:
        field = f'--xyz\r\ncontent-disposition: form-data; name="{self.name}"\r\n\r\n{self.value}\r\n'
        return f'{field}--xyz\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode() + self.head

    @property
    def _after(self) -> bytes:
        return b"\r\n--xyz--\r\n"

    def digest(self) -> str:
        digest = hashlib.sha256()
        for part in self:
            digest.update(part)
        return digest.hexdigest()


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    one, loop, ready = Storage(), asyncio.new_event_loop(), threading.Event()

    async def start() -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(one.handle), shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        one.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    yield one
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture(scope="module")
def proxy(storage: Storage) -> Iterator[Serving]:
    with serving(storage.base_url) as one:
        yield one


@pytest.fixture(scope="module")
def key(proxy: Serving) -> str:
    key = proxy.add_user("alice")
    (access_file,) = proxy.data_dir.glob("*.toml")
    with access_file.open("a") as file:
        file.write('\n[defaults]\nallow = ["files"]\n')

    def files_are_allowed() -> bool:
        answer = send(proxy.base_url, "DELETE", "/files/file-0", headers=bearer(key))
        return receive(answer).status != 403

    wait_for("the proxy to allow files", files_are_allowed)
    return key


@contextlib.contextmanager
def _constant_memory(proxy: Serving) -> Iterator[None]:
    """That the proxy's peak grows by less than 20 MB within; looked at on Linux only."""
    workers = [one for one in proxy.tree() if re.search(r"--target[= ]proxy\b", one.command)]
    assert workers
    measured = [one for one in workers if one.measurable]
    for one in measured:
        one.forget_peak()
    before = [one.resident_bytes for one in measured]
    yield
    grown = [one.peak_bytes - held for one, held in zip(measured, before, strict=True)]
    assert all(growth < _MOST_GROWTH for growth in grown), f"the proxy grew by {grown} bytes"


def _upload(proxy: Serving, key: str, path: str, form: Form) -> tuple[bytes, dict[str, Any]]:
    """The answer, and the record."""
    headers = bearer(key) | {"content-type": form.content_type}
    got = receive(send(proxy.base_url, "POST", path, headers=headers, body=form))
    assert got.status == 200
    return got.body, proxy.record(got.header("x-openai-proxy-request-id") or "")


def test_a_large_file_is_uploaded_in_constant_memory(storage: Storage, proxy: Serving, key: str) -> None:
    form = Form("purpose", "batch", _FILE_BYTES)

    with _constant_memory(proxy):
        body, record = _upload(proxy, key, "/files", form)

    assert json.loads(body)["id"] == "file-1"
    assert storage.digests[-1] == form.digest()
    assert (record["operation_name"], record["usage_source"]) == ("files.create", "none")


def test_a_large_file_is_downloaded_in_constant_memory(proxy: Serving, key: str) -> None:
    digest, size = hashlib.sha256(), 0

    with _constant_memory(proxy):
        answer = send(proxy.base_url, "GET", "/files/file-1/content", headers=bearer(key))
        for part in answer.iter_content(1 << 16):
            digest.update(part)
            size += len(part)

    expected = hashlib.sha256()
    for part in _content(_FILE_BYTES):
        expected.update(part)
    assert (size, digest.digest()) == (_FILE_BYTES, expected.digest())
    record = proxy.record(answer.headers["x-openai-proxy-request-id"])
    assert (record["operation_name"], record["usage_source"]) == ("files.content", "none")


def _wave_head(data_bytes: int) -> bytes:
    """RIFF, 8 kHz, 16 bit, mono."""
    numbers = (data_bytes + 36, 16, 1 | 1 << 16, 8000, _SECOND, 2 | 16 << 16, data_bytes)
    riff, length, kind, rate, second, block, data = (number.to_bytes(4, "little") for number in numbers)
    return b"RIFF" + riff + b"WAVEfmt " + length + kind + rate + second + block + b"data" + data


def test_the_sound_of_a_large_upload_is_measured_in_constant_memory(storage: Storage, proxy: Serving, key: str) -> None:
    seconds = 6250  # 100 MB
    form = Form("model", "whisper-1", 44 + seconds * _SECOND, _wave_head(seconds * _SECOND))

    with _constant_memory(proxy):
        body, record = _upload(proxy, key, "/audio/transcriptions", form)

    assert body == b"So be it.\n"
    assert storage.digests[-1] == form.digest()
    assert (record["request_model"], record["usage_source"]) == ("whisper-1", "estimated")
    assert record["usage"] == {"type": "duration", "seconds": seconds}


def test_the_sdk_uploads_and_transcribes(proxy: Serving, key: str) -> None:
    sound = _wave_head(_SECOND * 3) + bytes(_SECOND * 3)

    with openai.OpenAI(base_url=proxy.base_url, api_key=key, max_retries=0) as client:
        stored = client.files.with_raw_response.create(file=("a.jsonl", b"{}\n"), purpose="batch")
        text = client.audio.transcriptions.with_raw_response.create(
            file=("a.wav", sound), model="gpt-4o-transcribe", response_format="text", prompt="Amen"
        )

    assert stored.parse().id == "file-1"
    assert proxy.record(stored.headers["x-openai-proxy-request-id"])["usage_source"] == "none"
    record = proxy.record(text.headers["x-openai-proxy-request-id"])
    assert (record["request_model"], record["usage_source"]) == ("gpt-4o-transcribe", "estimated")
    assert record["usage"]["input_token_details"] == {"audio_tokens": 30, "text_tokens": 1}
