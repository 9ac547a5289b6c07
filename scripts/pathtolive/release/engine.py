"""The release engine of a stage: the state machine, and the alias and the metrics that it reads."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pathtolive import config_file, local_aws, stack
from pathtolive.cli import CommandError, RefusedError
from pathtolive.release.aliases import Alias, Aliases, traffic
from pathtolive.release.control import DOES, Control
from pathtolive.release.executions import REFUSED, ROLLBACK, SUCCEEDED, Execution, Past, summarize
from pathtolive.release.machine import Machine, MissingMachineError
from pathtolive.release.metrics import Metrics, per_minute, read
from pathtolive.release.settings import Settings

POLL_SECONDS = 5.0
# An event starts the rollback of an aborted release within seconds.
ROLLBACK_SECONDS = 180.0
MIN_ROLLBACK_SECONDS = 30.0


@dataclass(frozen=True)
class Engine:
    """The release engine of a stage.

    Methods raise botocore's own errors if a request to AWS fails.
    """

    here: stack.Stack
    stage: str

    @functools.cached_property
    def machine(self) -> Machine:
        """The state machine."""
        return Machine(self.here, self.stage)

    @functools.cached_property
    def aliases(self) -> Aliases:
        """The aliases of the function."""
        return Aliases(self.here)

    @functools.cached_property
    def control(self) -> Control:
        """The parameter with which people steer releases."""
        return Control(self.here, self.stage)

    @functools.cached_property
    def _cloudwatch(self) -> Any:
        return self.here.target.client("cloudwatch")

    @functools.cached_property
    def poll_seconds(self) -> float:
        """Seconds between two requests for the status of an execution."""
        return max(0.2, POLL_SECONDS / local_aws.speed(self.here.target.endpoint))

    def metrics(self, given: Settings, version: str, since: datetime.datetime) -> Metrics:
        """Return a version's metrics through the alias of a release."""
        return read(self._cloudwatch, self.machine.measured(), given, version, since)

    def invocations_per_minute(self) -> float:
        """Return the average number of the stage's invocations per minute in the last hour."""
        speed = local_aws.speed(self.here.target.endpoint)
        return per_minute(self._cloudwatch, self.aliases.function_name, self.stage, speed)

    def ask(self, execution: Execution, what: str, reason: str) -> str:
        """Ask a release to skip the rest of its step, to hold, or to resume, and return a sentence about it.

        Raises:
            MissingParameterError: the parameter that the release reads does not exist.
        """
        self.control.ask(execution, what, reason)
        seconds = self.machine.look_seconds / local_aws.speed(self.here.target.endpoint)
        return f"{execution.name} {DOES[what]}. It reads this request within {seconds:.0f} s."

    def wait(self, execution: Execution, show: Callable[[Execution], None] | None = None) -> Past:
        """Wait until a release has ended and all traffic goes to one version, and return its outcome.

        ``show`` is called each time that the status is read.

        Raises:
            CommandError: it ended without a report, and was not rolled back.
        """
        while execution.running:
            if show:
                show(execution)
            time.sleep(self.poll_seconds)
            execution = self.machine.describe_again(execution)
        # A rollback is never rolled back itself.
        if execution.report or execution.rolls_back is not None:
            return summarize(execution, None)
        return summarize(execution, self._wait_for_rollback(execution))

    def _wait_for_rollback(self, execution: Execution) -> Execution:
        pace = local_aws.speed(self.here.target.endpoint)
        deadline = time.monotonic() + max(MIN_ROLLBACK_SECONDS, ROLLBACK_SECONDS / pace)
        while True:
            rollback = next((one for one in self.machine.executions() if _rolls_back(one, execution.name)), None)
            weights = self.aliases.read(self.stage).weights
            if rollback and rollback.report and not weights:
                return rollback
            if time.monotonic() > deadline:
                raise CommandError(
                    f"{execution.name} ended with status {execution.status}, but its rollback did not complete. Read "
                    "the executions of the state machine, and check the EventBridge rule that starts rollbacks."
                    + (f" In {self.stage}, {traffic(weights)}. Roll back with: {self.rollback}" if weights else "")
                )
            time.sleep(self.poll_seconds)

    def active_version(self) -> str:
        """Return the version that has all traffic of the stage.

        Raises:
            RefusedError: the alias has weights.
        """
        alias = self.aliases.read(self.stage)
        self.refuse_weights(alias.weights)
        return alias.version

    def refuse_weights(self, weights: Mapping[str, float]) -> None:
        """Refuse to change the stage if its alias has weights.

        Raises:
            RefusedError: it has weights; the message names the release that set them, or how to remove them.
        """
        if not weights:
            return
        with contextlib.suppress(MissingMachineError):
            if running := self.machine.running():
                raise RefusedError(self.in_progress_error(running))
        raise RefusedError(self.weights_error(dataclasses.replace(self.aliases.read(self.stage), weights=weights)))

    def weights_error(self, alias: Alias) -> str:
        """Return the message of an error because the alias has weights, although no release is in progress."""
        found = f"The alias {self.stage} has weights: {traffic(alias.weights)}."
        with contextlib.suppress(MissingMachineError):
            if rollback := self.machine.running_rollback():
                return f"{found} The rollback of {rollback.rolls_back} is in progress. Follow it with: {self.rollback}"
        if alias.setter is None:
            by_hand = self.aliases.rollback_command(self.stage)
            return f"{found} No release of {self.stage} has set them. Remove them with: {by_hand}"
        return (
            f"{found} {alias.setter} has set them, and ended without a rollback. Return all traffic to version "
            f"{alias.version} with: {self.rollback}"
        )

    @property
    def rollback(self) -> str:
        """The command that returns all traffic of the stage to its previous version."""
        return f"make rollback STAGE={self.stage}{self.here.target.make_variables}"

    def in_progress_error(self, running: Execution) -> str:
        """Return the message of an error because a release is in progress."""
        weights = self.aliases.read(self.stage).weights
        remedy = "Follow it with" if running.kind == ROLLBACK else "Wait for it to finish, or abort it with"
        return (
            f"A {running.noun} of {self.stage} is in progress: {running.name}"
            f"{f' ({traffic(weights)})' if weights else ''}. {remedy}: {self.rollback}"
        )

    def past(self) -> Iterator[Past]:
        """Yield the releases, newest first."""
        rollbacks: dict[str, Execution] = {}
        for execution in self.machine.executions():
            if execution.rolls_back is None:
                past = summarize(execution, rollbacks.get(execution.name))
                if execution.running:
                    past = dataclasses.replace(past, from_version=self.aliases.read(self.stage).version)
                yield past
            # Two rollbacks can run, one of which then finds no weights.
            elif (report := execution.report) and not (report.outcome == REFUSED and report.release in rollbacks):
                rollbacks[report.release] = execution

    def refuse_frozen(self, ignore_reason: str | None = None) -> None:
        """Refuse to change a frozen stage without a reason.

        Raises:
            RefusedError: it is frozen.
        """
        if (freeze := self.control.frozen()) and not ignore_reason:
            raise RefusedError(self.control.frozen_error(freeze))

    def last(self) -> Past | None:
        """Return the last release, promotion or rollback that succeeded, or None if none is known."""
        try:
            return next((past for past in self.past() if past.outcome == SUCCEEDED), None)
        except MissingMachineError:
            return None

    def unrecorded(self) -> Past | None:
        """Return the release that moved the alias, if config.tf or Terraform's state lacks its version."""
        pin = self.here.stages[self.stage].function_version
        deployed = self.here.outputs["stages"].get(self.stage)
        if deployed is None or pin in {None, config_file.NEWEST}:
            return None
        alias = self.aliases.read(self.stage)
        if alias.weights or alias.version == pin == deployed["function_version"]:
            return None
        last = self.last()
        return last if last and last.to_version == alias.version else None


def _rolls_back(execution: Execution, name: str) -> bool:
    """Return whether an execution is the rollback of another, or has found and removed its weights."""
    return execution.rolls_back is not None and name in {
        execution.rolls_back,
        execution.report.release if execution.report else None,
    }
