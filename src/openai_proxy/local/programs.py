"""The programs of the one-machine form: each one's command line, and no more of the environment than it needs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from openai_proxy.local.children import Program
from openai_proxy.local.data_folder import DataFolder
from openai_proxy.local.leftovers import MARK
from openai_proxy.local.listening import LOOPBACK, in_url
from openai_proxy.settings import Settings

FUNCTIONS = ("proxy", "usage_sink", "log_view")
DEMO_KEY = "demo-upstream-takes-any-key"

_FLASK_THREADS = "16"
_LIMITS = (
    "UPSTREAM_CONNECT_SECONDS",
    "UPSTREAM_SILENCE_SECONDS",
    "PUBLISH_TIMEOUT_SECONDS",
    "DRAIN_SECONDS",
    "DRAIN_BYTES",
    "MAX_DRAINS",
    "RESERVED_OUTPUT_TOKENS",
    "RESERVED_UNSEEN_TOKENS",
    "BUDGET_INSTANCES",
    "BUDGET_PIPELINE_SECONDS",
    "BUDGET_REFRESH_SECONDS",
    "BUDGET_UNREACHABLE",
    "BUDGET_UNREACHABLE_SECONDS",
    "BUDGET_WEBHOOK_URL",
    "RATE_LIMIT_URL",
    "FORWARDED_HOPS",
)
_GOOGLE = ("IAP_AUDIENCE", "IAP_KEYS_URL")
# What functions-framework would read in place of its command line.
_PLATFORM = ("HOST", "PORT", "DEBUG", "FUNCTION_TARGET", "FUNCTION_SOURCE", "FUNCTION_SIGNATURE_TYPE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where everything is; `upstream_port` is None where OpenAI itself is the upstream."""

    host: str
    port: int
    sink_port: int
    view_port: int
    upstream_port: int | None
    folder: DataFolder
    functions_dir: Path
    run_folder: Path
    sink_token: str
    view_token: str
    environ: Mapping[str, str]


def programs(plan: Plan) -> tuple[Program, ...]:
    """All programs, in the order in which they are started."""
    sink_url, view_url = f"http://{LOOPBACK}:{plan.sink_port}", f"http://{LOOPBACK}:{plan.view_port}"
    queue = {"USAGE_QUEUE_URL": plan.folder.queue_url()}
    store = {"USAGE_STORE_URL": plan.folder.store_url()}
    access = {"ACCESS_FILE": str(plan.folder.access_file)}
    token = {"USAGE_SINK_TOKEN": plan.sink_token}
    sink_place = {"USAGE_SINK_URL": sink_url}
    demo = {} if plan.upstream_port is None else {"DEMO_UPSTREAM": "true"}
    flask = {"THREADS": _FLASK_THREADS}
    session = {"SESSION_SECRET": plan.folder.session_secret()}
    view_key = {"LOG_VIEW_TOKEN": plan.view_token}
    reader = {"FORWARDED_HOPS": "1"}  # the proxy says from where a reader calls
    reader |= {name: plan.environ[name] for name in _GOOGLE if name in plan.environ}
    proxy = queue | access | sink_place | demo | _upstream(plan) | {"LOG_VIEW_URL": view_url} | view_key
    proxy |= {"BUDGET_CLAIMS_URL": plan.folder.claims_url()}
    proxy |= {name: plan.environ[name] for name in _LIMITS if name in plan.environ}
    started = [
        _function(plan, "proxy", in_url(plan.host), plan.port, proxy),
        _function(plan, "usage_sink", LOOPBACK, plan.sink_port, queue | store | token | flask),
        _function(
            plan, "log_view", LOOPBACK, plan.view_port, store | access | session | view_key | reader | demo | flask
        ),
        _module(plan, "delivery", (), queue | sink_place | token),
    ]
    if plan.upstream_port is not None:
        started.append(_module(plan, "demo_upstream", ("--port", str(plan.upstream_port)), {}))
    return tuple(started)


_UPSTREAM = ("OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "OPENAI_BASE_URL", "UPSTREAM_KEYS_DIR")


def _upstream(plan: Plan) -> dict[str, str]:
    if plan.upstream_port is not None:
        return {"OPENAI_API_KEY": DEMO_KEY, "OPENAI_BASE_URL": f"http://{LOOPBACK}:{plan.upstream_port}/v1"}
    own_keys = {"UPSTREAM_KEYS_DIR": str(plan.folder.upstream_keys)}
    return own_keys | {name: plan.environ[name] for name in _UPSTREAM if plan.environ.get(name)}


def _function(plan: Plan, name: str, host: str, port: int, own: dict[str, str]) -> Program:
    command = (
        str(Path(sys.executable).with_name("functions-framework")),
        f"--target={name}",
        f"--source={plan.functions_dir / name / 'main.py'}",
        f"--signature-type={'cloudevent' if name == 'usage_sink' else 'http'}",
        f"--host={host}",
        f"--port={port}",
    )
    return Program(name, command, _environ(plan, name, own))


def _module(plan: Plan, name: str, arguments: tuple[str, ...], own: dict[str, str]) -> Program:
    command = (sys.executable, "-m", f"openai_proxy.local.{name}", *arguments)
    return Program(name, command, _environ(plan, name, own))


def _environ(plan: Plan, name: str, own: dict[str, str]) -> dict[str, str]:
    ours = {field.name.upper() for field in fields(Settings)}
    inherited = {key: value for key, value in plan.environ.items() if key not in ours and key not in _PLATFORM}
    control = plan.run_folder / name  # gunicorn's control socket: not in the home, and one a program
    control.mkdir(exist_ok=True)
    return inherited | own | {MARK: str(plan.folder.path), "XDG_RUNTIME_DIR": str(control)}
