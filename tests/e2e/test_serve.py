"""`openai-proxy serve` as a person meets it: how it starts, what it says, how it ends, what it survives."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from processes import Process, descendants, living
from serving import Serving, wait_for

pytestmark = pytest.mark.e2e

COMMAND = str(Path(sys.executable).with_name("openai-proxy"))
PARTS = ("target=proxy", "target=usage_sink", "target=log_view", "local.delivery", "local.demo_upstream")


@contextlib.contextmanager
def started(one: Serving) -> Iterator[Serving]:
    one.stdout.unlink(missing_ok=True)  # what an earlier start said
    one.start()
    try:
        wait_for("the banner", lambda: "Press Ctrl-C" in said(one))
        yield one
    finally:
        one.stop()


@pytest.fixture
def demo(tmp_path: Path) -> Serving:
    """Not started; without a key of OpenAI's, so it brings the demo upstream."""
    return Serving(tmp_path / "data", {})


def said(one: Serving) -> str:
    return one.stdout.read_text()


def demo_key(one: Serving) -> str:
    keys = re.findall(r"sk-op-\w+", said(one))
    return str(keys[-1])


def logged(one: Serving) -> list[dict[str, object]]:
    lines = [line for line in one.stderr.read_text().splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def masters(one: Serving) -> dict[str, Process]:
    assert one.process is not None
    children = [process for process in one.tree() if process.parent == one.process.pid]
    return {part: next(child for child in children if part in child.command) for part in PARTS}


def serve_in_vain(folder: Path, *arguments: str, **environ: str) -> str:
    """The one line that a start which cannot succeed says; it must leave nothing running."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    process = subprocess.Popen(
        [COMMAND, "serve", "--data-dir", str(folder), *arguments],
        env=kept | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert left_by(folder) == []
    (line,) = err.splitlines()
    return str(line)


def left_by(folder: Path) -> list[str]:
    """Command lines of processes that name this data folder in their environment; Linux only."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in environ.read_bytes():
                found.append(environ.with_name("cmdline").read_text())
    return found


def test_the_banner_holds_what_a_newcomer_needs_and_the_call_in_it_works(demo: Serving) -> None:
    with started(demo):
        text = said(demo)
        assert "THIS IS THE BUILT-IN DEMO" in text
        assert f"http://localhost:{demo.port}/v1" in text
        assert f"http://localhost:{demo.port}/log" in text
        call = text[text.index("curl ") : text.index("Press Ctrl-C")].strip()
        answer = subprocess.run(["bash", "-c", call], check=True, capture_output=True, text=True, timeout=60).stdout
        assert "built-in demo" in json.loads(answer)["choices"][0]["message"]["content"]
        assert demo.lets_in(demo_key(demo))
        (record,) = demo.all_finished()

    assert (record["user_id"], record["key_id"], record["team_id"]) == ("demo", "user_name", "demo")
    assert record["usage_source"] == "reported"


def test_a_stopped_and_started_serve_finds_its_ledger_its_secret_and_an_overlapping_key(demo: Serving) -> None:
    with started(demo):
        first = demo_key(demo)
        headers = {"authorization": f"Bearer {first}"}
        requests.post(demo.base_url + "/moderations", json={"input": "hello"}, headers=headers, timeout=30)
        before = demo.all_finished()
        secret = (demo.data_dir / "session_secret").read_text()

    with started(demo):
        second = demo_key(demo)
        assert first != second
        assert demo.lets_in(first)
        assert demo.lets_in(second)
        assert demo.usage() == before
        assert (demo.data_dir / "session_secret").read_text() == secret

    assert len(before) == 1


def test_only_the_owner_can_read_the_data_folder_and_what_is_in_it(demo: Serving) -> None:
    with started(demo):
        demo.cli("user", "list")
        paths = [demo.data_dir, *demo.data_dir.iterdir()]

        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == {0}


def test_a_demo_user_whom_the_owner_revoked_stays_revoked(demo: Serving) -> None:
    with started(demo):
        demo.cli("user", "revoke", "demo")

    with started(demo):
        assert "openai-proxy user add NAME" in said(demo)
        assert "sk-op-" not in said(demo)
        call = requests.post(demo.root + "/openai", headers={"authorization": "UserName demo"}, json={}, timeout=30)
        assert call.status_code == 401


def test_what_was_changed_before_there_was_a_ledger_is_in_it_once_serve_runs(demo: Serving) -> None:
    demo.cli("user", "add", "alice", "--as", "grace")
    waiting = json.loads(demo.cli("access", "log", "--json"))
    with started(demo):
        pass

    (event,) = json.loads(demo.cli("access", "log", "--json"))
    assert (waiting[0]["in_ledger"], event["in_ledger"]) == (False, True)
    assert event == waiting[0] | {"in_ledger": True}
    assert event["operator"] == "grace"


def test_the_key_that_serve_makes_for_the_demo_is_an_event_too(demo: Serving) -> None:
    with started(demo):
        (event,) = json.loads(demo.cli("access", "log", "--json"))

    assert (event["operator"], event["action"], event["user_id"]) == ("serve", "serve", "demo")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_with_status_0_and_one_line(demo: Serving, number: int) -> None:
    with started(demo):
        family = demo.tree()
        assert demo.process is not None

        demo.process.send_signal(number)

        assert demo.process.wait(20) == 0
        assert living(family) == []
        assert said(demo).splitlines()[-1] == "Stopped proxy, usage_sink, log_view, delivery, demo_upstream."


def test_a_signal_during_the_start_stops_everything_as_well(demo: Serving) -> None:
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", "--data-dir", str(demo.data_dir)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    wait_for("the first child", lambda: descendants(process.pid))
    family = descendants(process.pid)

    process.send_signal(signal.SIGINT)

    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "ready" not in out
    assert living(family) == []


def test_each_part_that_dies_is_started_again_and_that_is_logged(demo: Serving) -> None:
    with started(demo):
        for part in PARTS:
            victim = masters(demo)[part]

            os.kill(victim.pid, signal.SIGKILL)

            wait_for(f"another {part} in its place", partial(revived, demo, part, victim))
            name = part.rpartition("=")[2].removeprefix("local.")
            line = {"severity": "ERROR", "message": "a process ended; it is started again"}
            assert line | {"process": name, "exit_status": -9} in logged(demo)


def revived(one: Serving, part: str, victim: Process) -> bool:
    with contextlib.suppress(StopIteration, requests.ConnectionError):
        if masters(one)[part].pid != victim.pid:
            return requests.get(one.root + "/healthz", timeout=10).ok
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG and /proc")
def test_a_killed_serve_leaves_nothing_running(demo: Serving) -> None:
    with started(demo):
        family = demo.tree()
        assert demo.process is not None

        demo.process.kill()
        demo.process.wait(10)

        wait_for("all children to end", lambda: not living(family), 20)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_workers_that_outlive_serve_and_their_masters_are_ended_by_the_next_start(demo: Serving) -> None:
    with started(demo):
        family = demo.tree()
        assert demo.process is not None
        children = list(masters(demo).values())
        workers = [process for process in family if process not in children]
        for child in children:
            os.kill(child.pid, signal.SIGSTOP)  # so that none sees the end of serve and ends its workers
        demo.process.kill()
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
        demo.process.wait(10)
        assert living(workers)

    with started(demo):
        assert "Ended what an earlier start had left running." in said(demo)
        assert living(workers) == []


def test_two_serves_do_not_share_a_data_folder(demo: Serving) -> None:
    with started(demo):
        second = subprocess.run(
            [COMMAND, "serve", "--port", "0", "--data-dir", str(demo.data_dir)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

        assert second.returncode == 1
        assert second.stderr.startswith("openai-proxy: another `openai-proxy serve` uses the data folder")
        assert requests.get(demo.root + "/healthz", timeout=10).ok


def test_a_port_in_use_is_said_and_nothing_is_left_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        line = serve_in_vain(tmp_path / "data", "--port", str(port))

    assert line == f"openai-proxy: port {port} is in use; end what uses it, or choose another: --port or PORT"


def test_an_address_that_is_not_ours_is_said(tmp_path: Path) -> None:
    assert "cannot listen on 192.0.2.1, port" in serve_in_vain(tmp_path / "data", "--host", "192.0.2.1")


def test_a_data_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "cannot make the data folder" in serve_in_vain(tmp_path / "file" / "data")
    assert "cannot make the data folder" in serve_in_vain(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_data_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)

    assert "cannot write in the data folder" in serve_in_vain(tmp_path / "data")


def test_a_lock_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "serve.lock").mkdir()

    assert "cannot write in the data folder" in serve_in_vain(tmp_path)


def test_a_session_secret_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "session_secret").write_bytes(b"\xff")

    assert serve_in_vain(tmp_path, "--port", "0").endswith("session_secret; remove it")


def test_a_broken_access_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "access.toml").write_text("version = 1\n[")

    assert "the access file, line 2, column 2: not TOML" in serve_in_vain(tmp_path, "--port", "0")


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"PORT": "http"}, "the port must be a number"),
        ({"OPENAI_BASE_URL": "api.openai.com"}, "OPENAI_BASE_URL must begin with http:// or https://"),
        ({"DRAIN_SECONDS": "soon"}, "DRAIN_SECONDS must be a number of seconds"),
    ],
)
def test_a_wrong_setting_is_said(tmp_path: Path, environ: dict[str, str], says: str) -> None:
    assert says in serve_in_vain(tmp_path / "data", **environ)


def scratch(tmp_path: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`serve` with functions of a test's own."""
    script = """
import sys
from pathlib import Path
from openai_proxy.local import LocalError
from openai_proxy.local.serve import Options, serve
options = Options(host="127.0.0.1", port=0, data_dir=Path(sys.argv[1]), functions_dir=Path(sys.argv[2]))
try:
    serve(options, {})
except LocalError as error:
    sys.exit(str(error))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "data"), str(folder), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert left_by(tmp_path / "data") == []
    return done


def test_without_a_checkout_the_missing_function_is_named(tmp_path: Path) -> None:
    done = scratch(tmp_path, tmp_path / "nothing")

    assert "main.py is not there: serve runs from a checkout" in done.stderr


def test_a_function_that_does_not_start_is_named_after_its_own_words(tmp_path: Path) -> None:
    functions = tmp_path / "functions"
    shutil.copytree(Path(__file__).parents[2] / "functions", functions)
    (functions / "usage_sink" / "main.py").write_text("raise RuntimeError('broken on purpose')")

    done = scratch(tmp_path, functions)

    assert done.returncode == 1
    assert "broken on purpose" in done.stderr
    assert done.stderr.splitlines()[-1] == "usage_sink does not start; its own messages stand above"


def test_a_port_of_0_takes_a_free_one_and_the_banner_says_which(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", "--data-dir", str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = next(line.split()[-1] for line in process.stdout if "base URL" in line)

    try:
        assert requests.get(address.replace("/v1", "/healthz"), timeout=10).ok
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_a_host_that_others_reach_takes_no_plain_names_and_warns_of_those_there_are(tmp_path: Path) -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - what is tested

    def banner(*arguments: str) -> str:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", "0", "--data-dir", str(tmp_path / "data"), *arguments],
            env={name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
            | {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Press Ctrl-C" in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        return "".join(lines)

    alone = banner("--host", everywhere)
    subprocess.run(
        [COMMAND, "user", "add", "open", "--allow-user-name", "--data-dir", str(tmp_path / "data")],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    warned = banner("--host", everywhere)

    assert "warning: OPENAI_BASE_URL is not used, since OPENAI_API_KEY is not set" in alone
    assert "UserName sk-op-" in alone
    assert "knows the name" not in alone
    assert "warning: open: anybody who reaches 0.0.0.0 and knows the name may call" in warned


def test_only_the_proxy_is_given_the_teams_key(tmp_path: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    secret = "sk-the-teams-key-of-this-test"
    one = Serving(tmp_path / "data", {"OPENAI_API_KEY": secret, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    with started(one):
        assert "DEMO" not in said(one)
        knowing = {
            process.command.partition("--target=")[2].split(" ")[0]
            for process in one.tree()
            if secret.encode() in Path(f"/proc/{process.pid}/environ").read_bytes()
        }

    assert knowing == {"proxy"}
    assert secret.encode() not in one.everything_written()
