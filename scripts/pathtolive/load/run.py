"""Run the process that sends the requests of a load, and read what became of each of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pathtolive.cli import LOGS, ROOT, CommandError
from pathtolive.load.arrivals import Outcome, Step

LOG = LOGS / "load.log"
FAILED = f"The process that sends the requests failed. Read {LOG}"


class Load:
    """Requests in progress, as a context manager that ends the process. ``started`` is a time as of ``time.time()``."""

    def __init__(self, url: str, steps: Sequence[Step], report: Path | None = None) -> None:
        """Start the requests to a stage; ``url`` ends in a slash, and ``report`` is the file for Locust's report."""
        settings = {"url": url, "steps": [astuple(step) for step in steps], "report": report and str(report)}
        LOGS.mkdir(parents=True, exist_ok=True)
        for path in filter(None, [report]):
            path.parent.mkdir(parents=True, exist_ok=True)
        with LOG.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pathtolive.load.generator", json.dumps(settings)],
                cwd=ROOT / "scripts",
                env={name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        # Every request before the first is reported, and so are these.
        self._first, self._others = 0, set[int]()
        self._ended = False
        try:
            self.started: float = self._message()["started"]
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def stop(self) -> None:
        """Send no more requests. Those in progress still end."""
        if self._process.stdin:
            self._process.stdin.close()

    def wait(self) -> None:
        """Wait for the end of the load and for its report, when every request has ended.

        Raises:
            CommandError: as in ``read``.
        """
        while self.read() is not None:
            pass
        if self._process.wait() != 0:
            raise CommandError(FAILED)

    def read(self) -> list[Outcome] | None:
        """Return the requests that have ended since the last call, or None after the last one. It waits a moment.

        Raises:
            CommandError: the process failed, or did not report every request once.
        """
        message = self._message()
        if "ended" in message:
            self._ended = True
            if self._others or self._first != message["ended"]:
                raise CommandError(
                    f"{self._first + len(self._others)} of {message['ended']} requests were reported. This is a bug. "
                    f"Report it with {LOG}"
                )
            return None
        outcomes = [Outcome(*fields) for fields in message["requests"]]
        for outcome in outcomes:
            self._count(outcome.turn)
        return outcomes

    def _close(self) -> None:
        with self._process:
            if not self._ended:
                self._process.kill()

    def _count(self, turn: int) -> None:
        if turn < self._first or turn in self._others:
            raise CommandError(f"Request {turn} was reported twice. This is a bug. Report it with {LOG}")
        self._others.add(turn)
        while self._first in self._others:
            self._others.remove(self._first)
            self._first += 1

    def _message(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise CommandError(FAILED)
        message: dict[str, Any] = json.loads(line)
        return message
