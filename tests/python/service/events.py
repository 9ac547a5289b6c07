"""Events for the requests of a test, in the format that AWS documents."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parent / "events"
API_GATEWAY = "https://docs.aws.amazon.com/apigateway/latest/developerguide"
REST_API = f"{API_GATEWAY}/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format"
HTTP_API = f"{API_GATEWAY}/http-api-develop-integrations-lambda.html"
LOAD_BALANCER = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg"


@dataclass(frozen=True)
class Documented:
    """An event in a shape that AWS documents, and what the service makes of it."""

    file: str
    page: str
    status: int
    route: str | None
    stage: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    multi_value: bool = False

    @property
    def event(self) -> dict[str, Any]:
        return _read(self.file)


COOKIES = {"cookie": "m=1; n=2"}
TAGS = {"tag": ["a", "b"], "empty": [""]}
REQUESTS = [
    Documented("rest-api", REST_API, 200, "GET /", "Prod", {"accept": "*/*"}),
    Documented(
        "rest-api-proxy",
        REST_API,
        405,
        "POST /build-info",
        "dev",
        COOKIES | {"x-tag": "one,two"},
        TAGS | {"sum": ["1+1"]},
        b'{"a": 1}',
    ),
    Documented("rest-api-custom-domain", f"{API_GATEWAY}/rest-api-mappings.html", 200, "GET /build-info", "live"),
    Documented(
        "http-api-upload",
        HTTP_API,
        405,
        "POST /build-info",
        "dev",
        COOKIES | {"x-tag": "one,two"},
        TAGS | {"text": ["a b"]},
        b"--b--\r\n",
    ),
    # https://github.com/CodeGenieApp/serverless-express/issues/465
    Documented(
        "http-api-custom-domain",
        f"{API_GATEWAY}/http-api-develop-integrations-lambda.html",
        200,
        "GET /build-info",
        "live",
    ),
    Documented(
        "function-url", f"{LAMBDA}/urls-invocation.html", 200, "GET /build-info", "$default", COOKIES, {"tag": ["a"]}
    ),
    Documented(
        "load-balancer-health-check",
        f"{LOAD_BALANCER}#enable-health-checks-lambda",
        200,
        "GET /",
        headers={"user-agent": "ELB-HealthChecker/2.0"},
    ),
    Documented(
        "load-balancer-single-value",
        f"{LOAD_BALANCER}#receive-event-from-load-balancer",
        405,
        "PUT /build-info",
        headers=COOKIES,
        query={"tag": ["b"], "text": ["a b"]},
        body=b"\0\1\2",
    ),
    Documented(
        "load-balancer-multi-value",
        f"{LOAD_BALANCER}#multi-value-headers",
        200,
        "HEAD /build-info",
        headers=COOKIES,
        query={"tag": ["a", "b"], "text": ["a b"]},
        multi_value=True,
    ),
]
OTHER_EVENTS = [
    Documented(
        "schedule", "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html", 400, None
    ),
    Documented("sqs", f"{LAMBDA}/with-sqs.html", 400, None),
    Documented("sns", f"{LAMBDA}/with-sns.html", 400, None),
    Documented("s3", f"{LAMBDA}/with-s3.html", 400, None),
    Documented(
        "websocket-connect", f"{API_GATEWAY}/apigateway-websocket-api-route-keys-connect-disconnect.html", 400, None
    ),
]
DOCUMENTED = [*REQUESTS, *OTHER_EVENTS]


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
