"""A fake of the AWS services that the release engine uses, in the process of the test. Any request can fail."""

from __future__ import annotations

import datetime
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FUNCTION = "greeter"
STAGE = "live"
BASELINE, NEW = "6", "7"
ROLE = "arn:aws:iam::000000000000:role/release"
CONFIGURATION = {"Role": "arn:aws:iam::000000000000:role/greeter"}
Json = Mapping[str, Any]


class ServiceError(Exception):
    """An error as Step Functions names it."""

    def __init__(self, error: str, cause: str = "because") -> None:
        super().__init__(error)
        self.error = error
        self.cause = cause


@dataclass(frozen=True)
class Minute:
    """What CloudWatch has counted in a minute, by the ids of the queries."""

    new_invocations: int = 100
    new_errors: int = 0
    new_errors_0: int = 0
    new_slow: int = 0
    baseline_invocations: int = 100
    baseline_errors: int = 0
    baseline_errors_0: int = 0
    baseline_slow: int = 0


@dataclass
class World:
    """A function with an alias, its metrics, its alarm, and a topic. ``running`` has the executions in progress.

    ``requests`` has the action and the arguments of each request of the engine. ``before`` runs before each request,
    and gets the action and how many times it was requested. ``faults`` gets the name of a state and the number of its
    attempt, and returns an error if the attempt fails. ``lost_responses`` does the same after AWS has done the work.
    """

    versions: dict[str, Json] = field(default_factory=lambda: {BASELINE: CONFIGURATION, NEW: CONFIGURATION})
    running: set[str] = field(default_factory=set)
    aliases: dict[str, dict[str, Any]] = field(default_factory=dict)
    # The parameters of the stage: what people ask of releases, and the versions that were rolled back.
    control: Any = field(default_factory=dict)
    rejected: Any = field(default_factory=list)
    firing: bool = False
    requests: list[tuple[str, Json]] = field(default_factory=list)
    notifications: list[Json] = field(default_factory=list)
    queries: list[Json] = field(default_factory=list)
    # The complete minutes of a step, by the weight of the new version.
    metrics: Callable[[float], Sequence[Minute]] = lambda _weight: [Minute()] * 3
    responses: Callable[[str, str], Any] = lambda path, version: response(path, version)  # noqa: PLW0108 - it is defined below
    before: Callable[[str, int], None] = lambda _action, _nth: None
    faults: Callable[[str, int], ServiceError | None] = lambda _state, _nth: None
    lost_responses: Callable[[str, int], ServiceError | None] = lambda _state, _nth: None
    _attempts: Counter[str] = field(default_factory=Counter)
    _revisions: int = 0

    def __post_init__(self) -> None:
        self.aliases[STAGE] = {"Name": STAGE, "FunctionVersion": BASELINE, "Description": "An alias"}
        self._changed()

    def weights(self) -> dict[str, float]:
        return dict(self.aliases[STAGE].get("RoutingConfig", {}).get("AdditionalVersionWeights", {}))

    def state(self) -> tuple[str, dict[str, float]]:
        """Return the version and weights of the alias."""
        return self.aliases[STAGE]["FunctionVersion"], self.weights()

    def shifts(self) -> list[Any]:
        """Return the updates of the alias, in order: a weight, a version that got all traffic, or "removed"."""
        return [
            given["RoutingConfig"]["AdditionalVersionWeights"].get(NEW, given.get("FunctionVersion", "removed"))
            for action, given in self.requests
            if action == "updateAlias"
        ]

    def change(self, **values: Any) -> None:
        """Change the alias outside the release."""
        self.aliases[STAGE] |= values
        self._changed()

    def invoke(self, state: str, resource: str, given: Json) -> Any:
        """Return the result of the task of a state."""
        action = resource.rpartition(":")[2]
        self.requests.append((action, given))
        self._attempts[state] += 1
        self.before(action, sum(name == action for name, _ in self.requests))
        if fault := self.faults(state, self._attempts[state]):
            raise fault
        result = getattr(self, f"_{action}")(given)
        if fault := self.lost_responses(state, self._attempts[state]):
            raise fault
        return result

    def _changed(self) -> None:
        self._revisions += 1
        self.aliases[STAGE]["RevisionId"] = f"revision-{self._revisions}"

    def _getFunctionConfiguration(self, given: Json) -> Json:  # noqa: N802 - AWS's name
        if given["Qualifier"] not in self.versions:
            raise ServiceError("Lambda.ResourceNotFoundException")
        return {"Version": given["Qualifier"], **self.versions[given["Qualifier"]]}

    def _describeExecution(self, given: Json) -> Json:  # noqa: N802
        name = given["ExecutionArn"].rpartition(":")[2]
        if name not in self.running:
            raise ServiceError("Sfn.ExecutionDoesNotExistException")
        return {"Name": name, "Status": "RUNNING"}

    def _getAlias(self, given: Json) -> Json:  # noqa: N802
        if given["Name"] not in self.aliases:
            raise ServiceError("Lambda.ResourceNotFoundException")
        return dict(self.aliases[given["Name"]])

    def _updateAlias(self, given: Json) -> Json:  # noqa: N802
        alias = self.aliases[given["Name"]]
        if given["RevisionId"] != alias["RevisionId"]:
            raise ServiceError("Lambda.PreconditionFailedException")
        alias |= {key: given[key] for key in ("FunctionVersion", "RoutingConfig", "Description") if key in given}
        self._changed()
        return dict(alias)

    def _getParameter(self, given: Json) -> Json:  # noqa: N802
        content = getattr(self, given["Name"].rpartition("/")[2])
        return {"Parameter": {"Value": content if isinstance(content, str) else json.dumps(content)}}

    def _putParameter(self, given: Json) -> Json:  # noqa: N802
        assert given["Name"] == f"/releases/{FUNCTION}/{STAGE}/rejected"
        assert given["Overwrite"] is True
        self.rejected = json.loads(given["Value"])
        return {"Version": 2}

    def _describeAlarms(self, given: Json) -> Json:  # noqa: N802
        (name,) = given["AlarmNames"]
        found = [{"AlarmName": name, "StateReason": "the error rate is too high"}] if self.firing else []
        return {"CompositeAlarms": found, "MetricAlarms": []}

    def _getMetricData(self, given: Json) -> Json:  # noqa: N802
        self.queries.append(given)
        minutes = self.metrics(self.weights().get(NEW, 0))
        # Local AWS runs 10,000 times as fast: a minute takes 6 milliseconds.
        start = datetime.datetime.fromisoformat(given["StartTime"])
        times = [(start + datetime.timedelta(milliseconds=index)).isoformat() for index, _ in enumerate(minutes)]
        return {
            "MetricDataResults": [
                {"Id": query["Id"], "Timestamps": times, "Values": [getattr(each, query["Id"], 0) for each in minutes]}
                for query in given["MetricDataQueries"]
            ]
        }

    def _invoke(self, given: Json) -> Json:
        return {"StatusCode": 200, "Payload": self.responses(given["Payload"]["rawPath"], given["Qualifier"])}

    def _publish(self, given: Json) -> Json:
        self.notifications.append(given)
        return {"MessageId": "1"}


def response(path: str, version: str) -> Json:
    """Return the response of a version that works."""
    if path.endswith("/build-info"):
        body = json.dumps({"long": "0" * 40, "function": {"version": version}})
        return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}
    return {"statusCode": 200, "headers": {"Content-Type": "text/plain; charset=utf-8"}, "body": "Hello, World!"}


@dataclass
class Execution:
    """An execution that has ended, and its report."""

    name: str
    status: str
    error: str | None
    report: dict[str, Any]


class Engine:
    """The state machine, on the interpreter of local AWS in this process."""

    def __init__(self, stepfunctions: Any, definition: str) -> None:
        self._stepfunctions = stepfunctions
        created = self._request(
            "_create_state_machine", name=f"m-{uuid.uuid4().hex}", definition=definition, roleArn=ROLE, type="STANDARD"
        )
        self.arn = created["stateMachineArn"]

    def start(self, given: Any, name: str | None = None) -> str:
        name = name or f"e-{uuid.uuid4().hex}"
        started = self._request("_start_execution", stateMachineArn=self.arn, name=name, input=json.dumps(given))
        return str(started["executionArn"])

    def end(self, arn: str) -> Execution:
        """Return an execution when it has ended."""
        deadline = time.monotonic() + 60
        while (found := self._request("_describe_execution", executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "the execution has not ended"
            time.sleep(0.002)
        output = found.get("output") if found["status"] == "SUCCEEDED" else found.get("cause")
        try:
            report = json.loads(output or "{}")
        except ValueError:
            report = {"reason": output}
        return Execution(found["name"], found["status"], found.get("error"), report)

    def run(self, given: Any, name: str | None = None) -> Execution:
        return self.end(self.start(given, name))

    def history(self, arn: str) -> list[Json]:
        """Return the events of an execution."""
        return list(self._request("_get_execution_history", executionArn=arn, maxResults=1000)["events"])

    def stop(self, arn: str) -> None:
        self._request("_stop_execution", executionArn=arn)

    def _request(self, function: str, **given: Any) -> Any:
        status, _, body = getattr(self._stepfunctions, function)(given)
        assert status == 200, body
        return json.loads(body)
