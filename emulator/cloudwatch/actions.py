"""What a change of an alarm's state sets off: its actions, and an event.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-actions.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

from __future__ import annotations

import functools
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import eventbridge, lambda_svc, sns

from emulator import models
from emulator.cloudwatch.protocol import iso
from emulator.lambda_ import permissions

ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
PRINCIPAL = "lambda.alarms.cloudwatch.amazonaws.com"
STATISTICS = {"SampleCount": "SAMPLE_COUNT"}
Alarm = Mapping[str, Any]

_log = logging.getLogger(__name__)


class ActionError(RuntimeError):
    """An action cannot be taken."""


@dataclass(frozen=True)
class State:
    """A state that an alarm has, or had."""

    value: str
    reason: str
    reason_data: str | None
    moment: float

    @classmethod
    def of(cls, alarm: Alarm) -> State:
        """Return the state that an alarm has."""
        return cls(
            alarm["StateValue"],
            alarm["StateReason"],
            alarm.get("StateReasonData"),
            float(alarm["StateUpdatedTimestamp"]),
        )

    def described(self) -> dict[str, Any]:
        """Return it in the format of events."""
        data = {} if self.reason_data is None else {"reasonData": self.reason_data}
        return {"value": self.value, "reason": self.reason, **data, "timestamp": iso(self.moment)}


def take(alarm: Alarm, previous: State) -> Iterator[tuple[str, str | None]]:
    """Run the actions of the state that an alarm changed to, and yield each with its error, if any."""
    if not alarm.get("ActionsEnabled", True):
        return
    state = State.of(alarm)
    for action in alarm.get(ACTIONS[state.value]) or ():
        error = None
        try:
            _take(action, alarm, state, previous)
        except ActionError as refused:
            error = str(refused)
        except Exception:  # noqa: BLE001 - no action may keep the others, or another alarm, from theirs
            _log.exception("action %s of alarm %s", action, alarm["AlarmName"])
            error = "Internal error"
        yield action, error


def send_event(alarm: Alarm, previous: State) -> None:
    """Send the event of a change to the default bus, whether or not the alarm's actions are enabled."""
    detail = {
        "alarmName": alarm["AlarmName"],
        "state": State.of(alarm).described(),
        "previousState": previous.described(),
        "configuration": _configuration(alarm),
    }
    entry = {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Detail": json.dumps(detail),
        "Resources": [alarm["AlarmArn"]],
    }
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def _take(action: str, alarm: Alarm, state: State, previous: State) -> None:
    service = action.split(":")[2] if action.count(":") >= 5 else ""
    known: dict[str, Callable[[str, Alarm, State, State], None]] = {"lambda": _invoke, "sns": _publish}
    if service not in known:
        raise ActionError("Local AWS does not support this action")
    known[service](action, alarm, state, previous)


def _publish(topic_arn: str, alarm: Alarm, state: State, previous: State) -> None:
    if sns._topic_by_arn_any_scope(topic_arn) is None:
        raise ActionError(f"Resource {topic_arn} does not exist")
    subject = f'{state.value}: "{alarm["AlarmName"]}" in {_region_name()}'
    # The longest subject that SNS takes.
    sns._fanout(topic_arn, new_uuid(), json.dumps(_message(alarm, state, previous)), subject[:100])


def _invoke(function_arn: str, alarm: Alarm, state: State, previous: State) -> None:
    record, config, _ = lambda_svc._get_func_record_for_ref(function_arn)
    if not record or not config:
        raise ActionError(f"Function not found: {function_arn}")
    if not permissions.allows(function_arn, PRINCIPAL, alarm["AlarmArn"]):
        raise ActionError(f"CloudWatch Alarms is not authorized to perform: lambda:InvokeFunction on {function_arn}")
    event = {
        "source": "aws.cloudwatch",
        "alarmArn": alarm["AlarmArn"],
        "accountId": get_account_id(),
        "time": iso(state.moment),
        "region": get_region(),
        "alarmData": {
            "alarmName": alarm["AlarmName"],
            "state": state.described(),
            "previousState": previous.described(),
            "configuration": _configuration(alarm),
        },
    }
    lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(record, config), event)


def _message(alarm: Alarm, state: State, previous: State) -> dict[str, Any]:
    message = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": get_account_id(),
        "AlarmConfigurationUpdatedTimestamp": iso(float(alarm["AlarmConfigurationUpdatedTimestamp"])),
        "NewStateValue": state.value,
        "NewStateReason": state.reason,
        "StateChangeTime": iso(state.moment),
        "Region": _region_name(),
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": previous.value,
        "OKActions": alarm.get("OKActions") or [],
        "AlarmActions": alarm.get("AlarmActions") or [],
        "InsufficientDataActions": alarm.get("InsufficientDataActions") or [],
    }
    if "AlarmRule" not in alarm:
        return message | {"Trigger": _trigger(alarm)}
    children = json.loads(state.reason_data or "{}").get("triggeringAlarms", [])
    named = [
        {
            "Arn": child["arn"],
            "State": {"Value": child["state"]["value"], "Timestamp": child["state"]["timestamp"]},
        }
        for child in children
    ]
    return message | {"AlarmRule": alarm["AlarmRule"], "TriggeringChildren": named}


def _trigger(alarm: Alarm) -> dict[str, Any]:
    common = {
        "Period": alarm.get("Period"),
        "EvaluationPeriods": alarm["EvaluationPeriods"],
        "DatapointsToAlarm": alarm.get("DatapointsToAlarm"),
        "ComparisonOperator": alarm["ComparisonOperator"],
        "Threshold": alarm.get("Threshold"),
        "TreatMissingData": alarm.get("TreatMissingData") or "",
        "EvaluateLowSampleCountPercentile": alarm.get("EvaluateLowSampleCountPercentile") or "",
    }
    if alarm.get("Metrics"):
        return _without_none(common) | {"Metrics": [_trigger_query(query) for query in alarm["Metrics"]]}
    extended = alarm.get("ExtendedStatistic")
    statistic = alarm.get("Statistic") or ""
    kind = (
        {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": extended}
        if extended
        else {"StatisticType": "Statistic", "Statistic": STATISTICS.get(statistic, statistic.upper())}
    )
    return {
        "MetricName": alarm["MetricName"],
        "Namespace": alarm["Namespace"],
        **kind,
        "Unit": alarm.get("Unit"),
        "Dimensions": _dimensions(alarm),
        **_without_none(common),
    }


def _trigger_query(query: Mapping[str, Any]) -> dict[str, Any]:
    if "MetricStat" not in query:
        return dict(query)
    metric = query["MetricStat"]["Metric"]
    return {
        **query,
        "MetricStat": {**query["MetricStat"], "Metric": {**metric, "Dimensions": _dimensions(metric)}},
    }


def _dimensions(described: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"value": each["Value"], "name": each["Name"]} for each in described.get("Dimensions") or ()]


def _configuration(alarm: Alarm) -> dict[str, Any]:
    described = {"description": alarm.get("AlarmDescription") or None}
    if "AlarmRule" in alarm:
        return _without_none(
            described
            | {
                "alarmRule": alarm["AlarmRule"],
                "actionsSuppressor": alarm.get("ActionsSuppressor"),
                "actionsSuppressorWaitPeriod": alarm.get("ActionsSuppressorWaitPeriod"),
                "actionsSuppressorExtensionPeriod": alarm.get("ActionsSuppressorExtensionPeriod"),
            }
        )
    # For a single metric, AWS invents the ID.
    single = {
        "Id": str(uuid.uuid5(uuid.NAMESPACE_URL, alarm["AlarmArn"])),
        "MetricStat": {
            "Metric": alarm,
            "Period": alarm.get("Period"),
            "Stat": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
            "Unit": alarm.get("Unit"),
        },
    }
    queries = alarm.get("Metrics") or [single]
    return _without_none(described) | {"metrics": [_configured_query(query) for query in queries]}


def _configured_query(query: Mapping[str, Any]) -> dict[str, Any]:
    described = {"id": query["Id"], "label": query.get("Label"), "returnData": query.get("ReturnData", True)}
    if "MetricStat" not in query:
        return _without_none(described | {"expression": query["Expression"], "period": query.get("Period")})
    statistic = query["MetricStat"]
    metric = statistic["Metric"]
    named = {
        "namespace": metric["Namespace"],
        "name": metric["MetricName"],
        "dimensions": {each["Name"]: each["Value"] for each in metric.get("Dimensions") or ()},
    }
    stat = {"metric": named, "period": statistic["Period"], "stat": statistic["Stat"], "unit": statistic.get("Unit")}
    return _without_none(described | {"metricStat": _without_none(stat)})


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@functools.cache
def _region_names() -> Mapping[str, Mapping[str, str]]:
    return {name: region for partition in models.PARTITIONS for name, region in partition["regions"].items()}


def _region_name() -> str:
    """Return a region's name as CloudWatch's messages have it: "EU (London)"."""
    region = get_region()
    name = _region_names().get(region, {"description": region})["description"]
    return str(name).replace("Europe", "EU")
