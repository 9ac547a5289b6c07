"""Releases: executions of the state machine that shifts a stage's traffic from one version to another."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import getpass
import json
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import embedded
import pins
import stack
from command import CommandError, RefusedError

RELEASE, PROMOTE, ROLLBACK = "release", "promote", "rollback"
RELEASED, ROLLED_BACK, UNDER_WAY = "released", "rolled back", "under way"
RUNNING = "RUNNING"
NAME = re.compile(
    rf"(?P<stage>.+)-(?P<kind>{RELEASE}|{PROMOTE}|{ROLLBACK})-(?P<version>[1-9]\d*)-\d{{8}}T\d{{6}}Z-[0-9a-f]{{4}}"
)
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
MAX_NAME = 80
POLL_SECONDS = 5.0
NOT_KNOWN_YET = datetime.timedelta(minutes=1)
# An event starts the roll-back of a release that ended by force, within seconds.
ROLL_BACK_SECONDS = 180.0
MIN_ROLL_BACK_SECONDS = 30.0


@dataclass(frozen=True)
class Settings:
    """What a release is started with, as the state machine takes it: None is its default, rates are shares."""

    stage: str
    version: str
    steps: tuple[float, ...] | None = None
    bake_seconds: int | None = None
    max_error_rate: float | None = None
    max_p99_ms: float | None = None
    min_calls: int | None = None
    extensions: int | None = None
    when_inconclusive: str | None = None
    ignore_alarms: str | None = None
    smoke_test: bool | None = None

    @property
    def input(self) -> dict[str, Any]:
        """The settings that are not the machine's defaults."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def settings(given: Mapping[str, Any]) -> Settings:
    """Return settings as they are written in an execution's input, leaving out what is none."""
    known = {field.name for field in dataclasses.fields(Settings)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name in known
    }
    return Settings(**{"stage": "", "version": ""} | values)


@dataclass(frozen=True)
class Report:
    """How a release ended, as the state machine tells it; ``release`` names the one whose weights were taken back."""

    outcome: str
    from_version: str
    to_version: str
    reason: str
    release: str


def report(text: str | None) -> Report | None:
    """Read the output of an execution that succeeded, or the cause of one that failed; None where it is no report."""
    try:
        content = json.loads(text or "")
        return Report(*(str(content[name]) for name in ("outcome", "from", "to", "reason", "release")))
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Execution:
    """An execution of the state machine, as AWS describes it.

    ``takes_back`` names the execution whose weights it takes back, where an event started it: ``settings`` are then
    those of that one.
    """

    arn: str
    name: str
    kind: str
    settings: Settings
    takes_back: str | None
    status: str
    started: datetime.datetime
    ended: datetime.datetime | None
    report: Report | None
    cause: str

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self.status == RUNNING


@dataclass(frozen=True)
class Past:
    """A release, promotion or roll-back of a stage as history tells it; under way where it has not ended."""

    name: str
    kind: str
    from_version: str | None
    to_version: str
    started: datetime.datetime
    ended: datetime.datetime | None
    outcome: str
    reason: str


@dataclass(frozen=True)
class Alias:
    """What an alias runs, and the shares of traffic that other versions get beside it."""

    version: str
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Figures:
    """A version's own calls by way of one alias, and how long all but one in a hundred of them took."""

    calls: int = 0
    errors: int = 0
    p99_ms: float = 0.0

    @property
    def error_rate(self) -> float:
        """Share of the calls that failed."""
        return self.errors / self.calls if self.calls else 0.0


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
        return max(0.2, POLL_SECONDS / embedded.speed(self.here.target.endpoint))

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
        return settings(definition["States"]["ReadInput"]["Assign"]["defaults"])

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
            settings=settings(given),
            takes_back=takes_back,
            status=answer["status"],
            started=answer["startDate"],
            ended=answer.get("stopDate"),
            report=report(answer.get("output") if answer["status"] == "SUCCEEDED" else answer.get("cause")),
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
                past = told(execution, taken_back.get(execution.name))
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
            return told(execution, None)
        return told(execution, self._taken_back(execution))

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
        pace = embedded.speed(self.here.target.endpoint)
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
        if stage not in self.here.outputs["stages"] or pin in {None, pins.NEWEST}:
            return None
        runs = self.alias(stage)
        if runs.weights or runs.version == pin:
            return None
        last = self.last(stage)
        return last if last and last.to_version == runs.version else None


def execution_name(kind: str, stage: str, version: str, at: datetime.datetime) -> str:
    """Return a name for an execution, which says what it does: ``live-release-7-20261124T080000Z-1a2b``.

    Raises:
        RefusedError: the stage's name leaves no room for it.
    """
    name = f"{stage}-{kind}-{version}-{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    if len(name) > MAX_NAME:
        raise RefusedError(
            f"Stage {stage} has too long a name: with it, {name} has more than the {MAX_NAME} characters that the "
            "name of an execution may have. Give the stage a shorter one."
        )
    return name


def origin(text: str, name: str) -> tuple[dict[str, Any], str, str | None]:
    """Return the settings of a release, its name, and that name again where the input is the event of its end.

    The execution that ended may have been a roll-back itself, so events lie inside events.
    """
    takes_back = None
    while True:
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            return {}, name, takes_back
        detail = content.get("detail")
        if not isinstance(detail, dict) or "input" not in detail:
            return content, name, takes_back
        text, name = detail["input"], detail["name"]
        takes_back = name


def told(execution: Execution, taken_back: Report | None) -> Past:
    """Return how an execution ended, given the report of the roll-back of it, where there was one."""
    report = execution.report or taken_back
    outcomes = {RUNNING: UNDER_WAY, "ABORTED": "aborted", "TIMED_OUT": "timed out"}
    outcome = outcomes.get(execution.status, execution.status.lower())
    reason = execution.cause
    if report and (execution.report or report.outcome == RELEASED or execution.status not in outcomes):
        outcome, reason = report.outcome, execution.cause if not execution.report else report.reason
    return Past(
        name=execution.name,
        kind=execution.kind,
        from_version=report.from_version or None if report else None,
        to_version=execution.settings.version,
        started=execution.started,
        ended=execution.ended,
        outcome=outcome,
        reason=reason,
    )


def versions(past: Iterable[Past]) -> list[str]:
    """Return the versions that a stage ran, read as a stack, from its releases in the order in which they were made.

    A release or promotion puts its version on top of the one it came from; a roll-back takes the bad one off, so that
    it is not what ran before any more.
    """
    found: list[str] = []
    for one in past:
        if one.outcome != RELEASED:
            continue
        # Terraform may have moved the alias in between.
        if one.from_version and found[-1:] != [one.from_version]:
            found.append(one.from_version)
        if one.kind == ROLLBACK:
            found = found[:-1]
            if one.to_version in found:
                while found[-1] != one.to_version:
                    found.pop()
        if found[-1:] != [one.to_version]:
            found.append(one.to_version)
    return found


def before(found: list[str], runs: str) -> str | None:
    """Return what a stage ran before what it runs now, or None where that is not known."""
    if found[-1:] == [runs]:
        found = found[:-1]
    return found[-1] if found else None


def share(text: str) -> float:
    """Return percents as a share: ``2.5`` and ``2.5%`` are 0.025.

    Raises:
        ValueError: it is no number from 0 to 100.
    """
    try:
        percents = Decimal(text.strip().removesuffix("%"))
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no number of percents") from error
    if not percents.is_finite() or not 0 <= percents <= 100:
        raise ValueError(f"{text} % is not from 0 to 100")
    return float(percents / 100)


def shares(text: str) -> tuple[float, ...]:
    """Return steps in percents as shares: ``10,50``; 100 at the end goes without saying.

    Raises:
        ValueError: one is no number, or they do not grow.
    """
    found = [share(part) for part in text.split(",")]
    if found != sorted(set(found)) or found[0] < 0.0001:
        raise ValueError(f"{text!r} does not grow from step to step, as in 10,50")
    return tuple(step for step in found if step < 1)


def percents(share: float) -> str:
    """Return a share in percents: 0.025 is ``2.5 %``."""
    return f"{round(100 * share, 2):g} %"
