"""What every command of this directory shares: how it fails, and how it runs others."""

from __future__ import annotations

import argparse
import importlib.util
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import botocore.exceptions

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class CommandError(Exception):
    """A command cannot do what was asked; the message says why, and what to do about it."""

    status = 1


class RefusedError(CommandError):
    """Nothing was begun."""

    status = 2


class LostSightError(CommandError):
    """What was started continues without the command."""

    status = 3


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> str:
    """Run a command to its end and return what it wrote to standard output.

    ``quiet`` keeps its output from the terminal unless it fails.

    Raises:
        CommandError: it is missing, or ended with another status than 0.
    """
    line = " ".join(str(part) for part in command)
    try:
        done = subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env=env,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=quiet,
        )
    except FileNotFoundError as error:
        raise CommandError(
            f"{command[0]} is not installed. Install it, and make sure that it is on the PATH"
        ) from error
    if done.returncode != 0:
        reason = COLOUR.sub("", f"{done.stdout or ''}{done.stderr or ''}").strip()
        raise CommandError(f"'{line}' failed with status {done.returncode}\n{reason}".strip())
    return done.stdout or ""


def speed_argument(text: str) -> float:
    """Return a speed as it is given on the command line."""
    speed = float(text)
    if not 1 <= speed <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 1000")
    return speed


def require(module: str, *, target: str) -> None:
    """Check that Python finds a module that ``make local`` does not install, but another target does.

    Raises:
        CommandError: it is missing.
    """
    if importlib.util.find_spec(module) is None:
        raise CommandError(f"The package {module} is not installed. Install it and run the command with: make {target}")


def main(command: Callable[[], int]) -> None:
    """Run a command's function and leave with its status, that of its error, or 130 if it is interrupted."""
    # What ends a command in a pipeline ends it as Ctrl-C does: with what it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(command())
    except CommandError as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(error.status)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print(f"\nAWS request failed: {error}\nFix the cause, then run the command again", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"\n{error.filename or 'System call'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nInterrupted", file=sys.stderr)
        sys.exit(130)
