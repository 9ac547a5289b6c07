"""Let state machines read CloudWatch's numbers as numbers, and times as text: MiniStack asks by AWS Query for them.

https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import stepfunctions

from emulator import hooks
from emulator.cloudwatch import protocol

JSON = {"target_prefix": "GraniteServiceVersion20100801", "protocol": "json", "service_key": "monitoring"}


def install() -> None:
    """Put this in front of MiniStack's own calls by AWS Query."""
    hooks.wrap(
        stepfunctions,
        "_dispatch_aws_sdk_query",
        ["service_info", "service_name", "action", "input_data"],
        _call,
    )


def _call(
    original: Callable[..., Any], service_info: Mapping[str, Any], service_name: str, action: str, input_data: Any
) -> Any:
    if service_name != "cloudwatch":
        return original(service_info, service_name, action, input_data)
    output = stepfunctions._dispatch_aws_sdk_json(JSON, service_name, action, input_data)
    return protocol.with_times_as_text(action[:1].upper() + action[1:], output)
