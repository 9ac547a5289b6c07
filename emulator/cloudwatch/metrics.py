"""Metrics, their statistics over periods, and the requests for them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
"""

from __future__ import annotations

import bisect
import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch

from emulator import clock, hooks
from emulator.cloudwatch.expressions import Series
from emulator.cloudwatch.protocol import RefusalError
from emulator.cloudwatch.statistics import Statistics, exists, merged
from emulator.cloudwatch.store import DAY, HOUR, MINUTE, Key, Point, Store, floor

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html
LISTED_SECONDS, RECENT_SECONDS, LISTED = 14 * DAY, 3 * HOUR, 500
STORE = Store()


@dataclass(frozen=True)
class Metric:
    """A metric in the account and region of the request. ``unit`` narrows it to the data in one unit."""

    key: Key
    unit: str | None = None

    @classmethod
    def of(cls, description: Mapping[str, Any], unit: str | None = None) -> Metric:
        """Return the metric that has the Namespace, MetricName and Dimensions of a request."""
        dimensions = {each["Name"]: each["Value"] for each in description.get("Dimensions") or ()}
        return cls(_key(description.get("Namespace") or "", description.get("MetricName") or "", dimensions), unit)

    def points(self, start: float, end: float) -> list[Point]:
        """Return the data from a moment on, and before another one."""
        return [
            point for point in STORE.points(self.key) if start <= point.moment < end and self.unit in {None, point.unit}
        ]

    def periods(self, period: float, start: float, end: float) -> dict[float, list[Point]]:
        """Return the data of each period that has some, by the start of the period.

        Periods start at multiples of their length. ``period`` is in AWS's seconds.
        """
        length, step = clock.real(period), clock.real(min(period, MINUTE))
        found: dict[float, list[Point]] = defaultdict(list)
        # A minute counts as a whole.
        for point in self.points(floor(start, step), ceiling(end, step)):
            found[floor(point.moment, length)].append(point)
        return {moment: found[moment] for moment in sorted(found)}

    def windows(self, starts: Sequence[float], length: float) -> dict[float, list[Point]]:
        """Return the data of periods of a length, real seconds, that follow each other, by their starts."""
        found: dict[float, list[Point]] = {start: [] for start in starts}
        for point in self.points(starts[0], starts[-1] + length):
            found[starts[bisect.bisect(starts, point.moment) - 1]].append(point)
        return found


def install() -> None:
    """Keep the metrics of MiniStack's services here."""
    hooks.wrap(cloudwatch, "record_metric", ["namespace", "metric_name", "value", "unit", "dimensions"], _record)
    hooks.wrap(cloudwatch, "reset", [], _reset)


def record(
    namespace: str,
    values: Collection[tuple[str, float, str]],
    *dimensions: Mapping[str, str],
    moment: float | None = None,
) -> None:
    """Add values to this minute of metrics of one of AWS's services, or to the minute of a moment.

    Each of ``values`` is the name of a metric, a value, and a unit. It is added under every set of ``dimensions``.
    """
    sets = [tuple(sorted(each.items())) for each in dimensions]
    account, region = get_account_id(), get_region()
    STORE.add_values(
        [(Key(account, region, namespace, name, each), value, unit) for each in sets for name, value, unit in values],
        time.time() if moment is None else moment,
    )


def ceiling(moment: float, length: float) -> float:
    """Return the first multiple of a length that is not before a moment."""
    return math.ceil(moment / length) * length


def statistic(points: Iterable[Point], name: str) -> float | None:
    """Return a statistic or percentile of data, or None if the data has none."""
    return merged(point.statistics for point in points).statistic(name)


def series(periods: Mapping[float, Iterable[Point]], described: Mapping[str, Any], label: str) -> Series:
    """Return the series that a MetricStat describes, of the data of its periods."""
    made = {start: statistic(points, described["Stat"]) for start, points in periods.items()}
    return Series({start: value for start, value in made.items() if value is not None}, described["Period"], label)


def check(name: str, parameter: str = "Stat") -> None:
    """Refuse a statistic that there is not."""
    if not exists(name):
        raise RefusalError("ValidationError", f"The value {name} for parameter {parameter} is not supported.")


def get_metric_statistics(request: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html."""
    metric = Metric.of(request, request.get("Unit"))
    statistics, percentiles = request.get("Statistics", []), request.get("ExtendedStatistics", [])
    for name in (*statistics, *percentiles):
        check(name)
    datapoints = []
    for moment, points in metric.periods(request["Period"], request["StartTime"], request["EndTime"]).items():
        for unit in sorted({point.unit for point in points}):
            found = [point for point in points if point.unit == unit]
            datapoint = {name: statistic(found, name) for name in statistics}
            extended = {name: value for name in percentiles if (value := statistic(found, name)) is not None}
            datapoints.append({"Timestamp": moment, "Unit": unit, **datapoint, "ExtendedStatistics": extended or None})
    return {"Label": metric.key.name, "Datapoints": datapoints}


def list_metrics(request: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html."""
    wanted = [(each["Name"], each.get("Value")) for each in request.get("Dimensions", [])]

    def matches(key: Key) -> bool:
        given = dict(key.dimensions)
        return (
            (key.account, key.region) == (get_account_id(), get_region())
            and request.get("Namespace", key.namespace) == key.namespace
            and request.get("MetricName", key.name) == key.name
            and all(name in given and value in {None, given[name]} for name, value in wanted)
        )

    seconds = RECENT_SECONDS if request.get("RecentlyActive") else LISTED_SECONDS
    found = sorted(filter(matches, STORE.since(time.time() - seconds)))
    start = int(request.get("NextToken", 0))
    following = start + LISTED
    return {
        "Metrics": [
            {
                "Namespace": key.namespace,
                "MetricName": key.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in key.dimensions],
            }
            for key in found[start:following]
        ],
        "NextToken": str(following) if following < len(found) else None,
    }


def put_metric_data(request: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html."""
    for datum in request.get("MetricData", []):
        data = Statistics()
        if "StatisticValues" in datum:
            given = datum["StatisticValues"]
            data.add_set(given["SampleCount"], given["Sum"], given["Minimum"], given["Maximum"])
        else:
            values = datum.get("Values") or [datum.get("Value", 0.0)]
            for value, count in zip(values, datum.get("Counts") or [1.0] * len(values), strict=True):
                data.add(value, count)
        moment, seconds = datum.get("Timestamp") or time.time(), datum.get("StorageResolution", MINUTE)
        key = Metric.of({"Namespace": request["Namespace"], **datum}).key
        STORE.add(key, moment, datum.get("Unit", "None"), data, seconds)
    return {}


def _record(
    _original: Callable[..., Any],
    namespace: str,
    metric_name: str,
    value: float,
    unit: str = "None",
    dimensions: Mapping[str, str] | None = None,
) -> None:
    record(namespace, [(metric_name, value, unit)], dimensions or {})


def _reset(original: Callable[..., Any]) -> None:
    original()
    STORE.clear()


def _key(namespace: str, name: str, dimensions: Mapping[str, str]) -> Key:
    return Key(get_account_id(), get_region(), namespace, name, tuple(sorted(dimensions.items())))
