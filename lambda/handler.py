"""The AWS adapter: it turns a Lambda event into a request, and a response into a result.

Formats 2.0 (HTTP API, function URL) and 1.0 (HTTP API, REST API), and load balancers:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

from __future__ import annotations

import time

from service import routes, telemetry
from service.http import BadRequest, HTTPError, Invocation, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Context(Protocol):
        """The context of an invocation: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

        aws_request_id: str
        function_name: str
        function_version: str
        invoked_function_arn: str


def handler(event: object, context: Context) -> dict[str, object]:
    """Return the response to an event.

    An exception other than HTTPError is raised again, so that Lambda counts it in ``Errors`` and API Gateway returns
    its own response with status 500.
    """
    invocation = Invocation(
        context.aws_request_id,
        context.function_name,
        context.function_version,
        _alias(context.invoked_function_arn),
        time.perf_counter(),
    )
    request = None
    try:
        request = _request(event, invocation)
        response = routes.respond(request)
    except HTTPError as error:
        response = error.response
    except Exception as error:
        telemetry.log(invocation, request, 500, error)
        raise
    telemetry.log(invocation, request, response.status)
    headers: dict[str, object] = {"headers": response.headers}
    if isinstance(event, dict) and "multiValueHeaders" in event and "headers" not in event:
        # A load balancer that sends multi-value headers expects them, too.
        headers = {"multiValueHeaders": {name: [value] for name, value in response.headers.items()}}
    head = request is not None and request.method == "HEAD"
    return {"statusCode": response.status, **headers, "body": "" if head else response.body, "isBase64Encoded": False}


def _request(event: object, invocation: Invocation) -> Request:
    """Return the HTTP request in an event.

    Raises:
        BadRequest: the event is not an HTTP request.
    """
    if not isinstance(event, dict):
        raise BadRequest
    context = event.get("requestContext")
    if not isinstance(context, dict):
        context = {}
    if event.get("version") == "2.0":
        http = context.get("http")
        method, path = http.get("method") if isinstance(http, dict) else None, event.get("rawPath")
        route = event.get("routeKey")
    else:
        method, path, route = event.get("httpMethod"), event.get("path"), event.get("resource")
    stage = context.get("stage")
    if not isinstance(method, str) or not isinstance(path, str) or not isinstance(stage, str | None):
        raise BadRequest
    return Request(
        method.upper(),
        _matched(route, event.get("pathParameters")) or _without_stage(path, stage),
        stage,
        invocation,
        event,
    )


def _matched(route: object, parameters: object) -> str | None:
    """Return the path of the route that API Gateway matched, such as ``ANY /items/{id}``, with its parameters.

    The event's own path starts with the stage in format 2.0, and with a custom domain's base path in 1.0.
    """
    path = route.rpartition(" ")[2] if isinstance(route, str) else ""
    if not path.startswith("/"):
        return None
    if "{" in path:
        given = parameters if isinstance(parameters, dict) else {}
        parts = [given.get(part[1:-1].rstrip("+")) if part[:1] == "{" else part for part in path.split("/")]
        return "/".join(map(str, parts)) if None not in parts else None
    return path


def _without_stage(path: str, stage: str | None) -> str:
    """Return a path as the routes have it: for a named stage, AWS puts the stage in front of it."""
    prefix = f"/{stage}"
    if path == prefix or path.startswith(f"{prefix}/"):
        path = path[len(prefix) :]
    return path or "/"


def _alias(arn: str) -> str | None:
    """Return the alias in an ARN. The name of an alias has other characters than digits, unlike that of a version.

    https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html
    """
    qualifier = arn.split(":")[7:8]
    return qualifier[0] if qualifier and not qualifier[0].isdigit() and qualifier[0] != "$LATEST" else None
