from __future__ import annotations

import json
import threading

import pytest

from openai_proxy.structured_log import about, about_also, log

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_line_names_its_severity_its_trace_its_request_and_its_user(capsys: pytest.CaptureFixture[str]) -> None:
    about(TRACEPARENT, "acme-team")
    about_also(request_id="r1")
    about_also(user_id="ada")

    log("ERROR", "it broke", error="ValueError")

    assert json.loads(capsys.readouterr().err) == {
        "severity": "ERROR",
        "message": "it broke",
        "logging.googleapis.com/trace": "projects/acme-team/traces/4bf92f3577b34da6a3ce929d0e0e4736",
        "request_id": "r1",
        "user_id": "ada",
        "error": "ValueError",
    }


@pytest.mark.parametrize(("traceparent", "project"), [(TRACEPARENT, None), (None, "acme-team"), ("x\n", "acme-team")])
def test_a_trace_that_cannot_be_named_is_left_out(
    traceparent: str | None, project: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    about_also(request_id="of the request before")
    about(traceparent, project)

    log("INFO", "hello")

    assert json.loads(capsys.readouterr().err) == {"severity": "INFO", "message": "hello"}


def test_what_one_thread_is_about_is_not_said_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    about(None, None)
    about_also(request_id="r1")
    other = threading.Thread(target=log, args=("INFO", "hello"))
    other.start()
    other.join()

    assert "request_id" not in json.loads(capsys.readouterr().err)
