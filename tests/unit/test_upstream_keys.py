from __future__ import annotations

from pathlib import Path

import pytest

from openai_proxy.adapters.upstream_keys import UpstreamKeys
from openai_proxy.ports import SecretError
from openai_proxy.settings import Settings, SettingsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("research", "evals"):
        tmp_path.joinpath(name).mkdir()
        tmp_path.joinpath(name, "api_key").write_text(f"sk-of-{name}\n")
    return tmp_path


def test_each_name_is_a_file_of_its_own(folder: Path) -> None:
    keys = UpstreamKeys(Settings(openai_api_key="sk-common", upstream_keys_dir=str(folder)))

    assert [keys.key(name) for name in ("evals", None, "research", "evals")] == [
        "sk-of-evals", "sk-common", "sk-of-research", "sk-of-evals",
    ]  # fmt: skip


def test_the_common_key_never_stands_in_for_one_that_cannot_be_read(folder: Path) -> None:
    folder.joinpath("evals", "api_key").write_text("not set yet: run make secrets KEY=evals")
    keys = UpstreamKeys(Settings(openai_api_key="sk-common", upstream_keys_dir=str(folder)))

    with pytest.raises(SecretError, match=r"upstream_key 'sales': .*/sales/api_key cannot be used: No such file"):
        keys.key("sales")
    with pytest.raises(SecretError, match=r"upstream_key 'evals': .*/evals/api_key cannot be used: .* more than one"):
        keys.key("evals")
    assert keys.key("research") == "sk-of-research"


def test_a_key_that_comes_later_is_found_at_the_next_request(folder: Path) -> None:
    keys = UpstreamKeys(Settings(openai_api_key="sk-common", upstream_keys_dir=str(folder)))
    with pytest.raises(SecretError):
        keys.key("sales")

    folder.joinpath("sales").mkdir()
    folder.joinpath("sales", "api_key").write_text("sk-of-sales")

    assert keys.key("sales") == "sk-of-sales"


def test_a_name_without_a_folder_of_keys_is_told_with_the_setting_that_is_missing() -> None:
    with pytest.raises(SecretError, match="upstream_key 'research' cannot be used: UPSTREAM_KEYS_DIR is not set"):
        UpstreamKeys(Settings(openai_api_key="sk-common")).key("research")


def test_without_a_common_key_there_are_no_keys(folder: Path) -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY is not set"):
        UpstreamKeys(Settings(upstream_keys_dir=str(folder)))
