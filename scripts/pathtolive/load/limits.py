"""Load a stage in steps up to its throttle and past it, and find what else than the throttle fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pathtolive.cli import number
from pathtolive.load.arrivals import OK, TOO_MANY_REQUESTS, Outcome, Step
from pathtolive.load.routes import Throttle
from pathtolive.load.windows import LATE_SECONDS, failed, percentile

# The rates of the steps, relative to the throttle.
SHARES = (0.25, 0.5, 0.8, 1.5, 2.0)
HIGHEST_RATE = 10_000.0
STEP_SECONDS = 10.0
REPEAT = "Run the command again. If the result is the same, look at the limits of the stage in API Gateway."
# Share of the requests that this machine must send in time.
KEPT = 0.95


def rates(text: str) -> list[float]:
    """Return rates in ascending order, from a text such as 100,200.

    Raises:
        ValueError: one is not a number from above 0 to HIGHEST_RATE, or not higher than the one before.
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < rate <= HIGHEST_RATE for rate in found) or sorted(set(found)) != found:
        raise ValueError(
            f"{text!r} is not a list of ascending requests per second, each up to {HIGHEST_RATE:g}, such as 100,200"
        )
    return found


def seconds(text: str) -> float:
    """Return the duration of a step.

    Raises:
        ValueError: it is not a number from 1 to 3600.
    """
    return number(text, 1, 3600, "a number of seconds")


def plan(given: Sequence[float] | None, throttle: Throttle, paths: Sequence[str], seconds: float) -> list[Step]:
    """Return the steps with the given rates, or with rates around the throttle.

    A step past the throttle first uses up the burst. All its requests are for one path, because AWS does not document
    whether the routes of a stage share its limits.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
    """
    return [
        Step(rate, throttle.seconds(rate) + seconds, [throttle.path])
        if rate > throttle.rate
        else Step(rate, seconds, paths)
        for rate in given or [throttle.rate * share for share in SHARES]
    ]


@dataclass
class Result:
    """What became of the requests of a step; ``began`` and ``took`` are in seconds."""

    number: int
    step: Step
    began: float
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    sent: int = 0
    late: int = 0
    answered: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count a request. Those that were sent late, and after the end of the step, are not a part of its rate."""
        self.statuses[outcome.path, outcome.status] += 1
        ended = self.began + self.step.seconds
        late = outcome.late > LATE_SECONDS
        self.late += late
        self.sent += not late or outcome.at + outcome.late < ended
        self.answered += outcome.status != 0 and outcome.at + outcome.took < ended
        if not outcome.failed:
            self.took.append(outcome.took)

    @property
    def requests(self) -> int:
        """Number of requests that have ended."""
        return self.statuses.total()

    @property
    def throttled(self) -> int:
        """Number of requests that API Gateway throttled."""
        return sum(number for (_, status), number in self.statuses.items() if status == TOO_MANY_REQUESTS)

    @property
    def failures(self) -> Counter[tuple[str, int]]:
        """The number of requests that failed otherwise, by path and status."""
        expected = {OK, TOO_MANY_REQUESTS}
        return Counter({key: number for key, number in self.statuses.items() if key[1] not in expected})

    @property
    def sent_per_second(self) -> float:
        """The rate that this machine achieved."""
        return self.sent / self.step.seconds

    @property
    def answered_per_second(self) -> float:
        """The rate of the responses, whatever their status."""
        return self.answered / self.step.seconds

    def __str__(self) -> str:
        return f"{self.requests} requests, {self.throttled} throttled, {self.failures.total()} failed"


def results(steps: Iterable[Step]) -> list[Result]:
    """Return a result without requests for each step."""
    found: list[Result] = []
    began = 0.0
    for place, step in enumerate(steps, 1):
        found.append(Result(place, step, began))
        began += step.seconds
    return found


def rows(found: Iterable[Result], throttle: Throttle) -> list[Mapping[str, str]]:
    """Return a row of the table for each step."""
    return [
        {
            "step": str(result.number),
            "rate": f"{result.step.rate:g}/s",
            "sent": f"{result.sent_per_second:.4g}/s",
            "throttle": "past" if result.step.rate > throttle.rate else "within",
            "200": str(len(result.took)),
            "429": str(result.throttled),
            "failed": str(result.failures.total()),
            **{
                f"p{percent} ms": f"{1000 * percentile(result.took, percent):.0f}" if result.took else ""
                for percent in (50, 95, 99)
            },
        }
        for result in found
    ]


def problem(found: Sequence[Result], throttle: Throttle, stage: str, logs: str, *, local: bool) -> str | None:
    """Return what is not as expected in the first step that shows it, or None.

    Requests past the throttle receive 429, and nothing else fails. API Gateway throttles on a best-effort basis, so one
    step past the throttle must show it, and not each of them. ``logs`` is the command that prints the stage's log, and
    ``local`` is whether this machine runs the service, too.
    """
    past = [result for result in found if result.step.rate > throttle.rate]
    throttles = any(result.throttled for result in past)
    for result in found:
        sent, step = result.sent_per_second, _named(result)
        if sent < KEPT * result.step.rate and not (result in past and sent > throttle.rate and throttles):
            return (
                f"This machine sent only {sent:.4g} requests per second in {step}, so the step does not show what "
                f"{stage} can do. Use a faster machine, or lower rates, such as RATE={_lower(sent)}."
            )
        if number := result.failures.total():
            said = f"{number} of {result.requests} requests failed in {step}: {failed(result.failures)}."
            return f"{said} To find the cause, run: {logs}.{_slow(result, local=local)}"
        if result.throttled and result not in past:
            if result.late:
                return (
                    f"This machine sent {result.late} of {result.requests} requests late in {step}, and then too many "
                    f"together: {result.throttled} received 429. The step does not show what {stage} can do. "
                    "Use an idle machine, or lower rates."
                )
            return (
                f"{result.throttled} of {result.requests} requests received 429 in {step}, within the throttle of "
                f"{throttle.rate:g} requests per second. {REPEAT}"
            )
    if past and not throttles:
        return (
            f"None of {past[-1].requests} requests received 429 in {_named(past[-1])}, past the throttle of "
            f"{throttle.rate:g} requests per second. {REPEAT}{_slow(past[-1], local=local)}"
        )
    return None


def success(found: Iterable[Result], throttle: Throttle) -> str:
    """Return a sentence about steps without a problem."""
    throttled = sum(result.throttled for result in found)
    if not throttled:
        return f"Every request succeeded. No step was past the throttle of {throttle.rate:g} requests per second."
    said = f"API Gateway throttled {throttled} requests past {throttle.rate:g} per second."
    return f"{said} All other requests succeeded."


def _named(result: Result) -> str:
    return f"step {result.number} ({result.step.rate:g} requests per second)"


def _slow(result: Result, *, local: bool) -> str:
    """Return a sentence about a machine that is too slow for local AWS, or nothing."""
    answered = result.answered_per_second
    if not local or answered >= KEPT * result.step.rate:
        return ""
    return (
        f" Local AWS answered only {answered:.4g} requests per second on this machine, so this does not show what AWS "
        f"does. Use lower rates, such as RATE={_lower(answered)}, or lower the throttle."
    )


def _lower(rate: float) -> str:
    return ",".join(f"{max(1, int(rate * share))}" for share in (0.25, 0.5))
