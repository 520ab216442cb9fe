"""`openai-proxy serve`: the three functions, the delivery worker and the demo upstream, on one machine."""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import openai_proxy
from openai_proxy.access.callers import User
from openai_proxy.access.events import MalformedAccessEventError
from openai_proxy.adapters.access_file import AccessFile
from openai_proxy.adapters.access_trail import AccessTrail
from openai_proxy.adapters.sqlite_access_log import SqliteAccessLog
from openai_proxy.local import LocalError, leftovers
from openai_proxy.local.banner import banner
from openai_proxy.local.children import Child, Program
from openai_proxy.local.data_folder import DataFolder
from openai_proxy.local.demo_user import USER_ID, demo_key
from openai_proxy.local.listening import LOOPBACK, in_url, is_loopback, reached_at, reserved_port
from openai_proxy.local.programs import FUNCTIONS, Plan, programs
from openai_proxy.ports import StoreError
from openai_proxy.settings import Settings

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READY_SECONDS = 30.0
_FAILED_STARTS = 3
_PROXY_STOP_SECONDS = 3.2  # for answers that are under way
_STOP_SECONDS = 4.0
_TOKEN_BYTES = 32


class ServeError(LocalError):
    """Why `serve` cannot start; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where to listen, and where to keep; port 0 takes any free one."""

    host: str
    port: int
    data_dir: Path
    functions_dir: Path = Path(openai_proxy.__file__).parents[2] / "functions"


def serve(options: Options, environ: Mapping[str, str]) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP; then stop all that was started.

    Raises:
        ServeError: no functions, or a part that does not come up.
        PortError, DataFolderError, AccessFileError, SettingsError: as their names say.
    """
    settings = Settings.from_environ(environ)
    demo = not (settings.openai_api_key or settings.openai_api_key_file)
    _check_checkout(options.functions_dir)
    folder = DataFolder(options.data_dir)
    folder.make()
    with ExitStack() as stack:
        stack.enter_context(_signals_held())
        lock = folder.lock()
        stack.callback(lock.release)
        if leftovers.end(str(folder.path)):
            _say("Ended what an earlier start had left running.")
        plan = Plan(
            host=options.host,
            port=stack.enter_context(reserved_port(options.host, options.port)),
            sink_port=stack.enter_context(reserved_port(LOOPBACK)),
            view_port=stack.enter_context(reserved_port(LOOPBACK)),
            upstream_port=stack.enter_context(reserved_port(LOOPBACK)) if demo else None,
            folder=folder,
            functions_dir=options.functions_dir,
            run_folder=Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openai-proxy-"))),
            sink_token=secrets.token_urlsafe(_TOKEN_BYTES),
            view_token=secrets.token_urlsafe(_TOKEN_BYTES),
            environ=environ,
        )
        access_file = AccessFile(folder.access_file)
        key = demo_key(access_file, allow_user_name=is_loopback(options.host))
        _tell_ledger(folder)
        text = _banner(plan, key, access_file.current().users, demo=demo)
        _say(f"Starting {'the built-in demo and ' if demo else ''}{', '.join(FUNCTIONS)} over {folder.path} ...")
        asyncio.run(_run(programs(plan), reached_at(options.host), plan.port, text))


def _tell_ledger(folder: DataFolder) -> None:
    """Move what was changed of the access file, while there was no ledger, into it; what fails waits, and is said."""
    trail = AccessTrail(folder.access_file)
    try:
        trail.deliver(SqliteAccessLog(folder.ledger_file).add)
    except (StoreError, MalformedAccessEventError, OSError) as error:
        _say(f"The ledger does not know all changes of who may call: {error}; {trail.path} keeps them.")


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keep signals until the loop can take them: Python may lose the KeyboardInterrupt that it makes of one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _banner(plan: Plan, key: str | None, users: Mapping[str, User], *, demo: bool) -> str:
    by_name = sorted(user.user_id for user in users.values() if user.allow_user_name and not user.revoked)
    loopback = is_loopback(plan.host)
    warnings = []
    if by_name and not loopback:
        warnings.append(
            f"{', '.join(by_name)}: anybody who reaches {plan.host} and knows the name may call; see allow_user_name"
        )
    if demo and plan.environ.get("OPENAI_BASE_URL"):
        warnings.append("OPENAI_BASE_URL is not used, since OPENAI_API_KEY is not set")
    host = "localhost" if plan.host == LOOPBACK else in_url(reached_at(plan.host))
    return banner(
        root=f"http://{host}:{plan.port}",
        demo_key=key,
        demo_name=USER_ID if USER_ID in by_name else None,
        demo_upstream=demo,
        warnings=warnings,
    )


def _check_checkout(functions_dir: Path) -> None:
    for name in FUNCTIONS:
        if not (functions_dir / name / "main.py").is_file():
            raise ServeError(
                f"{functions_dir / name / 'main.py'} is not there: serve runs from a checkout, by `make run`"
            )


async def _run(started: Sequence[Program], host: str, port: int, text: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    children = [Child(program) for program in started]
    try:
        if await _ready(children, host, port, stop):
            _say(text)
            await stop.wait()
    finally:
        await _stop(children)


async def _ready(children: Sequence[Child], host: str, port: int, stop: asyncio.Event) -> bool:
    """Wait until all parts answer; False when told to stop before.

    Raises:
        ServeError: one of them ends again and again, or does not answer in 30 s.
    """
    deadline = time.monotonic() + _READY_SECONDS
    while not stop.is_set():
        missing = await asyncio.to_thread(_missing, host, port)
        if not missing:
            return True
        for child in children:
            if child.exits >= _FAILED_STARTS:
                raise ServeError(f"{child.name} does not start; its own messages stand above")
        if time.monotonic() > deadline:
            raise ServeError(f"not ready after {_READY_SECONDS:.0f} s: {missing}")
        try:
            await asyncio.wait_for(stop.wait(), 0.05)
        except TimeoutError:
            continue
    return False


def _missing(host: str, port: int) -> str:
    """What the proxy's /healthz names as not reachable; nothing when it answers 200."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return "proxy: does not answer"
    finally:
        connection.close()
    if response.status == http.client.OK:
        return ""
    try:
        parts = json.loads(body).items()
    except (ValueError, AttributeError):
        return f"proxy: /healthz answers {response.status}"
    return "; ".join(f"{name}: {state}" for name, state in parts if state != "ok")


async def _stop(children: Sequence[Child]) -> None:
    """The proxy first, so that nothing comes in; then the delivery worker, then those that it calls."""
    begun = time.monotonic()
    by_name = {child.name: child for child in children}
    proxy = by_name.pop("proxy")
    proxy.terminate()
    await proxy.ended(begun + _PROXY_STOP_SECONDS)
    delivery = by_name.pop("delivery")
    delivery.terminate()
    await delivery.ended(begun + _PROXY_STOP_SECONDS + 0.5)
    for child in by_name.values():
        child.terminate()
    ended = [await child.ended(begun + _STOP_SECONDS) for child in children]
    for child in children:
        child.kill()
    for child in children:
        await child.ended(time.monotonic() + 1)
    killed = [child.name for child, has_ended in zip(children, ended, strict=True) if not has_ended]
    _say(
        f"Stopped {', '.join(child.name for child in children)}" + (f"; killed {', '.join(killed)}." if killed else ".")
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
