"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html.

CloudWatch supports three protocols. The clients of boto3 use one, Terraform's AWS provider another.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest

from tests.conftest import REGION
from tests.python.emulator.contract.alarms import PATIENCE, Alarms
from tests.python.emulator.contract.test_cloudwatch_alarms import rate
from tests.waiting import eventually

PROTOCOLS = ("query", "json", "smithy-rpc-v2-cbor")
TOPIC = f"arn:aws:sns:{REGION}:123456789012:topic"


@pytest.fixture(scope="module")
def speaking(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Return a function that returns a client for a protocol."""

    def client(protocol: str) -> Any:
        session = botocore.session.get_session()
        loader: Any = session.get_component("data_loader")
        model = loader.load_service_model("cloudwatch", "service-2")
        described = {**model, "metadata": {**model["metadata"], "protocol": protocol, "protocols": [protocol]}}
        directory: Path = tmp_path_factory.mktemp("models")
        path = directory / "cloudwatch" / model["metadata"]["apiVersion"] / "service-2.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(described))
        other = botocore.session.get_session()
        data: Any = other.get_component("data_loader")
        data.search_paths.insert(0, str(directory))
        return boto3.Session(botocore_session=other, region_name=REGION).client("cloudwatch", endpoint_url=endpoint)

    return client


def settings(alarms: Alarms) -> list[dict[str, Any]]:
    """Return all settings of alarms: on a metric, on a percentile, and on an expression."""
    actions = {
        "ActionsEnabled": False,
        "AlarmActions": [f"{TOPIC}-alarm"],
        "InsufficientDataActions": [f"{TOPIC}-unknown", f"{TOPIC}-unknown-too"],
        "OKActions": [],
    }
    common = {
        "AlarmDescription": 'Of "errors" & <failures>',
        "ComparisonOperator": "LessThanOrEqualToThreshold",
        "DatapointsToAlarm": 2,
        "EvaluationPeriods": 3,
        "Threshold": 0.5,
        "TreatMissingData": "ignore",
        **actions,
    }
    dimensions = [{"Name": "FunctionName", "Value": "mine"}, {"Name": "Resource", "Value": "mine:live"}]
    metric = {"Namespace": alarms.namespace, "MetricName": "m", "Dimensions": dimensions, "Period": 120}
    percentile = {"ExtendedStatistic": "p99.9", "EvaluateLowSampleCountPercentile": "ignore"}
    return [
        common | metric | {"Statistic": "Maximum", "Unit": "Milliseconds"},
        common | metric | percentile,
        common | {"Metrics": rate(alarms)},
    ]


@pytest.mark.parametrize("reading", PROTOCOLS)
@pytest.mark.parametrize("writing", PROTOCOLS)
def test_cloudwatch_describes_every_setting_of_a_metric_alarm(
    alarms: Alarms, speaking: Callable[[str], Any], writing: str, reading: str
) -> None:
    for number, given in enumerate(settings(alarms)):
        name = f"{alarms.namespace.replace('/', '-')}-{number}"
        alarms.made.append(name)
        speaking(writing).put_metric_alarm(AlarmName=name, **given)
        (alarm,) = speaking(reading).describe_alarms(AlarmNames=[name])["MetricAlarms"]
        assert {key: alarm[key] for key in given} == given
        assert (alarm["StateValue"], alarm["AlarmArn"].rpartition(":")[2]) == ("INSUFFICIENT_DATA", name)
        assert {"AlarmConfigurationUpdatedTimestamp", "StateReason", "StateUpdatedTimestamp"} < alarm.keys()


@pytest.mark.parametrize("reading", PROTOCOLS)
@pytest.mark.parametrize("writing", PROTOCOLS)
def test_cloudwatch_describes_every_setting_of_a_composite_alarm(
    alarms: Alarms, speaking: Callable[[str], Any], writing: str, reading: str
) -> None:
    child, suppressor = alarms.put(TreatMissingData="ignore"), alarms.put(TreatMissingData="ignore")
    name = f"{child}-composite"
    given = {
        "ActionsEnabled": False,
        "ActionsSuppressor": suppressor,
        "ActionsSuppressorExtensionPeriod": 60,
        "ActionsSuppressorWaitPeriod": 120,
        "AlarmActions": [TOPIC],
        "AlarmDescription": "Of <children>",
        "AlarmRule": f'ALARM("{child}")',
        "InsufficientDataActions": [],
        "OKActions": [f"{TOPIC}-ok"],
    }
    alarms.composite.append(name)
    speaking(writing).put_composite_alarm(AlarmName=name, **given)
    alarms.reaches(name, "OK")
    found = speaking(reading).describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])
    (alarm,) = found["CompositeAlarms"]
    assert {key: alarm[key] for key in given} == given
    assert alarm["StateValue"] == "OK"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cloudwatch_describes_alarms_by_page(alarms: Alarms, speaking: Callable[[str], Any], protocol: str) -> None:
    names = sorted(alarms.put(TreatMissingData="ignore") for _ in range(3))
    pages = (
        speaking(protocol)
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=names[0].rpartition("-")[0], PaginationConfig={"PageSize": 2})
    )
    assert [[alarm["AlarmName"] for alarm in page["MetricAlarms"]] for page in pages] == [names[:2], names[2:]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cloudwatch_describes_alarms_in_a_state(alarms: Alarms, speaking: Callable[[str], Any], protocol: str) -> None:
    firing, _ = alarms.put(TreatMissingData="ignore"), alarms.put(TreatMissingData="ignore")
    speaking(protocol).set_alarm_state(AlarmName=firing, StateValue="ALARM", StateReason="said so")
    alarms.reaches(firing, "ALARM")
    found = speaking(protocol).describe_alarms(AlarmNamePrefix=firing.rpartition("-")[0], StateValue="ALARM")
    assert [(alarm["AlarmName"], alarm["StateReason"]) for alarm in found["MetricAlarms"]] == [(firing, "said so")]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cloudwatch_reads_numbers_and_times(alarms: Alarms, speaking: Callable[[str], Any], protocol: str) -> None:
    api = speaking(protocol)
    start = alarms.data(1.25)
    end = start + datetime.timedelta(seconds=alarms.minute)
    query = {
        "Id": "m",
        "MetricStat": {"Metric": {"Namespace": alarms.namespace, "MetricName": "m"}, "Period": 60, "Stat": "Sum"},
    }

    def read() -> Any:
        (result,) = api.get_metric_data(MetricDataQueries=[query], StartTime=start, EndTime=end)["MetricDataResults"]
        return result["Values"] and result

    result = eventually(read, seconds=PATIENCE)
    assert (result["Values"], result["Timestamps"]) == ([1.25], [start])
    (point,) = api.get_metric_statistics(
        Namespace=alarms.namespace,
        MetricName="m",
        StartTime=start,
        EndTime=end,
        Period=60,
        Statistics=["Sum"],
        ExtendedStatistics=["p50"],
    )["Datapoints"]
    assert (point["Sum"], point["ExtendedStatistics"], point["Timestamp"]) == (1.25, {"p50": 1.25}, start)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cloudwatch_refuses_invalid_requests(speaking: Callable[[str], Any], protocol: str) -> None:
    api = speaking(protocol)
    with pytest.raises(api.exceptions.ClientError, match=r"ResourceNotFound.*no-such-alarm"):
        api.set_alarm_state(AlarmName="no-such-alarm", StateValue="OK", StateReason="said so")
