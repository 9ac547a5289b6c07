"""The release engine: the state machine that moves aliases, and the aliases and metrics that it reads."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pathtolive import config_file, local_aws, stack
from pathtolive.cli import CommandError, RefusedError
from pathtolive.release.aliases import Aliases, traffic
from pathtolive.release.executions import RUNNING, SUCCEEDED, Execution, Past, Report, summarize
from pathtolive.release.machine import Machine
from pathtolive.release.metrics import Metrics, per_minute, read
from pathtolive.release.settings import Settings

POLL_SECONDS = 5.0
# An event starts the rollback of an aborted release within seconds.
ROLLBACK_SECONDS = 180.0
MIN_ROLLBACK_SECONDS = 30.0


@dataclass(frozen=True)
class Engine:
    """The release engine of a stack.

    Methods raise botocore's own errors if a request to AWS fails.
    """

    here: stack.Stack

    @functools.cached_property
    def machine(self) -> Machine:
        """The state machine."""
        return Machine(self.here)

    @functools.cached_property
    def aliases(self) -> Aliases:
        """The aliases of the function."""
        return Aliases(self.here)

    @functools.cached_property
    def _cloudwatch(self) -> Any:
        return self.here.target.client("cloudwatch")

    @functools.cached_property
    def poll_seconds(self) -> float:
        """Seconds between two requests for the status of an execution."""
        return max(0.2, POLL_SECONDS / local_aws.speed(self.here.target.endpoint))

    def metrics(self, given: Settings, version: str, since: datetime.datetime) -> Metrics:
        """Return a version's metrics through the alias of a release, if the state machine names them."""
        measured = self.machine.measured()
        return read(self._cloudwatch, measured, given, version, since) if measured else Metrics()

    def invocations_per_minute(self, stage: str) -> float:
        """Return the average number of a stage's invocations per minute in the last hour."""
        speed = local_aws.speed(self.here.target.endpoint)
        return per_minute(self._cloudwatch, self.here.outputs["function_name"], stage, speed)

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
        if execution.report:
            return summarize(execution, None)
        return summarize(execution, self._rollback_report(execution))

    def _rollback_report(self, execution: Execution) -> Report:
        pace = local_aws.speed(self.here.target.endpoint)
        deadline = time.monotonic() + max(MIN_ROLLBACK_SECONDS, ROLLBACK_SECONDS / pace)
        stage = execution.settings.stage
        while True:
            newer = self.machine.executions(stage)
            found = next((one for one in newer if one.rolls_back == execution.name), None)
            weights = self.aliases.read(stage).weights
            if found and found.report and not weights:
                return found.report
            if time.monotonic() > deadline:
                by_hand = self.aliases.rollback_command(stage)
                raise CommandError(
                    f"{execution.name} ended with status {execution.status}, but its rollback did not complete. Read "
                    "the executions of the state machine, and check the EventBridge rule that starts rollbacks."
                    + (f" In {stage}, {traffic(weights)}. Roll back by hand with: {by_hand}" if weights else "")
                )
            time.sleep(self.poll_seconds)

    def active_version(self, stage: str) -> str:
        """Return the version that has all traffic of a stage.

        Raises:
            RefusedError: the alias has weights.
        """
        alias = self.aliases.read(stage)
        self.refuse_weights(stage, alias.weights)
        return alias.version

    def refuse_weights(self, stage: str, weights: Mapping[str, float]) -> None:
        """Refuse to change a stage whose alias has weights.

        Raises:
            RefusedError: it has weights; the message names the release that set them, or how to remove them.
        """
        if not weights:
            return
        if running := self.machine.running(stage):
            raise RefusedError(self.in_progress_error(running))
        if rollback := next(self.machine.executions(stage, RUNNING), None):
            raise RefusedError(
                f"The rollback of {rollback.rolls_back} is in progress: {traffic(weights)}. Wait for it to end, then "
                "run the command again."
            )
        raise RefusedError(
            f"The alias {stage} has weights: {traffic(weights)}. No release or rollback of {stage} is in progress. "
            f"Remove the weights with: {self.aliases.rollback_command(stage)}"
        )

    def in_progress_error(self, running: Execution) -> str:
        """Return the message of an error because a release is in progress."""
        stage = running.settings.stage
        weights = self.aliases.read(stage).weights
        return (
            f"A release of {stage} is in progress: {running.name}{f' ({traffic(weights)})' if weights else ''}. "
            f"Wait for it to end, or end it with: make rollback STAGE={stage}{self.here.target.make_variables}"
        )

    def past(self, stage: str) -> Iterator[Past]:
        """Yield the releases of a stage, newest first."""
        rollbacks: dict[str, Report] = {}
        for execution in self.machine.executions(stage):
            if execution.rolls_back is None:
                past = summarize(execution, rollbacks.get(execution.name))
                if execution.running:
                    past = dataclasses.replace(past, from_version=self.aliases.read(stage).version)
                yield past
            elif execution.report:
                rollbacks[execution.rolls_back] = execution.report

    def last(self, stage: str) -> Past | None:
        """Return the last release, promotion or rollback of a stage that succeeded, or None if none is known."""
        return next((past for past in self.past(stage) if past.outcome == SUCCEEDED), None)

    def unrecorded(self, stage: str) -> Past | None:
        """Return the release that moved a stage's alias, if config.tf or Terraform's state lacks its version."""
        pin = self.here.stages[stage].function_version
        if stage not in self.here.outputs["stages"] or pin in {None, config_file.NEWEST}:
            return None
        alias = self.aliases.read(stage)
        if alias.weights or alias.version == pin == self.here.outputs["stages"][stage]["function_version"]:
            return None
        last = self.last(stage)
        return last if last and last.to_version == alias.version else None
