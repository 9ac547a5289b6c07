"""Handle a request to a stage of an HTTP API, from its throttle to its access log.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from ministack.services import apigateway

from emulator import hooks, identifiers
from emulator.api_gateway import access_log, addresses, cors, deployments, events, throttle
from emulator.cloudwatch import metrics
from emulator.lambda_ import invocations, permissions

PRINCIPAL = "apigateway.amazonaws.com"
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
LONGEST_MILLISECONDS = 30_000
STAGE_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")

_throttle = throttle.Throttle()


@dataclass
class Trace:
    """What is known of a request at its end, for the access log and the metrics. Times are in milliseconds."""

    route_key: str = ""
    error: str = ""
    integration_error: str = ""
    integration_status: int | None = None
    integration_milliseconds: float | None = None
    function_status: int | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Match:
    """The route and the integration of a request, and the values of its path variables."""

    route: Mapping[str, Any]
    integration: Mapping[str, Any]
    path_parameters: Mapping[str, str]

    @property
    def left_to_ministack(self) -> bool:
        """Whether it uses what this project does not: authorizers, integrations by HTTP."""
        is_open = self.route.get("authorizationType", "NONE") == "NONE"
        return not is_open or self.integration.get("integrationType") != "AWS_PROXY"


def install() -> None:
    """Put this in the place of MiniStack's own requests to HTTP APIs."""
    hooks.wrap(
        apigateway,
        "_handle_execute_in_scope",
        [
            "api_id",
            "stage",
            "path",
            "method",
            "headers",
            "body",
            "query_params",
            "owner_account_id",
            "owner_region",
            "raw_query_string",
        ],
        _handle,
    )


async def _handle(
    original: Callable[..., Any],
    api_id: str,
    stage_name: str,
    path: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, list[str]] | None,
    account: str,
    region: str,
    raw_query: str | None = None,
) -> tuple[int, dict[str, Any], bytes]:
    api, stage = apigateway._apis.get(api_id), apigateway._stages.get(api_id, {}).get(stage_name)
    snapshot = stage and deployments.served(api_id, stage)
    if api is None or stage is None or _is_disabled(api_id, snapshot, headers["host"]):
        not_found: tuple[int, dict[str, Any], bytes] = apigateway._http_api_not_found()
        return not_found
    configuration = api.get("corsConfiguration")
    received = {name.lower(): value for name, value in headers.items()}
    match = _match(snapshot, method, path) if snapshot else None
    if match and match.left_to_ministack:
        status, answered, content = await original(
            api_id, stage_name, path, method, headers, body, query, account, region, raw_query
        )
        if configuration:
            answered = cors.replaced(answered, configuration, method, received)
        return status, answered, content
    began = time.perf_counter()
    request = _request(api_id, stage, path, method, received, body, query or {}, raw_query, account, region)
    trace = Trace()
    response = await _response(request, match, stage, region, trace)
    if configuration:
        if method == "OPTIONS" and match is None and snapshot:
            # API Gateway answers a preflight itself if no route matches it.
            response, trace.error = events.Response(204, {}, b""), ""
        response = replace(response, headers=cors.replaced(response.headers, configuration, method, received))
    milliseconds = (time.perf_counter() - began) * 1000
    access_log.write(stage, lambda: _log_values(request, response, trace, milliseconds))
    _put_metrics(request, response, trace, milliseconds)
    response.headers["apigw-requestid"] = request.id
    return response.status, dict(response.headers), response.body


def _is_disabled(api_id: str, snapshot: Mapping[str, Any] | None, host: str) -> bool:
    """Return whether a request goes to a default endpoint that is disabled. A path of local AWS is not the endpoint.

    https://repost.aws/knowledge-center/api-gateway-disable-endpoint
    """
    return host.startswith(f"{api_id}.execute-api.") and not (snapshot or {}).get("default_endpoint", True)


def _request(
    api_id: str,
    stage: Mapping[str, Any],
    path: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, list[str]],
    raw_query: str | None,
    account: str,
    region: str,
) -> events.Request:
    received = dict(headers)
    # The domain of the Host header. A local name of an API stands for the one that it has on AWS.
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
    domain = addresses.domain(headers["host"]) or f"{api_id}.execute-api.{region}.amazonaws.com"
    now = time.time()
    # API Gateway replaces these headers of the client.
    # https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    received |= {
        "x-amzn-trace-id": received.get("x-amzn-trace-id") or f"Root=1-{int(now):08x}-{identifiers.digits(24)}",
        "x-forwarded-for": ", ".join(filter(None, [received.get("x-forwarded-for"), "127.0.0.1"])),
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    return events.Request(
        id=identifiers.request_id(),
        account=account,
        api_id=api_id,
        domain=domain,
        stage=stage["stageName"],
        stage_variables=stage.get("stageVariables") or {},
        method=method,
        path=path,
        query=query,
        raw_query=events.raw_query_string(query) if raw_query is None else raw_query,
        headers=received,
        body=body,
        source_ip="127.0.0.1",
        time=now,
    )


async def _response(
    request: events.Request, match: Match | None, stage: Mapping[str, Any], region: str, trace: Trace
) -> events.Response:
    if match is None:
        trace.error = "Not Found"
        return events.error(404, trace.error)
    trace.route_key = match.route["routeKey"]
    if not _throttle.admits(request.api_id, stage, trace.route_key):
        trace.error = "Too Many Requests"
        return events.error(429, trace.error)
    integration = match.integration
    payload_format = integration.get("payloadFormatVersion", "1.0")
    make_event = events.event_1_0 if payload_format == "1.0" else events.event_2_0
    began = time.perf_counter()
    try:
        async with asyncio.timeout((integration.get("timeoutInMillis") or LONGEST_MILLISECONDS) / 1000):
            event = make_event(request, trace.route_key, match.path_parameters)
            payload = await _call(request, region, trace, integration, event)
        response = events.response(payload, payload_format)
        trace.function_status = response.status
        return response
    except TimeoutError:
        trace.integration_error, trace.error = "The integration took too long to answer", "Service Unavailable"
        return events.error(503, trace.error)
    except (IntegrationError, events.InvalidResponseError) as failure:
        trace.integration_error, trace.error = str(failure), "Internal Server Error"
        return events.error(500, trace.error)
    finally:
        trace.integration_milliseconds = (time.perf_counter() - began) * 1000


class IntegrationError(RuntimeError):
    """The function could not be invoked, or failed. The access log has the reason, the response does not."""


async def _call(
    request: events.Request, region: str, trace: Trace, integration: Mapping[str, Any], event: dict[str, Any]
) -> Any:
    arn = _function_arn(integration["integrationUri"], request.stage_variables)
    method, _, path = trace.route_key.partition(" ")
    # https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html#apigateway-permissions
    source = f"arn:aws:execute-api:{region}:{request.account}:{request.api_id}/{request.stage}"
    source += f"/{'*' if method == 'ANY' else method}{path}" if path else f"/{method}"
    if not permissions.allows(arn, PRINCIPAL, source):
        trace.integration_status = 403
        raise IntegrationError(
            "The IAM role configured on the integration or API Gateway doesn't have permissions to call "
            "the integration. Check the permissions and try again."
        )
    try:
        result = await invocations.invoke(arn, event, trace_id=request.headers["x-amzn-trace-id"])
    except invocations.FunctionNotFoundError as error:
        trace.integration_status = 404
        raise IntegrationError(f"Function not found: {arn}") from error
    if result.throttled:
        trace.integration_status = 429
        raise IntegrationError("Rate Exceeded")
    trace.integration_status = 200
    trace.more["integration.requestId"] = result.request_id
    if result.error:
        raise IntegrationError(
            "The Lambda function returned the following error: " + str(result.payload["errorMessage"])
        )
    return result.payload


def _function_arn(uri: str, stage_variables: Mapping[str, str]) -> str:
    """Return the ARN in an integration's URI, its stage variables filled in.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.stage-variables-reference.html
    """
    try:
        filled = STAGE_VARIABLE.sub(lambda match: stage_variables[match[1]], uri)
    except KeyError as error:
        raise IntegrationError(f"The stage has no variable {error}") from error
    arn: str = apigateway._extract_lambda_ref_from_integration_uri(filled)
    return arn


def _match(snapshot: Mapping[str, Any], method: str, path: str) -> Match | None:
    """Return the route that matches best, or None.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html#http-api-develop-routes.evaluation
    """
    best: tuple[Any, Mapping[str, Any]] | None = None
    default = None
    for route in snapshot["routes"]:
        wanted, _, pattern = route["routeKey"].partition(" ")
        if not pattern:
            default = route
        elif wanted in {"ANY", method} and apigateway._path_matches(pattern, path):
            rank = apigateway._route_specificity(wanted, pattern)
            if best is None or rank > best[0]:
                best = rank, route
    if best is None:
        return default and Match(default, _integration(snapshot, default), {})
    parameters = apigateway._extract_path_params(best[1]["routeKey"].partition(" ")[2], path) or {}
    values = {name: unquote(value) for name, value in parameters.items()}
    return Match(best[1], _integration(snapshot, best[1]), values)


def _integration(snapshot: Mapping[str, Any], route: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = snapshot["integrations"].get(str(route.get("target", "")).rpartition("/")[2], {})
    return found


def _log_values(
    request: events.Request, response: events.Response, trace: Trace, milliseconds: float
) -> dict[str, Any]:
    integration = trace.integration_milliseconds
    return {
        "accountId": request.account,
        "apiId": request.api_id,
        "domainName": request.domain,
        "domainPrefix": request.domain.partition(".")[0],
        "error.message": trace.error,
        "error.messageString": trace.error and f'"{trace.error}"',
        "extendedRequestId": request.id,
        "httpMethod": request.method,
        "identity.sourceIp": request.source_ip,
        "identity.userAgent": request.headers.get("user-agent"),
        "integration.error": trace.integration_error,
        "integration.integrationStatus": response.status
        if integration and not trace.error
        else trace.integration_status,
        "integration.latency": integration and round(integration),
        "integration.status": trace.integration_status,
        "integrationErrorMessage": trace.integration_error,
        "integrationLatency": integration and round(integration),
        "integrationStatus": trace.integration_status,
        "path": request.full_path,
        "protocol": "HTTP/1.1",
        "requestId": request.id,
        "requestTime": request.request_time,
        "requestTimeEpoch": int(request.time * 1000),
        "responseLatency": round(milliseconds),
        "responseLength": len(response.body),
        "routeKey": trace.route_key,
        "stage": request.stage,
        "status": response.status,
        **trace.more,
    }


def _put_metrics(request: events.Request, response: events.Response, trace: Trace, milliseconds: float) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html."""
    values = (
        ("Count", 1, "Count"),
        ("4xx", int(400 <= response.status < 500), "Count"),
        ("5xx", int(response.status >= 500), "Count"),
        ("DataProcessed", len(request.body) + len(response.body), "Bytes"),
        ("Latency", milliseconds, "Milliseconds"),
        ("IntegrationLatency", trace.integration_milliseconds, "Milliseconds"),
    )
    metrics.record(
        "AWS/ApiGateway",
        [(name, value, unit) for name, value, unit in values if value is not None],
        {"ApiId": request.api_id},
        {"ApiId": request.api_id, "Stage": request.stage},
    )
