from __future__ import annotations

import pytest

from openai_proxy.settings import Settings, SettingsError


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environ({}) == Settings()


def test_each_variable_is_read_by_its_type() -> None:
    environ = {
        "OPENAI_API_KEY": "sk-made-up",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1/",
        "USAGE_QUEUE_URL": "sqlite:///queue",
        "DEMO_UPSTREAM": "True",
        "PUBLISH_TIMEOUT_SECONDS": "0.5",
        "DRAIN_BYTES": "10",
    }

    assert Settings.from_environ(environ) == Settings(
        openai_api_key="sk-made-up",
        openai_base_url="http://127.0.0.1:1/v1",
        usage_queue_url="sqlite:///queue",
        demo_upstream=True,
        publish_timeout_seconds=0.5,
        drain_bytes=10,
    )


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environ({"OPENAI_BASE_URL": "", "MAX_DRAINS": " "}) == Settings()


def test_other_variables_do_not_matter() -> None:
    assert Settings.from_environ({"PATH": "/bin", "OPENAI_ORGANIZATION": "x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DEMO_UPSTREAM", "yes", "DEMO_UPSTREAM must be true or false"),
        ("DRAIN_SECONDS", "soon", "DRAIN_SECONDS must be a number of seconds"),
        ("DRAIN_BYTES", "1.5", "DRAIN_BYTES must be a number of bytes"),
        ("DRAIN_SECONDS", "-1", "DRAIN_SECONDS must not be negative"),
        ("DRAIN_SECONDS", "nan", "DRAIN_SECONDS must not be negative"),
        ("DRAIN_SECONDS", "inf", "DRAIN_SECONDS must not be negative"),
        ("OPENAI_BASE_URL", "api.openai.com/v1", "OPENAI_BASE_URL must begin with http:// or https://"),
        ("OPENAI_BASE_URL", "https://", "OPENAI_BASE_URL must begin with http:// or https://"),
    ],
)
def test_a_wrong_value_says_which_variable_and_what_to_set(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Settings.from_environ({name: value})


def test_a_setting_that_is_needed_and_missing_says_so() -> None:
    with pytest.raises(SettingsError, match="ACCESS_FILE is not set"):
        Settings().require("access_file")


def test_a_setting_that_is_there_is_given() -> None:
    assert Settings(access_file="access.toml").require("access_file") == "access.toml"


def test_the_project_is_that_of_the_engines() -> None:
    assert Settings().project is None
    assert Settings(usage_queue_url="sqlite:///queue.sqlite3").project is None
    assert Settings(usage_queue_url="pubsub://acme-team/usage-events").project == "acme-team"
    assert Settings(usage_store_url="bigquery://acme-team/openai_proxy/usage_records").project == "acme-team"


@pytest.mark.parametrize(
    ("base_url", "region"),
    [
        ("https://api.openai.com/v1", None),
        ("https://eu.api.openai.com/v1", "eu"),
        ("https://US.api.openai.com", "us"),
        ("https://jp.api.openai.com:443/v1", "jp"),
        ("https://mtls-eu.api.openai.com/v1", "eu"),
        ("https://mtls.api.openai.com/v1", None),
        ("https://eu.api.openai.com.example/v1", None),
        ("https://x.eu.api.openai.com/v1", None),
        ("http://127.0.0.1:8080/v1", None),
    ],
)
def test_the_region_is_that_of_openais_address(base_url: str, region: str | None) -> None:
    assert Settings(openai_base_url=base_url).upstream_region == region
