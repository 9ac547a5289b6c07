"""Run Terraform: its words go to a log, and what it says of an error to the user."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pathtolive.cli import LOCAL, CommandError

LOGS = LOCAL / "logs"


class TerraformError(CommandError):
    """Terraform failed; the message has its errors."""


@functools.cache
def log() -> Path:
    """Return the log of this command, emptied when the command first needs it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{Path(sys.argv[0]).stem}.log"
    path.write_text("")
    return path


def run(*arguments: str, cwd: Path, env: Mapping[str, str], statuses: tuple[int, ...] = (0,)) -> int:
    """Run Terraform to its end and return its exit status, one of ``statuses``.

    With V=1 in the environment, its words go to the terminal instead of the log. Ctrl-C is passed on to Terraform: it
    saves its state and releases its lock, and this waits for it.

    Raises:
        TerraformError: it ended with another status.
    """
    verbose = os.environ.get("V") == "1"
    with log().open("a", encoding="utf-8") as output:
        print(f"+ terraform {' '.join(arguments)}", file=output, flush=True)
        process = subprocess.Popen(
            ["terraform", arguments[0], "-no-color", *arguments[1:]],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=None if verbose else output,
            stderr=None if verbose else subprocess.PIPE,
            text=True,
            # Ctrl-C in a terminal would reach it a second time: then it ends without saving its state.
            process_group=0,
        )
        errors = _wait(process)
        output.write(errors)
    if process.returncode not in statuses:
        words = errors.strip() or "See its errors above."
        raise TerraformError(f"terraform {arguments[0]} failed:\n\n{words}\n\nAll its words are in {log()}")
    return process.returncode


def _wait(process: subprocess.Popen[str]) -> str:
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            _, errors = process.communicate()
        except KeyboardInterrupt as error:
            if interrupted is None:
                print("\nInterrupted. Waiting for Terraform to save its state ...", file=sys.stderr)
            interrupted = error
            process.send_signal(signal.SIGINT)
        else:
            break
    if interrupted:
        raise interrupted
    return errors or ""
