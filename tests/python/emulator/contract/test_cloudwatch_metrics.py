"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html.

Metrics are read with https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html.
"""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest

from tests.python.emulator.contract.alarms import BOUND, PATIENCE, Alarms, bound
from tests.python.emulator.contract.support import Api, Client
from tests.python.emulator.contract.test_cloudwatch_alarms import statistic
from tests.waiting import eventually

# Three hours, at one second for a minute, so that all tests of this module find the same data.
SPAN = datetime.timedelta(seconds=180)


def read(alarms: Alarms, *queries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the results of GetMetricData for the last three hours and this minute, by id."""
    now = datetime.datetime.now(datetime.UTC)
    settings: dict[str, Any] = {
        "ScanBy": "TimestampAscending",
        "StartTime": now - SPAN * alarms.minute,
        "EndTime": now + datetime.timedelta(seconds=alarms.minute),
    }
    answer = alarms.api.get_metric_data(MetricDataQueries=list(queries), **(settings | more))
    return {result["Id"]: result for result in answer["MetricDataResults"]}


def values(alarms: Alarms, expression: str) -> list[float]:
    """Return the values of an expression over errors and calls, oldest first."""
    queries = [statistic(alarms, "errors", "errors"), statistic(alarms, "calls", "calls")]
    found = read(alarms, {"Id": "result", "Expression": expression}, *queries)
    return list(found["result"]["Values"])


@pytest.fixture(scope="module")
def measured(client: Client, minute: float) -> Alarms:
    """Return metrics of four minutes: errors 30, 20, 0, 0, and calls 20, none, 20, none."""
    alarms = Alarms(client, minute)
    alarms.data_of({"errors": [30, 20, 0, 0], "calls": [20, None, 20, None]})
    eventually(lambda: len(values(alarms, "errors + 0")) == 4, seconds=PATIENCE)
    return alarms


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("errors < calls", [0, 0, 1, 0]),
        ("errors >= 30", [1, 0, 0, 0]),
        ("errors > 15 AND calls > 15", [1, 0, 0, 0]),
        ("errors > 15 || calls > 15", [1, 1, 1, 0]),
        ("errors + calls * 2", [70, 20, 40, 0]),
        ("-(errors - 10) ^ 2", [-400, -100, -100, -100]),
        ("errors / calls", [1.5, 0]),
        ("100 * errors / (errors + calls)", [60, 100, 0]),
        ("IF(errors > 10, 1, 0)", [1, 1, 0, 0]),
        ("IF(errors, calls)", [20, 0]),
        ("IF(errors, calls, errors)", [20, 0, 0, 0]),
        ("SUM([errors, calls])", [50, 20, 20, 0]),
        ("SUM(METRICS())", [50, 20, 20, 0]),
        ('MAX(METRICS("err"))', [30, 20, 0, 0]),
        ("MAX([errors, calls])", [30, 20, 20, 0]),
        ("MIN([errors, calls])", [20, 20, 0, 0]),
        ("AVG([errors, calls])", [25, 10, 10, 0]),
        ("errors / SUM(errors)", [0.6, 0.4, 0, 0]),
        ("errors - AVG(errors)", [17.5, 7.5, -12.5, -12.5]),
        ("calls * PERIOD(calls)", [1200, 1200]),
        ("RUNNING_SUM(errors)", [30, 50, 50, 50]),
    ],
)
def test_cloudwatch_expression_has_values(measured: Alarms, expression: str, found: list[float]) -> None:
    assert values(measured, expression) == found


@pytest.fixture(scope="module")
def rare(client: Client, minute: float) -> Alarms:
    """Return metrics of five minutes: errors 3, 0, 12, none, 4, and calls 20, 20, 100, 50, none."""
    alarms = Alarms(client, minute)
    alarms.data_of({"errors": [3, 0, 12, None, 4], "calls": [20, 20, 100, 50, None]})
    eventually(lambda: len(values(alarms, "errors + calls")) == 5, seconds=PATIENCE)
    return alarms


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("calls ^ 0.5", [20**0.5, 20**0.5, 10, 50**0.5]),
        ("2 * calls ^ 2", [800, 800, 20_000, 5000]),
        ("100 / calls ^ 2", [0.25, 0.25, 0.01, 0.04]),
        ("1 + errors ^ 2 > 10", [0, 0, 1, 1]),
        ("(errors + calls) ^ 2", [529, 400, 12_544, 2500, 16]),
        ("calls ^ -1", [0.05, 0.05, 0.01, 0.02]),
        # A missing value counts as 0. A point that is divided by 0 is dropped.
        ("errors / calls", [0.15, 0, 0.12, 0]),
        (BOUND, [bound(3, 20), 0, bound(12, 100), 0]),
        (f"IF(errors >= 2 AND calls >= 3, {BOUND}, 0)", [bound(3, 20), 0, bound(12, 100), 0, 0]),
        ("IF(errors >= 2 OR calls >= 50, 1, 0)", [1, 0, 1, 1, 1]),
        ("MAX([errors / calls, calls / 1000])", [0.15, 0.02, 0.12, 0.05]),
        ("MIN([errors, calls])", [3, 0, 12, 50, 4]),
    ],
)
def test_cloudwatch_expression_has_powers(rare: Alarms, expression: str, found: list[float]) -> None:
    assert values(rare, expression) == pytest.approx(found)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("MIN([FILL(errors, 0), FILL(calls, 0)])", [3, 0, 12, 0, 0]),
        ("MAX([FILL(errors, 0), calls])", [20, 20, 100, 50, 4]),
        (f"IF(FILL(errors, 0) >= 2 && FILL(calls, 0) >= 50, {BOUND}, 2)", [2, 2, bound(12, 100), 2, 2]),
    ],
)
def test_cloudwatch_expression_combines_filled_gaps(rare: Alarms, expression: str, found: list[float]) -> None:
    filled = values(rare, expression)
    # There are minutes without data before and after these five.
    parts = [filled[start : start + 5] for start in range(len(filled) - 4)]
    assert pytest.approx(found) in parts


def test_cloudwatch_expression_fills_gaps(measured: Alarms) -> None:
    filled = values(measured, "FILL(calls, 7)")
    first = filled.index(20)
    assert filled[first : first + 4] == [20, 7, 20, 7]
    assert set(filled[:first]) == {7}
    assert values(measured, "FILL(calls, REPEAT)")[:4] == [20, 20, 20, 20]
    assert values(measured, "FILL(calls, LINEAR)") == [20, 20, 20]


def test_cloudwatch_expression_may_return_many_series(measured: Alarms) -> None:
    queries = [statistic(measured, "errors", "errors"), statistic(measured, "calls", "calls")]
    now = datetime.datetime.now(datetime.UTC)
    results = measured.api.get_metric_data(
        MetricDataQueries=[{"Id": "all", "Expression": "METRICS() / 10"}, *queries],
        StartTime=now - SPAN * measured.minute,
        EndTime=now + datetime.timedelta(seconds=measured.minute),
    )["MetricDataResults"]
    assert [(result["Id"], result["Values"]) for result in results] == [("all", [0, 0, 2, 3]), ("all", [2, 2])]


def test_cloudwatch_expression_with_a_syntax_error_is_refused(measured: Alarms) -> None:
    with pytest.raises(measured.api.exceptions.ClientError, match=r"ValidationError.*result"):
        values(measured, "errors +")


def test_cloudwatch_data_can_be_sorted_newest_first(measured: Alarms) -> None:
    query = statistic(measured, "errors", "errors") | {"ReturnData": True}
    newest_first = read(measured, query, ScanBy="TimestampDescending")["errors"]
    assert newest_first["Values"] == [0, 0, 20, 30]
    assert newest_first["Timestamps"] == sorted(newest_first["Timestamps"], reverse=True)
    (answer,) = measured.api.get_metric_data(
        MetricDataQueries=[query],
        StartTime=newest_first["Timestamps"][-1],
        EndTime=newest_first["Timestamps"][0],
    )["MetricDataResults"]
    # The interval includes its start and excludes its end.
    assert answer["Values"] == [0, 20, 30]


def test_cloudwatch_data_is_separated_by_period(alarms: Alarms) -> None:
    alarms.data(1, 2, 3)
    query = statistic(alarms, "m", "m") | {"ReturnData": True}
    eventually(lambda: read(alarms, query)["m"]["Values"] == [1, 2, 3], seconds=PATIENCE)
    first, second, third = read(alarms, query)["m"]["Timestamps"]
    assert (second - first).total_seconds() == (third - second).total_seconds() == alarms.minute


def test_cloudwatch_data_of_two_weeks_ago_is_kept(alarms: Alarms) -> None:
    """PutMetricData accepts data of the last two weeks. CloudWatch keeps it for 15 months.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
    """
    if alarms.minute == 60:
        pytest.skip("AWS returns data that was more than a day old only 48 hours after it was put")
    old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=14) + datetime.timedelta(seconds=2)
    alarms.api.put_metric_data(
        Namespace=alarms.namespace, MetricData=[{"MetricName": "m", "Value": 7, "Timestamp": old}]
    )
    time.sleep(3)
    alarms.data(1, metric="another")
    query = statistic(alarms, "m", "m", "Maximum") | {"ReturnData": True}
    within = {"StartTime": old - datetime.timedelta(minutes=5), "EndTime": old + datetime.timedelta(minutes=5)}
    assert eventually(lambda: read(alarms, query, **within)["m"]["Values"], seconds=PATIENCE) == [7]


def test_cloudwatch_data_of_other_dimensions_is_not_read(alarms: Alarms) -> None:
    alarms.data(9, dimensions={"Function": "other"})
    alarms.data(1)
    query = statistic(alarms, "m", "m") | {"ReturnData": True}
    assert eventually(lambda: read(alarms, query)["m"]["Values"], seconds=PATIENCE) == [1]


@pytest.mark.parametrize(
    ("stat", "value"), [("Sum", 5095), ("Average", 50.95), ("SampleCount", 100), ("p50", 1), ("p99", 1000)]
)
def test_cloudwatch_data_has_every_statistic(alarms: Alarms, stat: str, value: float) -> None:
    alarms.api.put_metric_data(
        Namespace=alarms.namespace,
        MetricData=[{"MetricName": "m", "Values": [1.0, 1000.0], "Counts": [95.0, 5.0]}],
    )
    query = statistic(alarms, "m", "m", stat) | {"ReturnData": True}
    assert eventually(lambda: read(alarms, query)["m"]["Values"], seconds=PATIENCE) == [value]


def test_cloudwatch_data_of_a_request_has_the_dimensions_of_api_stage_and_alias(alarms: Alarms, echo: Api) -> None:
    assert [echo.call(path).status for path in ("/", "/other")] == [200, 200]
    function = echo.function.name

    def count(namespace: str, metric: str, stat: str, **dimensions: str) -> float:
        named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        found = {"Namespace": namespace, "MetricName": metric, "Dimensions": named}
        query = {"Id": "m", "MetricStat": {"Metric": found, "Period": 60, "Stat": stat}}
        return float(sum(read(alarms, query)["m"]["Values"]))

    eventually(lambda: count("AWS/ApiGateway", "Count", "Sum", ApiId=echo.id, Stage="dev") == 2, seconds=PATIENCE)
    eventually(lambda: count("AWS/ApiGateway", "Count", "Sum", ApiId=echo.id) == 2, seconds=PATIENCE)
    assert count("AWS/ApiGateway", "5xx", "Sum", ApiId=echo.id, Stage="dev") == 0
    assert count("AWS/ApiGateway", "Latency", "p99", ApiId=echo.id, Stage="dev") > 0
    eventually(lambda: count("AWS/Lambda", "Duration", "p99", FunctionName=function) > 0, seconds=PATIENCE)


def test_cloudwatch_high_resolution_data_has_periods_of_seconds(alarms: Alarms) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html."""
    alarms.wait_for_minute()
    second = datetime.timedelta(seconds=alarms.minute / 60)
    begun = datetime.datetime.fromtimestamp(time.time() // alarms.minute * alarms.minute, datetime.UTC)
    alarms.api.put_metric_data(
        Namespace=alarms.namespace,
        MetricData=[
            {"MetricName": "m", "Value": value, "Timestamp": begun + age * second, "StorageResolution": 1}
            for value, age in ((1, 0.5), (2, 5.5), (4, 15.5))
        ],
    )
    query = statistic(alarms, "m", "m") | {"ReturnData": True}
    query["MetricStat"]["Period"] = 10
    within = {"StartTime": begun, "EndTime": begun + 60 * second}
    eventually(lambda: read(alarms, query, **within)["m"]["Values"] == [3, 4], seconds=PATIENCE)


def test_cloudwatch_lists_metrics(alarms: Alarms) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html."""
    alarms.data_of({"first": [1], "second": [1]}, {"Function": "it", "Stage": "live"})
    alarms.data_of({"first": [1]})

    def listed(**given: Any) -> list[tuple[str, dict[str, str]]]:
        pages = alarms.api.get_paginator("list_metrics").paginate(Namespace=alarms.namespace, **given)
        metrics = [metric for page in pages for metric in page["Metrics"]]
        found = [(each["MetricName"], {one["Name"]: one["Value"] for one in each["Dimensions"]}) for each in metrics]
        return sorted(found, key=str)

    live = {"Function": "it", "Stage": "live"}
    # AWS lists a metric up to 15 minutes after its first data.
    eventually(lambda: len(listed()) == 3, seconds=15 * 60 + PATIENCE)
    assert listed(MetricName="second", RecentlyActive="PT3H") == [("second", live)]
    assert listed(Dimensions=[{"Name": "Stage"}]) == [("first", live), ("second", live)]
    assert listed(MetricName="first", Dimensions=[{"Name": "Stage", "Value": "live"}]) == [("first", live)]
    assert listed(Dimensions=[{"Name": "Stage", "Value": "dev"}]) == []


def test_cloudwatch_lists_metrics_in_pages(alarms: Alarms) -> None:
    names = [f"m{number:03}" for number in range(501)]
    data = [{"MetricName": name, "Value": 1.0} for name in names]
    alarms.api.put_metric_data(Namespace=alarms.namespace, MetricData=data)
    pages = alarms.api.get_paginator("list_metrics").paginate

    def listed() -> list[int]:
        return [len(page["Metrics"]) for page in pages(Namespace=alarms.namespace)]

    eventually(lambda: sum(listed()) == 501, seconds=15 * 60 + PATIENCE)
    assert len(listed()) > 1
