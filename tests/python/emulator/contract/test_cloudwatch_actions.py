"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-actions.html.

Messages to SNS are those of
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html, events to Lambda of
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html, and to EventBridge of
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.python.emulator.contract.alarms import PATIENCE, Alarms
from tests.python.emulator.contract.support import Client, Function
from tests.python.emulator.contract.test_cloudwatch_alarms import rate
from tests.waiting import eventually

PRINCIPAL = "lambda.alarms.cloudwatch.amazonaws.com"
SOURCE = """
    import json

    def handler(event, context):
        print("EVENT " + json.dumps(event))
"""


@dataclass(frozen=True)
class Inbox:
    """A queue that receives messages."""

    api: Any
    url: str
    arn: str
    source: str

    def take(self, count: int = 1) -> list[Any]:
        """Return the given number of messages, oldest first."""
        found: list[Any] = []

        def enough() -> bool:
            answer = self.api.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
            for message in answer.get("Messages", []):
                self.api.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
            return len(found) >= count

        eventually(enough, seconds=PATIENCE)
        return found


def queue(client: Client, service: str) -> Inbox:
    """Create a queue that a service may write to."""
    api = client("sqs")
    url = api.create_queue(QueueName=f"contract-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = api.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    api.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return Inbox(api, url, arn, "")


@pytest.fixture
def topic(client: Client) -> Iterator[Inbox]:
    """Yield a topic that sends its messages to a queue."""
    inbox, sns = queue(client, "sns"), client("sns")
    arn = sns.create_topic(Name=inbox.url.rpartition("/")[2])["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=inbox.arn)
    yield Inbox(inbox.api, inbox.url, inbox.arn, arn)
    sns.delete_topic(TopicArn=arn)
    inbox.api.delete_queue(QueueUrl=inbox.url)


@pytest.fixture
def events(client: Client, alarms: Alarms) -> Iterator[Inbox]:
    """Yield a queue that receives the state changes of this test's alarms."""
    inbox, bus = queue(client, "events"), client("events")
    name = inbox.url.rpartition("/")[2]
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": [{"prefix": alarms.namespace.replace("/", "-")}]},
    }
    bus.put_rule(Name=name, EventPattern=json.dumps(pattern))
    bus.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": inbox.arn}])
    yield inbox
    bus.remove_targets(Rule=name, Ids=["queue"])
    bus.delete_rule(Name=name)
    inbox.api.delete_queue(QueueUrl=inbox.url)


@pytest.fixture
def called(function: Function) -> Callable[[], list[Any]]:
    """Create a Lambda function, and return a function that returns the events of its invocations."""
    function.create(SOURCE)

    def events() -> list[Any]:
        return [json.loads(line.removeprefix("EVENT ")) for _, line in function.log() if line.startswith("EVENT ")]

    return events


def permit(function: Function, alarms: Alarms, qualifier: str | None = None) -> None:
    function.api.add_permission(
        FunctionName=function.name,
        StatementId="alarms",
        Action="lambda:InvokeFunction",
        Principal=PRINCIPAL,
        SourceAccount=function.account,
        **({"Qualifier": qualifier} if qualifier else {}),
    )


def test_cloudwatch_action_notifies_a_topic_of_a_metric_alarm(alarms: Alarms, topic: Inbox) -> None:
    dimensions = [{"Name": "Function", "Value": "mine"}]
    name = alarms.put(
        Dimensions=dimensions, TreatMissingData="ignore", AlarmActions=[topic.source], AlarmDescription="Too many"
    )
    alarms.data(9, dimensions={"Function": "mine"})
    alarm = alarms.reaches(name, "ALARM")
    (notification,) = topic.take()
    message = json.loads(notification["Message"])
    assert notification["Subject"].startswith(f'ALARM: "{name}" in ')
    assert (message["AlarmName"], message["AlarmArn"]) == (name, alarm["AlarmArn"])
    assert (message["AlarmDescription"], message["AlarmActions"]) == ("Too many", [topic.source])
    assert (message["OldStateValue"], message["NewStateValue"]) == ("INSUFFICIENT_DATA", "ALARM")
    assert message["NewStateReason"] == alarm["StateReason"]
    assert message["Trigger"] == {
        "MetricName": "m",
        "Namespace": alarms.namespace,
        "StatisticType": "Statistic",
        "Statistic": "SUM",
        "Unit": None,
        "Dimensions": [{"value": "mine", "name": "Function"}],
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 5.0,
        "TreatMissingData": "ignore",
        "EvaluateLowSampleCountPercentile": "",
    }


def test_cloudwatch_action_notifies_a_topic_of_an_expression(alarms: Alarms, topic: Inbox) -> None:
    alarms.put(None, Metrics=rate(alarms), AlarmActions=[topic.source])
    alarms.data_of({"errors": [3], "calls": [20]})
    (notification,) = topic.take()
    metrics = json.loads(notification["Message"])["Trigger"]["Metrics"]
    assert metrics[0] == {"Id": "rate", "Expression": "IF(calls >= 10, 100 * errors / calls, 0)", "ReturnData": True}
    assert metrics[1]["MetricStat"]["Metric"]["MetricName"] == "errors"


def test_cloudwatch_action_notifies_a_topic_of_a_composite_alarm(alarms: Alarms, topic: Inbox) -> None:
    child = alarms.put(TreatMissingData="ignore")
    name = alarms.put_composite(f"ALARM({child})", AlarmActions=[topic.source])
    alarms.set(child, "ALARM")
    (notification,) = topic.take()
    message = json.loads(notification["Message"])
    assert (message["AlarmName"], message["AlarmRule"]) == (name, f"ALARM({child})")
    (triggering,) = message["TriggeringChildren"]
    assert (triggering["Arn"], triggering["State"]["Value"]) == (alarms.arn(child), "ALARM")


def test_cloudwatch_actions_are_those_of_the_new_state(alarms: Alarms, topic: Inbox) -> None:
    name = alarms.put(TreatMissingData="ignore", OKActions=[topic.source], InsufficientDataActions=[topic.source])
    for state in ("ALARM", "ALARM", "OK", "OK", "INSUFFICIENT_DATA"):
        alarms.set(name, state)
    told = [json.loads(notification["Message"])["NewStateValue"] for notification in topic.take(2)]
    assert sorted(told) == ["INSUFFICIENT_DATA", "OK"]


def test_cloudwatch_actions_that_are_not_enabled_do_not_run(alarms: Alarms, topic: Inbox) -> None:
    silent = alarms.put(TreatMissingData="ignore", AlarmActions=[topic.source], ActionsEnabled=False)
    loud = alarms.put(TreatMissingData="ignore", AlarmActions=[topic.source])
    for name in (silent, loud):
        alarms.set(name, "ALARM")
    assert [json.loads(notification["Message"])["AlarmName"] for notification in topic.take()] == [loud]


def test_cloudwatch_action_invokes_a_function(
    alarms: Alarms, function: Function, called: Callable[[], list[Any]]
) -> None:
    permit(function, alarms)
    name = alarms.put(TreatMissingData="ignore", AlarmActions=[function.arn])
    alarms.set(name, "ALARM")
    (event,) = eventually(called, seconds=PATIENCE)
    assert (event["source"], event["alarmArn"]) == ("aws.cloudwatch", alarms.arn(name))
    data = event["alarmData"]
    assert (data["alarmName"], data["state"]["value"], data["state"]["reason"]) == (name, "ALARM", "said so")
    assert data["previousState"]["value"] == "INSUFFICIENT_DATA"
    assert data["configuration"]["metrics"][0]["metricStat"]["metric"]["name"] == "m"


def test_cloudwatch_action_invokes_an_alias(
    alarms: Alarms, function: Function, called: Callable[[], list[Any]]
) -> None:
    function.alias("live", "1")
    permit(function, alarms, "live")
    name = alarms.put(TreatMissingData="ignore", AlarmActions=[f"{function.arn}:live"])
    alarms.set(name, "ALARM")
    assert len(eventually(called, seconds=PATIENCE)) == 1


def test_cloudwatch_action_invokes_no_function_without_its_permission(
    alarms: Alarms, function: Function, called: Callable[[], list[Any]]
) -> None:
    name = alarms.put(TreatMissingData="ignore", AlarmActions=[function.arn])
    alarms.set(name, "ALARM")
    (item,) = eventually(lambda: alarms.history(name, "Action"), seconds=PATIENCE)
    assert item["HistorySummary"].startswith(f"Failed to execute action {function.arn}.")
    assert called() == []


def test_cloudwatch_event_describes_a_change(alarms: Alarms, events: Inbox) -> None:
    dimensions = [{"Name": "Function", "Value": "mine"}]
    name = alarms.put(Dimensions=dimensions, TreatMissingData="ignore", ActionsEnabled=False, AlarmDescription="Many")
    alarms.data(9, dimensions={"Function": "mine"})
    (event,) = events.take()
    alarm = alarms.describe(name)
    assert (event["source"], event["resources"]) == ("aws.cloudwatch", [alarm["AlarmArn"]])
    detail = event["detail"]
    assert (detail["alarmName"], detail["configuration"]["description"]) == (name, "Many")
    assert (detail["state"]["value"], detail["state"]["reason"]) == ("ALARM", alarm["StateReason"])
    assert json.loads(detail["state"]["reasonData"]) == json.loads(alarm["StateReasonData"])
    assert detail["previousState"]["value"] == "INSUFFICIENT_DATA"
    (metric,) = detail["configuration"]["metrics"]
    assert metric["metricStat"] == {
        "metric": {"namespace": alarms.namespace, "name": "m", "dimensions": {"Function": "mine"}},
        "period": 60,
        "stat": "Sum",
    }


def test_cloudwatch_event_describes_a_composite_alarm(alarms: Alarms, events: Inbox) -> None:
    child = alarms.put(TreatMissingData="ignore")
    name = alarms.put_composite(f"ALARM({child})")
    found = {event["detail"]["alarmName"]: event["detail"] for event in events.take()}
    assert found[name]["configuration"] == {"alarmRule": f"ALARM({child})"}


def test_cloudwatch_events_are_sent_only_for_changes(alarms: Alarms, events: Inbox) -> None:
    name = alarms.put(TreatMissingData="ignore")
    for state in ("ALARM", "ALARM", "OK"):
        alarms.set(name, state)
    told = [event["detail"]["state"]["value"] for event in events.take(2)]
    assert sorted(told) == ["ALARM", "OK"]
