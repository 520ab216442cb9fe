"""The data folder of the one-machine form: which file is what, and whose it is."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from openai_proxy.adapters.file_lock import FileLock
from openai_proxy.local import LocalError

_SECRET_BYTES = 32


class DataFolderError(LocalError):
    """The folder cannot be used; the message says which and why."""


class DataFolder:
    """One folder holds all that must survive: who may call, the queue, the ledger, the secret of the cookies."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.access_file = self.path / "access.toml"
        self.queue_file = self.path / "queue.sqlite3"
        self.ledger_file = self.path / "ledger.sqlite3"
        self.upstream_keys = self.path / "upstream_keys"
        self._secret_file = self.path / "session_secret"

    def make(self) -> None:
        """Make the folder if there is none, readable by its owner only.

        Raises:
            DataFolderError: it cannot be made, or not written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            elsewhere = "name another: --data-dir or DATA_DIR"
            raise DataFolderError(f"cannot make the data folder {self.path}: {error.strerror}; {elsewhere}") from None
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise DataFolderError(f"cannot write in the data folder {self.path}: permission denied")

    def must_exist(self) -> None:
        """Refuse a folder that is not there: most likely it is misspelt.

        Raises:
            DataFolderError: there is none.
        """
        if not self.path.is_dir():
            raise DataFolderError(f"there is no data folder {self.path}; name it: --data-dir or DATA_DIR")

    def lock(self) -> FileLock:
        """Take the folder for one `serve`.

        Raises:
            DataFolderError: another `serve` has it, or it cannot be written.
        """
        lock = FileLock(self.path / "serve.lock")
        try:
            taken = lock.acquire(wait=False)
        except OSError as error:
            raise DataFolderError(f"cannot write in the data folder {self.path}: {error.strerror}") from None
        if not taken:
            raise DataFolderError(f"another `openai-proxy serve` uses the data folder {self.path}; stop that one first")
        return lock

    def session_secret(self) -> str:
        """What signs the cookies of /log; made once, so that a restart signs nobody out.

        Raises:
            DataFolderError: it cannot be read or written.
        """
        try:
            with suppress(FileNotFoundError):
                if kept := self._secret_file.read_text("ascii").strip():
                    return kept
            made = secrets.token_urlsafe(_SECRET_BYTES)
            fd = os.open(self._secret_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(made)
        except (OSError, UnicodeDecodeError):
            raise DataFolderError(f"cannot use the file {self._secret_file}; remove it") from None
        return made

    def queue_url(self) -> str:
        """`USAGE_QUEUE_URL` of this folder."""
        return _sqlite_url(self.queue_file)

    def store_url(self) -> str:
        """`USAGE_STORE_URL` of this folder."""
        return _sqlite_url(self.ledger_file)

    def claims_url(self) -> str:
        """`BUDGET_CLAIMS_URL` of this folder."""
        return "file://" + quote(str(self.path / "budget_claims"))


def _sqlite_url(path: Path) -> str:
    return "sqlite:///" + quote(str(path))
