"""What became of the requests of a load: a line for each window of time, which counts a request when it was due."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pathtolive.load.arrivals import Arrival, Outcome
from pathtolive.symbols import symbol

SECONDS = 5.0
# A request that this machine begins with later is counted as one that it sent late.
LATE_SECONDS = 0.1


@dataclass
class Count:
    """How many requests had which result, and how long their responses took."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    late: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count a request."""
        self.late += outcome.late > LATE_SECONDS
        if outcome.failed:
            self.statuses[outcome.path, outcome.status] += 1
        if outcome.version:
            self.versions[outcome.version] += 1
        self.took.append(outcome.took)

    def exceeded(self, max_error_rate: float, max_p99_ms: float) -> str:
        """Return which limits the requests exceed, in words; empty if none. No requests keep no limit."""
        if not self.took:
            return "no request has ended"
        rate, p99 = self.statuses.total() / len(self.took), 1000 * percentile(self.took, 99)
        found = [
            f"{rate:.2%} of the requests failed (limit: {max_error_rate:.2%})" if rate > max_error_rate else "",
            f"the p99 is {p99:.0f} ms (limit: {max_p99_ms:.0f} ms)" if p99 > max_p99_ms else "",
        ]
        return "; ".join(filter(None, found))

    def __str__(self) -> str:
        failures = f" ({failed(self.statuses)})" if self.statuses else ""
        parts = [f"{len(self.took)} requests, {self.statuses.total()} failed{failures}"]
        if self.took:
            parts.append(f"p99 {1000 * percentile(self.took, 99):.0f} ms")
        if self.late:
            parts.append(f"{self.late} sent late by this machine")
        return ", ".join([*parts, *(f"version {name}: {number}" for name, number in sorted(self.versions.items()))])


def failed(statuses: Counter[tuple[str, int]]) -> str:
    """Return which routes failed how often with which status."""
    found = [
        f"{number} of GET {path} {f'with status {status}' if status else 'without a response'}"
        for (path, status), number in sorted(statuses.items())
    ]
    return ", ".join(found)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of the values that is at least as large as a percentage of them."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


class Windows:
    """The windows of a load that began at ``started``, a time as of ``time.time()``; it has no last arrival."""

    def __init__(self, started: float, arrivals: Iterator[Arrival]) -> None:
        self.total = Count()
        self._started, self._due = started, (int(arrival.at // SECONDS) for arrival in arrivals)
        self._counts: dict[int, Count] = {}
        # The first window without a line, the number of its requests, and the window of the request after them.
        self._first, self._requests, self._after = 0, 0, next(self._due)
        self._advance()

    def add(self, outcomes: Iterable[Outcome]) -> Iterator[str]:
        """Count requests, and yield a line for each window all of whose requests have ended, in order."""
        for outcome in outcomes:
            self._counts.setdefault(int(outcome.at // SECONDS), Count()).add(outcome)
            self.total.add(outcome)
        while self._first in self._counts and len(self._counts[self._first].took) == self._requests:
            yield self._line(self._first, self._counts.pop(self._first))
            self._advance()

    def rest(self, ended: float) -> Iterator[str]:
        """Yield a line for each other window; the load ended some seconds after its start, and so did all requests."""
        for number in sorted(self._counts):
            yield self._line(number, self._counts.pop(number), ended)

    def span(self, began: float, ended: float) -> str:
        """Return two times, in seconds since the start of the load, as this machine's clock shows them."""
        times = [datetime.datetime.fromtimestamp(self._started + at).astimezone() for at in (began, ended)]
        return symbol("–", "-").join(f"{time:%H:%M:%S}" for time in times)

    def _line(self, number: int, count: Count, ended: float = math.inf) -> str:
        return f"{self.span(number * SECONDS, min(ended, (number + 1) * SECONDS))}  {count}"

    def _advance(self) -> None:
        """Continue with the next window that has requests."""
        self._first, self._requests = self._after, 0
        while self._after == self._first:
            self._requests += 1
            self._after = next(self._due)
