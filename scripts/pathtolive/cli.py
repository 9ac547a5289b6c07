"""What commands share: their errors and exit statuses, and how they run programs."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import botocore.exceptions

from pathtolive import interrupts

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
LOGS = LOCAL / "logs"
AWS_ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
COLOR = re.compile(r"\x1b\[[0-9;]*m")


class CommandError(Exception):
    """A command failed; the message says why, and what to run next."""

    status = 1


class RefusedError(CommandError):
    """Nothing was started."""

    status = 2


class LostSightError(CommandError):
    """What was started continues without the command."""

    status = 3


class UnrecordedError(CommandError):
    """A release succeeded, and could not be recorded."""

    status = 4


class Parser(argparse.ArgumentParser):
    """Options that default to environment variables, which make exports. Help names them in brackets.

    This way, a value never becomes a part of a shell's text.
    """

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._required: dict[str, tuple[str, str]] = {}

    def variable(self, option: str, name: str, *, example: str | None = None, **settings: Any) -> None:
        """Add an option that defaults to an environment variable; if it has an ``example``, a value is required."""
        settings["help"] = f"{settings['help']} [{name}]"
        if value := os.environ.get(name):
            settings["default"] = True if settings.get("action") == "store_true" else value
        action = self.add_argument(option, **settings)
        if example is not None:
            self._required[action.dest] = (name, example)

    def parse_args(self, *arguments: Any, **more: Any) -> Any:
        """Parse the arguments; a required value that is missing is an error that names the command of make."""
        options = super().parse_args(*arguments, **more)
        if not all(getattr(options, name) for name in self._required):
            names = " and ".join(name for name, _ in self._required.values())
            needed = " ".join(f"{name}={example}" for name, example in self._required.values())
            self.error(f"set {names}, as in: make {Path(self.prog).stem} {needed}")
        return options


def valid(read: Callable[[str], object]) -> Callable[[str], object]:
    """Return the type of an option whose errors are the ValueErrors of a function that reads it."""

    def argument(text: str) -> object:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return argument


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> str:
    """Run a program and return its standard output.

    ``quiet`` keeps its output from the terminal unless it fails.

    Raises:
        CommandError: it is missing, or its exit status is not 0.
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
            f"{command[0]} is not installed, or not on the PATH. Install it, then run the command again."
        ) from error
    if done.returncode != 0:
        reason = COLOR.sub("", f"{done.stdout or ''}{done.stderr or ''}").strip()
        raise CommandError(f"'{line}' failed with status {done.returncode}\n{reason}".strip())
    return done.stdout or ""


def speed(text: str) -> float:
    """Return a speed of local AWS, relative to AWS.

    Raises:
        ValueError: it is not a number from 1 to 1000.
    """
    return number(text, 1, 1000)


def number(text: str, lowest: float, highest: float, what: str = "a number") -> float:
    """Return a number.

    Raises:
        ValueError: it is not from ``lowest`` to ``highest``.
    """
    with contextlib.suppress(ValueError):
        if lowest <= (found := float(text)) <= highest:
            return found
    raise ValueError(f"{text!r} is not {what} from {lowest:g} to {highest:g}")


def require(module: str, *, target: str) -> None:
    """Check that Python finds a module that ``make local`` does not install, but another target does.

    Raises:
        CommandError: it is missing.
    """
    if importlib.util.find_spec(module) is None:
        raise CommandError(f"The package {module} is not installed. Install it and run the command with: make {target}")


def main(command: Callable[[], int]) -> None:
    """Run a command and exit with its status, the status of its error, or 130 if it is interrupted."""
    interrupts.catch_sigterm()
    try:
        sys.exit(command())
    except CommandError as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(error.status)
    except AWS_ERRORS as error:
        print(f"\nAWS request failed: {error}\nFix the cause, then run the command again.", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"\n{error.filename or 'System call'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(interrupts.MESSAGE, file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user
        print(f"\nUnexpected error: {error!r}\nThis is a bug. Report it with {_traceback()}", file=sys.stderr)
        sys.exit(1)


def _traceback() -> Path:
    """Write the traceback of the current exception, which means nothing to most users, into a file."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / "traceback.log"
    path.write_text(traceback.format_exc())
    return path
