"""Run Terraform: its output goes to a log, its errors to the user."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from pathtolive import cli, local_aws
from pathtolive.cli import LOGS, CommandError

# How soon the end of local AWS is noticed.
LOOK_SECONDS = 0.5
# How long Terraform takes at most to save its state when local AWS has ended.
SAVE_SECONDS = 60
# Where Terraform saves its state if the backend does not answer.
ERRORED = "errored.tfstate"


class TerraformError(CommandError):
    """Terraform failed; the message has its errors."""


@functools.cache
def log() -> Path:
    """Return the log of this command, which its first use empties."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{Path(sys.argv[0]).stem}.log"
    path.write_text("")
    return path


def run(*arguments: str, cwd: Path, env: Mapping[str, str], statuses: tuple[int, ...] = (0,)) -> int:
    """Run Terraform and return its exit status, one of ``statuses``.

    With V=1 in the environment, its output goes to the terminal instead of the log. Ctrl-C is passed on to Terraform,
    which saves its state and releases its lock; this waits for it. Terraform is interrupted too if local AWS ends: it
    would send its requests again for minutes.

    Raises:
        TerraformError: its exit status is another.
        EndedError: local AWS ended.
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
        errors = _wait(process, cwd, env.get("AWS_ENDPOINT_URL", ""), changes=arguments[0] == "apply")
        output.write(errors)
    if process.returncode not in statuses:
        reason = errors.strip() or "See its errors above."
        raise TerraformError(f"terraform {arguments[0]} failed:\n\n{reason}\n\nIts whole output is in {log()}")
    return process.returncode


def output(*arguments: str, cwd: Path, env: Mapping[str, str]) -> str:
    """Run Terraform and return what it prints.

    Raises:
        CommandError: it fails.
        EndedError: local AWS ended.
    """
    try:
        return cli.run(["terraform", *arguments], cwd=cwd, env=env, quiet=True)
    except CommandError:
        local_aws.check(env.get("AWS_ENDPOINT_URL", ""))
        raise


def _wait(process: subprocess.Popen[str], directory: Path, endpoint: str, *, changes: bool) -> str:
    """Return the errors of Terraform, which ``changes`` something, when it has ended; raise what interrupted it."""
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            _, errors = process.communicate(timeout=LOOK_SECONDS)
            break
        except subprocess.TimeoutExpired:
            try:
                local_aws.check(endpoint)
            except local_aws.EndedError as error:
                _end(process, directory / ERRORED if error.kept and changes else None)
                raise
        except KeyboardInterrupt as error:
            if interrupted is None:
                print("\nInterrupted. Waiting for Terraform to save its state ...", file=sys.stderr)
            interrupted = error
            process.send_signal(signal.SIGINT)
    if interrupted:
        raise interrupted
    if process.returncode:
        # Terraform noticed it first.
        local_aws.check(endpoint)
    return errors or ""


def _end(process: subprocess.Popen[str], errored: Path | None) -> None:
    """End Terraform after local AWS has ended, but not before it has saved what it did, if that matters.

    If its backend does not answer, Terraform writes its state into a file. It would try to release its lock, too.
    """
    began = time.time()
    if errored:
        print("\nLocal AWS ended. Waiting for Terraform to save its state ...", file=sys.stderr)
        process.send_signal(signal.SIGINT)
        while process.poll() is None and not _is_saved(errored, began) and time.time() < began + SAVE_SECONDS:
            time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _is_saved(state: Path, since: float) -> bool:
    """Return whether a state was written completely after a time."""
    try:
        return state.stat().st_mtime > since and bool(json.loads(state.read_text()))
    except (FileNotFoundError, ValueError):
        return False
