"""The clone, its local AWS, and the clients of a demonstration, and the steps that its chapters consist of."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

import rich.console
import rich.markup

from pathtolive import config_file
from pathtolive.cli import LOCAL, CommandError
from pathtolive.demo import live, traffic, versions
from pathtolive.demo.clone import Clone, Running
from pathtolive.demo.load import Load
from pathtolive.demo.traffic import Request

DIRECTORY = LOCAL / "demo"
# The longest time to wait for a state, in seconds and in minutes at the pace of AWS.
PATIENCE_SECONDS, PATIENCE_MINUTES = 60.0, 5.0


@dataclass(frozen=True)
class Ended:
    """A release of live in its history, with times in seconds since the start."""

    version: str
    outcome: str
    reason: str
    started: float
    ended: float


@dataclass
class Demonstration:
    """The clone, its local AWS, the clients, and the timeline since the start. ``url`` is that of live.

    ``speed`` is that of local AWS, relative to AWS; 0 lets the demonstration choose one that fits the machine.
    """

    speed: float
    console: rich.console.Console
    clone: Clone = field(default_factory=lambda: Clone(DIRECTORY / "checkout", DIRECTORY / "logs"))
    port: int = 0
    started: float = field(default_factory=time.time)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    clients: list[Load] = field(default_factory=list)
    watch: live.Watch | None = None
    url: str = ""

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.time() - self.started

    @property
    def endpoint(self) -> str:
        """URL of local AWS."""
        return f"http://127.0.0.1:{self.port}"

    def pinned(self, stage: str) -> config_file.Pin:
        """Return the pin of a stage."""
        return config_file.read(self.clone.path / ".local" / "terraform" / "config.tf").stage(stage)

    def report(self, step: str, result: str) -> None:
        """Add a step and its result to the timeline, and print them."""
        self.timeline.append({"at": round(self.now, 1), "step": step, "result": result})
        self.console.print(f"{self.now:6.1f} s  [bold]{rich.markup.escape(step)}[/]: {rich.markup.escape(result)}")

    def expect(self, step: str, what: str, expected: object, found: object) -> None:
        """Fail if a result is not the expected one."""
        if expected != found:
            self.fail(step, f"{what}: {expected}", str(found))

    def fail(self, step: str, expected: str, found: str) -> NoReturn:
        """End the demonstration.

        Raises:
            CommandError: always.
        """
        raise CommandError(
            f"'{step}' failed, {self.now:.0f} s after the start.\n"
            f"Expected: {expected}\nFound: {found}\nThe output of each command is in {self.clone.logs}"
        )

    def wait_until(self, step: str, what: str, condition: Callable[[], bool], running: Running | None = None) -> None:
        """Wait until a condition is met, and fail if a command that is to meet it ends first."""
        patience = PATIENCE_SECONDS + 60 * PATIENCE_MINUTES / self.speed
        deadline = time.monotonic() + patience
        while not condition():
            if running and running.process.poll() is not None:
                self.fail(step, what, f"the command ended:\n{running.output[-3000:]}")
            if time.monotonic() > deadline:
                self.fail(step, f"{what} within {patience:.0f} s", "nothing")
            time.sleep(0.1)

    def make(self, targets: str, **variables: str) -> str:
        """Return the output of make targets."""
        return self.done(self.clone.start(targets, **variables))

    def done(self, running: Running) -> str:
        """Wait until a command succeeds, and return its output."""
        if status := running.wait():
            self.fail(running.line, "exit status 0", f"exit status {status}:\n{running.output[-3000:]}")
        return running.output

    def failed(self, running: Running, error: str) -> str:
        """Wait until a command fails with an error, and return the line of its output with the error."""
        if running.wait() == 0 or error not in running.output:
            self.fail(running.line, f"an error that contains '{error}'", running.output[-3000:])
        return line(running.output, error)

    def send(self, per_second: float, *, number: int | None = None, headers: Mapping[str, str] | None = None) -> Load:
        """Let another client send requests to live, at a rate at the pace of AWS."""
        client = Load(self.url, per_second * self.speed, self.started, number=number, headers=headers)
        self.clients.append(client)
        return client

    def deploy(self, version: str) -> None:
        """Commit a version, build it, and deploy it to dev."""
        change = versions.CHANGES[version]
        revision = self.clone.commit(change)
        self.make("build deploy")
        self.expect_versions("make build deploy", dev=version)
        self.report("make build deploy", f"dev runs version {version}, commit {revision} '{change.message}'")

    def promote(self, version: str) -> None:
        """Promote the version of dev to test."""
        step = "make promote FROM=dev TO=test"
        self.make("promote", FROM="dev", TO="test")
        self.expect_versions(step, dev=version, test=version)
        self.expect(step, "pin of test", version, self.pinned("test").function_version)
        self.report(step, f"test runs version {version}")

    def expect_versions(self, step: str, **expected: str) -> None:
        """Verify the version of each alias."""
        aliases = live.client(self.endpoint, "lambda")
        found = {
            stage: aliases.get_alias(FunctionName=live.FUNCTION, Name=stage)["FunctionVersion"] for stage in expected
        }
        self.expect(step, "versions", expected, found)

    def expect_live(self, step: str, version: str) -> None:
        """Verify the version of live and its pin."""
        self.expect_versions(step, live=version)
        self.expect(step, "pin of live", version, self.pinned("live").function_version)

    def history(self) -> list[Ended]:
        """Return the releases of live that have ended, oldest first."""
        past = json.loads(self.make("history", STAGE="live", JSON="1"))
        return [
            Ended(one["to"], one["outcome"], one["reason"], self._moment(one["started"]), self._moment(one["ended"]))
            for one in reversed(past)
            if one["ended"]
        ]

    def _moment(self, time_stamp: str) -> float:
        return datetime.fromisoformat(time_stamp).timestamp() - self.started

    def weight(self, version: str) -> float:
        """Return the weight of a version in the alias of live."""
        observations = self.observations()
        return observations[-1].weights.get(version, 0.0) if observations else 0.0

    def alarm(self) -> bool:
        """Return whether the alarm of live fires."""
        return self.observations()[-1].alarm

    def observations(self) -> list[live.Observation]:
        """Return the observations of live so far."""
        return self.watch.observations if self.watch else []

    def requests(self) -> list[Request]:
        """Return the requests of all clients that have ended so far, in the order in which they were due."""
        return sorted((one for client in self.clients for one in client.requests), key=lambda one: one.at)

    def failures(self, since: float) -> traffic.Totals:
        """Return the totals of the requests of all clients since a time."""
        return traffic.totals(self.requests(), since)

    def stop_clients(self) -> None:
        """Stop the clients, and watching live."""
        for client in self.clients:
            client.stop()
        if self.watch:
            self.watch.stop()

    def stop(self) -> None:
        """Stop the clients, the commands, and local AWS."""
        self.stop_clients()
        self.clone.stop()


def line(output: str, text: str) -> str:
    """Return the line of an output that contains a text, from the text on."""
    return output[output.index(text) :].splitlines()[0]
