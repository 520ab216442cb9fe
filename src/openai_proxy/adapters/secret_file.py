"""A secret in a file, as a platform mounts it: read again when it changes, so that a new value needs no restart."""

from __future__ import annotations

import time
from pathlib import Path

from openai_proxy.ports import SecretError
from openai_proxy.structured_log import log

_LOOK_SECONDS = 5.0
_READ_SECONDS = 60.0  # a mounted secret may change without telling so in its times


class SecretFile:
    """Serves the newest good value."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._value = ""
        self._version: tuple[int, ...] = ()
        self._next_look = 0.0

    def current(self) -> str:
        """The value, without white space around it. When the file breaks, the last good one stays, and that is logged.

        Raises:
            SecretError: there never was a good value.
        """
        now = time.monotonic()
        if now < self._next_look:
            return self._value
        try:
            found = self._path.stat()
            version = (found.st_mtime_ns, found.st_ino, found.st_size, int(now / _READ_SECONDS))
            if version != self._version:
                self._value = self._read()
                self._version = version
        except (OSError, UnicodeError, SecretError) as error:
            if not self._value:
                raise SecretError(self._advice(error)) from None
            log("ERROR", "a secret's file is broken; its last good value stays in force", error=self._advice(error))
        self._next_look = now + _LOOK_SECONDS
        return self._value

    def _read(self) -> str:
        value = self._path.read_text("ascii").strip()
        if len(value.split()) != 1:
            raise SecretError("it is empty, or holds more than one word")
        return value

    def _advice(self, error: Exception) -> str:
        said: object = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, UnicodeError):  # its text quotes the bytes
            said = "it is not ASCII"
        return f"{self._name} {self._path} cannot be used: {said}; put the secret there, alone"
