"""Write an execution's history into the log group of its state machine.

https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ministack.services import cloudwatch_logs

from emulator.lambda_ import invocations

# https://docs.aws.amazon.com/step-functions/latest/dg/cloudwatch-log-level.html
_FATAL = {"ExecutionAborted", "ExecutionFailed", "ExecutionTimedOut"}
_ERROR = _FATAL | {"EvaluationFailed", "FailStateEntered", "TaskFailed", "TaskTimedOut"}
_DATA = {"input", "inputDetails", "output", "outputDetails", "parameters", "error", "cause"}


def write(logging: Mapping[str, Any], record: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    """Write one event of an execution, if the level of the log includes it."""
    level, group = logging.get("level", "OFF"), log_group(logging)
    wanted = {"ALL": None, "ERROR": _ERROR, "FATAL": _FATAL}.get(level, set())
    if group not in cloudwatch_logs._log_groups or (wanted is not None and event["type"] not in wanted):
        return
    details: dict[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    if not logging.get("includeExecutionData"):
        details = {key: value for key, value in details.items() if key not in _DATA}
    moment = datetime.fromisoformat(event["timestamp"])
    message = {
        "id": str(event["id"]),
        "type": event["type"],
        "details": details,
        "redrive_count": "0",
        "previous_event_id": str(event.get("previousEventId", 0)),
        "event_timestamp": str(int(moment.timestamp() * 1000)),
        "execution_arn": record["executionArn"],
    }
    machine = record["stateMachineArn"].rpartition(":")[2]
    started = datetime.fromisoformat(record["startDate"])
    mark = hashlib.sha256(record["executionArn"].encode()).hexdigest()[:8]
    stream = f"states/{machine}/{started:%Y-%m-%d-%H-%M}/{mark}"
    invocations.write_log(str(group), stream, [json.dumps(message)])


def log_group(logging: Mapping[str, Any]) -> str | None:
    """Return the name of the log group that a logging configuration leads to."""
    for destination in logging.get("destinations") or []:
        arn: str = (destination.get("cloudWatchLogsLogGroup") or {}).get("logGroupArn") or ""
        return arn.partition(":log-group:")[2].removesuffix(":*")
    return None
