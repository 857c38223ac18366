"""The peers' own packages, installed aside: into build/peers/, which git ignores, never into our environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "peers"
SHORT = bool(os.environ.get("BENCH_SHORT"))
INSTALL_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 60.0


class NotRun(Exception):
    """This comparison cannot be made here; the message says why."""


def impact_framework(version: str) -> Path:
    """The folder with its node_modules. Raises NotRun."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise NotRun("node and npm are not installed")
    folder = KEPT / f"if-{version}"
    if not (folder / "node_modules" / ".bin" / "if-run").exists():
        _fetching(f"npm package @grnsft/if@{version}")
        folder.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        _called([*install, f"@grnsft/if@{version}"], timeout_s=INSTALL_TIMEOUT_S)
    return folder


def python_with(package: str, version: str) -> Path:
    """The interpreter of a virtual environment that holds this one package. Raises NotRun."""
    folder = KEPT / f"{package}-{version}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        _fetching(f"{package}=={version}")
        _called([sys.executable, "-m", "venv", "--clear", str(folder)], timeout_s=INSTALL_TIMEOUT_S)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _called([*pip, f"{package}=={version}"], timeout_s=INSTALL_TIMEOUT_S)
        (folder / "installed").touch()
    return python


def output_of(words: list[str], *, cwd: Path | None = None, given: str = "") -> str:
    """What a peer's program writes. Raises NotRun."""
    return _called(words, timeout_s=RUN_TIMEOUT_S, cwd=cwd, given=given)


def _fetching(what: str) -> None:
    if SHORT:
        raise NotRun(f"{what} is not in {KEPT.relative_to(ROOT)} yet, and the short form fetches nothing")


def _called(words: list[str], *, timeout_s: float, cwd: Path | None = None, given: str = "") -> str:
    try:
        done = subprocess.run(words, cwd=cwd, input=given, capture_output=True, text=True, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotRun(f"{words[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        why = next((line for line in said if "error" in line.casefold()), said[-1])
        raise NotRun(f"`{Path(words[0]).name} {' '.join(words[1:4])} …` ended with {done.returncode}: {why}")
    return done.stdout
