"""A test upstream: OpenAI's wire format on a real socket, and its own count of what it served.

Run it with `python tests/upstream.py --port 0 --port-file F --team-key KEY`. A request orders trouble with words in
its `x-upstream-orders` header, or in its model's name after `+` (or as the whole name): see `Orders`. A JSON Patch in
its `x-upstream-usage` header changes the object that tells the usage; what is billed stays as it was.
`GET /__served` tells what was served (`?event_id=X`: that one), `POST /__reset` forgets it, `POST /__open` opens the
gate that `gate` waits at, `POST /__step` lets one event pass of those that `step` holds. `KEY.NAME` is a key too,
of the project NAME.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web

import openai_wire as wire
import wire_audio
import wire_images
import wire_responses
import wire_text
from forms import FormReader
from upstream_exchange import Exchange, Gates
from upstream_orders import Orders, Served
from wire_objects import Objects

REPLIES: Mapping[str, Callable[[wire.Question], wire.Reply]] = {
    **wire_text.REPLIES,
    **wire_responses.REPLIES,
    **wire_images.REPLIES,
    **wire_audio.REPLIES,
}
_NEED_NO_MODEL = {"/images/generations", "/images/edits", "/moderations"}


class Upstream:
    """Serves, and counts."""

    def __init__(self, team_key: str) -> None:
        self._team_key = team_key
        self._served: list[Served] = []
        self._responses: dict[str, wire.Json] = {}
        self._objects = Objects()
        self._gates = Gates()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/__served", self._tell)
        app.router.add_post("/__reset", self._reset)
        app.router.add_post("/__open", self._open)
        app.router.add_post("/__step", self._step)
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _tell(self, request: web.Request) -> web.Response:
        wanted = request.query.items()
        told = [one for one in self._served if all(str(getattr(one, name)) == value for name, value in wanted)]
        return web.json_response([dataclasses.asdict(one) for one in told])

    async def _reset(self, _: web.Request) -> web.Response:
        self._served.clear()
        self._objects.forget()
        self._gates.close()
        return web.Response()

    async def _open(self, _: web.Request) -> web.Response:
        self._gates.whole.set()
        return web.Response()

    async def _step(self, _: web.Request) -> web.Response:
        self._gates.steps.release()
        return web.Response()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        kind, _, project = request.headers.get("authorization", "").partition(self._team_key)
        served = Served(
            number=len(self._served),
            event_id=request.headers.get("x-client-request-id"),
            method=request.method,
            path=request.path,
            query=request.rel_url.raw_query_string,
            team_key=kind == "Bearer " and (not project or project.startswith(".")),
            project=project.removeprefix(".") or None,
            headers={
                name.lower(): "the team's" if name.lower() == "authorization" else value
                for name, value in request.headers.items()
            },
            user=request.headers.get("x-upstream-user"),
        )
        if not served.team_key:
            served.headers = {**served.headers, "authorization": "another"}
        self._served.append(served)
        try:
            return await self._answer(request, served)
        finally:
            served.ended = True

    async def _answer(self, request: web.Request, served: Served) -> web.StreamResponse:
        question = await self._question(request, served)
        orders = Orders.of(request.headers.get("x-upstream-orders", ""), str(served.model or ""))
        exchange = Exchange(request, served, orders, self._gates)
        if orders.hang:
            await asyncio.Event().wait()
        if orders.refuse:
            return exchange.drop()
        await asyncio.sleep(orders.first / 1000)
        retries = int(request.headers.get("x-stainless-retry-count") or 0)
        if orders.fail and not (orders.flaky and retries >= orders.flaky):
            return await exchange.error(orders.fail)
        if not served.team_key:
            return await exchange.error(401)
        if question is None:
            return await exchange.error(400)
        try:
            reply = self._reply(served.method, question)
        except wire.ApiError as error:
            return await exchange.error(error.status, error.message, error.code)
        return await exchange.reply(reply)

    async def _question(self, request: web.Request, served: Served) -> wire.Question | None:
        """What is asked, or None where it is neither a JSON object nor a form."""
        digest, pieces = hashlib.sha256(), []
        content_type = request.headers.get("content-type", "")
        form = FormReader(content_type) if content_type.startswith("multipart/form-data") else None
        async for piece in request.content.iter_any():
            digest.update(piece)
            served.body_bytes += len(piece)
            if form:
                form.feed(piece)
            else:
                pieces.append(piece)
        served.body_sha256 = digest.hexdigest()
        body = form.fields if form else _parsed(b"".join(pieces))
        if body is None:
            return None
        files = form.files if form else ()
        if files:
            served.file_bytes, served.file_sha256 = files[0].size, files[0].sha256
        question = wire.Question(
            path=request.path.removeprefix("/v1"),
            body=body,
            files=files,
            orders=Orders.of(request.headers.get("x-upstream-orders", ""), str(body.get("model") or "")),
            patch=json.loads(request.headers.get("x-upstream-usage", "[]")),
        )
        served.user, served.model = body.get("user") or served.user, body.get("model")
        served.stream = question.streams
        if served.stream:
            served.asked_usage = question.wants_usage
        return question

    def _reply(self, method: str, question: wire.Question) -> wire.Reply:
        path = question.path
        if method == "POST" and path in REPLIES:
            return self._create(question)
        if path.startswith("/responses/") and path.count("/") in {2, 3}:
            return self._stored_response(method, *path.split("/")[2:])
        if method == "GET" and path == "/models":
            return wire.Reply(wire.models())
        if method == "GET" and path.startswith("/models/"):
            return wire.Reply(wire.model(path.removeprefix("/models/")))
        if reply := self._objects.reply(method, question):
            return reply
        raise wire.ApiError(404, f"Invalid URL ({method} /v1{path})", "unknown_url")

    def _create(self, question: wire.Question) -> wire.Reply:
        if "model" not in question.body and question.path not in _NEED_NO_MODEL:
            raise wire.ApiError(400, "you must provide a model parameter")
        if question.model.startswith("no-such"):
            raise wire.ApiError(404)
        if question.path == "/responses":
            made = wire_responses.made(question)
            self._responses[f"resp_{question.unique}"] = made(made.end)
        return REPLIES[question.path](question)

    def _stored_response(self, method: str, name: str, rest: str = "") -> wire.Reply:
        stored = self._responses.get(name)
        if stored is None:
            raise wire.ApiError(404, f"Response with id '{name}' not found.", "not_found")
        if rest == "input_items":
            return wire.Reply({"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False})
        if rest == "cancel":
            raise wire.ApiError(400, "Cannot cancel a synchronous response.")
        if method == "DELETE":
            return wire.Reply({"id": name, "object": "response.deleted", "deleted": True})
        return wire.Reply(stored)


def _parsed(raw: bytes) -> wire.Json | None:
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


async def _run(port: int, port_file: Path, team_key: str) -> None:
    # A handler that is cancelled when its client leaves is how OpenAI stops generating then.
    runner = web.AppRunner(Upstream(team_key).app(), handler_cancellation=True, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    half_written = port_file.with_suffix(".part")
    half_written.write_text(str(runner.addresses[0][1]))
    half_written.rename(port_file)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--team-key", required=True)
    given = parser.parse_args()
    try:
        asyncio.run(_run(given.port, given.port_file, given.team_key))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
