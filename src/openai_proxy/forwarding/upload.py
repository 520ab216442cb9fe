"""The body of one request on its way to OpenAI: its beginning is read first, the rest is passed on while it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp.payload import AsyncIterablePayload

from openai_proxy.access.callers import Caller
from openai_proxy.api import refusals
from openai_proxy.api.client import Client, ClientGoneError
from openai_proxy.api.endpoints import UNCOUNTED, Endpoint
from openai_proxy.api.refusals import Refusal
from openai_proxy.forwarding.outcome import Outcome
from openai_proxy.wire.headers import Header, value_of
from openai_proxy.wire.multipart_body import MultipartBody
from openai_proxy.wire.recorded_audio import RecordedAudio
from openai_proxy.wire.request_body import BodyEditor, RequestFacts, RequestReader, UnreadBody, WholeBody, is_plain_utf8

_LARGEST_READ_FIRST = 1024 * 1024  # a larger body is passed on while it comes, and cannot be estimated from
_ONLY_JSON = {"chat", "responses", "body", "speech"}  # these bodies are JSON, whatever Content-Type they come with
_JSON_TYPES = {"", "application/json", "application/x-www-form-urlencoded"}  # the last one is what curl says by itself
_METERED_FORMS = {"images", "transcription"}
_STORING = {"chat", "responses"}  # the operations that have `store` (SDK 3.54)


class UploadStoppedError(Exception):
    """A body that was on its way goes no further: it is refused, or its client left."""

    def __init__(self, refusal: Refusal | None) -> None:
        super().__init__()
        self.refusal = refusal


class Upload:
    """One body. `outcome` is told what reads it, whether it was sent, and whether its client left.

    `size` is how many bytes of it have come. `before_end` is asked, once all is known of a body that is on its way,
    whether its last part may go too.
    """

    def __init__(self, client: Client, caller: Caller, endpoint: Endpoint, outcome: Outcome) -> None:
        self._client = client
        self._endpoint = endpoint
        self._outcome = outcome
        self._may_run_in_background = "background_responses" in caller.allow
        self._policy = caller.policy
        self._asks = endpoint.metering == "chat"
        self._unstored = not caller.store and endpoint.operation_name in _STORING
        self._head = b""
        self.size = 0
        self.before_end: Callable[[], Awaitable[Refusal | None]] | None = None

    async def begin(self) -> Refusal | None:
        """Read the body's beginning; why it may not pass, by what is known of it so far.

        Raises:
            ClientGoneError: the client left before that.
        """
        parts, size = [], 0
        while size < _LARGEST_READ_FIRST and (part := await self._client.read()):
            parts.append(part)
            size += len(part)
        if not size:
            return None
        self._head, self.size = b"".join(parts), size
        reader = self._outcome.reader = self._reader()
        if isinstance(reader, WholeBody | BodyEditor) and not is_plain_utf8(self._head):
            return refusals.NOT_UTF8
        self._head = reader.feed(self._head)
        if self._client.body_ended:
            self._head += reader.finish()
        return self._refusal(reader.facts)

    def payload(self, headers: list[Header]) -> AsyncIterablePayload | None:
        """The body to send; its length is named where it is known, since what is edited on its way may grow."""
        if not self._head:
            self._outcome.sent = True  # as far as there is something to send
            return None
        edited = self._asks or self._unstored
        length = None if edited else value_of(self._client.headers, "content-length")
        if self._client.body_ended:
            length = str(len(self._head))
        if length:
            headers.append(("content-length", length))
        return AsyncIterablePayload(self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        """The body's parts; the last one, and so a whole body, only once it is known that it may be sent."""
        part, self._head = self._head, b""
        reader = self._outcome.reader
        while not self._client.body_ended:
            yield part
            try:
                received = await self._client.read()
                self.size += len(received)
                part = reader.feed(received)
                if self._client.body_ended:
                    part += reader.finish()
                refusal = self._refusal(reader.facts)
                if self._client.body_ended and not refusal and self.before_end:
                    refusal = await self.before_end()
            except ClientGoneError:
                self._outcome.client_left = True
                raise UploadStoppedError(None) from None
            if refusal:
                raise UploadStoppedError(refusal)
        self._outcome.sent = True
        yield part

    def _reader(self) -> RequestReader:
        """How to read this body."""
        metering = self._endpoint.metering
        content_type = value_of(self._client.headers, "content-type") or ""
        media_type = content_type.partition(";")[0].strip().lower()
        if metering in _ONLY_JSON or media_type in _JSON_TYPES:
            kind = WholeBody if self._client.body_ended else BodyEditor
            return kind(asks=self._asks, unstored=self._unstored)
        if metering in _METERED_FORMS and media_type == "multipart/form-data":
            return MultipartBody(content_type, RecordedAudio() if metering == "transcription" else None)
        return UnreadBody()

    def _refusal(self, facts: RequestFacts) -> Refusal | None:
        if facts.background and not self._may_run_in_background:
            return refusals.NO_BACKGROUND
        if self._endpoint.metering in UNCOUNTED:
            return None
        unnamed = facts.model is None and self._client.body_ended and self._policy.models is not None
        if unnamed or (facts.model is not None and not self._policy.permits(facts.model)):
            return refusals.model_not_allowed(facts.model)
        return None
