"""Start and stop local AWS in the background, and tell when it has ended.

While it runs, it holds a lock on a file of this checkout, so that ``stop`` never ends another process that has got
the same process id. The lock is free as soon as the process has ended, whatever ended it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, TextIO

from pathtolive.cli import LOCAL, ROOT, CommandError

DIRECTORY = LOCAL / "local-aws"
LOCK = DIRECTORY / "lock"
LOG = DIRECTORY / "log"
STATE = DIRECTORY / "state"
DEFAULT_PORT = 4566
# A release of ten minutes takes one.
DEFAULT_SPEED = 10.0
START_SECONDS = 30
STOP_SECONDS = 30
# How long a process that no longer answers takes to end.
END_SECONDS = 3
# What local AWS prints if it starts without its state.
UNREADABLE = "The saved state could not be read"


class EndedError(CommandError):
    """Local AWS has ended; ``kept`` is whether it keeps its state when it is started again."""

    def __init__(self, how: str, *, kept: bool) -> None:
        state, persist = ("", " PERSIST=1") if kept else (", and its state is lost", "")
        super().__init__(f"Local AWS {how}{state}. Its log is {LOG}. Start it again with: make local{persist}")
        self.kept = kept


def url() -> str | None:
    """Return the URL of this checkout's local AWS, or None if it is not running."""
    running = _running()
    return _address(running) if running else None


def not_running() -> CommandError:
    """Return the error of a command that needs local AWS when it is not running."""
    last = _last()
    if last is None or last["stopped"]:
        return CommandError("Local AWS is not running. Start it with: make local")
    return EndedError("ended unexpectedly", kept=last["kept"])


def check(url: str, *, refused: bool = False) -> None:
    """Return if this checkout's local AWS is running, or if a URL is not one of its URLs.

    ``refused`` is whether a connection was refused, as is that to a process that is about to end.

    Raises:
        EndedError: it has ended.
    """
    last = _last()
    if last is None or not f"{url}/".startswith(f"{_address(last)}/"):
        return
    deadline = time.monotonic() + (END_SECONDS if refused else 0)
    while _running():
        if time.monotonic() >= deadline:
            return
        time.sleep(0.05)
    raise EndedError("ended while this command was in progress", kept=last["kept"])


def speed(endpoint: str | None) -> float:
    """Return how many of AWS's seconds pass in a real one: 1 unless the endpoint is this checkout's local AWS."""
    running = _running()
    return float(running["speed"]) if running and endpoint == _address(running) else 1.0


def start(port: int | None, speed: float | None, *, keep_state: bool) -> str:
    """Start local AWS, unless it is running, and return its URL when it answers.

    ``speed`` is how many of AWS's seconds pass in a real one: waits, metric periods, alarms. ``keep_state`` makes it
    remember everything over a restart.

    Raises:
        CommandError: it is running on another port or at another speed, or cannot start; the message has its log.
    """
    if running := _running():
        if port not in {None, running["port"]}:
            raise CommandError(f"Local AWS is already running on port {running['port']}. Stop it first with: make stop")
        if speed not in {None, running["speed"]}:
            raise CommandError(
                f"Local AWS is already running at speed {running['speed']:g}. Stop it first with: make stop"
            )
        if keep_state and not running["kept"]:
            raise CommandError("Local AWS is already running without PERSIST=1. Stop it first with: make stop")
        return _address(running)
    port = port or DEFAULT_PORT
    address = _address({"port": port})
    # What answers there would be taken for what is started here.
    if answers(address):
        raise CommandError(
            f"Port {port} of 127.0.0.1 is in use. Stop the program that uses it, or choose another port with PORT=4567"
        )
    speed = speed or DEFAULT_SPEED
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "emulator", "--port", str(port), "--speed", f"{speed:g}"]
    with LOCK.open("a+") as lock, LOG.open("w") as log:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError("Another command is starting local AWS. Run the command again.") from error
        process = subprocess.Popen(
            [*command, "--state", STATE] if keep_state else command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )
        try:
            _write(lock, {"pid": process.pid, "port": port, "speed": speed, "kept": keep_state, "stopped": False})
        except OSError:
            # Nothing could stop it later.
            process.kill()
            raise
    deadline = time.monotonic() + START_SECONDS
    while not (f"Local AWS answers on {address}" in LOG.read_text() and answers(address)):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise CommandError(f"Local AWS did not start:\n{LOG.read_text().strip()}")
        time.sleep(0.05)
    # Another program may have taken the port in the meantime, and answer there.
    if process.poll() is not None:
        raise CommandError(f"Local AWS did not start:\n{LOG.read_text().strip()}")
    return address


def set_aside() -> str:
    """Return what local AWS said when it started without a state that it could not read, or nothing."""
    return "\n".join(line for line in LOG.read_text().splitlines() if line.startswith(UNREADABLE))


def stop() -> bool:
    """Stop local AWS, wait until it has ended, and return whether it was running.

    Raises:
        CommandError: it does not end.
    """
    running = _running()
    if running is None:
        return False
    os.kill(running["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _running():
        if time.monotonic() > deadline:
            raise CommandError(f"Local AWS does not stop. See {LOG}, or end it with: kill -9 {running['pid']}")
        time.sleep(0.05)
    # A command that starts it again in the meantime has the lock.
    with contextlib.suppress(BlockingIOError), LOCK.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write(lock, running | {"stopped": True})
    return True


def answers(address: str) -> bool:
    """Return whether anything speaks HTTP at the address."""
    try:
        urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - an address of our own
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _address(running: Mapping[str, Any]) -> str:
    return f"http://127.0.0.1:{running['port']}"


def _running() -> dict[str, Any] | None:
    """Return what the lock file says of the process that holds the lock, or None if there is none."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        try:
            with LOCK.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if (last := _last()) is not None or time.monotonic() > deadline:
                return last
            # The process has just been started.
            time.sleep(0.05)
        except FileNotFoundError:
            return None
        else:
            return None


def _last() -> dict[str, Any] | None:
    """Return what the lock file says of the process that held or holds the lock, or None if there was none."""
    try:
        content: dict[str, Any] = json.loads(LOCK.read_text())
    except (FileNotFoundError, ValueError):
        return None
    # Earlier versions wrote less.
    return {"kept": False, "stopped": True} | content


def _write(lock: TextIO, content: Mapping[str, Any]) -> None:
    lock.truncate(0)
    lock.write(json.dumps(content))
    lock.flush()
