"""One line of JSON a happening on standard error, in Cloud Logging's form; never content, never a key."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def log(severity: Severity, message: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write one line in one call, so that lines of several processes do not mix."""
    line = json.dumps({"severity": severity, "message": message, **fields}, separators=(",", ":"))
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
