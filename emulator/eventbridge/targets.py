"""Deliver an event to a state machine or topic only if the target's role or the topic's policy allows it.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import eventbridge, sns

from emulator import hooks
from emulator.iam import roles


def install() -> None:
    """Put this in front of MiniStack's own PutTargets and deliveries."""
    hooks.wrap(eventbridge, "_put_targets", ["data"], _put_targets)
    hooks.wrap(eventbridge, "_invoke_target", ["target", "event", "rule", "view"], _invoke_target)


def _put_targets(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    for target in data.get("Targets", []):
        if _is_state_machine(target) and not target.get("RoleArn"):
            return error_response_json("ValidationException", f"RoleArn is required for target {target['Arn']}.", 400)
    return original(data)


def _invoke_target(
    original: Callable[..., Any],
    target: Mapping[str, Any],
    event: Mapping[str, Any],
    rule: Mapping[str, Any],
    view: Any = None,
) -> None:
    if _may_deliver(target, rule):
        original(target, event, rule, view)


def _is_state_machine(target: Mapping[str, Any]) -> bool:
    return str(target.get("Arn", "")).startswith("arn:aws:states:")


def _may_deliver(target: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    arn, role_arn = target.get("Arn", ""), target.get("RoleArn")
    actions = {"states": "states:StartExecution", "sns": "SNS:Publish"}
    action = actions.get(arn.split(":")[2] if arn.startswith("arn:") else "")
    if action is None:
        return True
    if role_arn:
        try:
            roles.check(role_arn, action, arn)
        except roles.NotAuthorizedError:
            return False
        return roles.assumable(role_arn, "events", rule["Arn"])
    found = sns.topic_policy_for_arn(arn)
    return found is not None and roles.service_may(found[0], "events", action, arn, rule["Arn"])
