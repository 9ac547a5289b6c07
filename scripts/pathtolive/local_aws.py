"""Start and stop local AWS in the background.

While it runs, it holds a lock on a file of this checkout, so that ``stop`` never ends another process that has got
the same process id.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

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


def url() -> str | None:
    """Return the URL of this checkout's local AWS, or None if it is not running."""
    running = _running()
    return f"http://127.0.0.1:{running['port']}" if running else None


def speed(endpoint: str | None) -> float:
    """Return how many of AWS's seconds pass in a real one: 1 unless the endpoint is this checkout's local AWS."""
    running = _running()
    return float(running["speed"]) if running and endpoint == f"http://127.0.0.1:{running['port']}" else 1.0


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
        return f"http://127.0.0.1:{running['port']}"
    port = port or DEFAULT_PORT
    address = f"http://127.0.0.1:{port}"
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
        lock.truncate(0)
        lock.write(json.dumps({"pid": process.pid, "port": port, "speed": speed}))
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


def _running() -> dict[str, Any] | None:
    try:
        with LOCK.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                content: dict[str, Any] = json.loads(lock.read())
                return content
    except FileNotFoundError:
        pass
    return None
