"""The stage live while the demonstration runs: its alias, its alarm, and the metrics of each version."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
import botocore.config
import botocore.exceptions

from pathtolive.target import NAME

FUNCTION, ALARM = NAME, f"{NAME}-live-unhealthy"
POLL_SECONDS = 0.25
T = TypeVar("T")


@dataclass(frozen=True)
class Observation:
    """The alias of live and the state of its alarm at a moment, in seconds since the start."""

    at: float
    version: str
    weights: Mapping[str, float]
    alarm: bool


@dataclass(frozen=True)
class Minute:
    """The invocations of a version through the alias live in a minute of the metrics, and how many of them failed.

    ``start`` is the number of the minute.
    """

    start: int
    version: str
    invocations: int
    failed: int


class Watch:
    """Reads the alias and the alarm of live repeatedly, until it is stopped."""

    def __init__(self, endpoint: str, started: float) -> None:
        self._started = started
        self._aliases, self._alarms = client(endpoint, "lambda"), client(endpoint, "cloudwatch")
        self._observations: list[Observation] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def observations(self) -> list[Observation]:
        """The observations so far."""
        return list(self._observations)

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            # A request that fails is repeated soon.
            with contextlib.suppress(OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                self._observations.append(self._observe())

    def _observe(self) -> Observation:
        alias = self._aliases.get_alias(FunctionName=FUNCTION, Name="live")
        alarms = self._alarms.describe_alarms(AlarmNames=[ALARM], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        return Observation(
            time.time() - self._started,
            alias["FunctionVersion"],
            alias.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {},
            [alarm["StateValue"] for alarm in alarms] == ["ALARM"],
        )


def firing(observations: Sequence[Observation]) -> list[tuple[float, float]]:
    """Return when the alarm of live fired: from when to when."""
    return [(started, ended) for started, ended, fires in _intervals(observations, lambda one: one.alarm) if fires]


def held(observations: Sequence[Observation], version: str) -> list[tuple[float, float, float]]:
    """Return the weights of a version in the alias of live: from when to when, and the weight."""
    found = _intervals(observations, lambda one: one.weights.get(version, 0.0))
    return [(started, ended, weight) for started, ended, weight in found if weight]


def _intervals(observations: Sequence[Observation], state: Callable[[Observation], T]) -> list[tuple[float, float, T]]:
    """Return the intervals in which a state was the same."""
    starts = [(next(group).at, value) for value, group in itertools.groupby(observations, state)]
    ends = [*(at for at, _ in starts[1:]), observations[-1].at] if observations else []
    return [(started, ended, value) for (started, value), ended in zip(starts, ends, strict=True)]


def minute(speed: float) -> int:
    """Return the number of the current minute of the metrics, since the epoch, given the speed of local AWS."""
    return int(time.time() * speed / 60)


def minutes(endpoint: str, versions: Iterable[str], since: float, speed: float) -> list[Minute]:
    """Return the metrics of versions since a time, by minute. Minutes are as much shorter as local AWS is faster.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    queries = {
        f"{name.lower()}_{version}": {
            "Metric": {
                "Namespace": "AWS/Lambda",
                "MetricName": name,
                "Dimensions": [
                    {"Name": "FunctionName", "Value": FUNCTION},
                    {"Name": "Resource", "Value": f"{FUNCTION}:live"},
                    {"Name": "ExecutedVersion", "Value": version},
                ],
            },
            "Period": 60,
            "Stat": "Sum",
        }
        for version in versions
        for name in ("Invocations", "Errors")
    }
    response = client(endpoint, "cloudwatch").get_metric_data(
        StartTime=since,
        EndTime=time.time(),
        MetricDataQueries=[{"Id": name, "MetricStat": query} for name, query in queries.items()],
    )
    length = 60 / speed
    counts = {
        result["Id"]: {
            round(moment.timestamp() / length): int(value)
            for moment, value in zip(result["Timestamps"], result["Values"], strict=True)
        }
        for result in response["MetricDataResults"]
    }
    return [
        Minute(place, version, invocations, counts[f"errors_{version}"].get(place, 0))
        for version in versions
        for place, invocations in sorted(counts[f"invocations_{version}"].items())
    ]


def client(endpoint: str, service: str) -> Any:
    """Return a boto3 client of the demonstration's local AWS."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=endpoint,
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - any will do
        config=botocore.config.Config(connect_timeout=10, retries={"mode": "standard"}),
    )
