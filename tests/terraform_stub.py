"""Real Terraform on terraform/, offline: `tfcheck.sh` and its stand-in for the google provider, on a copy."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOOLS = Path(os.environ.get("OPENAI_PROXY_TOOLS") or ROOT.parent / "shared" / "tools")
VARIABLES = ("-var=project=acme-team", "-var=alert_email=ops@acme.example")

# What the stand-in cannot work out by itself, in Google's form.
_FAKES: Mapping[str, Mapping[str, Any]] = {
    "google_project_iam_custom_role": {"name": "projects/{project}/roles/{role_id}"},
    "google_logging_project_sink": {
        "writer_identity": "serviceAccount:log-sink@gcp-sa-logging.iam.gserviceaccount.com"
    },
}


def missing(*commands: str) -> str:
    """Why these tests cannot or shall not run, as the reason of a skip; empty when all is there."""
    if os.environ.get("OPENAI_PROXY_TERRAFORM") != "1":
        return "takes two minutes; `make plan-check` runs it, as .ci/run does"
    absent = [command for command in ("bash", "terraform", *commands) if shutil.which(command) is None]
    absent += [name for name in ("grpc", "google.protobuf", "msgpack") if not _importable(name)]
    absent += [str(TOOLS / name) for name in ("terraform-check", "fake-gcp") if not (TOOLS / name).is_dir()]
    return f"needs {', '.join(absent)}; OPENAI_PROXY_TOOLS names the tools' folder" if absent else ""


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class Stub:
    """One copy of terraform/ and its state, in a folder of its own."""

    folder: Path

    @classmethod
    def new(cls, folder: Path, *, fakes: Mapping[str, Mapping[str, Any]] | None = None) -> Stub:
        """Copy what is committed; never a developer's own state or variables."""
        own = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars*")
        shutil.copytree(ROOT / "terraform", folder / "terraform", ignore=own)
        shutil.copytree(TOOLS / "terraform-check", folder / "tools")
        table = folder / "tools" / "google.fakes.json"
        known = json.loads(table.read_text("utf-8"))
        for kind, values in (*_FAKES.items(), *(fakes or {}).items()):
            known[kind] = {**known.get(kind, {}), **values}
        table.write_text(json.dumps(known), "utf-8")
        (folder / "work").mkdir()
        (folder / "work" / "src").symlink_to(ROOT / "src")  # which terraform/ reads by ../src
        return cls(folder)

    @property
    def configuration(self) -> Path:
        """The folder that Terraform runs in, where its state is."""
        return self.folder / "work" / "cfg"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`terraform ARGUMENTS`; the caller looks at the exit status."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
        environ["TFCHECK_WORK"] = str(self.folder / "work")
        command = ["bash", str(self.folder / "tools" / "tfcheck.sh"), str(self.folder / "terraform"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    def apply(self, *variables: str) -> None:
        """Make everything, in the state only."""
        done = self.run("apply", "-auto-approve", "-no-color", *VARIABLES, *variables)
        assert done.returncode == 0, done.stderr

    def state(self) -> Mapping[str, Mapping[str, Any]]:
        """Every resource that was made: address -> attributes."""
        shown = json.loads(self.run("show", "-json").stdout)
        resources = shown["values"]["root_module"]["resources"]
        return {one["address"]: one["values"] for one in resources if one["mode"] == "managed"}
