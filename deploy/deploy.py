"""Ships what Terraform leaves out: the functions' code, and the secrets' values. Run by make.

    deploy.py deploy [FUNCTION ...]    build/FUNCTION/ -> Google Cloud; all three without a name
    deploy.py secrets [KEY]            OpenAI's key, or that of teams with upstream_key = "KEY", from OPENAI_API_KEY,
                                       a pipe or a prompt without echo
    deploy.py redis                    the address of Redis or Valkey, from RATE_LIMIT_URL, a pipe or such a prompt
    deploy.py access FILE              the access file, once it is known to be a good one

Only the standard library and gcloud. What is where comes from `terraform output`, so it is said in one place.
"""
# ruff: noqa: INP001, T201, S603 - a script beside the package; it prints; it runs gcloud and terraform by design

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from openai_proxy.access.callers import Access, AccessFileError
from openai_proxy.access.events import AccessEvent, MalformedAccessEventError, printable
from openai_proxy.adapters.access_trail import AccessTrail

ROOT = Path(__file__).parents[1]
FUNCTIONS = ("proxy", "usage_sink", "log_view")
_STAGES = ({"usage_sink", "log_view"}, {"proxy"})  # who reads usage events before who writes them: they may be newer
_HEALTH_SECONDS = 120.0
_PAUSE_SECONDS = 2.0
_LARGEST_SECRET = 65_536  # bytes: https://cloud.google.com/secret-manager/quotas
_BIGQUERY = "https://bigquery.googleapis.com/bigquery/v2/"
_STORAGE = "https://storage.googleapis.com/storage/v1/"
_REDIS = re.compile(r"(?:redis|valkey)s?://(?:[^/@]*@)?[^/@:]")  # up to the first letter of the host


class DeployError(Exception):
    """What stands in the way, and what to do, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Terraform's `deploy` output: what was made, and where."""

    project: str
    region: str
    runtime: str
    build_account: str
    public: bool
    proxy_url: str
    functions: Mapping[str, str]
    secrets: Mapping[str, str]
    access_events: str
    access_object: str | None


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; 1 and one line on standard error when it cannot be done."""
    parser = argparse.ArgumentParser(prog="deploy.py", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("deploy").add_argument("functions", nargs="*", choices=[*FUNCTIONS, []])
    commands.add_parser("secrets").add_argument("key", nargs="?")
    commands.add_parser("redis")
    commands.add_parser("access").add_argument("file", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "deploy":
            deploy(chosen.functions or FUNCTIONS)
        elif chosen.command == "secrets":
            put_openai_key(chosen.key)
        elif chosen.command == "redis":
            put_rate_limit_url()
        else:
            put_access_file(chosen.file)
    except DeployError as error:
        print(f"{chosen.command}: {error}", file=sys.stderr)
        return 1
    return 0


def deploy(names: Sequence[str]) -> None:
    """Build and start the named functions, a stage at a time; return when the proxy says that all is well.

    Raises:
        DeployError: something is missing, a build failed, or the proxy is not well afterwards.
    """
    deployment = _ready()
    print(f"Shipping {', '.join(names)} to {deployment.project} ({deployment.region}); this takes some minutes ...")
    for stage in _STAGES:
        if chosen := [name for name in names if name in stage]:
            with ThreadPoolExecutor(len(chosen)) as pool:
                failures = [failure for failure in pool.map(lambda name: _ship(deployment, name), chosen) if failure]
            if failures:
                raise DeployError("\n".join(failures))
    _await_health(deployment)
    url = deployment.proxy_url
    print(
        f"\n  OPENAI_BASE_URL={url}/v1\n  page: {url}/log\n\n"
        "Next, if that is not done yet: make secrets (OpenAI's key), then\n"
        "openai-proxy user add NAME --data-dir . (writes ./access.toml) and make access (who may call)."
    )


def put_openai_key(name: str | None) -> None:
    """Make OpenAI's key the newest version of its secret; the proxy takes it without a redeploy.

    Raises:
        DeployError: no deployment, no secret of that name, or no key was given.
    """
    deployment = _ready()
    secret = f"upstream_key_{name}" if name else "openai_api_key"
    if secret not in deployment.secrets:
        raise DeployError(f"there is no secret for {name}; add it to Terraform's variable upstream_keys, and apply")
    key = _told("OPENAI_API_KEY", "OpenAI API key")
    if not _is_word(key):
        raise DeployError("that is no key: expected one word, in OPENAI_API_KEY, piped in, or typed")
    _add_version(deployment, secret, key)


def put_rate_limit_url() -> None:
    """Make the address of Redis or Valkey the newest version of its secret, since a password may be in it.

    Raises:
        DeployError: no deployment, no such secret, or no address was given.
    """
    deployment = _ready()
    if "rate_limit_url" not in deployment.secrets:
        raise DeployError("there is no secret for it; set Terraform's variable rate_limit_redis = true, and apply")
    url = _told("RATE_LIMIT_URL", "Address of Redis or Valkey")
    if not (_is_word(url) and _REDIS.match(url)):
        raise DeployError(
            "that is no address: expected redis://HOST:PORT or valkey://…, with TLS rediss:// or valkeys://, "
            "in RATE_LIMIT_URL, piped in, or typed"
        )
    _add_version(deployment, "rate_limit_url", url)
    print("In force with the proxy's next instances: make deploy-proxy")


def put_access_file(path: Path) -> None:
    """Make the file the newest version of its secret or object, if the proxy could use it, and tell the ledger.

    Raises:
        DeployError: no deployment, no such file, or not an access file.
    """
    try:
        text = path.read_text("utf-8")
        users = Access.parse(text).users
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    except AccessFileError as error:
        raise DeployError(f"{path} was not sent: {error}") from None
    deployment = _ready()
    if deployment.access_object:
        _put_object(deployment.access_object, text)
    elif len(text.encode()) > _LARGEST_SECRET:
        raise DeployError(
            f"{path} has {len(text.encode())} bytes, and a secret holds {_LARGEST_SECRET}; "
            "set Terraform's variable access_file_bucket = true, and apply"
        )
    else:
        _add_version(deployment, "access_file", text)
    print(f"{len(users)} users; in force within a minute, without a redeploy.")
    place = deployment.access_object or deployment.secrets["access_file"]
    _tell_ledger(deployment, AccessTrail(path), f"sent to {place}: {len(users)} users")


def _told(variable: str, what: str) -> str:
    """A secret, from the environment, a prompt without echo, or a pipe."""
    told = os.environ.get(variable, "")
    if not told:
        told = getpass.getpass(f"{what} (is not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    return told.strip()


def _is_word(text: str) -> bool:
    return bool(text) and not any(character.isspace() or not character.isprintable() for character in text)


def _ready() -> Deployment:
    """The deployment, once it is sure that there is one and that gcloud may act on it."""
    if shutil.which("gcloud") is None:
        raise DeployError("gcloud is not found; install it: https://cloud.google.com/sdk/docs/install")
    deployment = _deployment()
    if _run("gcloud", "auth", "print-access-token").returncode:
        raise DeployError("gcloud is not signed in; run: gcloud auth login")
    return deployment


def _deployment() -> Deployment:
    folder = os.environ.get("TERRAFORM_DIR") or str(ROOT / "terraform")
    if shutil.which("terraform") is None:
        raise DeployError("terraform is not found; install it: https://developer.hashicorp.com/terraform/install")
    result = _run("terraform", f"-chdir={folder}", "output", "-json")
    outputs: dict[str, Any] = json.loads(result.stdout) if result.returncode == 0 else {}
    if "deploy" not in outputs:
        raise DeployError("nothing is deployed to yet; run: terraform -chdir=terraform apply (docs/deploy.md)")
    try:
        return Deployment(**outputs["deploy"]["value"])
    except TypeError:
        raise DeployError(
            "what was applied tells another output than this checkout reads; run: terraform -chdir=terraform apply"
        ) from None


def _ship(deployment: Deployment, name: str) -> str | None:
    """Upload and build one function; None, or why it failed.

    Only what is built is named, so that gcloud's update mask is build_config.* and every other setting stays
    Terraform's. `--trigger-http` would add event_trigger to the mask.
    """
    begun = time.monotonic()
    result = _run(
        "gcloud", "functions", "deploy", deployment.functions[name],
        "--gen2", "--quiet",
        f"--project={deployment.project}",
        f"--region={deployment.region}",
        f"--source={ROOT / 'build' / name}",
        f"--runtime={deployment.runtime}",
        f"--entry-point={name}",
        f"--build-service-account={deployment.build_account}",
    )  # fmt: skip
    if result.returncode:
        return f"{name} was not shipped; gcloud says:\n{result.stderr.strip()}"
    print(f"  {name}: {time.monotonic() - begun:.0f} s")
    return None


def _await_health(deployment: Deployment) -> None:
    """Ask until the proxy answers that everything it needs is reachable.

    /health, not /healthz: Cloud Run keeps some paths that end in z for itself
    (https://cloud.google.com/run/docs/known-issues, reserved URL paths).
    """
    headers = {}
    if not deployment.public:  # Authorization is left to the proxy's own keys
        identity = _run("gcloud", "auth", "print-identity-token").stdout.strip()
        headers["X-Serverless-Authorization"] = f"Bearer {identity}"
    url = f"{deployment.proxy_url}/health"
    deadline = time.monotonic() + float(os.environ.get("HEALTH_SECONDS") or _HEALTH_SECONDS)
    while True:
        status, body = _ask(url, headers)
        if status == HTTPStatus.OK:
            return
        if time.monotonic() > deadline:
            raise DeployError(f"shipped, but {url} is not well ({status}): {body}")
        time.sleep(_PAUSE_SECONDS)


def _ask(url: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int | None, str]:
    """GET, or POST a body; no status where nobody answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:  # noqa: S310 - no stranger names it: Terraform, gcloud's settings or this file do
            return answer.status, answer.read(4096).decode("utf-8", "replace")
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read(4096).decode("utf-8", "replace")
    except OSError as error:
        return None, str(error)


def _add_version(deployment: Deployment, secret: str, value: str) -> None:
    name = deployment.secrets[secret]
    result = _run(
        "gcloud", "secrets", "versions", "add", name, f"--project={deployment.project}", "--data-file=-", "--quiet",
        stdin=value,
    )  # fmt: skip
    if result.returncode:
        raise DeployError(f"{name} got no new version; gcloud says: {result.stderr.strip()}")
    print(f"{name}: a new version is the latest now.")


def _put_object(url: str, text: str) -> None:
    """Replace an object whole, or not at all: `gcloud storage cp` would take back what it finds to be broken.

    https://cloud.google.com/storage/docs/json_api/v1/objects/insert
    """
    api = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE") or _STORAGE  # as gcloud's own calls
    bucket, _, name = url.removeprefix("gs://").partition("/")
    query = urllib.parse.urlencode({"uploadType": "media", "name": name})
    place = urllib.parse.urljoin(api, f"/upload/storage/v1/b/{bucket}/o?{query}")
    status, body = _post(place, text.encode(), "application/toml")
    if status != HTTPStatus.OK:
        raise DeployError(f"{url} was not written ({status}): {body}")
    print(f"{url}: a new version is the live one now.")


def _tell_ledger(deployment: Deployment, trail: AccessTrail, what: str) -> None:
    """Tell what was done, and what the command line changed before: the file is sent, whether that succeeds or not."""
    account = os.environ.get("OPENAI_PROXY_OPERATOR") or _run("gcloud", "config", "get-value", "account").stdout.strip()
    sent = AccessEvent(
        event_id=uuid.uuid4().hex,
        event_time=datetime.now(UTC),
        operator=printable(account) or "unknown",
        action="make access",
        user_id=None,
        team_id=None,
        description=what,
    )
    try:
        trail.add([sent])
        told = trail.deliver(lambda events: _insert(deployment, events))
    except (DeployError, MalformedAccessEventError, OSError) as error:
        print(
            f"access: the file was sent, but the ledger does not know what changed: {error}\n"
            f"  {trail.path} keeps that until the next `make access`; docs/deploy.md says which right it takes",
            file=sys.stderr,
        )
    else:
        print(f"The ledger knows {told} more changes of who may call.")


def _insert(deployment: Deployment, events: Sequence[AccessEvent]) -> None:
    """Append to the ledger's table, by the one call that the REST API has for it (tabledata.insertAll)."""
    project, dataset, table = deployment.access_events.split(".")
    api = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_BIGQUERY") or _BIGQUERY  # as gcloud's own calls
    rows = [{"insertId": event.event_id, "json": json.loads(event.to_json())} for event in events]
    place = f"{api}projects/{project}/datasets/{dataset}/tables/{table}/insertAll"
    status, body = _post(place, json.dumps({"rows": rows}).encode(), "application/json")
    if status != HTTPStatus.OK or '"insertErrors"' in body:
        raise DeployError(f"{deployment.access_events} was not written ({status}): {body}")


def _post(url: str, body: bytes, content_type: str) -> tuple[int | None, str]:
    token = _run("gcloud", "auth", "print-access-token").stdout.strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
    return _ask(url, headers, body)


def _run(*command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
