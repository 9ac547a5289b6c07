"""The requests that clients sent to a stage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
class Totals:
    """The number of requests, the number of those that failed, and when the first of those was due."""

    requests: int
    failed: int
    first_failed: float | None


def totals(requests: Iterable[Request], started: float = -math.inf, ended: float = math.inf) -> Totals:
    """Return the totals of the requests that were due from ``started`` on and before ``ended``."""
    within = [request for request in requests if started <= request.at < ended]
    failed = [request.at for request in within if request.failed]
    return Totals(len(within), len(failed), min(failed, default=None))


def as_csv(requests: Sequence[Request]) -> str:
    """Return the requests as lines of ``at,took,status,version``."""
    lines = [f"{one.at:.3f},{one.took:.3f},{one.status},{one.version or ''}" for one in requests]
    return "\n".join(["at,took,status,version", *lines, ""])
