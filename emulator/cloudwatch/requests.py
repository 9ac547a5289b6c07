"""Answer requests to CloudWatch, in the same way in each of its protocols."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import cloudwatch

from emulator import hooks
from emulator.cloudwatch import alarms, metrics, protocol, queries

OPERATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "DescribeAlarmHistory": alarms.describe_alarm_history,
    "DescribeAlarms": alarms.describe_alarms,
    "GetMetricData": queries.get_metric_data,
    "GetMetricStatistics": metrics.get_metric_statistics,
    "ListMetrics": metrics.list_metrics,
    "PutCompositeAlarm": alarms.put_composite_alarm,
    "PutMetricAlarm": alarms.put_metric_alarm,
    "PutMetricData": metrics.put_metric_data,
    "SetAlarmState": alarms.set_alarm_state,
}


def install() -> None:
    """Put this in front of MiniStack's own CloudWatch."""
    hooks.wrap(cloudwatch, "handle_request", ["method", "path", "headers", "body", "query_params"], _handle)


async def _handle(
    original: Callable[..., Any],
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query_params: Mapping[str, Any],
) -> Any:
    request = protocol.read(path, headers, body, query_params)
    if request is None:
        return await original(method, path, headers, body, query_params)
    try:
        answer = OPERATIONS.get(request.operation.name)
        if answer is not None:
            return request.answer(answer(request.input))
        # MiniStack reads requests and writes responses completely in JSON.
        target = {"x-amz-target": f"GraniteServiceVersion20100801.{request.operation.name}"}
        response = await original(method, "/", target, json.dumps(request.input).encode(), {})
        return request.answer(protocol.output_of(response))
    except protocol.RefusalError as refusal:
        return request.refuse(refusal)
