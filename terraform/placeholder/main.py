"""What runs until `make deploy` has shipped the function: every request is to come again."""
# ruff: noqa: INP001 - the platform loads main.py by path

from __future__ import annotations

import functions_framework
from flask import Request


@functions_framework.http
def placeholder(_request: Request) -> tuple[dict[str, dict[str, str]], int]:
    """Answer 503, which Pub/Sub and every SDK take as: try again."""
    return {"error": {"message": "This function is not deployed yet: run make deploy.", "type": "server_error"}}, 503
