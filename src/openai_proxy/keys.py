"""Keys: `sk-op-`, 256 random bits in base 62, and a checksum; only the SHA-256 is ever kept (DESIGN 5)."""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib

PREFIX = "sk-op-"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_CHARACTERS = 43  # 62**43 > 2**256
_CHECKSUM_CHARACTERS = 6  # 62**6 > 2**32, the range of CRC-32


def new_key() -> str:
    """A new key, to be shown once."""
    secret = _base62(secrets.randbits(256), _SECRET_CHARACTERS)
    return PREFIX + secret + _checksum(secret)


def new_key_id() -> str:
    """A new key's public name."""
    return "key_" + secrets.token_hex(6)


def key_hash(key: str) -> str:
    """The SHA-256 of a key, in hex: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def looks_like_key(text: str) -> bool:
    """Whether the text has a key's form and a right checksum; a mistyped key has not."""
    body = text.removeprefix(PREFIX)
    if body == text or len(body) != _SECRET_CHARACTERS + _CHECKSUM_CHARACTERS:
        return False
    return _checksum(body[:_SECRET_CHARACTERS]) == body[_SECRET_CHARACTERS:]


def is_mistyped_key(text: str) -> bool:
    """Whether the text was meant as a key of ours and cannot be one. That is known of the text alone, to anybody."""
    return text.startswith(PREFIX) and not looks_like_key(text)


def _checksum(secret: str) -> str:
    return _base62(zlib.crc32(secret.encode("utf-8", "surrogatepass")), _CHECKSUM_CHARACTERS)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
