"""The metrics of a version that the state machine analyzes."""

from __future__ import annotations

import datetime
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pathtolive.release.settings import Settings

HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Metrics:
    """Invocations of one version through one alias, and how many of them failed, or took longer than the limit."""

    invocations: int = 0
    errors: int = 0
    slow: int = 0


def read(
    cloudwatch: Any, measured: Sequence[Mapping[str, Any]], given: Settings, version: str, since: datetime.datetime
) -> Metrics:
    """Return a version's metrics through the alias of a release, given those that the state machine analyzes."""
    values = {"{version}": version, "{max_p99_ms}": f"{given.max_p99_ms:g}"}

    def filled(text: str) -> str:
        return functools.reduce(lambda found, name: found.replace(name, values[name]), values, text)

    response = cloudwatch.get_metric_data(
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


def per_minute(cloudwatch: Any, function_name: str, stage: str, speed: float) -> float:
    """Return the average number of a stage's invocations per minute, since the first of the last hour; 0 without any.

    ``speed`` is that of the AWS endpoint.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    now = datetime.datetime.now(datetime.UTC)
    query = {
        "Id": "invocations",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/Lambda",
                "MetricName": "Invocations",
                "Dimensions": [
                    {"Name": "FunctionName", "Value": function_name},
                    {"Name": "Resource", "Value": f"{function_name}:{stage}"},
                ],
            },
            "Period": 60,
            "Stat": "Sum",
        },
    }
    response = cloudwatch.get_metric_data(StartTime=now - HOUR / speed, EndTime=now, MetricDataQueries=[query])
    (counted,) = response["MetricDataResults"]
    if not counted["Values"]:
        return 0.0
    minutes: float = (now - min(counted["Timestamps"])) * speed / datetime.timedelta(minutes=1)
    return float(sum(counted["Values"])) / max(1.0, minutes)
