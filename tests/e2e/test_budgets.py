"""Budgets on a real `serve`: what is refused, what is not, and that the ledger agrees."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest
import requests

from exchanges import Got, ask, bearer
from serving import CountingUpstream, Serving, serving, wait_for

pytestmark = pytest.mark.e2e

ANSWER_TOKENS = 200


@pytest.fixture(scope="module")
def proxy(upstream: CountingUpstream) -> Iterator[Serving]:
    with serving(upstream) as one:
        yield one


def with_budget(proxy: Serving, user_id: str, amount: str, **more: str) -> str:
    """The key of a new user of a team of their own, with a budget each of whose users has; `more` of the team."""
    members = {"user_budgets": f'[{{ amount = "{amount}", period = "month" }}]', **more}
    lines = "\n".join(f"{name} = {value}" for name, value in members.items())
    with proxy.access_file.open("a") as file:
        file.write(f"\n[teams.of-{user_id}]\n{lines}\n")
    return proxy.add_user(user_id, "--team", f"of-{user_id}")


def chat(model: str = "gpt-4o", *, text: str = "water", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": ANSWER_TOKENS, "model": model, **more}


def post(proxy: Serving, key: str, body: dict[str, Any], path: str = "/chat/completions", **headers: str) -> Got:
    return ask(proxy.base_url, "POST", path, headers=bearer(key, **headers), body=json.dumps(body).encode())


def code(got: Got) -> str:
    return str(json.loads(got.body)["error"]["code"])


def until_refused(proxy: Serving, key: str, body: dict[str, Any]) -> tuple[int, Got]:
    """How many requests were let in, and what the next one was told."""
    for number in range(1000):
        got = post(proxy, key, body)
        if got.status != 200:
            return number, got
    raise AssertionError("nothing was refused")


def of_user(proxy: Serving, user_id: str) -> list[dict[str, Any]]:
    return [record for record in proxy.all_finished() if record["user_id"] == user_id]


def spent(records: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(record["list_cost"]) for record in records), Decimal(0))


def test_a_budget_is_used_up_to_the_last_request_that_fits_and_not_beyond(
    upstream: CountingUpstream, proxy: Serving
) -> None:
    key = with_budget(proxy, "ada", "0.02")
    before = len(upstream.served())

    admitted, refused = until_refused(proxy, key, chat())

    records = of_user(proxy, "ada")
    held = Decimal(records[0]["reserved_cost"])
    assert len(records) == admitted == len(upstream.served()) - before  # what is refused is in neither
    assert Decimal("0.02") - held < spent(records) <= Decimal("0.02")
    assert all(Decimal(record["list_cost"]) <= held for record in records)
    assert {record["budget_state"] for record in records} == {"checked"}
    assert len({record["instance_id"] for record in records}) == 1
    assert (refused.status, code(refused)) == (429, "insufficient_quota")
    assert refused.header("x-should-retry") == "false"
    message = json.loads(refused.body)["error"]["message"]
    assert "of the budget of user ada, 0.02 USD a month" in message
    assert re.search(r"It begins anew at 20\d\d-\d\d-01T00:00:00Z\.", message)


def test_each_threshold_is_one_line_of_the_log_and_one_message_of_the_webhook(upstream: CountingUpstream) -> None:
    got: list[str] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Chat) as chat_server:
        threading.Thread(target=chat_server.serve_forever, daemon=True).start()
        with serving(upstream, BUDGET_WEBHOOK_URL=f"http://127.0.0.1:{chat_server.server_port}/hook") as proxy:
            key = with_budget(proxy, "nora", "0.04")
            until_refused(proxy, key, chat())
            wait_for("the last message", lambda: len(got) == 3)
            proxy.stop()
            proxy.start()
            assert post(proxy, key, chat()).status == 429
            lines = [json.loads(line) for line in proxy.stderr.read_text().splitlines() if '"threshold"' in line]
        chat_server.shutdown()

    assert [(line["threshold"], line["user_id"]) for line in lines] == [(50, "nora"), (80, "nora"), (100, "nora")]
    assert [text.split(",")[0] for text in got] == [
        f"{percent} % of the budget of user nora" for percent in (50, 80, 100)
    ]


def test_the_sdk_does_not_try_again_what_a_budget_refuses(proxy: Serving) -> None:
    client = openai.OpenAI(api_key=with_budget(proxy, "betty", "0.0001"), base_url=proxy.base_url, max_retries=5)

    with pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])

    assert raised.value.code == "insufficient_quota"
    assert raised.value.request.headers["x-stainless-retry-count"] == "0"


def test_what_costs_nothing_is_never_held_up(proxy: Serving) -> None:
    key = with_budget(proxy, "carla", "0")
    assert post(proxy, key, chat()).status == 429

    assert ask(proxy.base_url, "GET", "/models", headers=bearer(key)).status == 200
    assert post(proxy, key, {"input": "x", "model": "omni-moderation-latest"}, "/moderations").status == 200


@pytest.mark.parametrize("model", ["no-price-is-known-for-this", None])
def test_a_model_without_a_price_is_refused_by_name(proxy: Serving, model: str | None) -> None:
    key = with_budget(proxy, "dora" if model else "dorothy", "10")

    refused = post(proxy, key, {name: value for name, value in chat(str(model)).items() if model or name != "model"})

    assert (refused.status, code(refused)) == (403, "model_without_price")
    assert model is None or model in json.loads(refused.body)["error"]["message"]


def test_a_team_shares_its_budget_and_who_has_none_is_not_asked(proxy: Serving) -> None:
    team = {"budgets": '[{ amount = "0.01", period = "day" }]'}
    first = with_budget(proxy, "edith", "10", **team)
    second = proxy.add_user("emma", "--team", "of-edith")
    other = proxy.add_user("eve")
    until_refused(proxy, first, chat())

    refused = post(proxy, second, chat())
    assert "the budget of team of-edith, 0.01 USD a day" in json.loads(refused.body)["error"]["message"]
    assert post(proxy, other, chat()).status == 200
    (record,) = of_user(proxy, "eve")
    assert (record["reserved_cost"], record["budget_state"]) == (None, None)


def test_what_openai_refuses_costs_nothing_and_is_given_back(proxy: Serving) -> None:
    key = with_budget(proxy, "fanny", "0.003")

    for _ in range(10):
        assert post(proxy, key, chat(), x_upstream_orders="fail=400").status == 400

    assert post(proxy, key, chat()).status == 200


def test_what_openai_may_have_charged_stays_as_it_was_held(proxy: Serving) -> None:
    key = with_budget(proxy, "flora", "0.003")

    assert post(proxy, key, chat(), x_upstream_orders="refuse").status == 502

    (record,) = of_user(proxy, "flora")
    assert (record["usage_source"], record["list_cost"]) == ("unknown", None)
    assert post(proxy, key, chat()).status == 429


def test_a_stream_that_its_client_leaves_is_settled_as_well(proxy: Serving) -> None:
    key = with_budget(proxy, "gina", "0.006")
    streams: list[bytes] = []
    while len(streams) < 3:  # of which two can be held at a time
        with requests.post(
            proxy.base_url + "/chat/completions",
            json=chat(stream=True),
            headers=bearer(key, x_upstream_orders="slow=20"),
            stream=True,
            timeout=30,
        ) as answer:
            assert answer.status_code == 200
            streams.append(next(answer.iter_content(1)))
        wait_for("its end to be noticed", lambda: len(of_user(proxy, "gina")) == len(streams))

    records = of_user(proxy, "gina")
    assert all(Decimal(record["list_cost"]) < Decimal(record["reserved_cost"]) for record in records)
    assert post(proxy, key, chat()).status == 200


def test_the_spending_before_a_restart_counts_after_it(proxy: Serving) -> None:
    key = with_budget(proxy, "hanna", "0.01")
    until_refused(proxy, key, chat())
    of_user(proxy, "hanna")
    proxy.stop()
    proxy.start()

    assert post(proxy, key, chat()).status == 429


def test_a_body_that_names_its_model_last_is_held_before_openai_has_all_of_it(
    upstream: CountingUpstream, proxy: Serving
) -> None:
    rich, poor = with_budget(proxy, "ida", "10"), with_budget(proxy, "ines", "0.1")
    large = chat(text="water " * 300_000)
    before = len(upstream.served())

    assert post(proxy, rich, large).status == 200
    refused = post(proxy, poor, large)

    (record,) = of_user(proxy, "ida")
    assert (record["request_model"], record["budget_state"]) == ("gpt-4o", "checked")
    assert Decimal("0.32") < Decimal(record["reserved_cost"]) < Decimal("0.33")  # all of its 128,000 tokens
    assert (refused.status, code(refused)) == (429, "insufficient_quota")
    assert of_user(proxy, "ines") == []
    assert [one["completed"] for one in upstream.served()[before:]].count(True) == 1


def test_a_budget_that_comes_later_counts_what_was_spent_before(proxy: Serving) -> None:
    """By the same process, which did not count it."""
    key = proxy.add_user("jane")
    for _ in range(5):
        assert post(proxy, key, chat()).status == 200
    cost = spent(of_user(proxy, "jane"))
    text = proxy.access_file.read_text()
    budget = f'budgets = [{{ amount = "{cost}", period = "week" }}]'
    proxy.access_file.write_text(text.replace("[users.jane]", f"[users.jane]\n{budget}"))

    wait_for("the budget", lambda: post(proxy, key, chat()).status == 429)


def test_nobody_outside_is_told_what_was_spent(proxy: Serving) -> None:
    key = proxy.add_user("karin", "--role", "admin")
    question = {
        "kind": "organization",
        "name": "",
        "since": "2026-01-01T00:00:00Z",
        "own_since": "2026-01-01T00:00:00Z",
    }
    body = json.dumps({"instance_id": "i", "questions": [question]}).encode()

    for path in ("/spend", "/log/../spend", "/log/%2e%2e/spend", "/v1/spend"):
        got = ask(proxy.root, "POST", path, headers=bearer(key), body=body)
        assert got.status == 404, path
        assert b"amounts" not in got.body
    (view,) = {port for process in proxy.named("--target=log_view") if (port := _port(process.command))}
    assert ask(f"http://127.0.0.1:{view}", "POST", "/spend", headers=bearer(key), body=body).status == 401


def _port(command: str) -> str | None:
    found = re.search(r"--port=(\d+)", command)
    return found[1] if found else None


def test_while_the_ledger_cannot_be_asked_what_fits_is_let_in_and_says_so(proxy: Serving) -> None:
    key, other = with_budget(proxy, "lena", "0.01"), with_budget(proxy, "lisa", "10")
    views = proxy.named("--target=log_view")
    for view in views:
        os.kill(view.pid, signal.SIGSTOP)
    try:
        assert post(proxy, other, chat()).status == 200
        admitted, refused = until_refused(proxy, key, chat())
    finally:
        for view in views:
            os.kill(view.pid, signal.SIGCONT)

    assert admitted > 1
    assert code(refused) == "insufficient_quota"
    records = of_user(proxy, "lena")
    assert {record["budget_state"] for record in records} == {"unreachable"}
    assert spent(records) <= Decimal("0.01")
    assert proxy.stderr.read_text().count('"the ledger cannot be asked what was spent"') == 1


def test_an_owner_may_have_requests_refused_while_the_ledger_cannot_be_asked(upstream: CountingUpstream) -> None:
    with serving(upstream, BUDGET_UNREACHABLE="refuse") as proxy:
        key = with_budget(proxy, "mona", "10")
        for view in proxy.named("--target=log_view"):
            os.kill(view.pid, signal.SIGSTOP)
        try:
            refused = post(proxy, key, chat())
        finally:
            for view in proxy.named("--target=log_view"):
                os.kill(view.pid, signal.SIGCONT)

        assert (refused.status, code(refused)) == (503, "budget_not_known")
        assert proxy.settled() == []
