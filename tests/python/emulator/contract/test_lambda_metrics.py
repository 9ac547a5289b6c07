"""https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html."""

from __future__ import annotations

import datetime

import pytest

from tests.python.emulator.contract.support import Api, Function
from tests.waiting import eventually

SOURCE = """
    def handler(event, context):
        if event == "fail" or isinstance(event, dict) and event.get("rawPath") == "/dev/fail":
            raise ValueError("no good")
        return {"statusCode": 200}
"""


def total(function: Function, metric: str, statistic: str = "Sum", **dimensions: str) -> float:
    """Return a metric of the last minutes under exactly these dimensions."""
    now = datetime.datetime.now(datetime.UTC)
    points = function.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - datetime.timedelta(minutes=5),
        EndTime=now + datetime.timedelta(minutes=1),
        Period=600,
        Statistics=[statistic],
    )["Datapoints"]
    return float(sum(point[statistic] for point in points))


def sums(function: Function, **dimensions: str) -> tuple[float, float]:
    return total(function, "Invocations", **dimensions), total(function, "Errors", **dimensions)


@pytest.fixture
def called(function: Function) -> Function:
    """Return a function after three invocations of its alias, one of which failed, and one without the alias."""
    function.create(SOURCE)
    function.alias("live", "1")
    for event in ("good", "fail", "good"):
        function.call(event, qualifier="live")
    function.call("good")
    eventually(lambda: sums(function, FunctionName=function.name) == (4, 1))
    return function


def test_metrics_of_the_function_count_all_invocations(called: Function) -> None:
    assert sums(called, FunctionName=called.name) == (4, 1)


def test_metrics_of_the_alias_count_its_invocations(called: Function) -> None:
    assert sums(called, FunctionName=called.name, Resource=f"{called.name}:live") == (3, 1)


def test_metrics_of_the_version_behind_the_alias_count_its_invocations(called: Function) -> None:
    resource = f"{called.name}:live"
    assert sums(called, FunctionName=called.name, Resource=resource, ExecutedVersion="1") == (3, 1)
    assert sums(called, FunctionName=called.name, Resource=resource, ExecutedVersion="2") == (0, 0)


def test_metrics_of_duration_are_in_milliseconds(called: Function) -> None:
    assert 0 < total(called, "Duration", "Maximum", FunctionName=called.name) < 3000


def test_metrics_match_only_their_exact_dimensions(called: Function) -> None:
    assert sums(called, Resource=f"{called.name}:live") == (0, 0)


def test_metrics_separate_the_versions_of_an_alias_with_weights(function: Function) -> None:
    function.create(SOURCE)
    function.update(SOURCE + "\n")
    function.alias("live", "1", {"2": 0.5})
    ran = [function.call(qualifier="live")["ExecutedVersion"] for _ in range(20)]
    dimensions = {"FunctionName": function.name, "Resource": f"{function.name}:live"}
    expected = [(ran.count(version), 0) for version in ("1", "2")]
    eventually(lambda: [sums(function, **dimensions, ExecutedVersion=version) for version in ("1", "2")] == expected)


def test_metrics_count_throttled_invocations_only_as_throttles(api: Api) -> None:
    function = api.function
    function.create(SOURCE)
    api.permit()
    api.route("$default", api.integrate())
    api.stage(AutoDeploy=True)
    assert api.call().status == 200
    function.api.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    # SDKs retry throttled invocations, API Gateway does not.
    assert api.call().status >= 500
    eventually(lambda: total(function, "Throttles", FunctionName=function.name))
    found = [total(function, metric, FunctionName=function.name) for metric in ("Throttles", "Invocations", "Errors")]
    assert found == [1, 1, 0]


def test_metrics_count_invocations_by_an_api(api: Api) -> None:
    function = api.function
    function.create(SOURCE)
    function.alias("live", "1")
    api.permit(qualifier="live")
    api.route("$default", api.integrate(":live"))
    api.stage(AutoDeploy=True)
    statuses = [api.call(path).status for path in ("/", "/fail", "/")]
    assert statuses == [200, 500, 200]
    dimensions = {"FunctionName": function.name, "Resource": f"{function.name}:live", "ExecutedVersion": "1"}
    eventually(lambda: sums(function, **dimensions) == (3, 1))
