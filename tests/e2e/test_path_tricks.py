"""Whatever is sent, OpenAI sees only paths of the table: raw sockets, a real proxy, an upstream that notes lines."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import HealthCheck, given, settings

from openai_proxy.api.endpoints import ENDPOINTS, Endpoint
from openai_proxy.api.permissions import PERMISSIONS
from openai_proxy.api.refused_families import REFUSED
from path_tricks import METHODS, TARGETS
from serving import Serving, serving

pytestmark = pytest.mark.e2e

_SLOW = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_HIGHEST_ANSWER = 1 << 20

RAW = [
    b"GET http://api.openai.com/v1/organization/users",
    b"GET http://api.openai.com/v1/../v1/organization/users",
    b"GET https://api.openai.com:443/v1/projects/p/users",
    b"GET http:/v1/organization/users",
    b"GET http:///v1/organization/users",
    b"GET //api.openai.com/v1/organization/users",
    b"GET /v1//organization/users",
    b"GET /v1/v1/organization/users",
    b"GET /v1/models/../organization/users",
    b"GET /v1/models/..%2forganization%2fusers",
    b"GET /v1/models/%2e%2e/organization/users",
    b"GET /v1/models/.%2E/organization/users",
    b"GET /v1/models/..;/organization/users",
    b"GET /v1/models/..\\organization\\users",
    b"GET /v1/models/%5c..%5corganization",
    b"GET /v1/models/%c0%ae%c0%ae/organization/users",
    b"GET /v1/models/\xc0\xae\xc0\xae/organization/users",
    b"GET /v1/models/\xe2\x80\xa4\xe2\x80\xa4/organization/users",
    b"GET /v1/models/x%00/../../organization/users",
    b"GET /v1/models\x00/organization",
    b"GET /v1/models?/../organization/users",
    b"GET /v1/models#/../organization/users",
    b"GET /v1/models?x=1#/../organization/users",
    b"GET /v1/models/gpt-4o%3f/../organization",
    b"GET /v1/models/gpt-4o%23",
    b"GET /v1/models/gpt-4o%20HTTP/1.1%0d%0aHost:x%0d%0a%0d%0aGET%20/v1/organization/users",
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/organization/users",
    b"GET /v1/organization/users HTTP/1.0\r\nX: ",
    b"GET /v1/ORGANIZATION/users",
    b"GET /v1/organization./users",
    b"GET /v1/organization;x=1/users",
    b"GET /v1/organization%2fusers",
    b"GET /v1/%6frganization/users",
    b"GET /v1/organization/users/",
    b"GET /openai/v1/organization/users",
    b"GET /organization/users",
    b"GET /openai/deployments/gpt-4o/organization",
    b"GET /log/../v1/organization/users",
    b"GET /healthz/../v1/organization/users",
    b"POST /v1/realtime/client_secrets",
    b"POST /v1/realtime/calls/../client_secrets",
    b"POST /v1/realtime/sessions",
    b"POST /v1/chat/completions/../../chatkit/sessions",
    b"POST /v1/fine_tuning/checkpoints/ft:gpt-4o:a::b/permissions",
    b"DELETE /v1/models/ft:gpt-4o:a::b",
    b"delete /v1/models/ft:gpt-4o:a::b",
    b"CONNECT api.openai.com:443",
    b"OPTIONS *",
    b"TRACE /v1/models",
    b"HEAD /v1/organization/users",
    b"GET /v1/files/" + b"a" * 5000,
    b"GET /v1/models\r\nContent-Length: 0\r\n\r\nGET /v1/organization/users",
    b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /",
    b"POST /v1/moderations HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\nGET /v1/me",
]  # fmt: skip
OVERRIDES = (
    b"X-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\nX-Original-URL: /v1/organization/users\r\n"
    b"X-Rewrite-URL: /v1/organization/users\r\nX-Forwarded-Prefix: /v1/organization\r\n"
)


class _Recorder(BaseHTTPRequestHandler):
    """Notes each request line as it stands on the wire, and answers a small JSON body."""

    protocol_version = "HTTP/1.1"
    lines: list[str]

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        self.lines.append(self.requestline)
        return parsed

    def __getattr__(self, name: str) -> Callable[[], None]:
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self._answer

    def _answer(self) -> None:
        if self.headers.get("transfer-encoding"):
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing: what is noted is asserted on."""


@dataclass
class Stage:
    proxy: Serving
    keys: dict[str, str]
    lines: list[str] = field(default_factory=list)

    def send(self, member: str, request: bytes, more: bytes = b"") -> int:
        """The status of the first answer to a request line, or 0; returns when the proxy has closed the connection."""
        head = b"Host: x\r\nAuthorization: Bearer " + self.keys[member].encode() + b"\r\n" + more
        rest = b" HTTP/1.1\r\n" + head + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
        with socket.create_connection(("127.0.0.1", self.proxy.port), timeout=60) as client:
            answer = b""
            with contextlib.suppress(ConnectionError):
                client.sendall(request.replace(b"Host: x\r\n", head) + rest)
                while len(answer) < _HIGHEST_ANSWER and (part := client.recv(65536)):
                    answer += part
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
        return int(found.group(1)) if found else 0

    def seen(self) -> list[Endpoint]:
        """The rows of the table that OpenAI was asked for since the last time; fails on a line that is none."""
        lines, rows = list(self.lines), [_row(line) for line in self.lines]
        self.lines.clear()
        assert None not in rows, f"OpenAI saw {lines[rows.index(None)]}"
        return [row for row in rows if row]


def _row(line: str) -> Endpoint | None:
    return next((endpoint for endpoint, shape in SHAPES if shape.fullmatch(line)), None)


def _shape(endpoint: Endpoint) -> re.Pattern[str]:
    segment = "[A-Za-z0-9][A-Za-z0-9._:-]*" if endpoint.path.startswith("/models") else "[A-Za-z0-9][A-Za-z0-9_-]*"
    path = re.escape(endpoint.path).replace(r"\{id\}", segment)
    return re.compile(rf"{endpoint.method} /v1{path}(\?\S*)? HTTP/1\.1")


SHAPES = [(endpoint, _shape(endpoint)) for endpoint in ENDPOINTS]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    lines: list[str] = []
    handler = type("Recorder", (_Recorder,), {"lines": lines})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with serving(f"http://127.0.0.1:{server.server_port}/v1") as proxy:
                proxy.allow_team("all", *PERMISSIONS)
                keys = {
                    "member": proxy.add_user("mia"),
                    "trusted": proxy.add_user("tom", "--team", "all", "--role", "admin"),
                }
                yield Stage(proxy, keys, lines)
        finally:
            server.shutdown()


@pytest.fixture(autouse=True)
def _forget(stage: Stage) -> None:
    stage.lines.clear()


def test_every_row_is_reached_by_whom_it_is_allowed_to_and_by_nobody_else(stage: Stage) -> None:
    for endpoint in ENDPOINTS:
        request = f"{endpoint.method} /v1{endpoint.path.replace('{id}', 'a1')}".encode()

        assert stage.send("trusted", request) == 200
        assert stage.seen() == [endpoint]
        assert stage.send("member", request) == (403 if endpoint.permission else 200)
        assert stage.seen() == ([] if endpoint.permission else [endpoint])


def test_a_refused_family_is_reached_by_nobody(stage: Stage) -> None:
    for family in REFUSED:
        for below in ("", "/x", "/x/y"):
            request = f"{family.method or 'POST'} /v1{family.path}{below}".encode()
            assert stage.send("trusted", request, OVERRIDES) == 403
    assert stage.seen() == []


@pytest.mark.parametrize("member", ["member", "trusted"])
def test_no_trick_with_a_request_line_reaches_more_than_the_table_allows(stage: Stage, member: str) -> None:
    for request in RAW:
        for more in (b"", OVERRIDES):
            assert stage.send(member, request, more) < 500
            assert {endpoint.permission for endpoint in stage.seen()} <= {None}
    assert stage.send(member, b"GET /v1/models") == 200


@_SLOW
@given(METHODS, TARGETS)
def test_whatever_the_target_openai_sees_only_what_the_table_allows(stage: Stage, method: str, target: str) -> None:
    stage.lines.clear()
    request = f"{method} {target}".encode()

    assert stage.send("member", request) < 500
    assert {endpoint.permission for endpoint in stage.seen()} <= {None}
    assert stage.send("trusted", request) < 500
    stage.seen()
