"""OpenAI's keys: the common one, and those that teams have for themselves, each a file of its own.

The same on one machine and in the cloud, where one mount point holds one secret: `UPSTREAM_KEYS_DIR/NAME/api_key`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from openai_proxy.adapters.secret_file import SecretFile
from openai_proxy.ports import SecretError
from openai_proxy.settings import Settings

_FILE_NAME = "api_key"


class UpstreamKeys:
    """Reads each key when it is first needed, and again when it changes.

    Raises:
        SettingsError: there is no common key.
    """

    def __init__(self, settings: Settings) -> None:
        path = settings.openai_api_key_file
        self._common = (
            SecretFile(Path(path), "OPENAI_API_KEY_FILE").current
            if path
            else partial(str, settings.require("openai_api_key"))
        )
        self._folder = settings.upstream_keys_dir
        self._named: dict[str, SecretFile] = {}

    def key(self, name: str | None) -> str:
        """The key that teams call `name` in the access file; None: the common one, which never stands in for another.

        Raises:
            SecretError: it cannot be had; another key would put the cost on another bill.
        """
        if name is None:
            return self._common()
        if self._folder is None:
            raise SecretError(f"upstream_key {name!r} cannot be used: UPSTREAM_KEYS_DIR is not set")
        if name not in self._named:
            self._named[name] = SecretFile(Path(self._folder, name, _FILE_NAME), f"upstream_key {name!r}:")
        return self._named[name].current()
