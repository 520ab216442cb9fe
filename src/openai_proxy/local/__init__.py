"""The one-machine form: the same three functions, the embedded queue's delivery worker, and the demo upstream."""

from __future__ import annotations


class LocalError(Exception):
    """Why the one-machine form cannot do what was asked; one line that says what to do."""
