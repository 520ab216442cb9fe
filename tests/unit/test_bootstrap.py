"""Which engine an address picks; none of them connects before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from openai_proxy import bootstrap
from openai_proxy.settings import Settings, SettingsError

SQLITE, PUBSUB, BIGQUERY = "sqlite:///folder/file", "pubsub://project/topic", "bigquery://project/dataset/table"


def engine(part: str, **addresses: Any) -> str:
    return type(getattr(bootstrap, part)(Settings(**addresses))).__name__


def test_the_scheme_picks_the_engine() -> None:
    assert engine("usage_queue", usage_queue_url=SQLITE) == "SqliteQueue"
    assert engine("usage_queue", usage_queue_url=PUBSUB) == "PubsubQueue"
    assert engine("usage_store", usage_store_url=SQLITE) == "SqliteStore"
    assert engine("usage_store", usage_store_url=BIGQUERY) == "BigQueryStore"
    assert engine("usage_ledger", usage_store_url=SQLITE) == "SqliteLedger"
    assert engine("usage_ledger", usage_store_url=BIGQUERY) == "BigQueryLedger"


def test_dead_letters_are_where_they_are_told_or_in_the_embedded_queue() -> None:
    assert engine("dead_letters", usage_queue_url=SQLITE) == "SqliteDeadLetters"
    assert engine("dead_letters", dead_letter_url=SQLITE) == "SqliteDeadLetters"
    assert engine("dead_letters", dead_letter_url=PUBSUB) == "PubsubDeadLetters"


def test_the_box_of_dead_letters_knows_the_topic_that_they_go_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    box = bootstrap.dead_letter_box(Settings(usage_queue_url=PUBSUB, dead_letter_url="pubsub://project/dead-letters"))
    assert type(box).__name__ == "PubsubDeadLetterBox"
    box.close()
    embedded = bootstrap.dead_letter_box(Settings(usage_queue_url=f"sqlite:///{tmp_path}/queue"))
    assert list(embedded.dead_letters()) == []
    embedded.close()


@pytest.mark.parametrize(
    ("part", "name", "address"),
    [
        ("usage_queue", "usage_queue_url", "sqlite://host/file"),
        ("usage_queue", "usage_queue_url", "sqlite:///"),
        ("usage_queue", "usage_queue_url", "pubsub://project"),
        ("usage_queue", "usage_queue_url", "pubsub://project/topic/more"),
        ("usage_queue", "usage_queue_url", BIGQUERY),
        ("queue_file", "usage_queue_url", PUBSUB),
        ("dead_letters", "dead_letter_url", "kafka://topic"),
        ("dead_letter_box", "dead_letter_url", "kafka://topic"),
        ("usage_store", "usage_store_url", "bigquery://project/dataset"),
        ("usage_store", "usage_store_url", "bigquery:///dataset/table"),
        ("usage_ledger", "usage_store_url", "no address"),
    ],
)
def test_an_address_that_no_engine_understands_says_how_one_looks(part: str, name: str, address: Any) -> None:
    with pytest.raises(SettingsError, match=rf"{name.upper()} must be (sqlite|pubsub|bigquery):///?"):
        getattr(bootstrap, part)(Settings(**{name: address}))


def test_dead_letters_of_pubsub_need_their_own_address_and_a_topic_to_go_back_to() -> None:
    with pytest.raises(SettingsError, match="DEAD_LETTER_URL must be"):
        bootstrap.dead_letters(Settings(usage_queue_url=PUBSUB))
    with pytest.raises(SettingsError, match="USAGE_QUEUE_URL must be pubsub"):
        bootstrap.dead_letter_box(Settings(usage_queue_url=SQLITE, dead_letter_url=PUBSUB))
    with pytest.raises(SettingsError, match="DEAD_LETTER_URL must be"):
        bootstrap.dead_letter_box(Settings(usage_queue_url=PUBSUB))


def test_a_function_loads_only_its_own_engine() -> None:
    text = (
        "import sys; from openai_proxy import bootstrap; from openai_proxy.settings import Settings;"
        f"bootstrap.usage_queue(Settings(usage_queue_url='{SQLITE}'));"
        f"bootstrap.usage_store(Settings(usage_store_url='{SQLITE}'));"
        "assert not [name for name in sys.modules if name in ('google.auth', 'google.api_core', 'grpc')]"
    )
    subprocess.run([sys.executable, "-c", text], check=True)


def test_the_teams_key_comes_from_its_file_when_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-of-the-file\n")
    environ = {"ACCESS_FILE": "access.toml", "USAGE_QUEUE_URL": SQLITE, "OPENAI_API_KEY": "sk-of-the-variable"}

    def key(**more: str) -> str:
        return bootstrap.proxy(environ | more)._upstream_key(None)  # noqa: SLF001 - what it would send

    assert key() == "sk-of-the-variable"
    assert key(OPENAI_API_KEY_FILE=str(file)) == "sk-of-the-file"


def test_without_any_key_there_is_no_proxy() -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY is not set"):
        bootstrap.proxy({"ACCESS_FILE": "access.toml", "USAGE_QUEUE_URL": SQLITE})
