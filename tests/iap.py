"""Identity-Aware Proxy's part: it signs who asks, and its public keys are served by a real server on loopback."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "/projects/123456789012/global/backendServices/987654321"


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass(slots=True)
class Signer:
    """One of Google's keys, or of somebody who would like to be Google."""

    key_id: str
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def pem(self) -> str:
        public = self._key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def assertion(self, email: str = "ada@example.com", *, alg: str = "ES256", **claims: Any) -> str:
        """What the header holds for who has this address; a claim of None is left out."""
        now = int(time.time())
        said = {
            "iss": "https://cloud.google.com/iap",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 600,
            "email": email,
            "sub": "accounts.google.com:1",
            **claims,
        }
        header = {"alg": alg, "typ": "JWT", "kid": self.key_id}
        payload = {name: value for name, value in said.items() if value is not None}
        signed = f"{_part(json.dumps(header).encode())}.{_part(json.dumps(payload).encode())}"
        return f"{signed}.{_part(self._signature(signed.encode(), alg))}"

    def _signature(self, signed: bytes, alg: str) -> bytes:
        if alg == "none":
            return b""
        if alg == "HS256":  # with what everybody knows as the secret
            return hmac.digest(self.pem.encode(), signed, hashlib.sha256)
        first, second = decode_dss_signature(self._key.sign(signed, ec.ECDSA(SHA256())))
        return first.to_bytes(32, "big") + second.to_bytes(32, "big")


@dataclass(slots=True)
class PublicKeys:
    """The served keys; `fails` makes the server answer 500."""

    url: str
    signers: list[Signer]
    asked: int = 0
    fails: bool = False


@contextlib.contextmanager
def public_keys(*signers: Signer) -> Iterator[PublicKeys]:
    """A server of these signers' public keys, until the block ends."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.asked += 1
            self.send_response(500 if keys.fails else 200)
            self.end_headers()
            self.wfile.write(json.dumps({signer.key_id: signer.pem for signer in keys.signers}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        keys = PublicKeys(f"http://127.0.0.1:{server.server_port}/keys", list(signers))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield keys
        finally:
            server.shutdown()
            thread.join()
