"""The data of metrics: by the minute, or by the second if a request asks for that; later by longer periods.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ministack.core import persistence

from emulator import clock
from emulator.cloudwatch.statistics import Statistics, merged
from emulator.persistence.database import Changes, Row

MINUTE, HOUR, DAY = 60, 3600, 86_400
# From which age on data has which period. AWS deletes the longest after 15 months.
LONG_TERM = ((63 * DAY, HOUR), (15 * DAY, 5 * MINUTE), (3 * HOUR, MINUTE))


class Key(NamedTuple):
    """What identifies a metric: account, region, namespace, name, and exactly these dimensions."""

    account: str
    region: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


class Point(NamedTuple):
    """The data of a period in one unit. ``moment`` is in the period, just after its start."""

    moment: float
    unit: str
    statistics: Statistics


@dataclass
class _Metric:
    """The data of one metric, by the start of the period and the unit."""

    periods: dict[tuple[float, str], Statistics] = field(default_factory=dict)
    open: list[Statistics] = field(default_factory=list)
    newest: float = -math.inf
    rolled_up: float = 0

    def period(self, moment: float, unit: str, seconds: float) -> tuple[tuple[float, str], Statistics]:
        """Return the period that a moment is in, and its data, to which the caller adds."""
        period = floor(moment, clock.real(seconds)), unit
        data = self.periods.get(period)
        if data is None:
            data = Statistics()
            self.put(*period, data)
        return period, data

    def put(self, start: float, unit: str, data: Statistics) -> None:
        """Begin a period, and pack those before it."""
        if start > self.newest:
            for each in self.open:
                each.pack()
            self.newest, self.open = start, []
        self.periods[start, unit] = data
        self.open.append(data)

    def roll_up(self, now: float) -> Iterator[tuple[float, str]]:
        """Merge old data into longer periods, each hour, and yield the periods that change."""
        if now - self.rolled_up < clock.real(HOUR):
            return
        self.rolled_up = now
        for start, unit in list(self.periods):
            age = (now - start) * clock.speed
            seconds = next((period for oldest, period in LONG_TERM if age > oldest), None)
            if seconds is not None and floor(_inside(start), clock.real(seconds)) < start:
                old = self.periods.pop((start, unit))
                period, data = self.period(_inside(start), unit, seconds)
                data.merge(old)
                yield start, unit
                yield period


class Store:
    """The data of all metrics."""

    name = "metrics"

    def __init__(self) -> None:
        self._metrics: dict[Key, _Metric] = {}
        self._changed: set[tuple[Key, float, str]] = set()
        # Lambda's threads add data while requests and alarms read it.
        self._lock = threading.Lock()

    def add(self, key: Key, moment: float, unit: str, data: Statistics, seconds: float = MINUTE) -> None:
        """Add data to the period that a moment is in, whose length is in AWS's seconds."""
        with self._lock:
            self._data(key, moment, unit, seconds).merge(data)

    def add_values(self, values: Iterable[tuple[Key, float, str]], moment: float) -> None:
        """Add values of metrics, each with its unit, to the minute that a moment is in."""
        with self._lock:
            for key, value, unit in values:
                self._data(key, moment, unit, MINUTE).add(value)

    def points(self, key: Key) -> list[Point]:
        """Return copies of the data of a metric."""
        with self._lock:
            metric = self._metrics.get(key, _Metric())
            return [Point(_inside(start), unit, merged([each])) for (start, unit), each in metric.periods.items()]

    def since(self, moment: float) -> list[Key]:
        """Return the metrics that have data of a period that began after a moment."""
        with self._lock:
            return [key for key, metric in self._metrics.items() if metric.newest > moment]

    def clear(self) -> None:
        """Delete everything."""
        with self._lock:
            self._changed |= {(key, *period) for key, metric in self._metrics.items() for period in metric.periods}
            self._metrics.clear()

    def changes(self) -> Changes:
        """Return the periods that have changed."""
        changes = Changes()
        with self._lock:
            for key, start, unit in self._changed:
                metric = self._metrics.get(key)
                data = metric.periods.get((start, unit)) if metric else None
                changes.rows[json.dumps(key), json.dumps([start, unit])] = json.dumps(data.dump()) if data else None
            self._changed.clear()
        return changes

    def restore(self, rows: Iterable[Row]) -> None:
        """Restore the data of all metrics."""
        for row in rows:
            account, region, namespace, name, dimensions = json.loads(row.owner)
            key = Key(account, region, namespace, name, tuple((each, value) for each, value in dimensions))
            start, unit = json.loads(row.key)
            self._metrics.setdefault(key, _Metric()).put(start, unit, Statistics.load(json.loads(row.value)))

    def _data(self, key: Key, moment: float, unit: str, seconds: float) -> Statistics:
        """Return the data of a period, to which the caller adds, and which is then saved."""
        metric = self._metrics.get(key)
        if metric is None:
            metric = self._metrics[key] = _Metric()
        changed = list(metric.roll_up(time.time()))
        period, data = metric.period(moment, unit, seconds)
        if persistence.PERSIST_STATE:
            self._changed.update((key, *each) for each in (*changed, period))
        return data


def floor(moment: float, length: float) -> float:
    """Return the last multiple of a length that is not after a moment."""
    return math.floor(moment / length) * length


def _inside(start: float) -> float:
    """Return a moment just after the start of a period, which numbers that are not exact do not put before it."""
    return start + clock.real(0.5)
