"""Write the lock files for every platform, with uv: run.txt, dev.txt, constraints.txt, and those of tests/clients."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPILE = [
    sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
    "--no-header", "--no-annotate", "--no-emit-index-url", "--upgrade",
]  # fmt: skip


def main() -> None:
    """Compile all files; they hold names, versions and hashes, and no host."""
    run, dev, constraints = (ROOT / "requirements" / name for name in ("run.txt", "dev.txt", "constraints.txt"))
    compile_to(dev, "--generate-hashes", "pyproject.toml", "--group", "dev")
    compile_to(run, "--generate-hashes", "--constraint", str(dev), "pyproject.toml")
    compile_to(constraints, "--constraint", str(dev), "pyproject.toml")
    for name in ("newest", "sdk2"):
        compile_to(ROOT / f"tests/clients/{name}.txt", "--generate-hashes", f"tests/clients/{name}.in")


def compile_to(target: Path, *arguments: str) -> None:
    """Run uv into a scratch file, and replace the target only when it succeeded."""
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".txt", delete=False) as scratch:
        path = Path(scratch.name)
    try:
        subprocess.run([*COMPILE, *arguments, "--output-file", str(path)], cwd=ROOT, check=True)  # noqa: S603 - uv
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
