"""Judge the data points of an alarm.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ALARM, OK, INSUFFICIENT_DATA = "ALARM", "OK", "INSUFFICIENT_DATA"
# AWS's example retrieves five data points for three evaluation periods. AWS does not document the number otherwise.
EXTRA_DATAPOINTS = 2
OPERATORS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
}

TREATMENTS = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


@dataclass(frozen=True)
class Datapoint:
    """The value of a period, or None if the period has no data."""

    moment: float
    value: float | None
    sample_count: float | None = None


@dataclass(frozen=True)
class Rule:
    """When an alarm fires: at ``needed`` of ``periods`` data points that breach the threshold."""

    comparison: str
    threshold: float
    periods: int
    needed: int
    missing: str

    def breaches(self, value: float) -> bool:
        """Return whether a value is outside of the threshold."""
        return OPERATORS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Verdict:
    """The state that follows from data points, the reason, and the data points that were evaluated, newest first."""

    state: str
    reason: str
    evaluated: Sequence[Datapoint]


def judge(rule: Rule, datapoints: Sequence[Datapoint]) -> Verdict | None:
    """Return the verdict on the data points of an evaluation range, newest last, or None if the state stays."""
    real = [point for point in reversed(datapoints) if point.value is not None]
    evaluated = real[: rule.periods]
    breaching = [point for point in evaluated if point.value is not None and rule.breaches(point.value)]
    missing = rule.periods - len(evaluated)
    newest = datapoints[: -rule.periods - 1 : -1]
    fires = len(breaching) + (missing if rule.missing == "breaching" else 0) >= rule.needed
    if missing and rule.missing in {"missing", "ignore"} and not fires and len(breaching) == len(evaluated):
        if rule.missing == "ignore":
            return None
        if not evaluated:
            return Verdict(INSUFFICIENT_DATA, f"Insufficient Data: {missing} {_nouns(missing)} unknown.", newest)
        # The premature alarm: the next data points may well not breach, unless this one is old enough by itself.
        age = len(datapoints) - datapoints.index(evaluated[-1])
        if age < rule.needed:
            return None
        fires = True
    state = ALARM if fires else OK
    return Verdict(state, _reason(rule, state, evaluated, breaching, missing), evaluated or newest)


def _reason(
    rule: Rule, state: str, evaluated: Sequence[Datapoint], breaching: Sequence[Datapoint], missing: int
) -> str:
    """Return a reason in AWS's words, as in the examples of the pages on alarm events and on notifications."""
    decisive = breaching if state == ALARM else [point for point in evaluated if point not in breaching]
    treated = ""
    if missing and rule.missing in TREATMENTS:
        treated = f"{missing} missing {_nouns(missing)} treated as [{TREATMENTS[rule.missing]}]"
    if not decisive:
        received = f"{len(evaluated) or 'no'} {_nouns(len(evaluated))}"
        periods = f"{rule.periods} period{'s' if rule.periods > 1 else ''}"
        return f"Threshold Crossed: {received} received for {periods} and {treated}."
    values = ", ".join(f"{point.value} ({_date(point.moment)})" for point in decisive)
    verb = ("was" if len(decisive) == 1 else "were") + ("" if state == ALARM else " not")
    change = "OK -> ALARM" if state == ALARM else "ALARM -> OK"
    least = rule.needed if state == ALARM else rule.periods - rule.needed + 1
    return (
        f"Threshold Crossed: {len(decisive)} out of the last {rule.periods} datapoints [{values}] {verb} "
        f"{OPERATORS[rule.comparison][1]} the threshold ({rule.threshold}){treated and f' and {treated}'} "
        f"(minimum {least} datapoint{'s' if least > 1 else ''} for {change} transition)."
    )


def _nouns(count: int) -> str:
    return "datapoint was" if count == 1 else "datapoints were"


def _date(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%d/%m/%y %H:%M:%S")
