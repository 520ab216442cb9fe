"""Files of any size pass both ways in constant memory, and the sound in them is measured on its way."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import openai
import pytest

from exchanges import bearer, receive, send
from processes import constant_memory
from serving import TEAM_KEY, CountingUpstream, Serving, serving
from sound import BYTES_PER_SECOND, wav, wav_head

pytestmark = pytest.mark.e2e

_PIECE = bytes(range(256)) * 256
_FILE_BYTES = 512 * 1024 * 1024
_MOST_GROWTH = 20_000_000


@dataclass
class Form:
    """A form whose one file is made up while it is sent."""

    fields: Mapping[str, str]
    size: int
    head: bytes = b""

    content_type = "multipart/form-data; boundary=xyz"

    def __iter__(self) -> Iterator[bytes]:
        yield self._before + self.head
        rest = self.size - len(self.head)
        for _ in range(rest // len(_PIECE)):
            yield _PIECE
        yield _PIECE[: rest % len(_PIECE)] + b"\r\n--xyz--\r\n"

    def __len__(self) -> int:
        return len(self._before) + self.size + len(b"\r\n--xyz--\r\n")

    @property
    def _before(self) -> bytes:
        part = "--xyz\r\ncontent-disposition: form-data; name="
        fields = [f'{part}"{name}"\r\n\r\n{value}\r\n' for name, value in self.fields.items()]
        return "".join([*fields, f'{part}"file"; filename="a"\r\n\r\n']).encode()

    def digest(self) -> str:
        digest = hashlib.sha256()
        for part in self:
            digest.update(part)
        return digest.hexdigest()


@pytest.fixture(scope="module")
def proxy(upstream: CountingUpstream) -> Iterator[Serving]:
    with serving(upstream) as one:
        one.allow_team("research", "files")
        yield one


@pytest.fixture(scope="module")
def key(proxy: Serving) -> str:
    return proxy.add_user("alice", "--team", "research")


def _constant_memory(proxy: Serving) -> contextlib.AbstractContextManager[None]:
    return constant_memory(proxy.named("--target=proxy"), most_growth=_MOST_GROWTH)


def _upload(proxy: Serving, key: str, path: str, form: Form) -> tuple[bytes, str]:
    """The answer, and the request's id."""
    headers = bearer(key) | {"content-type": form.content_type}
    got = receive(send(proxy.base_url, "POST", path, headers=headers, body=form))
    assert got.status == 200
    return got.body, got.header("x-openai-proxy-request-id") or ""


def test_a_large_file_is_uploaded_in_constant_memory(upstream: CountingUpstream, proxy: Serving, key: str) -> None:
    form = Form({"purpose": "batch"}, _FILE_BYTES)

    with _constant_memory(proxy):
        body, event_id = _upload(proxy, key, "/files", form)

    assert json.loads(body)["bytes"] == _FILE_BYTES
    assert upstream.served_as(event_id)["body_sha256"] == form.digest()
    record = proxy.record(event_id)
    assert (record["operation_name"], record["usage_source"]) == ("files.create", "none")


def test_a_large_file_is_downloaded_in_constant_memory(upstream: CountingUpstream, proxy: Serving, key: str) -> None:
    made, _ = _upload(proxy, key, "/files", Form({"purpose": "batch"}, 3))
    path = f"/files/{json.loads(made)['id']}/content"

    with _constant_memory(proxy):
        event_id, size, digest = _download(proxy.base_url, path, key)

    _, *direct = _download(upstream.base_url, path, TEAM_KEY)
    assert [size, digest] == direct
    assert size == 3 + _FILE_BYTES
    record = proxy.record(event_id)
    assert (record["operation_name"], record["usage_source"]) == ("files.content", "none")


def _download(base_url: str, path: str, key: str) -> tuple[str, int, bytes]:
    """The request's id where it has one, and the file's size and digest."""
    digest, size = hashlib.sha256(), 0
    headers = bearer(key, x_upstream_orders=f"big={_FILE_BYTES}")
    with send(base_url, "GET", path, headers=headers) as answer:
        for part in answer.iter_content(1 << 16):
            digest.update(part)
            size += len(part)
    return answer.headers.get("x-openai-proxy-request-id", ""), size, digest.digest()


def test_the_sound_of_a_large_upload_is_measured_in_constant_memory(
    upstream: CountingUpstream, proxy: Serving, key: str
) -> None:
    seconds = 2100  # 100 MB
    head = wav_head(seconds * BYTES_PER_SECOND)
    form = Form({"model": "whisper-1", "response_format": "text"}, len(head) + seconds * BYTES_PER_SECOND, head)

    with _constant_memory(proxy):
        body, event_id = _upload(proxy, key, "/audio/transcriptions", form)

    seen, record = upstream.served_as(event_id), proxy.record(event_id)
    assert body.strip()
    assert seen["body_sha256"] == form.digest()
    assert (record["request_model"], record["usage_source"]) == ("whisper-1", "estimated")
    assert record["usage"] == {"type": "duration", "seconds": seconds}
    assert seen["units"] == {"audio_seconds": seconds}


def test_the_sdk_uploads_and_transcribes(proxy: Serving, key: str) -> None:
    with openai.OpenAI(base_url=proxy.base_url, api_key=key, max_retries=0) as client:
        stored = client.files.with_raw_response.create(file=("a.jsonl", b"{}\n"), purpose="batch")
        text = client.audio.transcriptions.with_raw_response.create(
            file=("a.wav", wav(3)), model="gpt-4o-transcribe", response_format="text", prompt="Amen"
        )

    assert stored.parse().bytes == 3
    assert proxy.record(stored.headers["x-openai-proxy-request-id"])["usage_source"] == "none"
    record = proxy.record(text.headers["x-openai-proxy-request-id"])
    assert (record["request_model"], record["usage_source"]) == ("gpt-4o-transcribe", "estimated")
    assert record["usage"]["input_token_details"] == {"audio_tokens": 30, "text_tokens": 1}
