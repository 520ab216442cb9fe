"""Each alert that matches lines of a log finds those that the functions write, and the fields that its mail shows."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from openai_proxy import bootstrap
from openai_proxy.access.budget import Budget, Scope
from openai_proxy.budgets.notices import BudgetNotices
from openai_proxy.keys import key_hash
from used_events import chat, used

TERRAFORM = Path(__file__).parents[2] / "terraform"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = "sk-op-made-up"
SCOPES = (Scope("user", "ada"), Scope("team", "research"), Scope("organization", ""))

Line = tuple[str, Mapping[str, Any]]  # which function wrote it, and its JSON


@dataclass(frozen=True, slots=True)
class Alert:
    """One of terraform/alerts.tf, as it is written there."""

    filter: str
    labels: str

    def finds(self, line: Line) -> bool:
        function, fields = line
        terms = re.findall(r'jsonPayload\.(\w+)(?:(:\*)|=\\"([^"\\]*)\\"|=(\d+))', self.filter)
        assert terms
        assert len(terms) == self.filter.count("jsonPayload.")
        return f".{function}" in self.filter and all(
            name in fields and (anything or str(fields[name]) == text + number)
            for name, anything, text, number in terms
        )

    def shows(self) -> set[str]:
        return set(re.findall(r'"EXTRACT\(jsonPayload\.(\w+)\)"', self.labels))


def alerts() -> Mapping[str, Alert]:
    text = (TERRAFORM / "alerts.tf").read_text("utf-8")
    table = text.partition("log_alerts = {\n")[2].partition("\n  }\n}")[0]
    written = re.findall(
        r"^    (\w+) = \{\n.*?^      filter +=( .*?)\n      labels +=( .*?)\n", table, re.MULTILINE | re.DOTALL
    )
    (unpublished,) = re.findall(
        r"unpublished_events = (join\(.*?\]\))", (TERRAFORM / "usage_events.tf").read_text("utf-8"), re.DOTALL
    )
    assert len(written) == table.count("filter ")
    return {
        name: Alert(unpublished if text == " local.unpublished_events" else text, labels)
        for name, text, labels in written
    }


@pytest.fixture
def lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Sequence[Line]:
    """What the proxy and the sink write while all goes wrong that an alert is for."""

    def written(function: str) -> list[Line]:
        return [(function, json.loads(line)) for line in capsys.readouterr().err.splitlines()]

    record_usage(tmp_path)
    of_sink = written("usage_sink")
    asyncio.run(use_up_budgets())
    asyncio.run(call_without_a_queue(tmp_path))
    return [*of_sink, *written("proxy")]


def record_usage(folder: Path) -> None:
    sink = bootstrap.usage_sink(
        {"USAGE_STORE_URL": f"sqlite:///{folder}/ledger", "USAGE_QUEUE_URL": f"sqlite:///{folder}/queue"}
    )
    for model in ("gpt-4o", "smollm2"):
        sink.record(used(model, chat(7, 5), event_id=model).to_json(), message_id="1", publish_time=NOW)


async def use_up_budgets() -> None:
    notices = BudgetNotices()
    for scope in SCOPES:
        notices.look(Budget(scope, Decimal(20), "month"), Decimal(20), NOW)
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(tasks)


async def call_without_a_queue(folder: Path) -> None:
    access = folder / "access.toml"
    access.write_text(
        f'version = 1\n[[users.ada.keys]]\nid = "key_1"\nsha256 = "{key_hash(KEY)}"\n'
        "created_time = 2026-01-01T00:00:00Z\n"
    )
    proxy = bootstrap.proxy(
        {
            "ACCESS_FILE": str(access),
            "OPENAI_API_KEY": "sk-made-up",
            "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
            "USAGE_QUEUE_URL": f"sqlite:///{folder}/no-such-folder/queue",
        }
    )
    headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "headers": headers,
        "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions", "query_string": b"",
    }  # fmt: skip
    body = asyncio.Queue[dict[str, Any]]()
    body.put_nowait({"type": "http.request", "body": b'{"model": "gpt-4o", "messages": []}', "more_body": False})

    async def send(_message: object) -> None:
        """Nobody reads the answer."""

    await proxy(scope, body.get, send)
    await proxy.close()


def test_each_alert_finds_its_lines_and_no_others(lines: Sequence[Line]) -> None:
    found = {
        name: [fields for line in lines if alert.finds(line) for fields in line[1:]] for name, alert in alerts().items()
    }

    assert {name: len(fields) for name, fields in found.items()} == {
        "unpublished_events": 2,  # started and finished
        "unpriced_models": 1,
        "budget_80": len(SCOPES),
        "budget_100": len(SCOPES),
    }
    assert {one["threshold"] for one in found["budget_80"]} == {80}
    assert {one["threshold"] for one in found["budget_100"]} == {100}
    assert [one["usage_event"]["event_type"] for one in found["unpublished_events"]] == ["started", "finished"]


def test_what_a_mail_shows_is_in_the_lines_that_it_is_sent_for(lines: Sequence[Line]) -> None:
    shown = {name: alert.shows() for name, alert in alerts().items()}

    assert shown["budget_80"] == shown["budget_100"] == {"user_id", "team_id"}
    for name, alert in alerts().items():
        logged = {field for line in lines if alert.finds(line) for field in line[1]}
        assert shown[name] <= logged
