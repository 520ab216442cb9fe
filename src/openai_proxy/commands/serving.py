"""serve: the three functions and all that belongs to them, on this machine."""

from __future__ import annotations

import os
import re

from openai_proxy.commands.access_editing import telling_which
from openai_proxy.commands.parsing import Arguments, Commands
from openai_proxy.commands.places import data_folder
from openai_proxy.local import LocalError

_LARGEST_PORT = 65535


def add_to(commands: Commands) -> None:
    """Declare the command."""
    serve = commands.add("serve", _serve, "Run the proxy and all that belongs to it on this machine")
    serve.add_argument("--port", help="where to listen (PORT; default: 8080)")
    serve.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")


def _serve(arguments: Arguments) -> int:
    from openai_proxy.local.serve import Options, serve

    text = arguments.port or os.environ.get("PORT") or "8080"
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > _LARGEST_PORT:
        raise LocalError(f"the port must be a number from 0 to {_LARGEST_PORT}: --port or PORT")
    folder = data_folder(arguments)
    with telling_which(folder.access_file):
        serve(Options(host=arguments.host, port=int(text), data_dir=folder.path), os.environ)
    return 0
