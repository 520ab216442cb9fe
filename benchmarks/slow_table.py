"""A BigQuery that takes every row, 50 ms a call, any number of calls at a time; `GET /__counts` tells how many."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json

from aiohttp import web

CALL_SECONDS = 0.05
_LARGEST_CALL = 10_000_000


class SlowTable:
    """Counts calls and rows."""

    def __init__(self) -> None:
        self._calls = self._rows = 0

    async def insert_all(self, request: web.Request) -> web.Response:
        """Take the rows."""
        body = await request.read()
        text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        self._calls += 1
        self._rows += len(json.loads(text)["rows"])
        await asyncio.sleep(CALL_SECONDS)
        return web.json_response({})

    async def counts(self, _: web.Request) -> web.Response:
        """Tell, and begin anew."""
        told = {"calls": self._calls, "rows": self._rows}
        self._calls = self._rows = 0
        return web.json_response(told)


def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    table = SlowTable()
    app = web.Application(client_max_size=_LARGEST_CALL)
    app.router.add_get("/__counts", table.counts)
    app.router.add_post("/{path:.*}", table.insert_all)
    web.run_app(app, host="127.0.0.1", port=parser.parse_args().port, access_log=None, print=lambda *_: None)


if __name__ == "__main__":
    main()
