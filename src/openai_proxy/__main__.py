"""`python -m openai_proxy`."""

from __future__ import annotations

import sys

from openai_proxy.cli import main

sys.exit(main())
