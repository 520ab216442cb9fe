"""What a form with files (RFC 7578) says that matters here: a few short fields, and the sound that is uploaded.

The bytes pass unchanged, however many; of a form that is malformed or does not end, nothing is known.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from openai_proxy.wire.recorded_audio import RecordedAudio
from openai_proxy.wire.request_body import RequestFacts, user_name

_LONGEST: Mapping[str, int] = {  # in bytes
    "model": 256, "stream": 8, "response_format": 256, "user": 256, "prompt": 65_536,
    "n": 8, "size": 16, "partial_images": 8,
}  # fmt: skip
_FILE = "file"
_TRUE = {"true", "1"}  # as SDKs and curl write it

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # its warnings quote what is malformed


class MultipartBody:
    """Reads a form while it passes; `upload` is given the part named `file`.

    Where a name comes twice, nothing is known of it: which one counts is the other parser's affair.
    """

    is_whole = True

    def __init__(self, content_type: str, upload: RecordedAudio | None = None) -> None:
        self._upload = upload
        self._fields: dict[str, str] = {}
        self._names: set[str] = set()
        self._header = self._value = b""  # of the part's header that is being read
        self._name = ""  # of the part that is being read
        self._text: bytearray | None = None  # of a wanted field, unless it is too long
        self._known = True
        self._ended = False
        self._parser = self._parser_of(content_type)

    @property
    def facts(self) -> RequestFacts:
        """The facts found so far."""
        if not self._known:
            return RequestFacts()
        return RequestFacts(
            model=self._fields.get("model"),
            stream=self._fields.get("stream", "").lower() in _TRUE,
            response_format=self._fields.get("response_format"),
            end_user=user_name(self._fields.get("user")),
            upload=self._upload,
        )

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        if self._known and self._parser:
            try:
                self._parser.write(data)
            except FormParserError:
                self._known = False
        return data

    def finish(self) -> bytes:
        """Nothing: the parser's bytes were copies."""
        self._known &= self._ended
        return b""

    def members(self) -> Mapping[str, Any]:
        """The fields that were read, as text."""
        return self._fields if self._known else {}

    def _parser_of(self, content_type: str) -> MultipartParser | None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            return None
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._header_comes,
                    "on_header_value": self._value_comes,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._data_begins,
                    "on_part_data": self._data_comes,
                    "on_part_end": self._part_ends,
                    "on_end": self._form_ends,
                },
            )
        except FormParserError:  # the boundary is longer than RFC 2046 allows
            return None

    def _part_begins(self) -> None:
        self._name, self._text = "", None

    def _header_comes(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _value_comes(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._name = parse_options_header(self._value)[1].get(b"name", b"").decode("latin-1")
        self._header = self._value = b""

    def _data_begins(self) -> None:
        if self._name in self._names:
            self._fields.pop(self._name, None)
            self._upload = None if self._name == _FILE else self._upload
        elif self._name in _LONGEST:
            self._text = bytearray()
        if self._name in _LONGEST or self._name == _FILE:
            self._names.add(self._name)

    def _data_comes(self, data: bytes, start: int, end: int) -> None:
        if self._name == _FILE:
            if self._upload is not None:
                self._upload.feed(data[start:end])
        elif self._text is not None:
            self._text += data[start:end]
            if len(self._text) > _LONGEST[self._name]:
                self._text = None

    def _part_ends(self) -> None:
        if self._text:
            self._fields[self._name] = self._text.decode("utf-8", "replace")

    def _form_ends(self) -> None:
        self._ended = True
