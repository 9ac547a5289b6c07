"""Check the programs and packages on this machine. Standard library only: it runs before anything is installed."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
VENV = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)
FREE_BYTES = 10**9

OK, MISSING, PROBLEM = "ok", "missing", "problem"

# The lock file, its stamp in .venv, the commands that need its packages, and the command that installs them.
GROUPS = [
    ("run", ".run", "the commands and local AWS", "make local"),
    ("demo", ".demo", "the picture of the demonstration", "make demo"),
    ("load", ".load", "the requests of make load and make stress", "make load STAGE=live"),
    ("dev", ".dev", "tests and checks", "make test"),
]
# Programs that some commands use, and which.
OPTIONAL = {
    "aws": "the AWS CLI, for the commands in docs/runbook.md",
    "gh": "the GitHub CLI, for make bootstrap",
}


@dataclass(frozen=True)
class Finding:
    """The state of one thing that the project needs or can use: ``ok``, ``missing`` (optional), or ``problem``."""

    state: str
    name: str
    text: str


def findings() -> Iterator[Finding]:
    """Yield the programs and packages that are installed, and those that are missing."""
    yield _python()
    yield _program("git", ["git", "--version"], "Install it: https://git-scm.com/downloads", PROBLEM)
    for group in GROUPS:
        yield _packages(*group)
    for name, purpose in OPTIONAL.items():
        yield _program(name, [name, "--version"], purpose, MISSING)
    yield _disk()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return Finding(PROBLEM, "Python", f"{version} is too old. Name Python {oldest} or newer: PYTHON=python3.13")
    return Finding(OK, "Python", f"{version}, {sys.executable}")


def _program(name: str, command: list[str], remedy: str, state: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(state, name, remedy)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = (done.stdout or done.stderr).splitlines() or [""]
    return Finding(OK if done.returncode == 0 else PROBLEM, name, f"{lines[0]}, {path}")


def _packages(lock: str, stamp: str, purpose: str, command: str) -> Finding:
    """Compare the packages in .venv with a lock file; packages for other platforms are not installed here."""
    name = f"packages: {lock}"
    if not (VENV / stamp).exists() or (VENV / ".installing").exists():
        return Finding(PROBLEM if lock == "run" else MISSING, name, f"for {purpose}. Install them with: {command}")
    directories = [str(path) for path in VENV.glob("lib/python*/site-packages")]
    installed = {
        re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower(): found.version
        for found in importlib.metadata.distributions(path=directories)
    }
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    locked = re.findall(r"^([a-z0-9-]+)==([^ ]+)( ;)?", text, re.MULTILINE)
    wrong = [
        f"{package} {installed.get(package, 'missing')}, not {version}"
        for package, version, marker in locked
        if installed.get(package, None if not marker else version) != version
    ]
    if wrong:
        return Finding(PROBLEM, name, f"{'; '.join(wrong)}. Delete .venv, then run: {command}")
    return Finding(OK, name, f"{len(locked)} in .venv, for {purpose}")


def _disk() -> Finding:
    free = shutil.disk_usage(ROOT).free
    text = f"{free / 1e9:.1f} GB free"
    return Finding(OK, "disk", text) if free > FREE_BYTES else Finding(PROBLEM, "disk", f"{text}: 1 GB is needed")
