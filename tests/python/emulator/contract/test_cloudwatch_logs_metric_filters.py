"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html."""

from __future__ import annotations

import datetime
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.python.emulator.contract.alarms import PATIENCE
from tests.python.emulator.contract.support import Client, Function
from tests.waiting import eventually

FAILED = "{ ($.status >= 500) && ($.error NOT EXISTS) }"


@dataclass
class Group:
    """A log group of one test with a stream, and a separate namespace for the metrics."""

    client: Client
    name: str
    namespace: str

    @property
    def logs(self) -> Any:
        return self.client("logs")

    def filter(self, pattern: str = FAILED, name: str = "failed", **transformation: Any) -> None:
        given = {"metricName": name, "metricNamespace": self.namespace, "metricValue": "1"} | transformation
        self.logs.put_metric_filter(
            logGroupName=self.name, filterName=name, filterPattern=pattern, metricTransformations=[given]
        )

    def filters(self, **given: Any) -> list[Any]:
        return list(self.logs.describe_metric_filters(**{"logGroupName": self.name, **given})["metricFilters"])

    def write(self, *lines: Any, age: float = 0) -> None:
        at = int((time.time() - age) * 1000)
        events = [{"timestamp": at, "message": line if isinstance(line, str) else json.dumps(line)} for line in lines]
        self.logs.put_log_events(logGroupName=self.name, logStreamName="one", logEvents=events)

    def points(self, metric: str = "failed", **dimensions: str) -> list[Any]:
        now = datetime.datetime.now(datetime.UTC)
        found = self.client("cloudwatch").get_metric_statistics(
            Namespace=self.namespace,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=now - datetime.timedelta(hours=3),
            EndTime=now + datetime.timedelta(minutes=1),
            Period=60,
            Statistics=["Sum", "SampleCount"],
        )
        return sorted(found["Datapoints"], key=lambda point: point["Timestamp"])

    def total(self, metric: str = "failed", statistic: str = "Sum", **dimensions: str) -> float:
        return float(sum(point[statistic] for point in self.points(metric, **dimensions)))

    def reaches(self, total: float, metric: str = "failed", **dimensions: str) -> None:
        eventually(lambda: self.total(metric, **dimensions) == total, seconds=PATIENCE)


@pytest.fixture
def group(client: Client) -> Iterator[Group]:
    """Yield a log group, and delete it with its metric filters after the test."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    made = Group(client, name, name)
    made.logs.create_log_group(logGroupName=made.name)
    made.logs.create_log_stream(logGroupName=made.name, logStreamName="one")
    yield made
    made.logs.delete_log_group(logGroupName=made.name)


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/matching-terms-json-log-events.html has this line in part.
LINE = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "ThisFlag": True,
    "user": {"id": 1, "email": "John.Stiles@example.com"},
    "users": [{"id": 2, "email": "John.Doe@example.com"}],
    "actions": ["GET", "PUT", "DELETE"],
    "coordinates": [[0, 1, 2], [4, 5, 6]],
    "latency": 50.5,
    "status": 503,
}


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{$.eventType=UpdateTrail}", True),
        ('{ $.eventType = "updatetrail" }', False),
        ("{ $.eventType = Update* }", True),
        ("{ $.eventType = *Trail }", True),
        ('{ $.eventType = "*dateTr*" }', True),
        ("{ $.eventType = Other* }", False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ("{ $.sourceIPAddress != 111.111.* }", False),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[2] = "value" }', False),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.coordinates[0][1] = 1 }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.eventType IS NULL }", False),
        ("{ $.Nothing IS NULL }", False),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.eventType NOT EXISTS }", False),
        ("{ $.ThisFlag IS TRUE }", True),
        ("{ $.ThisFlag IS FALSE }", False),
        ("{ $.latency = * }", True),
        ("{ $.nothing = * }", False),
        ("{ $.latency >= 50.5 }", True),
        ("{ $.latency > 50.5 }", False),
        ("{ $.latency < 10e3 }", True),
        ("{ $.latency < 10e-3 }", False),
        ("{ $.latency > +50 }", True),
        ("{ $.latency > -1 }", True),
        ("{ $.status = 503 }", True),
        ("{ $.status != 500 }", True),
        # An array is no value.
        ("{ $.actions = 1 }", False),
        ("{ $.actions != 1 }", False),
        ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', True),
        ('{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', False),
        ('{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = n && $.actions[2] = n }', True),
        ('{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = n) && $.actions[2] = n }', False),
        (FAILED, True),
        ("", True),
    ],
)
def test_metric_filter_pattern_matches(client: Client, pattern: str, *, matches: bool) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TestMetricFilter.html."""
    lines = [json.dumps({}), json.dumps(LINE)]
    found = client("logs").test_metric_filter(filterPattern=pattern, logEventMessages=lines)["matches"]
    assert [each["eventMessage"] for each in found if each["eventNumber"] == 2] == [lines[1]] * matches


def test_metric_filter_pattern_of_json_matches_no_other_line(client: Client) -> None:
    lines = ["$.status", '{"status": 500', "[500]", '"status"', json.dumps({"status": 500})]
    found = client("logs").test_metric_filter(filterPattern="{ $.status = * }", logEventMessages=lines)["matches"]
    assert [each["eventNumber"] for each in found] == [5]


@pytest.mark.parametrize("pattern", ["{ $.status = 500", "{ status = 500 }", "{ $.status }", "{ $.a = 1 && }"])
def test_metric_filter_with_an_invalid_pattern_is_refused(group: Group, pattern: str) -> None:
    with pytest.raises(group.logs.exceptions.InvalidParameterException):
        group.filter(pattern)
    assert group.filters() == []


def test_metric_filter_counts_lines_that_match(group: Group) -> None:
    group.write({"status": 500})
    group.filter()
    group.write({"status": 500}, {"status": 502}, {"status": 499}, {"status": 500, "error": "ValueError"}, "500")
    group.reaches(2)
    assert group.total(statistic="SampleCount") == 2
    assert {point["Unit"] for point in group.points()} == {"None"}


def test_metric_filter_has_dimensions_from_the_fields_of_a_line(group: Group) -> None:
    group.filter(dimensions={"Alias": "$.function.alias", "Version": "$.function.version"}, unit="Count")
    lines = [{"status": 500, "function": {"alias": "live", "version": version}} for version in ("7", "8", "8")]
    group.write(*lines)
    group.reaches(1, Alias="live", Version="7")
    group.reaches(2, Alias="live", Version="8")
    assert {point["Unit"] for point in group.points(Alias="live", Version="8")} == {"Count"}
    assert group.total() == group.total(Alias="live") == 0


def test_metric_filter_has_no_dimension_without_its_field(group: Group) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-logs-metricfilter-dimension.html."""
    group.filter(dimensions={"Version": "$.version"})
    group.write({"status": 500}, {"status": 500, "version": 7})
    group.reaches(1, Version="7")
    group.reaches(1)


def test_metric_filter_publishes_the_value_of_a_field(group: Group) -> None:
    group.filter("{ $.latency = * }", metricValue="$.latency")
    group.write({"latency": 50}, {"latency": 12.5}, {"latency": "slow"}, {"status": 500})
    group.reaches(62.5)
    assert group.total(statistic="SampleCount") == 2


def test_metric_filter_publishes_its_default_value_for_other_lines(group: Group) -> None:
    group.filter(metricValue="2", defaultValue=0)
    group.write({"status": 500}, {"status": 200}, "text")
    group.reaches(2)
    group.filter(name="other", defaultValue=5)
    group.write({"status": 200})
    group.reaches(5, "other")


def test_metric_filter_publishes_at_the_time_of_the_line(group: Group) -> None:
    group.filter()
    group.write({"status": 500}, age=3600)
    group.reaches(1)
    (point,) = group.points()
    age = datetime.datetime.now(datetime.UTC) - point["Timestamp"]
    assert 3590 < age.total_seconds() < 3600 + 2 * PATIENCE


def test_metric_filter_reads_the_lines_of_a_function(function: Function, client: Client) -> None:
    function.create("import json\ndef handler(event, context): print(json.dumps(event))")
    group = Group(client, f"/aws/lambda/{function.name}", function.name)
    group.logs.create_log_group(logGroupName=group.name)
    group.filter(dimensions={"Version": "$.version"})
    for status in (500, 200, 503):
        function.call({"status": status, "version": "1"})
    group.reaches(2, Version="1")


def test_metric_filter_that_is_deleted_counts_nothing(group: Group) -> None:
    group.filter()
    group.filter(name="kept")
    group.logs.delete_metric_filter(logGroupName=group.name, filterName="failed")
    assert [each["filterName"] for each in group.filters()] == ["kept"]
    group.write({"status": 500})
    group.reaches(1, "kept")
    assert group.points() == []
    with pytest.raises(group.logs.exceptions.ResourceNotFoundException):
        group.logs.delete_metric_filter(logGroupName=group.name, filterName="failed")


def test_metric_filter_is_replaced_by_one_of_the_same_name(group: Group) -> None:
    group.filter()
    group.filter("{ $.status = 200 }")
    group.write({"status": 200}, {"status": 200}, {"status": 500})
    group.reaches(2)
    assert len(group.filters()) == 1


def test_metric_filter_is_described_as_it_was_put(group: Group) -> None:
    group.filter(dimensions={"Version": "$.version"}, unit="Count")
    group.filter("", name="all", defaultValue=0)
    every, failed = group.filters()
    assert every["metricTransformations"] == [
        {"metricName": "all", "metricNamespace": group.name, "metricValue": "1", "defaultValue": 0}
    ]
    assert failed.pop("creationTime") / 1000 == pytest.approx(time.time(), abs=300)
    assert failed == {
        "applyOnTransformedLogs": False,
        "filterName": "failed",
        "filterPattern": FAILED,
        "logGroupName": group.name,
        "metricTransformations": [
            {
                "metricName": "failed",
                "metricNamespace": group.name,
                "metricValue": "1",
                "dimensions": {"Version": "$.version"},
                "unit": "Count",
            }
        ],
    }


def test_metric_filters_are_found_by_prefix_and_by_metric(group: Group) -> None:
    group.filter()
    group.filter(name="other")
    assert [each["filterName"] for each in group.filters(filterNamePrefix="fa")] == ["failed"]
    found = group.logs.describe_metric_filters(metricName="other", metricNamespace=group.name)["metricFilters"]
    assert [each["filterName"] for each in found] == ["other"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"dimensions": {"A": "$.a"}, "defaultValue": 0},
            "Invalid metric transformation: dimensions and default value are mutually exclusive properties",
        ),
        ({"dimensions": dict.fromkeys("ABCD", "$.a")}, ""),
        ({"dimensions": {"A": "live"}}, "Invalid metric transformation: dimension value must be valid selector"),
        ({"dimensions": {":A": "$.a"}}, ""),
        ({"dimensions": {" ": "$.a"}}, ""),
        ({"dimensions": {"\u00e4": "$.a"}}, ""),
        ({"dimensions": {"A" * 256: "$.a"}}, ""),
        ({"dimensions": {"A": "$.a"}, "pattern": ""}, "The specified filter pattern does not support dimensions"),
        ({"metricValue": "one"}, ""),
        ({"metricValue": "$.a", "pattern": ""}, ""),
        ({"metricName": "a:b"}, ""),
        ({"metricName": "a" * 256}, "'metricTransformations.1.member.metricName'"),
        ({"name": "a" * 513}, "'filterName' failed to satisfy constraint: Member must have length less than"),
        ({"name": "a:b"}, "'filterName'"),
        ({"pattern": "X" * 1025}, "'filterPattern' failed to satisfy constraint: Member must have length less than"),
    ],
)
def test_metric_filter_with_an_invalid_parameter_is_refused(group: Group, given: dict[str, Any], message: str) -> None:
    with pytest.raises(group.logs.exceptions.InvalidParameterException) as refused:
        group.filter(**given)
    assert message in refused.value.response["Error"]["Message"]
    assert group.filters() == []


def test_metric_filter_has_one_transformation(group: Group) -> None:
    one = {"metricName": "m", "metricNamespace": group.name, "metricValue": "1"}
    with pytest.raises(group.logs.exceptions.InvalidParameterException, match="metricTransformations"):
        group.logs.put_metric_filter(
            logGroupName=group.name, filterName="m", filterPattern="", metricTransformations=[one, one]
        )


def test_metric_filter_namespace_may_have_a_colon(group: Group) -> None:
    """Recorded: https://github.com/localstack/localstack/blob/main/tests/aws/services/logs/test_logs_metric_filters.py."""
    group.filter(metricNamespace="A.B-c_d/1#2:metricNamespace")
    assert len(group.filters()) == 1


def test_metric_filter_needs_a_log_group(client: Client) -> None:
    with pytest.raises(client("logs").exceptions.ResourceNotFoundException):
        Group(client, "contract-no-such-group", "N").filter()


def test_metric_filters_of_a_log_group_are_limited(group: Group) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html."""
    for number in range(100):
        group.filter(name=f"f{number}")
    group.filter(name="f0", metricValue="2")
    with pytest.raises(group.logs.exceptions.LimitExceededException):
        group.filter(name="other")
