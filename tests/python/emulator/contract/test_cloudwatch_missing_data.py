"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator

import pytest

from tests.python.emulator.contract.alarms import PATIENCE, Alarms
from tests.python.emulator.contract.support import Client
from tests.waiting import eventually

# The page's tables: data points to alarm, the five newest data points, and the state for each treatment of missing
# data. The previous state is insufficient data, which stays if a cell says KEPT.
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
Case = tuple[int, str, str]
Verdicts = dict[Case, str | None]


@pytest.fixture(scope="module")
def verdicts(client: Client, minute: float) -> Iterator[Verdicts]:
    """Yield the state change of an alarm at its first evaluation for each case, all over the same minutes."""
    alarms, names, begun = eventually(lambda: put_within_a_minute(client, minute), seconds=PATIENCE)
    second_evaluation = begun + 2 * datetime.timedelta(seconds=minute)
    time.sleep(max(0, second_evaluation.timestamp() - time.time()))
    yield {case: next(iter(alarms.states(name, second_evaluation)), None) for case, name in names.items()}
    alarms.delete()


def put_within_a_minute(client: Client, minute: float) -> tuple[Alarms, dict[Case, str], datetime.datetime] | None:
    """Return the alarm of each case and the start of the newest minute, or None if the minute ended too early.

    Alarms that are created later are evaluated over other minutes than those of the table.
    """
    alarms = Alarms(client, minute)
    alarms.wait_for_minute()
    begun = alarms.data_of({metric(points): [VALUES[point] for point in points.split()] for _, points, _ in ROWS})
    names = {
        (needed, points, treatment): alarms.put(
            metric(points), EvaluationPeriods=3, DatapointsToAlarm=needed, TreatMissingData=treatment
        )
        for needed, points, treatment, _ in CASES
    }
    if time.time() < begun.timestamp() + minute:
        return alarms, names, begun
    alarms.delete()
    return None


def metric(points: str) -> str:
    return points.replace(" ", "")


@pytest.mark.parametrize(("needed", "points", "treatment", "state"), CASES)
def test_cloudwatch_missing_data_is_treated_as_configured(
    verdicts: Verdicts, needed: int, points: str, treatment: str, state: str | None
) -> None:
    assert verdicts[needed, points, treatment] == state


def test_cloudwatch_missing_data_of_all_periods_is_insufficient(alarms: Alarms) -> None:
    name = alarms.put(TreatMissingData="missing")
    alarms.set(name, "OK")
    alarms.changes(name, "OK", "INSUFFICIENT_DATA")
    assert alarms.describe(name)["StateReason"] == "Insufficient Data: 1 datapoint was unknown."


def test_cloudwatch_missing_data_is_mentioned_in_the_reason(alarms: Alarms) -> None:
    name = alarms.put()
    assert alarms.reaches(name, "OK")["StateReason"] == (
        "Threshold Crossed: no datapoints were received for 1 period "
        "and 1 missing datapoint was treated as [NonBreaching]."
    )
