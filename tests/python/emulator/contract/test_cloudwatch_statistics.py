"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.python.emulator.contract.alarms import PATIENCE, Alarms
from tests.python.emulator.contract.support import Client, Function
from tests.python.emulator.contract.test_cloudwatch_alarms import statistic
from tests.python.emulator.contract.test_cloudwatch_metrics import read
from tests.waiting import eventually


@pytest.fixture(scope="module")
def tens(client: Client, minute: float) -> Alarms:
    """Return a metric with the values 10, 20, and so on, up to 100."""
    alarms = Alarms(client, minute)
    values = [float(value) for value in range(10, 101, 10)]
    alarms.api.put_metric_data(Namespace=alarms.namespace, MetricData=[{"MetricName": "m", "Values": values}])
    eventually(lambda: of(alarms, "SampleCount") == [10], seconds=PATIENCE)
    return alarms


def of(alarms: Alarms, stat: str) -> list[float]:
    values: list[float] = read(alarms, statistic(alarms, "m", "m", stat) | {"ReturnData": True})["m"]["Values"]
    return values


@pytest.mark.parametrize(
    ("stat", "value"),
    [
        # A lower boundary is exclusive, and an upper one inclusive.
        ("TC(80:)", 2),
        ("TC(79.9:)", 3),
        ("TC(:20)", 2),
        ("TC(:19.9)", 1),
        ("TC(30:80)", 5),
        ("tc90", 9),
        ("TC(:90%)", 9),
        ("TC(20%:90%)", 7),
        ("PR(:30)", 30),
        ("PR(30:80)", 50),
        ("PR(30:)", 70),
        ("TM(30:80)", 60),
        ("TM(:30)", 20),
        ("tm90", 50),
        ("TM(10%:)", 60),
        ("TM(20%:90%)", 60),
        ("TS(80%:)", 190),
        ("TS(80:)", 190),
        ("WM(:50)", 40),
    ],
)
def test_cloudwatch_statistic_is_of_the_values_between_its_boundaries(tens: Alarms, stat: str, value: float) -> None:
    assert of(tens, stat) == [value]


def test_cloudwatch_statistic_of_no_values_is_none_or_zero(tens: Alarms) -> None:
    assert sum(of(tens, "TC(100:)")) == 0
    assert sum(of(tens, "PR(100:)")) == 0


@pytest.mark.parametrize("stat", ["TC", "TC()", "TC(:)", "TC90", "TC(10%:20)", "PR(10%:20%)", "tc101", "AB(1:2)"])
def test_cloudwatch_statistic_that_does_not_exist_is_refused(tens: Alarms, stat: str) -> None:
    with pytest.raises(tens.api.exceptions.ClientError, match="ValidationError"):
        of(tens, stat)


def test_cloudwatch_statistic_needs_values_that_are_not_negative(alarms: Alarms) -> None:
    alarms.data(-1)
    eventually(lambda: of(alarms, "Sum") == [-1], seconds=PATIENCE)
    assert of(alarms, "TC(:5)") == []


@pytest.mark.parametrize(("total", "high", "found"), [(40, 10, [4]), (50, 20, [])])
def test_cloudwatch_statistic_needs_the_values_of_a_statistic_set(
    alarms: Alarms, total: float, high: float, found: list[float]
) -> None:
    values = {"SampleCount": 4, "Sum": total, "Minimum": 10, "Maximum": high}
    alarms.api.put_metric_data(Namespace=alarms.namespace, MetricData=[{"MetricName": "m", "StatisticValues": values}])
    eventually(lambda: of(alarms, "SampleCount") == [4], seconds=PATIENCE)
    assert of(alarms, "TC(:10)") == found


def test_cloudwatch_alarm_evaluates_the_share_of_slow_calls(alarms: Alarms) -> None:
    queries = [
        {"Id": "share", "Expression": "100 * slow / calls", "ReturnData": True},
        statistic(alarms, "slow", "m", "TC(1000:)"),
        statistic(alarms, "calls", "m", "SampleCount"),
    ]
    name = alarms.put(None, Metrics=queries, TreatMissingData="ignore")
    values = {"Values": [900.0, 1000.0, 1001.0], "Counts": [80.0, 10.0, 10.0]}
    alarms.api.put_metric_data(Namespace=alarms.namespace, MetricData=[{"MetricName": "m", **values}])
    alarm = alarms.reaches(name, "ALARM")
    assert json.loads(alarm["StateReasonData"])["recentDatapoints"] == [10]


def test_cloudwatch_statistic_counts_slow_invocations(function: Function, alarms: Alarms) -> None:
    function.create("import time\ndef handler(event, context): time.sleep(event)")
    for seconds in (0, 0.6, 0):
        function.call(seconds)
    dimensions = [{"Name": "FunctionName", "Value": function.name}]
    metric = {"Namespace": "AWS/Lambda", "MetricName": "Duration", "Dimensions": dimensions}

    def count(stat: str) -> float:
        query: dict[str, Any] = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}}
        return float(sum(read(alarms, query)["m"]["Values"]))

    eventually(lambda: count("SampleCount") == 3, seconds=PATIENCE)
    assert [count(stat) for stat in ("TC(500:)", "TC(5000:)", "TC(:5000)")] == [1, 0, 3]
