"""Statistics of the data points between two boundaries: trimmed mean, count, and sum, winsorized mean, percentile rank.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ministack.services import cloudwatch

_NUMBER = r"\d+(?:\.\d{1,10})?"
_ONE = re.compile(rf"(tc|tm|ts|wm)({_NUMBER})")
_TWO = re.compile(rf"(PR|TC|TM|TS|WM)\((?:({_NUMBER})(%)?)?:(?:({_NUMBER})(%)?)?\)")
# A value, and the number of times that it occurs.
Counted = tuple[float, float]


@dataclass(frozen=True)
class Trimmed:
    """A statistic over the values that are higher than the lower boundary, and not higher than the upper one.

    Percentages are shares of the data points in the order of their values. AWS does not document what happens to a data
    point on both sides of a boundary: here, a part of it counts.
    """

    kind: str
    low: float
    high: float
    percent: bool

    @classmethod
    def of(cls, name: str) -> Trimmed | None:
        """Return what a name such as ``TC(100:200)``, ``TM(5%:95%)``, or ``tm99`` means, or None."""
        if name == "IQM":
            return cls("TM", 25, 75, percent=True)
        if one := _ONE.fullmatch(name):
            return cls._within(one[1].upper(), 0, float(one[2]), percent=True)
        if two := _TWO.fullmatch(name):
            kind, low, low_percent, high, high_percent = two.groups()
            signs = {bool(sign) for bound, sign in ((low, low_percent), (high, high_percent)) if bound}
            if len(signs) == 1:
                percent = signs.pop()
                most = 100 if percent else math.inf
                return cls._within(kind, float(low or -math.inf), float(high or most), percent=percent)
        return None

    @classmethod
    def _within(cls, kind: str, low: float, high: float, *, percent: bool) -> Trimmed | None:
        if percent:
            low = max(low, 0)
        if low >= high or (percent and (high > 100 or kind == "PR")):
            return None
        return cls(kind, low, high, percent)

    def over(self, values: Sequence[Counted]) -> float | None:
        """Return the statistic of values, or None for the mean of none."""
        kept = list(self._kept(values))
        count = sum((each for _, each in kept), 0.0)
        total = sum((value * each for value, each in kept), 0.0)
        match self.kind:
            case "TC":
                return count
            case "TS":
                return total
            case "PR":
                return 100 * count / sum(each for _, each in values)
            case "WM":
                return self._winsorized(values)
            case _:
                return total / count if count else None

    def _kept(self, values: Sequence[Counted]) -> Iterator[Counted]:
        if not self.percent:
            yield from ((value, count) for value, count in values if self.low < value <= self.high)
            return
        points = sum(count for _, count in values)
        seen = 0.0
        for value, count in sorted(values):
            part = min(seen + count, points * self.high / 100) - max(seen, points * self.low / 100)
            if part > 0:
                yield value, part
            seen += count

    def _winsorized(self, values: Sequence[Counted]) -> float:
        low, high = self.low, self.high
        if self.percent:
            low, high = (cloudwatch._percentile(values, bound) for bound in (low, high))
        total = sum(min(max(value, low), high) * count for value, count in values)
        return total / sum(count for _, count in values)
