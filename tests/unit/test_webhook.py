from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import aiohttp
import pytest
from aiohttp import web

from openai_proxy.budgets.webhook import Webhook

SECRET = "made-up-secret-of-the-address"


def sent(*statuses: int) -> list[tuple[str, str]]:
    """What a server got that answers these one after the other, and then the last one for ever."""
    got: list[tuple[str, str]] = []
    remaining = list(statuses)

    async def take(request: web.BaseRequest) -> web.Response:
        got.append((request.headers["content-type"], await request.text()))
        return web.Response(status=remaining.pop(0) if len(remaining) > 1 else remaining[0])

    async def run() -> None:
        runner = web.ServerRunner(web.Server(take))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with aiohttp.ClientSession(skip_auto_headers=("content-type",)) as session:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/{SECRET}"
            await Webhook(session, url, first_pause_seconds=0.001).send("80 % is used")
        await runner.cleanup()

    asyncio.run(run())
    return got


def test_it_sends_what_slack_takes() -> None:
    assert sent(200) == [("application/json", json.dumps({"text": "80 % is used"}))]


@pytest.mark.parametrize("failures", [[500], [429, 503, 500, 502]])
def test_it_tries_again_what_may_pass(failures: Sequence[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert len(sent(*failures, 204)) == len(failures) + 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("status", "tries"), [(500, 6), (404, 1)])
def test_it_gives_up_and_says_so_without_the_address(
    status: int, tries: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(sent(status)) == tries

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["reason"] == f"answered {status}"
    assert SECRET not in line


def test_a_server_that_is_not_there_is_given_up_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            await Webhook(session, f"http://127.0.0.1:1/{SECRET}", first_pause_seconds=0.001).send("x")

    asyncio.run(run())

    assert SECRET not in capsys.readouterr().err
