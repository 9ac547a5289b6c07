"""Simulate releases, with the expression that the state machine evaluates, on generated traffic."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jsonata

from pathtolive import wilson
from pathtolive.target import SOURCE

EXPRESSION = SOURCE / "modules" / "release" / "analysis.jsonata"
RELEASED, BAD, INCONCLUSIVE, ALARM = "released", "bad", "inconclusive", "alarm"
# For the rule that compares the error rate of the new version with its limit, without statistics.
LIMIT_ALONE_INVOCATIONS = 20
# As in modules/monitoring.
ALARM_DEVIATIONS, ALARM_ERRORS, ALARM_PERIODS, ALARM_BREACHES = 2.33, 2, 3, 2

Variables = dict[str, Any]
Analyze = Callable[[Sequence[Variables]], Sequence[Any]]


@dataclass(frozen=True)
class Rule:
    """The settings of simulated releases. Times are in minutes, weights and rates from 0 to 1."""

    steps: tuple[float, ...] = (0.1, 0.5)
    step_minutes: int = 5
    bake_minutes: int = 15
    delay_minutes: int = 1
    limit: float = 0.01
    min_invocations: int = 50
    max_extensions: int = 2


@dataclass(frozen=True)
class Case:
    """The requests per second of a stage, the error rates of both versions, and whether the release ignores alarms."""

    per_second: float
    new: float
    baseline: float
    ignores_alarms: bool = False


class Minute(NamedTuple):
    """The invocations and failures of both versions in a minute."""

    invocations: int
    failed: int
    baseline_invocations: int
    baseline_failed: int


NOTHING = Minute(0, 0, 0, 0)


@dataclass
class Release:
    """A simulated release. Its ``outcome`` is empty until it has ended, ``looks`` minutes after its start."""

    case: Case
    rule: Rule
    chance: random.Random
    outcome: str = ""
    looks: int = 0
    step: int = 0
    minutes: list[Minute] = field(default_factory=list)
    before: Minute = NOTHING
    last_look: int = 0
    extensions: int = 0

    def __post_init__(self) -> None:
        self._begin()

    @property
    def baking(self) -> bool:
        """Whether the new version has all traffic."""
        return self.step == len(self.rule.steps)

    @property
    def weight(self) -> float:
        """Share of the traffic that the new version has."""
        return 1.0 if self.baking else self.rule.steps[self.step]

    @property
    def lag(self) -> int:
        """How many looks after its beginning a minute is complete."""
        return 1 + self.rule.delay_minutes

    @property
    def complete(self) -> list[Minute]:
        """The minutes of the step whose metrics are complete."""
        return self.minutes[: max(0, len(self.minutes) + 1 - self.lag)]

    @property
    def step_ends(self) -> bool:
        """Whether this is the last look of the step."""
        return len(self.minutes) >= self.last_look

    def look(self) -> Variables:
        """Let a minute pass, and return the variables that the state machine has then."""
        self.looks += 1
        self.minutes.append(self._minute())
        rule = self.rule
        return {
            "unhealthy_alarm": "unhealthy",
            "alarm_reason": "the error rate is too high",
            "baking": self.baking,
            "baseline": {"errors": _measure([self.before]), "slow": _measure([])},
            "firing": self._firing(),
            "from": "1",
            "last_look": self.last_look,
            "looks": len(self.minutes),
            "metrics": {
                "errors": _measure(self.complete),
                "slow": _measure([each._replace(failed=0, baseline_failed=0) for each in self.complete]),
            },
            "release": {
                "stage": "live",
                "version": "2",
                "max_error_rate": rule.limit,
                "max_p99_ms": 1000,
                "min_invocations": rule.min_invocations,
                "ignore_alarms_reason": "the new version fixes the cause" if self.case.ignores_alarms else "",
            },
            "weight": self.weight,
        }

    def conclude(self, verdict: str, *, alarm: bool = False) -> None:
        """Continue after a look, as the state machine does."""
        if verdict == "bad":
            self.outcome = ALARM if alarm else BAD
        elif verdict == "good":
            self.before = _total(self.complete)
            self.step += 1
            if self.step > len(self.rule.steps) or (self.baking and not self.rule.bake_minutes):
                self.outcome = RELEASED
            else:
                self._begin()
        elif verdict == "inconclusive":
            if self.extensions == self.rule.max_extensions:
                self.outcome = INCONCLUSIVE
            self.extensions += 1
            self.last_look += self.rule.step_minutes

    def limit_alone(self) -> str:
        """Return the verdict of a rule that only compares the new version's error rate with its limit."""
        found = _total(self.complete)
        enough = found.invocations >= LIMIT_ALONE_INVOCATIONS
        if enough and found.failed > self.rule.limit * found.invocations:
            return "bad"
        if not self.step_ends:
            return "none"
        return "good" if enough or self.baking else "inconclusive"

    def _begin(self) -> None:
        self.minutes, self.extensions = [], 0
        self.last_look = (self.rule.bake_minutes if self.baking else self.rule.step_minutes) + self.lag - 1

    def _minute(self) -> Minute:
        total = round(60 * self.case.per_second)
        invocations = successes(self.chance, total, self.weight)
        return Minute(
            invocations,
            successes(self.chance, invocations, self.case.new),
            total - invocations,
            successes(self.chance, total - invocations, self.case.baseline),
        )

    def _firing(self) -> bool:
        latest = self.complete[-ALARM_PERIODS:]
        return sum(map(self._breaches, latest)) >= ALARM_BREACHES

    def _breaches(self, minute: Minute) -> bool:
        errors, of = minute.failed + minute.baseline_failed, minute.invocations + minute.baseline_invocations
        return errors >= ALARM_ERRORS and wilson.bounds(errors, of, ALARM_DEVIATIONS)[0] > self.rule.limit


def _total(minutes: Sequence[Minute]) -> Minute:
    return Minute(*map(sum, zip(*minutes, strict=True))) if minutes else NOTHING


def _measure(minutes: Sequence[Minute]) -> Variables:
    worst = max(minutes, key=lambda minute: minute.failed, default=NOTHING)
    return {**_total(minutes)._asdict(), "worst_minute": worst._asdict()}


def successes(chance: random.Random, of: int, share: float) -> int:
    """Return how many of some trials succeed, each with the same probability."""
    if share > 0.5:
        return of - successes(chance, of, 1 - share)
    if share <= 0:
        return 0
    # The number of trials until the next success is geometric.
    found, place, logarithm = 0, 0, math.log1p(-share)
    while (place := place + int(math.log(1 - chance.random()) / logarithm) + 1) <= of:
        found += 1
    return found


@dataclass(frozen=True)
class Result:
    """The shares of the outcomes of some releases, and the median of the minutes until a rollback, if there was one."""

    shares: dict[str, float]
    minutes: float | None

    @property
    def rolled_back(self) -> float:
        """Share of the releases that were rolled back because of the new version, or because of an alarm."""
        return self.shares[BAD] + self.shares[ALARM]


def simulate(case: Case, rule: Rule, number: int, analyze: Analyze | None, seed: int = 0) -> Result:
    """Return the outcomes of simulated releases. Without ``analyze``, the limit alone decides.

    All releases take their looks together, because ``analyze`` is fastest with many.
    """
    seeds = random.Random(f"{seed} {case} {rule}")  # noqa: S311 - no secret
    releases = [Release(case, rule, random.Random(seeds.random())) for _ in range(number)]  # noqa: S311
    while running := [release for release in releases if not release.outcome]:
        variables = [release.look() for release in running]
        if analyze is None:
            for release in running:
                release.conclude(release.limit_alone())
            continue
        for release, found in zip(running, analyze(variables), strict=True):
            release.conclude(found["verdict"], alarm=found["reason"].startswith("The alarm "))
    back = [release.looks for release in releases if release.outcome != RELEASED]
    shares = {
        outcome: sum(release.outcome == outcome for release in releases) / number
        for outcome in (RELEASED, BAD, INCONCLUSIVE, ALARM)
    }
    return Result(shares, statistics.median(back) if back else None)


@functools.cache
def _expression() -> jsonata.Jsonata:
    return jsonata.Jsonata(EXPRESSION.read_text())


def analyze_one(variables: Variables) -> Any:
    """Evaluate the expression of the state machine."""
    expression = _expression()
    frame = expression.create_frame()
    for name, value in variables.items():
        frame.bind(name, value)
    return expression.evaluate(None, frame)


@contextlib.contextmanager
def pool() -> Iterator[Analyze]:
    """Yield a function that evaluates the expression in a process for each processor."""
    with ProcessPoolExecutor(os.cpu_count()) as processes:

        def analyze(variables: Sequence[Variables]) -> list[Any]:
            return list(processes.map(analyze_one, variables, chunksize=16))

        yield analyze
