"""Refuse state machines that AWS refuses.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import cloudwatch_logs, stepfunctions

from emulator import hooks
from emulator.iam import roles
from emulator.step_functions import logs

# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy
_LOG_RIGHTS = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)


def install() -> None:
    """Put this in front of MiniStack's own CreateStateMachine, UpdateStateMachine, and ListExecutions."""
    hooks.wrap(stepfunctions, "_create_state_machine", ["data"], _create)
    hooks.wrap(stepfunctions, "_list_executions", ["data"], _list_executions)
    hooks.wrap(stepfunctions, "_update_state_machine", ["data"], _update)


def _create(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    arn = f"arn:aws:states:{get_region()}:{get_account_id()}:stateMachine:{data.get('name')}"
    return _refusal(arn, data) or original(data)


def _update(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    machine = stepfunctions._state_machines.get(data.get("stateMachineArn"))
    if machine is None:
        return original(data)
    return _refusal(machine["stateMachineArn"], {**machine, **data}) or original(data)


def _list_executions(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    """Refuse to list the executions of a machine that does not exist, instead of listing none.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
    """
    arn = data.get("stateMachineArn")
    if arn and arn not in stepfunctions._state_machines:
        return error_response_json("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'", 400)
    return original(data)


def _refusal(arn: str, machine: Mapping[str, Any]) -> Any:
    role_arn = str(machine.get("roleArn"))
    if not roles.assumable(role_arn, "states", arn):
        return error_response_json(
            "AccessDeniedException",
            "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume "
            "the provided role.",
            400,
        )
    return _logging_refusal(role_arn, machine.get("loggingConfiguration") or {})


def _logging_refusal(role_arn: str, logging: Mapping[str, Any]) -> Any:
    if logging.get("level", "OFF") == "OFF" and not logging.get("destinations"):
        return None
    destinations = logging.get("destinations") or []
    arn = (destinations[0].get("cloudWatchLogsLogGroup") or {}).get("logGroupArn", "") if destinations else ""
    reasons = {
        "Log Destination must be provided": not arn,
        "Log Group ARN must be provided with '*' qualifier.": not arn.endswith(":*"),
        "Log Destination does not exist": logs.log_group(logging) not in cloudwatch_logs._log_groups,
    }
    for reason, holds in reasons.items():
        if holds:
            return error_response_json("InvalidLoggingConfiguration", f"Invalid Logging Configuration: {reason}", 400)
    try:
        for action in _LOG_RIGHTS:
            roles.check(role_arn, action, "*")
    except roles.NotAuthorizedError:
        return error_response_json(
            "AccessDeniedException", "The state machine IAM Role is not authorized to access the Log Destination", 400
        )
    return None
