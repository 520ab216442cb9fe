"""terraform apply, then make deploy, on loopback: what is called, what is changed, and that what is shipped serves."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from google_stub import FakeGoogle, Loopback, fake_google, gcloud_environ, loopback
from openai_proxy.access.events import Editor, schema
from openai_proxy.adapters.access_file import AccessFile
from terraform_stub import ROOT, Stub, missing

pytestmark = pytest.mark.skipif(bool(missing("gcloud", "make")), reason=missing("gcloud", "make"))

FUNCTIONS = {
    "proxy": "openai-proxy-proxy",
    "usage_sink": "openai-proxy-usage-sink",
    "log_view": "openai-proxy-log-view",
}
WHAT_IS_BUILT = {
    "build_config.entry_point", "build_config.runtime", "build_config.service_account", "build_config.source",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """A checkout, what Terraform made of it, and Google."""

    checkout: Path
    stub: Stub
    google: FakeGoogle
    loopback: Loopback
    environ: Mapping[str, str]

    def make(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", f"VENV={sys.prefix}", *arguments],
            cwd=self.checkout,
            env={**self.environ, **environ},
            input="",
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("deploy")
    checkout = folder / "checkout"
    for name in ("deploy", "functions", "requirements", "src"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Makefile", checkout)
    with loopback() as proxy, fake_google(folder) as google:
        stub = Stub.new(folder / "stub", fakes={"google_cloudfunctions2_function": {"service_config.uri": proxy.url}})
        stub.apply('-var=upstream_keys=["research"]', "-var=rate_limit_redis=true")
        google.seed(_as_made(stub))
        environ = gcloud_environ(folder, functions=google.url, secrets=proxy.url)
        environ |= {"TERRAFORM_DIR": str(stub.configuration), "HEALTH_SECONDS": "0"}
        yield World(checkout, stub, google, proxy, environ)


@pytest.fixture(scope="module")
def shipped(world: World) -> str:
    """What `make deploy` printed."""
    done = world.make("deploy")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_says_what_a_member_needs_and_what_comes_next(world: World, shipped: str) -> None:
    assert f"OPENAI_BASE_URL={world.loopback.url}/v1" in shipped
    assert f"{world.loopback.url}/log" in shipped
    assert "make secrets" in shipped
    assert "made-up" not in shipped


def test_only_what_is_built_is_changed(world: World, shipped: str) -> None:
    assert shipped
    patches = world.google.calls("PATCH")

    assert sorted(call["p"].rpartition("/")[2] for call in patches) == sorted(FUNCTIONS.values())
    for call in patches:
        assert set(call["q"]["updateMask"].split(",")) == WHAT_IS_BUILT
    assert not [call for call in world.google.calls("POST") if call["p"].endswith(("/functions", ":setIamPolicy"))]


def test_the_proxy_comes_last_since_the_others_read_what_it_writes(world: World, shipped: str) -> None:
    assert shipped
    order = [call["p"].rpartition("/")[2] for call in world.google.calls("PATCH")]

    assert order[-1] == FUNCTIONS["proxy"]


def test_each_function_is_built_as_terraform_says(world: World, shipped: str) -> None:
    assert shipped
    built = {call["p"].rpartition("/")[2]: call["b"]["buildConfig"] for call in world.google.calls("PATCH")}

    for name, function in FUNCTIONS.items():
        assert built[function]["entryPoint"] == name
        assert built[function]["runtime"] == "python313"
        assert built[function]["serviceAccount"].endswith("/openai-proxy-build@acme-team.iam.gserviceaccount.com")


def test_it_asks_the_proxy_whether_all_is_well(world: World, shipped: str) -> None:
    assert shipped

    assert world.loopback.asked[0][0] == "/health"  # Cloud Run keeps paths that end in z


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_upload_serves_from_its_folder_alone(name: str, world: World, shipped: str, tmp_path: Path) -> None:
    assert shipped
    unit = tmp_path / "unit"
    with zipfile.ZipFile(_upload(world, name)) as archive:
        archive.extractall(unit)
    python = [sys.executable, "-S"]  # without site: no .pth, so no editable openai_proxy of this checkout
    environ = _environ(tmp_path) | {"PYTHONPATH": sysconfig.get_path("purelib")}
    elsewhere = subprocess.run([*python, "-c", "import openai_proxy"], env=environ, capture_output=True, check=False)

    found = {path.name for path in unit.iterdir()}
    port = _free_port()
    command = [
        *python, "-m", "functions_framework", "--target", name, "--signature-type", "http",
        "--source", str(unit / "main.py"), "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=unit, env=environ, start_new_session=True) as process:
        try:
            status = _status(f"http://127.0.0.1:{port}/healthz", process)
        finally:
            process.terminate()

    assert elsewhere.returncode, "an openai_proxy outside the zip would hide the one inside"
    assert found - {"templates", "static"} == {"main.py", "requirements.txt", "constraints.txt", "openai_proxy"}
    assert status in {"proxy": {200, 503}, "usage_sink": {404, 405}, "log_view": {200, 503}}[name]


def test_one_function_can_be_shipped_alone(world: World, shipped: str) -> None:
    assert shipped
    before = len(world.google.calls("PATCH"))

    done = world.make("deploy-usage_sink")

    patches = world.google.calls("PATCH")[before:]
    assert done.returncode == 0, done.stderr
    assert [call["p"].rpartition("/")[2] for call in patches] == ["openai-proxy-usage-sink"]


def test_a_deployment_that_is_not_well_says_what_is_not(world: World, shipped: str) -> None:
    assert shipped
    world.loopback.health = (503, '{"proxy": "ok", "log_view": "cannot be reached"}')
    try:
        done = world.make("deploy-proxy")
    finally:
        world.loopback.health = (200, "{}")

    assert done.returncode != 0
    assert '"log_view": "cannot be reached"' in done.stderr


def test_a_build_that_fails_is_told_with_its_reason(world: World) -> None:
    world.loopback.health = (403, '{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "not yours"}}')
    try:
        done = world.make("deploy-proxy", CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDFUNCTIONS=f"{world.loopback.url}/")
    finally:
        world.loopback.health = (200, "{}")

    assert done.returncode != 0
    assert "proxy was not shipped" in done.stderr
    assert "not yours" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_key_goes_into_its_secret_and_nowhere_else(world: World) -> None:
    done = world.make("secrets", OPENAI_API_KEY="sk-made-up-1234")

    assert done.returncode == 0, done.stderr
    assert world.loopback.versions[-1] == ("projects/acme-team/secrets/openai-proxy-openai-api-key", "sk-made-up-1234")
    assert "sk-made-up-1234" not in done.stdout + done.stderr


def test_a_teams_own_key_goes_into_a_secret_of_its_own(world: World) -> None:
    done = world.make("secrets", "KEY=research", OPENAI_API_KEY="sk-made-up-5678")

    assert done.returncode == 0, done.stderr
    secret = "projects/acme-team/secrets/openai-proxy-upstream-key-research"
    assert world.loopback.versions[-1] == (secret, "sk-made-up-5678")


def test_a_key_without_a_secret_is_not_sent_to_another(world: World) -> None:
    before = len(world.loopback.versions)

    done = world.make("secrets", "KEY=evals", OPENAI_API_KEY="sk-made-up-5678")

    assert done.returncode != 0
    assert "there is no secret for evals; add it to Terraform's variable upstream_keys" in done.stderr
    assert len(world.loopback.versions) == before


def test_a_key_can_be_piped_in(world: World) -> None:
    done = subprocess.run(
        ["make", f"VENV={sys.prefix}", "secrets"],
        cwd=world.checkout, env=world.environ, input="sk-piped-5678\n", capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert world.loopback.versions[-1][1] == "sk-piped-5678"


def test_no_key_is_not_sent(world: World) -> None:
    before = len(world.loopback.versions)

    done = world.make("secrets")

    assert done.returncode != 0
    assert "that is no key" in done.stderr
    assert len(world.loopback.versions) == before


def test_the_address_of_redis_goes_into_its_secret_and_nowhere_else(world: World) -> None:
    url = "rediss://:made-up-9012@10.0.0.3:6378/0"

    done = world.make("redis", RATE_LIMIT_URL=url)

    assert done.returncode == 0, done.stderr
    assert world.loopback.versions[-1] == ("projects/acme-team/secrets/openai-proxy-rate-limit-url", url)
    assert "make deploy-proxy" in done.stdout
    assert "made-up-9012" not in done.stdout + done.stderr


@pytest.mark.parametrize("url", ["", "10.0.0.3:6379", "http://:made-up@10.0.0.3", "redis://:made-up@", "redis:// a"])
def test_what_is_no_address_of_redis_is_not_sent_and_not_shown(url: str, world: World) -> None:
    before = len(world.loopback.versions)

    done = world.make("redis", RATE_LIMIT_URL=url)

    assert done.returncode != 0
    assert "that is no address: expected redis://HOST:PORT" in done.stderr
    assert "made-up" not in done.stdout + done.stderr
    assert len(world.loopback.versions) == before


def test_an_address_of_redis_without_a_secret_names_the_variable(world: World, tmp_path: Path) -> None:
    state = json.loads((world.stub.configuration / "terraform.tfstate").read_text())
    output = state["outputs"]["deploy"]
    del output["value"]["secrets"]["rate_limit_url"], output["type"][1]["secrets"][1]["rate_limit_url"]
    (tmp_path / "terraform.tfstate").write_text(json.dumps(state))

    done = world.make("redis", RATE_LIMIT_URL="redis://10.0.0.3", TERRAFORM_DIR=str(tmp_path))

    assert _first_line(done) == (
        "redis: there is no secret for it; set Terraform's variable rate_limit_redis = true, and apply"
    )


def test_the_access_file_goes_into_its_secret(world: World, tmp_path: Path) -> None:
    text = 'version = 1\n\n[users.alice]\nteam = "research"\n'
    path = tmp_path / "access.toml"
    path.write_text(text)

    done = world.make("access", f"ACCESS_FILE={path}")

    assert done.returncode == 0, done.stderr
    assert world.loopback.versions[-1] == ("projects/acme-team/secrets/openai-proxy-access-file", text)
    assert "1 user" in done.stdout


@pytest.fixture(scope="module")
def in_a_bucket(world: World) -> str:
    """TERRAFORM_DIR of a deployment whose access file is an object."""
    stub = Stub.new(world.checkout.parent / "bucket")
    stub.apply("-var=access_file_bucket=true")
    return str(stub.configuration)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "access.toml"
    path.write_text("version = 1\n" + "".join(f"[users.u{number}]\nteam = 'research'\n" for number in range(5000)))
    assert path.stat().st_size > 65_536
    return path


def test_a_file_too_large_for_a_secret_is_not_sent_and_the_variable_is_named(world: World, large: Path) -> None:
    before = len(world.loopback.versions)

    done = world.make("access", f"ACCESS_FILE={large}")

    assert done.returncode != 0
    assert "access_file_bucket = true" in done.stderr
    assert len(world.loopback.versions) == before


def test_in_a_bucket_the_access_file_may_be_of_any_size(world: World, large: Path, in_a_bucket: str) -> None:
    done = world.make("access", f"ACCESS_FILE={large}", TERRAFORM_DIR=in_a_bucket)

    assert done.returncode == 0, done.stderr
    place = "/upload/storage/v1/b/acme-team-openai-proxy-access/o?uploadType=media&name=access.toml"
    assert world.loopback.uploaded[-1] == (place, large.read_text())
    assert "5000 users" in done.stdout


def test_an_object_that_was_not_written_is_told(world: World, large: Path, in_a_bucket: str) -> None:
    world.loopback.upload_answer = (403, "storage.objects.create denied")
    try:
        done = world.make("access", f"ACCESS_FILE={large}", TERRAFORM_DIR=in_a_bucket)
    finally:
        world.loopback.upload_answer = (200, "{}")

    assert done.returncode != 0
    assert "access.toml was not written (403): storage.objects.create denied" in done.stderr


TABLE = "/bigquery/v2/projects/acme-team/datasets/openai_proxy/tables/access_events/insertAll"


def test_the_ledger_is_told_of_it_and_of_what_the_command_line_changed(world: World, tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    AccessFile(path).edit(lambda text: f"{text}[users.alice]\n", new="version = 1\n", editor=Editor("ada", "user add"))
    before = len(world.loopback.inserted)

    done = world.make("access", f"ACCESS_FILE={path}", OPENAI_PROXY_OPERATOR="grace@example.com")

    assert done.returncode == 0, done.stderr
    added, sent = world.loopback.inserted[before:]
    assert (added[0], added[1]["user_id"], added[1]["operator"]) == (TABLE, "alice", "ada")
    assert (sent[1]["operator"], sent[1]["action"]) == ("grace@example.com", "make access")
    assert sent[1]["description"] == "sent to openai-proxy-access-file: 1 users"
    assert set(added[1]) == set(sent[1]) == {column["name"] for column in schema()}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["access.toml", "access.toml.lock"]


@pytest.mark.parametrize(
    "answer",
    [
        (403, '{"error": {"message": "Permission bigquery.tables.updateData denied"}}'),
        (200, '{"insertErrors": [{"index": 0, "errors": [{"message": "no such field: denied"}]}]}'),
    ],
)
def test_the_file_is_sent_though_the_ledger_cannot_be_told_and_that_waits(
    answer: tuple[int, str], world: World, tmp_path: Path
) -> None:
    path = tmp_path / "access.toml"
    path.write_text("version = 1\n")
    world.loopback.insert_answer = answer
    try:
        done = world.make("access", f"ACCESS_FILE={path}")
    finally:
        world.loopback.insert_answer = (200, "{}")

    assert done.returncode == 0, done.stderr
    assert "the file was sent, but the ledger does not know what changed" in done.stderr
    assert "denied" in done.stderr
    before = len(world.loopback.inserted)
    assert world.make("access", f"ACCESS_FILE={path}").returncode == 0
    assert len(world.loopback.inserted) == before + 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version = 2\n", "must begin with version = 1"),
        (b"version = 1\nusers = 3\n", "expected a table"),
        (b"\xff\xfe", "not UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_broken_access_file_is_not_sent(content: bytes | None, reason: str, world: World, tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    if content is not None:
        path.write_bytes(content)
    before = len(world.loopback.versions)

    done = world.make("access", f"ACCESS_FILE={path}")

    assert done.returncode != 0
    assert reason in done.stderr
    assert len(world.loopback.versions) == before


def test_without_terraform_apply_it_says_so(world: World, tmp_path: Path) -> None:
    done = world.make("deploy", TERRAFORM_DIR=str(tmp_path))

    assert _first_line(done) == (
        "deploy: nothing is deployed to yet; run: terraform -chdir=terraform apply (docs/deploy.md)"
    )


@pytest.mark.parametrize("there", ["less", "more"])
def test_what_another_version_applied_is_to_be_applied_again(there: str, world: World, tmp_path: Path) -> None:
    state = json.loads((world.stub.configuration / "terraform.tfstate").read_text())
    output = state["outputs"]["deploy"]
    if there == "less":
        del output["value"]["access_object"], output["type"][1]["access_object"]
    else:
        output["value"]["later"], output["type"][1]["later"] = "a", "string"
    (tmp_path / "terraform.tfstate").write_text(json.dumps(state))

    done = world.make("deploy", TERRAFORM_DIR=str(tmp_path))

    assert _first_line(done) == (
        "deploy: what was applied tells another output than this checkout reads; run: terraform -chdir=terraform apply"
    )


def test_without_a_login_it_says_so(world: World) -> None:
    done = world.make("deploy", CLOUDSDK_AUTH_ACCESS_TOKEN="")

    assert _first_line(done) == "deploy: gcloud is not signed in; run: gcloud auth login"


@pytest.mark.parametrize("absent", ["gcloud", "terraform"])
def test_without_a_command_it_says_where_to_get_it(absent: str, world: World, tmp_path: Path) -> None:
    for command in {"gcloud", "terraform"} - {absent}:
        (tmp_path / command).symlink_to(str(shutil.which(command)))
    environ = {**world.environ, "PATH": str(tmp_path), "PYTHONPATH": str(world.checkout / "src")}
    done = subprocess.run(
        [sys.executable, "deploy/deploy.py", "deploy"],
        cwd=world.checkout, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert _first_line(done).startswith(f"deploy: {absent} is not found; install it: https://")


def _first_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that matters; after it make only says that it stops."""
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1
    return lines[0]


def _as_made(stub: Stub) -> Mapping[str, object]:
    made = {}
    for address, values in stub.state().items():
        if address.startswith("google_cloudfunctions2_function."):
            name = f"projects/{values['project']}/locations/{values['location']}/functions/{values['name']}"
            service = values["service_config"][0]
            made[name] = {
                "name": name,
                "buildConfig": {"runtime": "python313", "entryPoint": "placeholder"},
                "serviceConfig": {"environmentVariables": service["environment_variables"]},
            }
    assert len(made) == len(FUNCTIONS)
    return made


def _upload(world: World, name: str) -> Path:
    """The first zip that this function was built from."""
    call = next(call for call in world.google.calls("PATCH") if call["p"].endswith(f"/{FUNCTIONS[name]}"))
    return world.google.upload(call["b"]["buildConfig"]["source"]["storageSource"]["object"])


def _environ(folder: Path) -> dict[str, str]:
    access = folder / "access.toml"
    access.write_text("version = 1\n")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "OPENAI_API_KEY": "made-up",
        "ACCESS_FILE": str(access),
        "SESSION_SECRET": "made-up",
        "USAGE_QUEUE_URL": f"sqlite:///{folder}/queue.sqlite3",
        "USAGE_STORE_URL": f"sqlite:///{folder}/ledger.sqlite3",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _status(url: str, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
                return int(answer.status)
        except urllib.error.HTTPError as answer:
            with answer:
                return int(answer.code)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the function did not start")
