"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.python.emulator.contract.alarms import Alarms
from tests.python.emulator.contract.support import Client

# As in the page's tables: data points to alarm, the five newest data points, and what each treatment of missing ones
# makes of them. The state before is insufficient data, and stays where it says so.
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
KEPT = None
ROWS = [
    (3, "0 - X - X", ("OK", "OK", "OK", "OK")),
    (3, "0 - - - -", ("OK", "OK", "OK", "OK")),
    (3, "- - - - -", (KEPT, KEPT, "ALARM", "OK")),
    (3, "0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (3, "- - X - -", ("ALARM", KEPT, "ALARM", "OK")),
    (2, "0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "0 - X - -", ("OK", "OK", "ALARM", "OK")),
    (2, "- - - - 0", ("OK", "OK", "ALARM", "OK")),
    (2, "- - - X -", ("ALARM", KEPT, "ALARM", "OK")),
]
CASES = [
    (needed, points, treatment, state)
    for needed, points, states in ROWS
    for treatment, state in zip(TREATMENTS, states, strict=True)
]
VALUES = {"0": 0, "X": 9, "-": None}
Verdicts = dict[tuple[int, str, str], str | None]


@pytest.fixture(scope="module")
def verdicts(client: Client, minute: float) -> Iterator[Verdicts]:
    """Give the first change of an alarm for each case: all of them evaluated over the same minutes."""
    alarms = Alarms(client, minute)
    alarms.wait_for_minute()
    for points in {points for _, points, _, _ in CASES}:
        if points != "- - - - -":
            alarms.data(*(VALUES[point] for point in points.split()), metric=points.replace(" ", ""))
    names = {}
    for needed, points, treatment, _ in CASES:
        names[needed, points, treatment] = alarms.put(
            points.replace(" ", ""), EvaluationPeriods=3, DatapointsToAlarm=needed, TreatMissingData=treatment
        )
    alarms.wait_for_minute()
    time.sleep(minute)
    yield {case: next(iter(alarms.states(name)), None) for case, name in names.items()}
    alarms.delete()


@pytest.mark.parametrize(("needed", "points", "treatment", "state"), CASES)
def test_cloudwatch_missing_data_is_treated_as_the_alarm_says(
    verdicts: Verdicts, needed: int, points: str, treatment: str, state: str | None
) -> None:
    assert verdicts[needed, points, treatment] == state


def test_cloudwatch_missing_data_of_all_periods_is_insufficient(alarms: Alarms) -> None:
    name = alarms.put(TreatMissingData="missing")
    alarms.set(name, "OK")
    reason = alarms.reaches(name, "INSUFFICIENT_DATA")["StateReason"]
    assert reason == "Insufficient Data: 1 datapoint was unknown."


def test_cloudwatch_missing_data_is_named_in_the_reason(alarms: Alarms) -> None:
    name = alarms.put()
    assert alarms.reaches(name, "OK")["StateReason"] == (
        "Threshold Crossed: no datapoints were received for 1 period "
        "and 1 missing datapoint was treated as [NonBreaching]."
    )
