"""The demo user: made with the access file, given a new key at each start, never made again once removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from openai_proxy.access.edits import NEW_FILE, add_user, issued_key, rotate_key
from openai_proxy.access.events import Editor
from openai_proxy.adapters.access_file import AccessFile
from openai_proxy.keys import key_hash, new_key, new_key_id

USER_ID = "demo"
_OVERLAP = timedelta(hours=24)


def demo_key(access_file: AccessFile, *, allow_user_name: bool) -> str | None:
    """A new key of the demo user, which exists only as a hash from then on; None where the owner removed the user.

    Raises:
        AccessFileError: the access file is broken.
        OSError: it cannot be written.
    """
    key = new_key()
    entry = issued_key(new_key_id(), key_hash(key), datetime.now(UTC))

    def add(text: str) -> str:
        values = {"team": USER_ID, "role": "admin", "allow_user_name": allow_user_name or None}
        return add_user(text, USER_ID, entry, values)

    def rotate(text: str) -> str:
        return rotate_key(text, USER_ID, entry, overlap=_OVERLAP)

    first_start = not access_file.exists()
    if not first_start:
        user = access_file.current().users.get(USER_ID)
        if user is None or user.revoked:
            return None
    access_file.edit(add if first_start else rotate, new=NEW_FILE, editor=Editor("serve", "serve"))
    return key
