"""The release engine: the state machine that moves aliases, and the aliases and metrics that it reads."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import getpass
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from pathtolive import config_file, interrupts, local_aws, stack
from pathtolive.cli import CommandError, LostSightError, RefusedError
from pathtolive.release.executions import (
    NAME,
    RELEASE,
    RUNNING,
    SUCCEEDED,
    Alias,
    Execution,
    Metrics,
    Past,
    Report,
    continues,
    execution_name,
    origin,
    read_report,
    summarize,
    traffic,
)
from pathtolive.release.settings import Settings, read_settings

POLL_SECONDS = 5.0
CONSISTENT_AFTER = datetime.timedelta(minutes=1)
# An event starts the rollback of an aborted release within seconds.
ROLLBACK_SECONDS = 180.0
MIN_ROLLBACK_SECONDS = 30.0


class MissingAliasError(CommandError):
    """A stage has no alias."""


class MissingMachineError(CommandError):
    """There is no state machine."""


@dataclass(frozen=True)
class Engine:
    """The release engine of a stack.

    Methods raise botocore's own errors if a request to AWS fails.
    """

    here: stack.Stack

    @functools.cached_property
    def arn(self) -> str:
        """ARN of the state machine.

        Raises:
            MissingMachineError: Terraform's state has none.
        """
        arn: str | None = self.here.outputs.get("release_state_machine_arn")
        if arn is None:
            raise self._missing_machine()
        return arn

    def _missing_machine(self) -> MissingMachineError:
        return MissingMachineError(
            "The state machine that runs releases does not exist, and the history is lost with it. Create it with: "
            f"make deploy{self.here.target.make_variables}"
        )

    @functools.cached_property
    def function_name(self) -> str:
        """Name of the function."""
        name: str = self.here.outputs["function_name"]
        return name

    @functools.cached_property
    def poll_seconds(self) -> float:
        """Seconds between two requests for the status of an execution."""
        return max(0.2, POLL_SECONDS / local_aws.speed(self.here.target.endpoint))

    @functools.cached_property
    def _executions(self) -> Any:
        return self.here.target.client("stepfunctions")

    @functools.cached_property
    def _aliases(self) -> Any:
        return self.here.target.client("lambda")

    @functools.cached_property
    def _cloudwatch(self) -> Any:
        return self.here.target.client("cloudwatch")

    @functools.cached_property
    def _definition(self) -> Any:
        """What the state machine assigns first: the defaults of a release, and the metrics that it analyzes."""
        definition = json.loads(self._executions.describe_state_machine(stateMachineArn=self.arn)["definition"])
        return definition["States"]["ReadInput"]["Assign"]

    def defaults(self) -> Settings:
        """Return the defaults in the definition of the state machine."""
        return read_settings(self._definition["defaults"])

    def complete(self, given: Settings) -> Settings:
        """Return settings with the state machine's defaults instead of None."""
        return dataclasses.replace(self.defaults(), **given.input)

    def start(self, kind: str, given: Settings, again: str) -> Execution:
        """Start an execution and return it. The command line ``again`` follows it if this command cannot.

        Raises:
            RefusedError: the name of the execution would be too long.
            LostSightError: the command was interrupted, or there is no response. The execution continues, if there is
                one.
        """
        name = execution_name(kind, given.stage, given.version, datetime.datetime.now(datetime.UTC))
        try:
            with interrupts.deferred():
                response = self._executions.start_execution(
                    stateMachineArn=self.arn, name=name, input=json.dumps(given.input)
                )
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
            rolls_back=None,
            status=RUNNING,
            started=response["startDate"],
            ended=None,
            report=None,
            cause="",
        )

    def describe(self, arn: str) -> Execution:
        """Return an execution by its ARN."""
        response = self._executions.describe_execution(executionArn=arn)
        given, name, rolls_back = origin(response.get("input", ""), response["name"])
        match = NAME.fullmatch(name)
        return Execution(
            arn=arn,
            name=response["name"],
            kind=match["kind"] if match else RELEASE,
            settings=read_settings(given),
            rolls_back=rolls_back,
            status=response["status"],
            started=response["startDate"],
            ended=response.get("stopDate"),
            report=read_report(response.get("output") if response["status"] == "SUCCEEDED" else response.get("cause")),
            cause=": ".join(filter(None, [response.get("error"), response.get("cause")])),
        )

    def running(self, stage: str) -> Execution | None:
        """Return the release of a stage that is in progress. The rollback of one that ended does not count."""
        return next((found for found in self._of_stage(stage, RUNNING) if found.rolls_back is None), None)

    def in_progress(self) -> dict[str, str]:
        """Return the names of the releases that are in progress, by stage."""
        found: dict[str, str] = {}
        for item in self._listed(RUNNING):
            if match := NAME.fullmatch(item["name"]):
                found[match["stage"]] = item["name"]
            elif (execution := self.describe(item["executionArn"])).rolls_back is None:
                found[execution.settings.stage] = item["name"]
        return found

    def past(self, stage: str) -> Iterator[Past]:
        """Yield the releases of a stage, newest first. Step Functions keeps them for 90 days.

        https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
        """
        rollbacks: dict[str, Report] = {}
        for execution in self._of_stage(stage):
            if execution.rolls_back is None:
                past = summarize(execution, rollbacks.get(execution.name))
                if execution.running:
                    past = dataclasses.replace(past, from_version=self.alias(stage).version)
                yield past
            elif execution.report:
                rollbacks[execution.rolls_back] = execution.report

    def _of_stage(self, stage: str, status: str | None = None) -> Iterator[Execution]:
        """Yield a stage's executions, newest first, without reading those whose names contain other stages."""
        for item in self._listed(status):
            match = NAME.fullmatch(item["name"])
            if match is None or match["stage"] == stage:
                execution = self.describe(item["executionArn"])
                if execution.settings.stage == stage:
                    yield execution

    def _listed(self, status: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield executions as AWS lists them, newest first.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html

        Raises:
            MissingMachineError: there is no state machine.
        """
        given = {"statusFilter": status} if status else {}
        try:
            for page in self._executions.get_paginator("list_executions").paginate(stateMachineArn=self.arn, **given):
                yield from page["executions"]
        except self._executions.exceptions.StateMachineDoesNotExist as error:
            raise self._missing_machine() from error

    def abort(self, execution: Execution) -> None:
        """Abort a release. An event then starts its rollback."""
        user = "unknown"
        with contextlib.suppress(KeyError, OSError):
            user = getpass.getuser()
        self._executions.stop_execution(executionArn=execution.arn, cause=f"aborted by {user}@{socket.gethostname()}")

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
            execution = self._updated(execution)
        if execution.report:
            return summarize(execution, None)
        return summarize(execution, self._rollback_report(execution))

    def _updated(self, execution: Execution) -> Execution:
        try:
            return self.describe(execution.arn)
        except self._executions.exceptions.ExecutionDoesNotExist:
            # DescribeExecution is eventually consistent.
            # https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
            if datetime.datetime.now(datetime.UTC) - execution.started > CONSISTENT_AFTER:
                raise
            return execution

    def _rollback_report(self, execution: Execution) -> Report:
        pace = local_aws.speed(self.here.target.endpoint)
        deadline = time.monotonic() + max(MIN_ROLLBACK_SECONDS, ROLLBACK_SECONDS / pace)
        stage = execution.settings.stage
        while True:
            found = next((newer for newer in self._of_stage(stage) if newer.rolls_back == execution.name), None)
            weights = self.alias(stage).weights
            if found and found.report and not weights:
                return found.report
            if time.monotonic() > deadline:
                by_hand = f"In {stage}, {traffic(weights)}. Roll back by hand with: {self.rollback_command(stage)}"
                raise CommandError(
                    f"{execution.name} ended with status {execution.status}, but its rollback did not complete. Read "
                    "the executions of the state machine, and check the EventBridge rule that starts rollbacks."
                    + (f" {by_hand}" if weights else "")
                )
            time.sleep(self.poll_seconds)

    def active_version(self, stage: str) -> str:
        """Return the version that has all traffic of a stage.

        Raises:
            RefusedError: the alias has weights.
        """
        alias = self.alias(stage)
        self.refuse_weights(stage, alias.weights)
        return alias.version

    def refuse_weights(self, stage: str, weights: Mapping[str, float]) -> None:
        """Refuse to change a stage whose alias has weights.

        Raises:
            RefusedError: it has weights; the message names the release that set them, or how to remove them.
        """
        if not weights:
            return
        if running := self.running(stage):
            raise RefusedError(self.in_progress_error(running))
        if rollback := next(self._of_stage(stage, RUNNING), None):
            raise RefusedError(
                f"The rollback of {rollback.rolls_back} is in progress: {traffic(weights)}. Wait for it to end, then "
                "run the command again."
            )
        raise RefusedError(
            f"The alias {stage} has weights: {traffic(weights)}. No release or rollback of {stage} is in progress. "
            f"Remove the weights with: {self.rollback_command(stage)}"
        )

    def in_progress_error(self, running: Execution) -> str:
        """Return the message of an error because a release is in progress."""
        stage = running.settings.stage
        weights = self.alias(stage).weights
        return (
            f"A release of {stage} is in progress: {running.name}{f' ({traffic(weights)})' if weights else ''}. "
            f"Wait for it to end, or end it with: make rollback STAGE={stage}{self.here.target.make_variables}"
        )

    def rollback_command(self, stage: str) -> str:
        """Return the AWS CLI command that removes the weights of a stage's alias."""
        endpoint = f" --endpoint-url {self.here.target.endpoint}" if self.here.target.endpoint else ""
        return (
            f"aws{endpoint} lambda update-alias --function-name {self.function_name} --name {stage} "
            "--routing-config AdditionalVersionWeights={}"
        )

    def alias(self, stage: str) -> Alias:
        """Return the version and the weights of a stage's alias.

        Raises:
            MissingAliasError: it has none.
        """
        try:
            response = self._aliases.get_alias(FunctionName=self.function_name, Name=stage)
        except self._aliases.exceptions.ResourceNotFoundException as error:
            raise MissingAliasError(
                f"{stage} has no alias. Create it with: make deploy{self.here.target.make_variables}"
            ) from error
        return Alias(
            response["FunctionVersion"], response.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {}
        )

    def move(self, stage: str, version: str) -> None:
        """Point the alias of a stage to a version, without the state machine."""
        self._aliases.update_alias(
            FunctionName=self.function_name,
            Name=stage,
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": {}},
        )

    def has_version(self, version: str) -> bool:
        """Return whether a version exists."""
        try:
            self._aliases.get_function_configuration(FunctionName=self.function_name, Qualifier=version)
        except self._aliases.exceptions.ResourceNotFoundException:
            return False
        return True

    def metrics(self, given: Settings, version: str, since: datetime.datetime) -> Metrics:
        """Return a version's metrics through the alias of a release: those that the state machine analyzes."""
        # The state machine of an earlier version does not name its metrics.
        if not (measured := self._definition.get("measured")):
            return Metrics()
        values = {"{stage}": given.stage, "{version}": version, "{max_p99_ms}": f"{given.max_p99_ms:g}"}

        def filled(text: str) -> str:
            return functools.reduce(lambda found, name: found.replace(name, values[name]), values, text)

        response = self._cloudwatch.get_metric_data(
            StartTime=since,
            EndTime=datetime.datetime.now(datetime.UTC),
            MetricDataQueries=[
                {
                    "Id": metric["id"],
                    "MetricStat": {
                        "Metric": {
                            "Namespace": metric["namespace"],
                            "MetricName": metric["name"],
                            "Dimensions": [
                                {"Name": name, "Value": filled(value)} for name, value in metric["dimensions"].items()
                            ],
                        },
                        "Period": 60,
                        "Stat": filled(metric["statistic"]),
                    },
                }
                for metric in measured
            ],
        )
        # The ids of several metrics start with "errors".
        counts = Counter[str]()
        for result in response["MetricDataResults"]:
            counts[result["Id"].partition("_")[0]] += int(sum(result["Values"]))
        return Metrics(**counts)

    def last(self, stage: str) -> Past | None:
        """Return the last release, promotion or rollback of a stage that succeeded, or None if none is known."""
        return next((past for past in self.past(stage) if past.outcome == SUCCEEDED), None)

    def unrecorded(self, stage: str) -> Past | None:
        """Return the release that moved a stage's alias, if config.tf or Terraform's state lacks its version."""
        pin = self.here.stages[stage].function_version
        if stage not in self.here.outputs["stages"] or pin in {None, config_file.NEWEST}:
            return None
        alias = self.alias(stage)
        if alias.weights or alias.version == pin == self.here.outputs["stages"][stage]["function_version"]:
            return None
        last = self.last(stage)
        return last if last and last.to_version == alias.version else None
