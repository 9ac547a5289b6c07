"""Keep alarms, and describe them as they were given.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch

from emulator.cloudwatch import evaluation, metrics, queries, states
from emulator.cloudwatch.protocol import RefusalError, output_of

Input = dict[str, Any]
UNCHECKED = "Unchecked: Initial alarm creation"
STATE = ("StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp", "StateTransitionedTimestamp")
SUPPRESSION = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
MAX_METRICS = 10
LISTS = ("AlarmActions", "OKActions", "InsufficientDataActions")


def put_metric_alarm(request: Input) -> dict[str, Any]:
    """Keep an alarm. A new one has insufficient data until it is evaluated; another one keeps its state."""
    _check(request)
    name = request["AlarmName"]
    existing = cloudwatch._alarms.get(name)
    tags = request.get("Tags")
    refused = cloudwatch._alarm_tags_refusal(tags, request.get("DatapointsToAlarm"), existing is None, False, True)
    if refused:
        output_of(refused)
    now = time.time()
    state = {"StateValue": evaluation.INSUFFICIENT_DATA, "StateReason": UNCHECKED, "StateUpdatedTimestamp": now}
    if existing:
        state = {member: existing[member] for member in STATE if member in existing}
    alarm = {
        "ActionsEnabled": True,
        "Dimensions": [],
        **{member: [] for member in LISTS},
        **{member: value for member, value in request.items() if member != "Tags"},
        "AlarmArn": f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm:{name}",
        "AlarmConfigurationUpdatedTimestamp": now,
        **state,
    }
    cloudwatch._alarms[name] = alarm
    if existing is None and tags:
        cloudwatch._resource_tags[alarm["AlarmArn"]] = {tag["Key"]: tag["Value"] for tag in tags}
    _record_configuration(alarm, created=existing is None)
    return {}


def put_composite_alarm(request: Input) -> dict[str, Any]:
    """Store a composite alarm, and evaluate its rule immediately."""
    name = request["AlarmName"]
    created = name not in cloudwatch._composite_alarms
    output_of(cloudwatch._put_composite_alarm({}, request, False, True))
    alarm = cloudwatch._composite_alarms[name]
    alarm |= {member: request[member] for member in SUPPRESSION if member in request}
    _record_configuration(alarm, created=created)
    return {}


def describe_alarms(request: Input) -> dict[str, Any]:
    """Describe alarms. The model of the response selects the members that belong there."""
    return output_of(cloudwatch._describe_alarms({}, request, False, True))


def describe_alarm_history(request: Input) -> dict[str, Any]:
    """Describe the history of alarms, to the millisecond."""
    found = output_of(cloudwatch._describe_alarm_history({}, request, False, True))
    items = [item | {"Timestamp": item.get("Moment", item["Timestamp"])} for item in found["AlarmHistoryItems"]]
    return found | {"AlarmHistoryItems": items}


def set_alarm_state(request: Input) -> dict[str, Any]:
    """Set a state, which a metric alarm has until its next evaluation."""
    name = request["AlarmName"]
    alarm = cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name)
    if alarm is None:
        raise RefusalError("ResourceNotFound", f"Unknown alarm: {name}", 404)
    data = request.get("StateReasonData")
    try:
        json.loads(data or "{}")
    except ValueError as error:
        raise RefusalError("InvalidFormat", "StateReasonData is not valid JSON") from error
    cloudwatch._composite_triggers.pop(name, None)
    states.change(alarm, request["StateValue"], request["StateReason"], data)
    return {}


def _check(request: Mapping[str, Any]) -> None:
    asked = request.get("Metrics")
    if bool(asked) == bool(request.get("MetricName")):
        raise RefusalError("ValidationError", "Exactly one of MetricName and Metrics must be given.")
    if request["ComparisonOperator"] not in evaluation.OPERATORS or "Threshold" not in request:
        raise RefusalError("ValidationError", "Local AWS does not support anomaly detection. Specify a Threshold.")
    if request.get("DatapointsToAlarm", 0) > request["EvaluationPeriods"]:
        raise RefusalError("ValidationError", "DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    if asked:
        queries.check(asked)
        if [query.get("ReturnData", True) for query in asked].count(True) != 1:
            raise RefusalError("ValidationError", "Exactly one element of the metrics list should return data.")
        if sum("MetricStat" in query for query in asked) > MAX_METRICS:
            raise RefusalError("ValidationError", f"An alarm can have up to {MAX_METRICS} metrics.")
    elif bool(request.get("Statistic")) == bool(request.get("ExtendedStatistic")):
        raise RefusalError("ValidationError", "Exactly one of Statistic and ExtendedStatistic must be given.")
    elif request.get("ExtendedStatistic"):
        metrics.check(request["ExtendedStatistic"], "ExtendedStatistic")


def _record_configuration(alarm: dict[str, Any], *, created: bool) -> None:
    summary = f'Alarm "{alarm["AlarmName"]}" {"created" if created else "updated"}'
    data = {"version": "1.0", "type": "Create" if created else "Update"}
    states.record(alarm, "ConfigurationUpdate", summary, data)
