"""AWS as the release engine sees it, small enough to let any of its calls fail, in the test's own process."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

FUNCTION = "greeter"
STAGES = ("dev", "test", "live")
OLD, NEW = "6", "7"
ROLE = "arn:aws:iam::000000000000:role/release"
Answer = Mapping[str, Any]


class ServiceError(Exception):
    """An error as Step Functions names it."""

    def __init__(self, error: str, cause: str = "because") -> None:
        super().__init__(error)
        self.error = error
        self.cause = cause


@dataclass
class World:
    """A function with aliases, its metrics, alarms and a topic.

    ``calls`` are those that the engine made: the action's name, and what it was given. ``before`` may do anything
    before one, by the action's name and how often it has been asked for. ``faults`` may return how the call of a state
    fails, by the state's name and how often it has tried, ``lost_answers`` how it fails after all was done.
    """

    versions: set[str] = field(default_factory=lambda: {OLD, NEW})
    aliases: dict[str, dict[str, Any]] = field(default_factory=dict)
    firing: bool = False
    calls: list[tuple[str, Answer]] = field(default_factory=list)
    told: list[Answer] = field(default_factory=list)
    # Of the new version in a step, by the step's weight.
    figures: Callable[[float], tuple[int, int, float]] = lambda _weight: (100, 0, 20.0)
    answers: Callable[[str, str], Any] = lambda path, version: answer(path, version)  # noqa: PLW0108 - it comes below
    before: Callable[[str, int], None] = lambda _action, _nth: None
    faults: Callable[[str, int], ServiceError | None] = lambda _state, _nth: None
    lost_answers: Callable[[str, int], ServiceError | None] = lambda _state, _nth: None
    _tries: Counter[str] = field(default_factory=Counter)
    _revisions: int = 0

    def __post_init__(self) -> None:
        for stage in STAGES:
            self.aliases[stage] = {"Name": stage, "FunctionVersion": OLD, "Description": "What it runs"}
            self._changed(stage)

    def weights(self, stage: str = "live") -> dict[str, float]:
        return dict(self.aliases[stage].get("RoutingConfig", {}).get("AdditionalVersionWeights", {}))

    def state(self, stage: str = "live") -> tuple[str, dict[str, float]]:
        """Return the version and weights of an alias."""
        return self.aliases[stage]["FunctionVersion"], self.weights(stage)

    def shifts(self, stage: str = "live") -> list[Any]:
        """Return what the alias was set to, one after the other: a weight, or the version that gets everything."""
        return [
            given["RoutingConfig"]["AdditionalVersionWeights"].get(NEW, given.get("FunctionVersion", "back"))
            for action, given in self.calls
            if action == "updateAlias" and given["Name"] == stage
        ]

    def change(self, stage: str = "live", **values: Any) -> None:
        """Change an alias as somebody else would."""
        self.aliases[stage] |= values
        self._changed(stage)

    def invoke(self, state: str, resource: str, given: Answer) -> Any:
        """Do what the task of a state asks for."""
        action = resource.rpartition(":")[2]
        self.calls.append((action, given))
        self._tries[state] += 1
        self.before(action, sum(name == action for name, _ in self.calls))
        if fault := self.faults(state, self._tries[state]):
            raise fault
        result = getattr(self, f"_{action}")(given)
        if fault := self.lost_answers(state, self._tries[state]):
            raise fault
        return result

    def _changed(self, stage: str) -> None:
        self._revisions += 1
        self.aliases[stage]["RevisionId"] = f"revision-{self._revisions}"

    def _getFunctionConfiguration(self, given: Answer) -> Answer:  # noqa: N802 - AWS's name
        if given["Qualifier"] not in self.versions:
            raise ServiceError("Lambda.ResourceNotFoundException")
        return {"Version": given["Qualifier"]}

    def _getAlias(self, given: Answer) -> Answer:  # noqa: N802
        if given["Name"] not in self.aliases:
            raise ServiceError("Lambda.ResourceNotFoundException")
        return dict(self.aliases[given["Name"]])

    def _updateAlias(self, given: Answer) -> Answer:  # noqa: N802
        alias = self.aliases[given["Name"]]
        if given["RevisionId"] != alias["RevisionId"]:
            raise ServiceError("Lambda.PreconditionFailedException")
        alias |= {key: given[key] for key in ("FunctionVersion", "RoutingConfig", "Description") if key in given}
        self._changed(given["Name"])
        return dict(alias)

    def _describeAlarms(self, given: Answer) -> Answer:  # noqa: N802
        (name,) = given["AlarmNames"]
        found = [{"AlarmName": name, "StateReason": "the error rate is too high"}] if self.firing else []
        return {"CompositeAlarms": found, "MetricAlarms": []}

    def _getMetricData(self, given: Answer) -> Answer:  # noqa: N802
        stage = next(
            dimension["Value"].partition(":")[2]
            for dimension in given["MetricDataQueries"][0]["MetricStat"]["Metric"]["Dimensions"]
            if dimension["Name"] == "Resource"
        )
        calls, errors, p99 = self.figures(self.weights(stage).get(NEW, 0))
        values = {"calls": [calls], "errors": [errors], "p99": [p99], "timed": [calls]} if calls else {}
        return {
            "MetricDataResults": [
                {"Id": query["Id"], "Values": values.get(query["Id"], [])} for query in given["MetricDataQueries"]
            ]
        }

    def _invoke(self, given: Answer) -> Answer:
        return {"StatusCode": 200, "Payload": self.answers(given["Payload"]["rawPath"], given["Qualifier"])}

    def _publish(self, given: Answer) -> Answer:
        self.told.append(given)
        return {"MessageId": "1"}


def answer(path: str, version: str) -> Answer:
    """Return what a sound version answers."""
    if path.endswith("/build-info"):
        body = json.dumps({"long": "0" * 40, "function": {"version": version}})
        return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}
    return {"statusCode": 200, "headers": {"Content-Type": "text/plain; charset=utf-8"}, "body": "Hello, World!"}


@dataclass
class Execution:
    """An execution that has ended, and the report that it ended with."""

    name: str
    status: str
    error: str | None
    report: dict[str, Any]


class Engine:
    """The state machine, interpreted in this process."""

    def __init__(self, stepfunctions: Any, definition: str) -> None:
        self._stepfunctions = stepfunctions
        created = self._call(
            "_create_state_machine", name=f"m-{uuid.uuid4().hex}", definition=definition, roleArn=ROLE, type="STANDARD"
        )
        self.arn = created["stateMachineArn"]

    def start(self, given: Any, name: str | None = None) -> str:
        name = name or f"e-{uuid.uuid4().hex}"
        started = self._call("_start_execution", stateMachineArn=self.arn, name=name, input=json.dumps(given))
        return str(started["executionArn"])

    def end(self, arn: str) -> Execution:
        """Wait until an execution has ended."""
        deadline = time.monotonic() + 60
        while (found := self._call("_describe_execution", executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.002)
        output = found.get("output") if found["status"] == "SUCCEEDED" else found.get("cause")
        try:
            report = json.loads(output or "{}")
        except ValueError:
            report = {"reason": output}
        return Execution(found["name"], found["status"], found.get("error"), report)

    def run(self, given: Any, name: str | None = None) -> Execution:
        return self.end(self.start(given, name))

    def stop(self, arn: str) -> None:
        self._call("_stop_execution", executionArn=arn)

    def _call(self, function: str, **given: Any) -> Any:
        status, _, body = getattr(self._stepfunctions, function)(given)
        assert status == 200, body
        return json.loads(body)
