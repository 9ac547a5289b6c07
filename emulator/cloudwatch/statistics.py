"""The data of one period of a metric, in bounded memory.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ministack.services import cloudwatch

from emulator.cloudwatch.trimming import Trimmed

NAMES = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
# Percentiles and the like are exact up to this number of different values.
MAX_VALUES = 100
# Beyond it, a value counts as the middle of a range, 2 % wide at first. AWS's own agent has ranges of 10 %:
# https://github.com/aws/amazon-cloudwatch-agent/blob/main/metric/distribution/seh1/seh1_distribution.go
NARROWEST_RANGE = 0.02


@dataclass(slots=True)
class Statistics:
    """What statistics and percentiles are computed from."""

    count: float = 0
    total: float = 0
    low: float = math.inf
    high: float = -math.inf
    counts: dict[float, float] | tuple[array[float], array[float]] | None = field(default_factory=dict)
    width: float = 0

    @property
    def values(self) -> dict[float, float] | None:
        """The number of times that each value occurs, or None if there are no percentiles."""
        return dict(zip(*self.counts, strict=True)) if isinstance(self.counts, tuple) else self.counts

    def add(self, value: float, count: float = 1) -> None:
        """Add a value that occurs a number of times. After a negative one, there are no percentiles."""
        counts = self.counts
        if count <= 0:
            return
        if isinstance(counts, dict) and value in counts and not self.width:
            # A shortcut: most values repeat, and each request adds two dozen.
            self.count += count
            self.total += value * count
            counts[value] += count
        else:
            self.add_set(count, value * count, value, value)

    def add_set(self, count: float, total: float, low: float, high: float) -> None:
        """Add a statistic set. It has percentiles if all its values are the same, and none is negative."""
        if count > 0:
            same = low == high >= 0 and total == low * count
            self._add(count, total, low, high, {low: count} if same else None)

    def merge(self, other: Statistics) -> None:
        """Add the data of another period."""
        self._add(other.count, other.total, other.low, other.high, other.values)

    def pack(self) -> None:
        """Take a quarter of the memory, until data is added."""
        if values := self.values:
            self.counts = array("d", values), array("d", values.values())

    def statistic(self, name: str) -> float | None:
        """Return a statistic, also one that needs all values, or None if there is none."""
        if not self.count:
            return None
        if name in NAMES:
            average = self.total / self.count
            return dict(zip(NAMES, (self.count, average, self.total, self.low, self.high), strict=True))[name]
        if not self.values:
            return None
        # The middle of a range can be outside of what was measured.
        values = [(min(max(value, self.low), self.high), count) for value, count in self.values.items()]
        if trimmed := Trimmed.of(name):
            return trimmed.over(values)
        return float(cloudwatch._percentile(values, float(name[1:])))

    def dump(self) -> list[Any]:
        """Return all of it as JSON has it."""
        values = self.values
        pairs = None if values is None else [list(values), list(values.values())]
        return [self.count, self.total, self.low, self.high, self.width, pairs]

    @classmethod
    def load(cls, dumped: list[Any]) -> Statistics:
        """Return what ``dump`` returned."""
        count, total, low, high, width, pairs = dumped
        found = cls(count, total, low, high, None if pairs is None else dict(zip(*pairs, strict=True)), width)
        found.pack()
        return found

    def _add(self, count: float, total: float, low: float, high: float, values: Mapping[float, float] | None) -> None:
        self.count += count
        self.total += total
        self.low, self.high = min(self.low, low), max(self.high, high)
        own = self.values
        self.counts = None if own is None or values is None else self._counted(own, values)

    def _counted(self, counts: dict[float, float], more: Mapping[float, float]) -> dict[float, float]:
        for value, count in more.items():
            middle = _middle(value, self.width)
            counts[middle] = counts.get(middle, 0) + count
        if len(counts) <= MAX_VALUES:
            return counts
        self.width = self.width * 2 or NARROWEST_RANGE
        return self._counted({}, counts)


def exists(name: str) -> bool:
    """Return whether there is a statistic of this name."""
    return name in NAMES or bool(cloudwatch._is_percentile_stat(name)) or Trimmed.of(name) is not None


def merged(found: Iterable[Statistics]) -> Statistics:
    """Return the data of several periods as that of one."""
    result = Statistics()
    for each in found:
        result.merge(each)
    return result


def _middle(value: float, width: float) -> float:
    """Return the middle of the range that a value is in, or the value itself if ranges have no width."""
    return math.exp(round(math.log(value) / width) * width) if width and value > 0 else value
