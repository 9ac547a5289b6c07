"""Events for the requests of a test, in the format that AWS documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parent / "events"


def http_api(method: str, path: str, stage: str = "$default", version: str = "2.0") -> dict[str, Any]:
    """Return the event of an HTTP API with the route ``$default``. On a named stage, the path starts with the stage.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    event: dict[str, Any] = _read(f"http-api-{version}")
    context = event["requestContext"]
    context["stage"] = stage
    full_path = path if stage == "$default" else f"/{stage}{path}"
    if version == "2.0":
        event["rawPath"] = full_path
        context["http"] |= {"method": method, "path": full_path}
    else:
        event |= {"httpMethod": method, "path": full_path, "resource": "$default"}
        context |= {"httpMethod": method, "path": full_path}
    return event


def load_balancer(method: str, path: str) -> dict[str, Any]:
    """Return the event of a load balancer.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
    """
    return _read("load-balancer") | {"httpMethod": method, "path": path}


def _read(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event
