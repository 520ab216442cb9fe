"""The official SDK for Python, the newest and the newest 2.x, with what is not JSON: files, sound, images."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.member import Member, assert_told_as_recorded
from ledger_check import by_event_id

pytestmark = [pytest.mark.clients, pytest.mark.e2e]


def test_files_sound_and_images_pass_and_the_ledger_has_them(member: Member, openai_python: Path) -> None:
    told = member.calls(openai_python, "-m", "clients.openai_media")

    records = member.ledger()
    assert_told_as_recorded(told, records)
    ledger = by_event_id(records)
    silent = [one for one in told if "request_id" in one and "tokens" not in one]
    assert {one["call"]: ledger[one["request_id"]]["usage_source"] for one in silent} == {
        "transcript_by_the_second": "reported",
        "transcript_as_subtitles": "estimated",
        "speech": "estimated",
    }
