"""Claims on one machine: files of a folder, which only the first can make."""

from __future__ import annotations

import os
from pathlib import Path

from openai_proxy.ports import ClaimError


class FolderClaims:
    """A file a name, empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(self, name: str) -> bool:
        """Whether nobody had claimed this name.

        Raises:
            ClaimError: the folder cannot be written.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        except OSError as error:
            raise ClaimError(f"{self._folder} cannot be written: {error.strerror}") from None
        return True
