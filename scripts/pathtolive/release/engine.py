"""The state machine that moves aliases, and what it works on."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import getpass
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pathtolive import config_file, local_aws, stack
from pathtolive.cli import CommandError
from pathtolive.release.executions import (
    NAME,
    RELEASE,
    RELEASED,
    RUNNING,
    Alias,
    Execution,
    Figures,
    Past,
    Report,
    execution_name,
    origin,
    read_report,
    summarize,
)
from pathtolive.release.settings import Settings, read_settings

POLL_SECONDS = 5.0
NOT_KNOWN_YET = datetime.timedelta(minutes=1)
# An event starts the roll-back of a release that ended by force, within seconds.
ROLL_BACK_SECONDS = 180.0
MIN_ROLL_BACK_SECONDS = 30.0


@dataclass(frozen=True)
class Engine:
    """The state machine of a stack, and what it works on.

    Methods raise botocore's own errors where AWS does not answer or does not allow it.
    """

    here: stack.Stack

    @functools.cached_property
    def arn(self) -> str:
        """ARN of the state machine.

        Raises:
            CommandError: the stack was deployed before there was one.
        """
        arn: str | None = self.here.outputs.get("release_state_machine_arn")
        if arn is None:
            raise CommandError(
                f"No state machine is deployed: run 'make build deploy{self.here.target.make_variables}' first"
            )
        return arn

    @functools.cached_property
    def function_name(self) -> str:
        """Name of the function whose aliases are shifted."""
        name: str = self.here.outputs["function_name"]
        return name

    @functools.cached_property
    def poll_seconds(self) -> float:
        """How long to wait between two looks at what goes on."""
        return max(0.2, POLL_SECONDS / local_aws.speed(self.here.target.endpoint))

    @functools.cached_property
    def _executions(self) -> Any:
        return self.here.target.client("stepfunctions")

    @functools.cached_property
    def _aliases(self) -> Any:
        return self.here.target.client("lambda")

    @functools.cached_property
    def _metrics(self) -> Any:
        return self.here.target.client("cloudwatch")

    def defaults(self) -> Settings:
        """Return the machine's own defaults, as its definition has them now."""
        definition = json.loads(self._executions.describe_state_machine(stateMachineArn=self.arn)["definition"])
        return read_settings(definition["States"]["ReadInput"]["Assign"]["defaults"])

    def complete(self, given: Settings) -> Settings:
        """Return settings with the machine's defaults where nothing is given."""
        return dataclasses.replace(self.defaults(), **given.input)

    def start(self, kind: str, given: Settings) -> Execution:
        """Start a release.

        Raises:
            RefusedError: the stage's name leaves no room for that of an execution.
        """
        name = execution_name(kind, given.stage, given.version, datetime.datetime.now(datetime.UTC))
        answer = self._executions.start_execution(stateMachineArn=self.arn, name=name, input=json.dumps(given.input))
        return Execution(
            arn=answer["executionArn"],
            name=name,
            kind=kind,
            settings=given,
            takes_back=None,
            status=RUNNING,
            started=answer["startDate"],
            ended=None,
            report=None,
            cause="",
        )

    def describe(self, arn: str) -> Execution:
        """Return an execution by its ARN."""
        answer = self._executions.describe_execution(executionArn=arn)
        given, name, takes_back = origin(answer.get("input", ""), answer["name"])
        match = NAME.fullmatch(name)
        return Execution(
            arn=arn,
            name=answer["name"],
            kind=match["kind"] if match else RELEASE,
            settings=read_settings(given),
            takes_back=takes_back,
            status=answer["status"],
            started=answer["startDate"],
            ended=answer.get("stopDate"),
            report=read_report(answer.get("output") if answer["status"] == "SUCCEEDED" else answer.get("cause")),
            cause=": ".join(filter(None, [answer.get("error"), answer.get("cause")])),
        )

    def running(self, stage: str) -> Execution | None:
        """Return the release of a stage that is under way; taking back the weights of one that ended is none."""
        return next((found for found in self._of_stage(stage, RUNNING) if found.takes_back is None), None)

    def under_way(self) -> dict[str, str]:
        """Return the names of the releases that are under way, by stage."""
        found: dict[str, str] = {}
        for item in self._listed(RUNNING):
            if match := NAME.fullmatch(item["name"]):
                found[match["stage"]] = item["name"]
            elif (execution := self.describe(item["executionArn"])).takes_back is None:
                found[execution.settings.stage] = item["name"]
        return found

    def past(self, stage: str) -> Iterator[Past]:
        """Yield the releases of a stage, newest first, as far back as Step Functions remembers: 90 days.

        https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
        """
        taken_back: dict[str, Report] = {}
        for execution in self._of_stage(stage):
            if execution.takes_back is None:
                past = summarize(execution, taken_back.get(execution.name))
                if execution.running:
                    past = dataclasses.replace(past, from_version=self.alias(stage).version)
                yield past
            elif execution.report:
                taken_back[execution.takes_back] = execution.report

    def _of_stage(self, stage: str, status: str | None = None) -> Iterator[Execution]:
        """Yield a stage's executions, newest first; those whose names tell of other stages are not looked at."""
        for item in self._listed(status):
            match = NAME.fullmatch(item["name"])
            if match is None or match["stage"] == stage:
                execution = self.describe(item["executionArn"])
                if execution.settings.stage == stage:
                    yield execution

    def _listed(self, status: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield what the list alone tells of executions, newest first.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
        """
        given = {"statusFilter": status} if status else {}
        for page in self._executions.get_paginator("list_executions").paginate(stateMachineArn=self.arn, **given):
            yield from page["executions"]

    def abort(self, execution: Execution) -> None:
        """End a release by force; an event then starts the roll-back of it."""
        user = "unknown"
        with contextlib.suppress(KeyError, OSError):
            user = getpass.getuser()
        self._executions.stop_execution(executionArn=execution.arn, cause=f"aborted by {user}@{socket.gethostname()}")

    def wait(self, execution: Execution, show: Callable[[Execution], None] | None = None) -> Past:
        """Wait until a release has ended and all traffic goes to one version, and return how it ended.

        ``show`` is called at every look.

        Raises:
            CommandError: it ended by force, and nothing took its weights back.
        """
        while execution.running:
            if show:
                show(execution)
            time.sleep(self.poll_seconds)
            execution = self._look_again(execution)
        if execution.report:
            return summarize(execution, None)
        return summarize(execution, self._taken_back(execution))

    def _look_again(self, execution: Execution) -> Execution:
        try:
            return self.describe(execution.arn)
        except self._executions.exceptions.ExecutionDoesNotExist:
            # What was just started may not be known yet.
            # https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
            if datetime.datetime.now(datetime.UTC) - execution.started > NOT_KNOWN_YET:
                raise
            return execution

    def _taken_back(self, execution: Execution) -> Report:
        pace = local_aws.speed(self.here.target.endpoint)
        deadline = time.monotonic() + max(MIN_ROLL_BACK_SECONDS, ROLL_BACK_SECONDS / pace)
        stage = execution.settings.stage
        while True:
            found = next((newer for newer in self._of_stage(stage) if newer.takes_back == execution.name), None)
            weights = self.alias(stage).weights
            if found and found.report and not weights:
                return found.report
            if time.monotonic() > deadline:
                raise CommandError(
                    f"{execution.name} ended ({execution.status}), but no roll-back of it has: traffic of {stage} "
                    f"{f'still goes to {weights} beside the old version' if weights else 'goes to one version'}. "
                    "See the executions of the state machine and the rule that starts it"
                    f"{f'; by hand: {self.take_back_line(stage)}' if weights else ''}"
                )
            time.sleep(self.poll_seconds)

    def take_back_line(self, stage: str) -> str:
        """Return the command line that takes weights back by hand."""
        endpoint = f" --endpoint-url {self.here.target.endpoint}" if self.here.target.endpoint else ""
        return (
            f"aws{endpoint} lambda update-alias --function-name {self.function_name} --name {stage} "
            "--routing-config AdditionalVersionWeights={}"
        )

    def alias(self, stage: str) -> Alias:
        """Return what the alias of a stage runs."""
        answer = self._aliases.get_alias(FunctionName=self.function_name, Name=stage)
        return Alias(answer["FunctionVersion"], answer.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {})

    def has_version(self, version: str) -> bool:
        """Return whether the function has a version."""
        try:
            self._aliases.get_function_configuration(FunctionName=self.function_name, Qualifier=version)
        except self._aliases.exceptions.ResourceNotFoundException:
            return False
        return True

    def figures(self, stage: str, version: str, since: datetime.datetime) -> Figures:
        """Return a version's figures by way of a stage's alias, as the state machine reads them.

        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
        """
        dimensions = {
            "FunctionName": self.function_name,
            "Resource": f"{self.function_name}:{stage}",
            "ExecutedVersion": version,
        }
        wanted = {
            "calls": ("Invocations", "Sum"),
            "errors": ("Errors", "Sum"),
            "p99": ("Duration", "p99"),
            "timed": ("Duration", "SampleCount"),
        }
        answer = self._metrics.get_metric_data(
            StartTime=since,
            EndTime=datetime.datetime.now(datetime.UTC),
            ScanBy="TimestampAscending",
            MetricDataQueries=[
                {
                    "Id": name,
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/Lambda",
                            "MetricName": metric,
                            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
                        },
                        "Period": 60,
                        "Stat": statistic,
                    },
                }
                for name, (metric, statistic) in wanted.items()
            ],
        )
        values = {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}
        timed = values.get("timed", [])
        # Percentiles of minutes have none of their own: each minute's counts by its calls.
        weighted = sum(p99 * count for p99, count in zip(values.get("p99", []), timed, strict=False))
        return Figures(
            int(sum(values.get("calls", []))),
            int(sum(values.get("errors", []))),
            weighted / sum(timed) if sum(timed) else 0.0,
        )

    def last(self, stage: str) -> Past | None:
        """Return the last release, promotion or rollback of a stage that succeeded, or None if none is known."""
        return next((past for past in self.past(stage) if past.outcome == RELEASED), None)

    def unrecorded(self, stage: str) -> Past | None:
        """Return the release that moved a stage's alias to a version that config.tf does not pin."""
        pin = self.here.stages[stage].function_version
        if stage not in self.here.outputs["stages"] or pin in {None, config_file.NEWEST}:
            return None
        runs = self.alias(stage)
        if runs.weights or runs.version == pin:
            return None
        last = self.last(stage)
        return last if last and last.to_version == runs.version else None
