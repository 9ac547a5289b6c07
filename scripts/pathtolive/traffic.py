"""What became of the calls of a stage: by the second, by version, and in figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

OK = 200


@dataclass(frozen=True)
class Call:
    """One call: when it was due, how long it took from then, in seconds, and its answer.

    ``status`` is 0 where there was no answer in time; ``version`` is the one that answered, None where it failed.
    """

    at: float
    took: float
    status: int
    version: str | None

    @property
    def failed(self) -> bool:
        """Whether a user would have seen an error."""
        return self.status != OK


@dataclass(frozen=True)
class Bin:
    """The calls that were due within a stretch of time, those that were answered by version."""

    start: float
    answered: Mapping[str, int]
    failed: int

    @property
    def calls(self) -> int:
        """How many there were."""
        return sum(self.answered.values()) + self.failed

    def share(self, version: str) -> float:
        """Return the share of the answered calls that a version answered, 0 where none was answered."""
        answered = sum(self.answered.values())
        return self.answered.get(version, 0) / answered if answered else 0.0

    @property
    def error_rate(self) -> float:
        """Share of the calls that failed."""
        return self.failed / self.calls if self.calls else 0.0


@dataclass(frozen=True)
class Figures:
    """How many calls there were, how many of them failed, and when the first of those was due."""

    calls: int
    failed: int
    first_failed: float | None

    @property
    def error_rate(self) -> float:
        """Share of the calls that failed."""
        return self.failed / self.calls if self.calls else 0.0


def bins(calls: Iterable[Call], width: float = 1.0) -> list[Bin]:
    """Return the calls in bins of ``width`` seconds, from the first to the last without a gap."""
    answered: dict[int, Counter[str]] = {}
    failed: Counter[int] = Counter()
    for call in calls:
        place = math.floor(call.at / width)
        versions = answered.setdefault(place, Counter())
        if call.failed:
            failed[place] += 1
        else:
            versions[call.version or ""] += 1
    if not answered:
        return []
    places = range(min(answered), max(answered) + 1)
    return [Bin(place * width, dict(answered.get(place, {})), failed[place]) for place in places]


def figures(calls: Iterable[Call], began: float = -math.inf, ended: float = math.inf) -> Figures:
    """Return the figures of the calls that were due from ``began`` on and before ``ended``."""
    within = [call for call in calls if began <= call.at < ended]
    failed = [call.at for call in within if call.failed]
    return Figures(len(within), len(failed), min(failed, default=None))


def statement(found: Figures, version: str) -> str:
    """Return a sentence on how many calls failed for users, all of them of one version."""
    if not found.failed:
        return f"None of {found.calls} calls failed for users"
    share = f"{100 * found.error_rate:.2g} %"
    return f"{found.failed} of {found.calls} calls failed for users ({share}): all of version {version}"


def as_csv(calls: Sequence[Call]) -> str:
    """Return the calls as lines of ``at,took,status,version``."""
    lines = [f"{call.at:.3f},{call.took:.3f},{call.status},{call.version or ''}" for call in calls]
    return "\n".join(["at,took,status,version", *lines, ""])
