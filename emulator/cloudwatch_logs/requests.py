"""Answer the operations of CloudWatch Logs that MiniStack does not know."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import json_response
from ministack.services import cloudwatch_logs

from emulator import hooks
from emulator.cloudwatch_logs import metric_filters, query_definitions
from emulator.cloudwatch_logs.refusals import RefusalError

OPERATIONS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "DeleteQueryDefinition": query_definitions.delete,
    "DescribeQueryDefinitions": query_definitions.describe,
    "PutQueryDefinition": query_definitions.put,
    "TestMetricFilter": metric_filters.test,
}


def install() -> None:
    """Put this in front of MiniStack's CloudWatch Logs."""
    hooks.wrap(cloudwatch_logs, "handle_request", ["method", "path", "headers", "body", "query_params"], _handle)


async def _handle(
    original: Callable[..., Any],
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query_params: Mapping[str, Any],
) -> Any:
    operation = OPERATIONS.get(headers.get("x-amz-target", "").rpartition(".")[2])
    if operation is None:
        return await original(method, path, headers, body, query_params)
    try:
        return json_response(operation(json.loads(body)))
    except RefusalError as refusal:
        return refusal.response
