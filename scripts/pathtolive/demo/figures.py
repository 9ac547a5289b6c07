"""What the demonstration measured: the requests that failed, and the time until all traffic was back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pathtolive.cli import CommandError
from pathtolive.demo import live, traffic
from pathtolive.demo.traffic import Request

# The default of metrics_delay_seconds. On local AWS, metrics have no delay.
METRICS_DELAY_SECONDS = 60


@dataclass(frozen=True)
class Incident:
    """A release that was rolled back: how many requests of live failed meanwhile, and out of how many.

    ``seconds`` are those from the first failure until all traffic was back on the previous version.
    """

    version: str
    requests: int
    failed: int
    seconds: float

    def at_pace(self, speed: float) -> float:
        """Return the seconds that it takes at the pace of AWS, given the speed of local AWS."""
        return self.seconds * speed

    def on_aws(self, speed: float) -> tuple[int, float]:
        """Return the requests that fail on AWS, and the seconds: the release sees each failure later.

        This is computed: the version fails at the same rate for as long as its metrics are delayed.
        """
        seconds = self.at_pace(speed) + METRICS_DELAY_SECONDS
        return round(self.failed * seconds / self.at_pace(speed)), seconds


def incident(
    requests: Sequence[Request], observations: Sequence[live.Observation], version: str, started: float
) -> Incident:
    """Return the figures of the release of a version that started at a time, and was rolled back.

    Raises:
        CommandError: no request failed meanwhile.
    """
    back = live.held(observations, version)[-1][1]
    within = traffic.totals(requests, started, back)
    if within.first_failed is None:
        raise CommandError(f"Version {version} was rolled back, but none of its requests failed.")
    return Incident(version, within.requests, within.failed, back - within.first_failed)


def described(found: Incident, speed: float) -> list[str]:
    """Return lines with the figures of an incident: those that were measured, and those that are computed for AWS."""
    failed, seconds = found.on_aws(speed)
    return [
        f"Version {found.version}: {found.failed} of {found.requests} requests failed. All traffic was back "
        f"{found.seconds:.1f} s after the first failure, which is {found.at_pace(speed):.0f} s at the pace of AWS",
        f"On AWS, with metrics {METRICS_DELAY_SECONDS} s later, about {failed} requests would fail in {seconds:.0f} s "
        "(computed, not measured)",
    ]


def summary(results: Mapping[str, Any]) -> list[str]:
    """Return the results of the demonstration as lines."""
    lines = [
        f"{results['failed']} of {results['requests']} requests failed for users "
        f"({100 * results['failed'] / results['requests']:.2g} %)"
    ]
    for one in results["rolled_back"]:
        found = Incident(one["version"], one["requests"], one["failed"], one["seconds"])
        lines += described(found, results["speed"])
    return [
        *lines,
        f"The demonstration took {results['seconds']:.0f} s",
        f"The picture is {results['picture']}",
    ]
