"""A loopback door to log_view for a browser that cannot type: each request goes on with a user's key."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from page_serving import PageServing

_NOT_BACK = {"connection", "content-length", "transfer-encoding", "content-encoding"}


@contextlib.contextmanager
def signed_in(page: PageServing, user: str | None) -> Iterator[str]:
    """The address of the door, until the block ends; without a user it is the plain sign-in."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {"Accept": self.headers.get("Accept", ""), "X-Forwarded-Host": "localhost:8080"}
            if user:
                headers["Authorization"] = f"Bearer {page.keys[user]}"
            answer = requests.get(page.root + self.path, headers=headers, timeout=30)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _NOT_BACK:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Say nothing: what matters is in log_view's own log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
