"""Statistics of metrics over periods.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
"""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ministack.services import cloudwatch

from emulator import clock, hooks
from emulator.cloudwatch.expressions import Series
from emulator.cloudwatch.protocol import RefusalError

MINUTE = 60
STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
Point = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """What identifies a metric: exactly these dimensions. ``unit`` narrows it to the data in one unit."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str | None = None

    @classmethod
    def of(cls, description: Mapping[str, Any], unit: str | None = None) -> Metric:
        """Return the metric that has the Namespace, MetricName and Dimensions of a request."""
        dimensions = description.get("Dimensions") or ()
        return cls(
            description.get("Namespace") or "",
            description.get("MetricName") or "",
            tuple(sorted((each["Name"], each["Value"]) for each in dimensions)),
            unit,
        )

    def points(self, start: float, end: float) -> list[Point]:
        """Return the data from a moment on, and before another one."""
        key = (self.namespace, self.name, cloudwatch._dims_key(dict(self.dimensions)))
        # Lambda's threads add to this list meanwhile.
        return [
            point
            for point in list(cloudwatch._metrics.get(key, ()))
            if start <= point["Timestamp"] < end and self.unit in {None, point["Unit"]}
        ]

    def periods(self, period: float, start: float, end: float) -> dict[float, list[Point]]:
        """Return the data of each period that has some, by the start of the period.

        Periods start at multiples of their length. ``period`` is in AWS's seconds.
        """
        length, step = clock.real(period), clock.real(min(period, MINUTE))
        found: dict[float, list[Point]] = defaultdict(list)
        # Data is stored by the minute, or in shorter periods if a request needs them: a minute counts as a whole.
        for point in self.points(floor(start, step), ceiling(end, step)):
            found[floor(point["Timestamp"], length)].append(point)
        return {moment: found[moment] for moment in sorted(found)}

    def windows(self, starts: Sequence[float], length: float) -> dict[float, list[Point]]:
        """Return the data of periods of a length, real seconds, that follow each other, by their starts."""
        found: dict[float, list[Point]] = {start: [] for start in starts}
        for point in self.points(starts[0], starts[-1] + length):
            found[starts[bisect.bisect(starts, point["Timestamp"]) - 1]].append(point)
        return found


def install() -> None:
    """Keep metrics: AWS keeps data for 15 months, MiniStack for two weeks.

    MiniStack also loses data that a thread adds while it deletes the old.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
    """
    hooks.wrap(cloudwatch, "_evict_old_metrics", [], lambda *_: None)


def floor(moment: float, length: float) -> float:
    """Return the last multiple of a length that is not after a moment."""
    return math.floor(moment / length) * length


def ceiling(moment: float, length: float) -> float:
    """Return the first multiple of a length that is not before a moment."""
    return math.ceil(moment / length) * length


def statistic(points: Iterable[Point], name: str) -> float | None:
    """Return a statistic or percentile of data, or None if the data has none."""
    found = list(points)
    statistics = cloudwatch._calc_stats(found)
    return cloudwatch._stat_value(statistics, name, found) if statistics else None


def series(periods: Mapping[float, Iterable[Point]], described: Mapping[str, Any], label: str) -> Series:
    """Return the series that a MetricStat describes, of the data of its periods."""
    made = {start: statistic(points, described["Stat"]) for start, points in periods.items()}
    return Series({start: value for start, value in made.items() if value is not None}, described["Period"], label)


def check(name: str) -> None:
    """Refuse a statistic that there is not."""
    if name not in STATISTICS and not cloudwatch._is_percentile_stat(name):
        raise RefusalError("ValidationError", f"The value {name} for parameter Stat is not supported.")


def get_metric_statistics(request: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html."""
    metric = Metric.of(request, request.get("Unit"))
    percentiles = request.get("ExtendedStatistics", [])
    for name in percentiles:
        check(name)
    datapoints = []
    for moment, points in metric.periods(request["Period"], request["StartTime"], request["EndTime"]).items():
        for unit in sorted({point["Unit"] for point in points}):
            found = [point for point in points if point["Unit"] == unit]
            datapoint = {name: statistic(found, name) for name in request.get("Statistics", [])}
            extended = {name: value for name in percentiles if (value := statistic(found, name)) is not None}
            datapoints.append({"Timestamp": moment, "Unit": unit, **datapoint, "ExtendedStatistics": extended or None})
    return {"Label": metric.name, "Datapoints": datapoints}
