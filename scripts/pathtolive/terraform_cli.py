"""Run Terraform: its output goes to a log, its errors to the user."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from pathtolive import cli, interrupts, local_aws
from pathtolive.cli import LOGS, CommandError
from pathtolive.toolchain import terraform

POLL_SECONDS = 0.1
# Commands that consist of two words.
NESTED = {"state", "workspace"}

# How long Terraform takes at most to save its state when local AWS has ended.
SAVE_SECONDS = 60
# Where Terraform saves its state if the backend does not answer.
ERRORED = "errored.tfstate"


class TerraformError(CommandError):
    """Terraform failed; the message has its errors."""


class InvalidError(CommandError):
    """A text is not valid Terraform; the message has the line and the reason."""


@functools.cache
def formatted(text: str) -> str:
    """Return the text of a Terraform file as ``terraform fmt`` formats it.

    https://developer.hashicorp.com/terraform/cli/commands/fmt

    Raises:
        InvalidError: it is not valid Terraform.
        CommandError: Terraform failed.
    """
    done = subprocess.run(
        [_executable(), "fmt", "-no-color", "-"],
        input=text.encode(),
        env={name: value for name, value in os.environ.items() if not name.startswith("TF_CLI_ARGS")},
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout.decode()
    errors = done.stderr.decode()
    if error := re.search(r"^Error: (?P<reason>.+)\n\n  on <stdin> line (?P<line>\d+)", errors, re.MULTILINE):
        raise InvalidError(f"line {error['line']} is not valid Terraform: {error['reason']}")
    raise CommandError(f"terraform fmt failed:\n\n{errors.strip()}")


@functools.cache
def _executable() -> Path:
    return terraform.executable()


@functools.cache
def log() -> Path:
    """Return the log of this command, which its first use empties."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{Path(sys.argv[0]).stem}.log"
    path.write_text("")
    return path


def run(
    *arguments: str, cwd: Path, env: Mapping[str, str], statuses: tuple[int, ...] = (0,), shown: bool = False
) -> int:
    """Run Terraform and return its exit status, one of ``statuses``.

    Its output goes to the log, or to the terminal if it is ``shown`` or V=1 is in the environment. Ctrl-C and SIGTERM
    are passed on to Terraform, which saves its state and releases its lock; this waits for it. Terraform is interrupted
    too if local AWS ends: it would send its requests again for minutes.

    Raises:
        TerraformError: its exit status is another.
        EndedError: local AWS ended.
    """
    verbose = shown or os.environ.get("V") == "1"
    words = 2 if arguments[0] in NESTED else 1
    color = [] if shown and sys.stdout.isatty() else ["-no-color"]
    # The errors go to a file: if this command is killed, a pipe would break, and its end would end Terraform, too.
    with (
        log().open("a", encoding="utf-8") as output,
        tempfile.TemporaryFile("w+", encoding="utf-8") as printed,
        interrupts.deferred() as interrupted,
    ):
        print(f"+ terraform {' '.join(arguments)}", file=output, flush=True)
        process = subprocess.Popen(
            ["terraform", *arguments[:words], *color, *arguments[words:]],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=None if verbose else output,
            stderr=None if verbose else printed,
            # Ctrl-C in a terminal would reach it a second time: then it ends without saving its state.
            process_group=0,
        )
        errored = cwd / ERRORED if arguments[0] == "apply" else None
        _wait(process, interrupted, env.get("AWS_ENDPOINT_URL", ""), errored)
        printed.seek(0)
        errors = printed.read()
        output.write(errors)
    if process.returncode not in statuses:
        reason = errors.strip()
        if process.returncode < 0:
            reason = f"It was ended by signal {-process.returncode}.\n{reason}".strip()
        elsewhere = "See its errors above." if verbose else f"Its whole output is in {log()}"
        raise TerraformError(
            "\n\n".join(filter(None, [f"terraform {' '.join(arguments[:words])} failed:", reason, elsewhere]))
        )
    return process.returncode


def discard_initialization(directory: Path) -> None:
    """Delete what ``terraform init -reconfigure`` writes again: it fails if an earlier init was killed halfway."""
    (directory / ".terraform" / "terraform.tfstate").unlink(missing_ok=True)
    shutil.rmtree(directory / ".terraform" / "modules", ignore_errors=True)


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


def _wait(
    process: subprocess.Popen[bytes], interrupted: interrupts.Pending, endpoint: str, errored: Path | None
) -> None:
    """Wait until Terraform has ended, and pass the first interruption on to it.

    If local AWS ends, Terraform saves its state in the file ``errored``, unless that is None.

    Raises:
        EndedError: local AWS ended.
    """
    known = 0
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if process.wait(timeout=POLL_SECONDS):
                # Terraform can notice the end of local AWS first.
                local_aws.check(endpoint)
            return
        try:
            local_aws.check(endpoint)
        except local_aws.EndedError as error:
            _end(process, errored if error.kept else None)
            raise
        if interrupted.times == known:
            continue
        if known == 0:
            print("\nInterrupted. Waiting for Terraform to save its state ...", file=sys.stderr)
            process.send_signal(signal.SIGINT)
        else:
            print(
                "Still waiting for Terraform. To end it now, although what it has not saved is then missing in its "
                f"state, run: kill -9 {process.pid}",
                file=sys.stderr,
            )
        known = interrupted.times


def _end(process: subprocess.Popen[bytes], errored: Path | None) -> None:
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
    process.wait()


def _is_saved(state: Path, since: float) -> bool:
    """Return whether a state was written completely after a time."""
    try:
        return state.stat().st_mtime > since and bool(json.loads(state.read_text()))
    except (FileNotFoundError, ValueError):
        return False
