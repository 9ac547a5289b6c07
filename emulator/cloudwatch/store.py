"""The data of metrics: by the minute, or by the second if a request asks for that; later by longer periods.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from emulator import clock
from emulator.cloudwatch.statistics import Statistics, merged

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

    def of(self, moment: float, unit: str, seconds: float) -> Statistics:
        """Return the data of the period that a moment is in, and pack that of the periods before."""
        start = floor(moment, clock.real(seconds))
        found = self.periods.get((start, unit))
        if found is None:
            if start > self.newest:
                for each in self.open:
                    each.pack()
                self.newest, self.open = start, []
            found = self.periods[start, unit] = Statistics()
            self.open.append(found)
        return found

    def roll_up(self, now: float) -> None:
        """Merge old data into longer periods, each hour."""
        if now - self.rolled_up < clock.real(HOUR):
            return
        self.rolled_up = now
        for start, unit in list(self.periods):
            age = (now - start) * clock.speed()
            seconds = next((period for oldest, period in LONG_TERM if age > oldest), None)
            if seconds is not None and (longer := floor(_inside(start), clock.real(seconds))) < start:
                self.of(longer, unit, seconds).merge(self.periods.pop((start, unit)))


class Store:
    """The data of all metrics."""

    def __init__(self) -> None:
        self._metrics: dict[Key, _Metric] = {}
        # Lambda's threads add data while requests and alarms read it.
        self._lock = threading.Lock()

    def add(self, key: Key, moment: float, unit: str, data: Statistics, seconds: float = MINUTE) -> None:
        """Add data to the period that a moment is in, whose length is in AWS's seconds."""
        with self._lock:
            metric = self._metrics.setdefault(key, _Metric())
            metric.of(moment, unit, seconds).merge(data)
            metric.roll_up(time.time())

    def points(self, key: Key) -> list[Point]:
        """Return copies of the data of a metric."""
        with self._lock:
            metric = self._metrics.get(key, _Metric())
            return [Point(_inside(start), unit, merged([each])) for (start, unit), each in metric.periods.items()]

    def since(self, moment: float) -> Iterator[Key]:
        """Yield the metrics that have data of a period that began after a moment."""
        with self._lock:
            return iter([key for key, metric in self._metrics.items() if metric.newest > moment])

    def clear(self) -> None:
        """Delete everything."""
        with self._lock:
            self._metrics.clear()


def floor(moment: float, length: float) -> float:
    """Return the last multiple of a length that is not after a moment."""
    return math.floor(moment / length) * length


def _inside(start: float) -> float:
    """Return a moment just after the start of a period, which numbers that are not exact do not put before it."""
    return start + clock.real(0.5)
