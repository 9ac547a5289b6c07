"""Measure deploy, promote, and rollback on local AWS while their stages receive requests, in a clone of the project."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pathtolive import ports
from pathtolive.cli import COLOR, LOCAL, CommandError
from pathtolive.demo.clone import Change, Clone, kept_environment
from pathtolive.load.arrivals import Outcome, Step
from pathtolive.load.routes import BUILD_INFO
from pathtolive.load.run import Load
from pathtolive.load.windows import percentile

DIRECTORY = LOCAL / "bench"
LOGS = DIRECTORY / "clone" / ".local" / "logs"
RATE = 20.0
# On an idle machine, the users of a stage must not notice a promotion. A deployment starts the function anew.
MAX_P99_MS = 100.0
CHANGE = Change("Change the greeting", "lambda/service/routes.py", {'"Hello, World!"': '"Hello from make bench!"'})
STEP = re.compile(r"[✓✗-] (?P<text>.*) \(\d+ s\)")


@dataclass
class Run:
    """A command that has ended: its seconds, those until a response named the new version, and those of each step."""

    name: str
    command: str
    seconds: float
    to_traffic: float | None
    requests: Sequence[Outcome]
    steps: list[tuple[str, float]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Number of requests that failed meanwhile."""
        return sum(outcome.failed for outcome in self.requests)

    @property
    def p99_ms(self) -> float:
        """The p99 of the responses meanwhile, from when their requests were due, in ms."""
        return 1000 * percentile([outcome.took for outcome in self.requests], 99)


def measure() -> list[Run]:
    """Deploy the service to a local AWS of its own, then measure the commands.

    Raises:
        CommandError: one fails.
    """
    clone = Clone(DIRECTORY / "clone", DIRECTORY / "logs")
    clone.create()
    try:
        _make(clone, f"local PORT={ports.free()}")
        status = json.loads("\n".join(line for line, _ in _make(clone, "status JSON=1")))
        urls = {row["stage"]: row["url"] for row in status}
        clone.commit(CHANGE)
        return [
            _measured(clone, "deploy", "build deploy", urls["dev"], "2"),
            _measured(clone, "promote", "promote FROM=dev TO=test", urls["test"], "2"),
            _measured(clone, "rollback", "rollback STAGE=test", urls["test"], "1"),
        ]
    finally:
        clone.stop()


def rows(runs: Sequence[Run]) -> list[Mapping[str, str]]:
    """Return a row of the table for each command."""
    return [
        {
            "command": f"make {run.command}",
            "to traffic": "" if run.to_traffic is None else f"{run.to_traffic:.1f} s",
            "in all": f"{run.seconds:.1f} s",
            "requests": str(len(run.requests)),
            "failed": str(run.failed),
            "p99": f"{run.p99_ms:.0f} ms",
        }
        for run in runs
    ]


def step_rows(runs: Sequence[Run]) -> list[Mapping[str, str]]:
    """Return a row of the table for each step of the commands."""
    return [{"command": run.name, "step": text, "seconds": f"{took:.1f}"} for run in runs for text, took in run.steps]


def missed(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each budget that was missed."""
    sentences = []
    for run in runs:
        if run.failed:
            sentences.append(f"{run.failed} of {len(run.requests)} requests failed during make {run.command}")
        if run.name == "promote" and run.p99_ms >= MAX_P99_MS:
            sentences.append(
                f"During make {run.command}, the p99 of its stage was {run.p99_ms:.0f} ms, not below {MAX_P99_MS:g} ms"
            )
        if run.to_traffic is None:
            sentences.append(f"No response named the new version during make {run.command}")
    return sentences


def as_json(runs: Sequence[Run]) -> list[Mapping[str, Any]]:
    """Return the figures of each command."""
    return [
        {
            "command": run.command,
            "seconds": run.seconds,
            "to_traffic": run.to_traffic,
            "requests": len(run.requests),
            "failed": run.failed,
            "p99_ms": run.p99_ms,
            "steps": [{"step": text, "seconds": seconds} for text, seconds in run.steps],
        }
        for run in runs
    ]


def _measured(clone: Clone, name: str, command: str, url: str, version: str) -> Run:
    outcomes: list[Outcome] = []
    with Load(url, [Step(RATE, math.inf, [BUILD_INFO])]) as load:
        began = time.time() - load.started
        lines = _make(clone, command)
        ended = time.time() - load.started
        load.stop()
        while (found := load.read()) is not None:
            outcomes += found
    meanwhile = [outcome for outcome in outcomes if began <= outcome.at < ended]
    named = [outcome.at + outcome.took - began for outcome in outcomes if outcome.version == version]
    return Run(name, command, ended - began, min(named, default=None), meanwhile, _steps(lines, ended - began))


def _steps(lines: Sequence[tuple[str, float]], seconds: float) -> list[tuple[str, float]]:
    """Return the steps in the output of a command, and the seconds since the step before; the rest is one, too."""
    found: list[tuple[str, float]] = []
    before = 0.0
    for line, at in lines:
        if match := STEP.fullmatch(COLOR.sub("", line)):
            found.append((match["text"], at - before))
            before = at
    return [*found, ("the end of the command", seconds - before)]


def _make(clone: Clone, arguments: str) -> list[tuple[str, float]]:
    """Run make in the clone, and return the lines of its output, with the seconds since its start.

    Raises:
        CommandError: it fails.
    """
    began = time.monotonic()
    lines = []
    with subprocess.Popen(
        ["make", "--silent", f"PYTHON={sys.executable}", *arguments.split()],
        cwd=clone.path,
        env=kept_environment() | {"TARGET": "local"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            for line in process.stdout or ():
                lines.append((line.rstrip("\n"), time.monotonic() - began))
        except BaseException:
            process.send_signal(signal.SIGINT)
            raise
    if process.returncode != 0:
        raise CommandError(f"make {arguments} failed in {clone.path}:\n" + "\n".join(line for line, _ in lines))
    return lines
