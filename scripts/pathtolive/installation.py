"""Install the packages of a lock file. Standard library only: it runs before anything is installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pathtolive.symbols import symbol

ROOT = Path(__file__).resolve().parents[2]
FAILED = (
    "{lock} could not be installed: pip says why above. If it cannot connect, check the network, or name a mirror of "
    "the package index in PIP_INDEX_URL. If it finds no matching distribution, choose another Python, such as "
    "PYTHON=python3.13. Then run the command again."
)


def install(lock: str, purpose: str, options: list[str]) -> bool:
    """Install the packages of ``requirements/<lock>.txt`` into this Python, and return whether all are installed.

    The lock files are complete, so pip has nothing to resolve. Python compiles a module when it first imports it, which
    is less work than compiling all of them. While packages are being installed, a file exists that an interruption
    leaves: packages that pip takes for installed can then be incomplete, so they are all installed again.
    https://pip.pypa.io/en/stable/topics/secure-installs/
    """
    path = Path("requirements") / f"{lock}.txt"
    number = len(re.findall(r"^[a-z0-9-]+==", (ROOT / path).read_text(), re.MULTILINE))
    marker = Path(sys.prefix) / ".installing"
    again = ["--force-reinstall"] if marker.exists() else []
    marker.touch()
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
    command += ["--no-compile", "--no-deps", "--require-hashes", *again, *options, "--requirement", str(path)]
    began = time.monotonic()
    text = f"Install {purpose} into {Path(sys.prefix).name}"
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=output, text=True) as pip:
            for done in _collected(pip):
                _show(f"{text}: {done} of {number} packages")
        output.seek(0)
        errors = output.read()
    _show("")
    installed = pip.returncode == 0
    mark = symbol("✓", "-") if installed else symbol("✗", "x")
    print(f"{mark} {text}: {number} packages ({time.monotonic() - began:.0f} s)", flush=True)
    if not installed:
        print(f"{errors.strip()}\n\n{FAILED.format(lock=path)}", file=sys.stderr)
        return False
    marker.unlink()
    return True


def _collected(pip: subprocess.Popen[str]) -> Iterator[int]:
    """Yield the number of packages that pip has begun with, whenever it begins with another."""
    done = 0
    for line in pip.stdout or ():
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            done += 1
            yield done


def _show(text: str) -> None:
    """Replace the line in the terminal, if there is one."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{text}", end="", flush=True)
