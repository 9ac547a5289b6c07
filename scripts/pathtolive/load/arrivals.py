"""When each request of a load is due, and what became of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OK = 200
TOO_MANY_REQUESTS = 429


@dataclass(frozen=True)
class Step:
    """Requests for paths in turn, at a rate per second; ``seconds`` can be infinite."""

    rate: float
    seconds: float
    paths: Sequence[str]

    @property
    def requests(self) -> float:
        """Number of requests."""
        return self.seconds if math.isinf(self.seconds) else math.ceil(self.seconds * self.rate)


@dataclass(frozen=True)
class Arrival:
    """A request: the number of its step, and when it is due, in seconds since the start of the load."""

    turn: int
    step: int
    at: float
    path: str


@dataclass(frozen=True)
class Outcome:
    """A request that has ended.

    ``late`` is how long after it was due this machine began with it, and ``took`` how long the response took from when
    it was due, in seconds. ``status`` is 0 if there was no response. ``version`` is None if the response does not name
    one.
    """

    turn: int
    step: int
    at: float
    path: str
    late: float
    took: float
    status: int
    version: str | None

    @property
    def failed(self) -> bool:
        """Whether a user received an error."""
        return self.status != OK


def arrivals(steps: Sequence[Step]) -> Iterator[Arrival]:
    """Yield the requests of steps, each of which begins when the one before ends."""
    turns = itertools.count()
    began = 0.0
    for number, step in enumerate(steps):
        places = itertools.count() if math.isinf(step.requests) else range(int(step.requests))
        for place in places:
            yield Arrival(next(turns), number, began + place / step.rate, step.paths[place % len(step.paths)])
        began += step.seconds
