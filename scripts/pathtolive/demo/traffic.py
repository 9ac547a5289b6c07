"""The requests that a load sent to a stage: by second, by version, and in total."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

OK = 200


@dataclass(frozen=True)
class Request:
    """A request: when it was due, and how long the response took from then, in seconds.

    ``status`` is 0 if there was no response in time. ``version`` is the version that responded, or None if the request
    failed or if the response does not contain it.
    """

    at: float
    took: float
    status: int
    version: str | None

    @property
    def failed(self) -> bool:
        """Whether a user received an error."""
        return self.status != OK


@dataclass(frozen=True)
class Bin:
    """The requests that were due in an interval of time; those that succeeded, by version."""

    start: float
    succeeded: Mapping[str, int]
    failed: int

    @property
    def requests(self) -> int:
        """Number of requests."""
        return sum(self.succeeded.values()) + self.failed

    def share(self, version: str) -> float:
        """Return the share of the successful requests that a version responded to, or 0 if there are none."""
        succeeded = sum(self.succeeded.values())
        return self.succeeded.get(version, 0) / succeeded if succeeded else 0.0

    @property
    def error_rate(self) -> float:
        """Share of the requests that failed."""
        return self.failed / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Totals:
    """The number of requests, the number of those that failed, and when the first of those was due."""

    requests: int
    failed: int
    first_failed: float | None

    @property
    def error_rate(self) -> float:
        """Share of the requests that failed."""
        return self.failed / self.requests if self.requests else 0.0


def bins(requests: Iterable[Request], width: float = 1.0) -> list[Bin]:
    """Return the requests in bins of ``width`` seconds, from the first to the last without a gap."""
    succeeded: dict[int, Counter[str]] = {}
    failed: Counter[int] = Counter()
    for request in requests:
        place = math.floor(request.at / width)
        versions = succeeded.setdefault(place, Counter())
        if request.failed:
            failed[place] += 1
        else:
            versions[request.version or ""] += 1
    if not succeeded:
        return []
    places = range(min(succeeded), max(succeeded) + 1)
    return [Bin(place * width, dict(succeeded.get(place, {})), failed[place]) for place in places]


def totals(requests: Iterable[Request], started: float = -math.inf, ended: float = math.inf) -> Totals:
    """Return the totals of the requests that were due from ``started`` on and before ``ended``."""
    within = [request for request in requests if started <= request.at < ended]
    failed = [request.at for request in within if request.failed]
    return Totals(len(within), len(failed), min(failed, default=None))


def statement(found: Totals, version: str) -> str:
    """Return a line with the number of requests that failed for users, all of them of one version."""
    if not found.failed:
        return f"None of {found.requests} requests failed for users"
    share = f"{100 * found.error_rate:.2g} %"
    return f"{found.failed} of {found.requests} requests failed for users ({share}), all of them of version {version}"


def as_csv(requests: Sequence[Request]) -> str:
    """Return the requests as lines of ``at,took,status,version``."""
    lines = [f"{one.at:.3f},{one.took:.3f},{one.status},{one.version or ''}" for one in requests]
    return "\n".join(["at,took,status,version", *lines, ""])
