"""Where a command finds what it works on: the data folder, or the engines that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

from openai_proxy.commands.parsing import Arguments
from openai_proxy.local.data_folder import DataFolder
from openai_proxy.settings import Settings

_ADDRESSES = ("USAGE_QUEUE_URL", "USAGE_STORE_URL")


def data_folder(arguments: Arguments) -> DataFolder:
    """The data folder, which need not be there yet."""
    return DataFolder(Path(getattr(arguments, "data_dir", None) or os.environ.get("DATA_DIR") or "data"))


def existing_folder(arguments: Arguments) -> DataFolder:
    """The data folder.

    Raises:
        LocalError: there is none.
    """
    folder = data_folder(arguments)
    folder.must_exist()
    return folder


def settings(arguments: Arguments) -> Settings:
    """Where the queue and the ledger are: as the functions' own variables say, or in the data folder."""
    if not hasattr(arguments, "data_dir") and any(os.environ.get(name) for name in _ADDRESSES):
        return Settings.from_environ(os.environ)
    folder = existing_folder(arguments)
    return Settings.from_environ({"USAGE_QUEUE_URL": folder.queue_url(), "USAGE_STORE_URL": folder.store_url()})
