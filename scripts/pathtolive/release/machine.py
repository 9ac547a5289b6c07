"""The state machine that moves the alias of a stage, and its executions."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from pathtolive import interrupts, stack
from pathtolive.cli import CommandError, LostSightError
from pathtolive.release.control import person
from pathtolive.release.executions import (
    NAME,
    RELEASE,
    RUNNING,
    Execution,
    continues,
    execution_name,
    read_input,
    read_report,
)
from pathtolive.release.settings import Settings, read_settings

CONSISTENT_AFTER = datetime.timedelta(minutes=1)


class MissingMachineError(CommandError):
    """A stage has no state machine."""


@dataclass(frozen=True)
class Machine:
    """The state machine of a stage.

    Methods raise botocore's own errors if a request to AWS fails.
    """

    here: stack.Stack
    stage: str

    @functools.cached_property
    def arn(self) -> str:
        """ARN of the state machine.

        Raises:
            MissingMachineError: Terraform's state has none.
        """
        arn: str | None = self.here.outputs["stages"].get(self.stage, {}).get("state_machine_arn")
        if arn is None:
            raise self._missing()
        return arn

    def _missing(self) -> MissingMachineError:
        return MissingMachineError(
            f"The state machine that runs the releases of {self.stage} does not exist, and the history is lost with "
            f"it. Create it with: make deploy{self.here.target.make_variables}"
        )

    @functools.cached_property
    def _client(self) -> Any:
        return self.here.target.client("stepfunctions")

    @functools.cached_property
    def _states(self) -> Any:
        return json.loads(self._client.describe_state_machine(stateMachineArn=self.arn)["definition"])["States"]

    @property
    def _assigned(self) -> Any:
        """What the state machine assigns first."""
        return self._states["ReadInput"]["Assign"]

    @property
    def look_seconds(self) -> int:
        """Seconds between two looks of a release, at the pace of AWS."""
        seconds: int = self._states["Wait"]["Seconds"]
        return seconds

    def defaults(self) -> Settings:
        """Return the defaults in the definition of the state machine."""
        return read_settings(self._assigned["defaults"])

    def complete(self, given: Settings) -> Settings:
        """Return settings with the state machine's defaults instead of None."""
        return dataclasses.replace(self.defaults(), **given.input)

    def given(self, settings: Settings, **changes: Any) -> Settings:
        """Return settings with changes, as an execution gets them: emulators do not delay metrics."""
        delay = 0 if self.here.target.endpoint else settings.metrics_delay_seconds
        return dataclasses.replace(settings, metrics_delay_seconds=delay, **changes)

    def measured(self) -> list[dict[str, Any]]:
        """Return the metrics that the state machine analyzes."""
        measured: list[dict[str, Any]] = self._assigned["measured"]
        return measured

    def start(self, kind: str, given: Settings, again: str, *, rolls_back: str | None = None) -> Execution:
        """Start an execution and return it. The command line ``again`` follows it if this command cannot.

        With ``rolls_back``, it removes the weights that the execution of this name left.

        Raises:
            RefusedError: the name of the execution would be too long.
            LostSightError: the command was interrupted, or there is no response. The execution continues, if there is
                one.
        """
        name = execution_name(kind, self.stage, given.version, datetime.datetime.now(datetime.UTC))
        # An event starts no rollback of an execution whose input starts with this name.
        content = given.input if rolls_back is None else {"rolls_back": rolls_back}
        try:
            with interrupts.deferred():
                response = self._client.start_execution(stateMachineArn=self.arn, name=name, input=json.dumps(content))
        except KeyboardInterrupt as error:
            raise LostSightError(f"Interrupted. {continues(name, again)}") from error
        except botocore.exceptions.BotoCoreError as error:
            raise LostSightError(
                f"AWS request failed: {error}\n{name} may have started nevertheless. To follow it, run: {again}"
            ) from error
        return Execution(
            arn=response["executionArn"],
            name=name,
            kind=kind,
            settings=given,
            rolls_back=rolls_back,
            status=RUNNING,
            started=response["startDate"],
            ended=None,
            report=None,
            cause="",
        )

    def describe(self, arn: str) -> Execution:
        """Return an execution by its ARN."""
        response = self._client.describe_execution(executionArn=arn)
        given, rolls_back = read_input(response.get("input", ""))
        match = NAME.fullmatch(response["name"])
        return Execution(
            arn=arn,
            name=response["name"],
            kind=match["kind"] if match else RELEASE,
            settings=read_settings({**given, "stage": self.stage}),
            rolls_back=rolls_back,
            status=response["status"],
            started=response["startDate"],
            ended=response.get("stopDate"),
            report=read_report(response.get("output") if response["status"] == "SUCCEEDED" else response.get("cause")),
            cause=": ".join(filter(None, [response.get("error"), response.get("cause")])),
            error=response.get("error"),
        )

    def describe_again(self, execution: Execution) -> Execution:
        """Return an execution as it is now."""
        try:
            return self.describe(execution.arn)
        except self._client.exceptions.ExecutionDoesNotExist:
            # DescribeExecution is eventually consistent.
            # https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
            if datetime.datetime.now(datetime.UTC) - execution.started > CONSISTENT_AFTER:
                raise
            return execution

    def running(self) -> Execution | None:
        """Return the release that is in progress. The rollback of one that ended does not count."""
        return next((found for found in self.executions(RUNNING) if found.rolls_back is None), None)

    def running_rollback(self) -> Execution | None:
        """Return the execution in progress that removes the weights of one that ended."""
        return next((found for found in self.executions(RUNNING) if found.rolls_back is not None), None)

    def executions(self, status: str | None = None) -> Iterator[Execution]:
        """Yield the executions, newest first."""
        for item in self._listed(status):
            yield self.describe(item["executionArn"])

    def _listed(self, status: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield executions as AWS lists them, newest first. Step Functions keeps them for 90 days.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
        https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html

        Raises:
            MissingMachineError: there is no state machine.
        """
        given = {"statusFilter": status} if status else {}
        try:
            for page in self._client.get_paginator("list_executions").paginate(stateMachineArn=self.arn, **given):
                yield from page["executions"]
        except self._client.exceptions.StateMachineDoesNotExist as error:
            raise self._missing() from error

    def abort(self, execution: Execution, reason: str = "") -> None:
        """Abort a release. An event then starts its rollback."""
        cause = f"aborted by {person()}{f': {reason}' if reason else ''}"
        self._client.stop_execution(executionArn=execution.arn, cause=cause)
