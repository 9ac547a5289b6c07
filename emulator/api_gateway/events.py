"""The event of a request for a function, and the response of a function for the client.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from ministack.services import apigateway

from emulator import adapter

# Hop-by-hop headers and the length of the content: the server sets them.
# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
HOP_BY_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}


@dataclass(frozen=True)
class Request:
    """A request that a stage takes. Header names are lower-case; ``path`` is without the stage."""

    id: str
    account: str
    api_id: str
    domain: str
    stage: str
    stage_variables: Mapping[str, str]
    method: str
    path: str
    query: Mapping[str, list[str]]
    raw_query: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    source_ip: str
    time: float

    @property
    def full_path(self) -> str:
        """The path with the stage in front of it, unless the stage is ``$default``."""
        return self.path if self.stage == "$default" else f"/{self.stage}{self.path}"

    @property
    def request_time(self) -> str:
        """When it was received, as logs and events have it."""
        return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(self.time))

    @property
    def cookies(self) -> list[str]:
        """The cookies, one by one."""
        return [cookie for cookie in self.headers.get("cookie", "").split("; ") if cookie]


@dataclass(frozen=True)
class Response:
    """What the client gets. A header with several values is sent as often."""

    status: int
    headers: dict[str, str | list[str]]
    body: bytes


class InvalidResponseError(ValueError):
    """The response of a function has a format that API Gateway does not support."""


def error(status: int, message: str) -> Response:
    """Return a response of API Gateway itself."""
    return Response(
        status, {"content-type": "application/json"}, json.dumps({"message": message}, separators=(",", ":")).encode()
    )


def event_2_0(request: Request, route_key: str, path_parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the event of payload format 2.0. What a request does not have has no key."""
    event = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.full_path,
        "rawQueryString": request.raw_query,
        "headers": {name: value for name, value in request.headers.items() if name != "cookie"},
        "requestContext": {
            "accountId": request.account,
            "apiId": request.api_id,
            "domainName": request.domain,
            "domainPrefix": request.domain.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.full_path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": request.id,
            "routeKey": route_key,
            "stage": request.stage,
            "time": request.request_time,
            "timeEpoch": int(request.time * 1000),
        },
        "isBase64Encoded": False,
    }
    optional = {
        "cookies": request.cookies,
        "queryStringParameters": {name: ",".join(values) for name, values in request.query.items()},
        "pathParameters": dict(path_parameters),
        "stageVariables": dict(request.stage_variables),
    }
    return event | {key: value for key, value in optional.items() if value} | _body(request)


def event_1_0(request: Request, route_key: str, path_parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the event of payload format 1.0. What a request does not have is null."""
    resource = route_key.partition(" ")[2] or route_key
    event = {
        "version": "1.0",
        "resource": resource,
        "path": request.full_path,
        "httpMethod": request.method,
        "headers": dict(request.headers),
        "multiValueHeaders": {name: [value] for name, value in request.headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in request.query.items()} or None,
        "multiValueQueryStringParameters": dict(request.query) or None,
        "requestContext": {
            "accountId": request.account,
            "apiId": request.api_id,
            "domainName": request.domain,
            "domainPrefix": request.domain.partition(".")[0],
            "extendedRequestId": request.id,
            "httpMethod": request.method,
            "identity": {"sourceIp": request.source_ip, "userAgent": request.headers.get("user-agent", "")},
            "path": request.full_path,
            "protocol": "HTTP/1.1",
            "requestId": request.id,
            "requestTime": request.request_time,
            "requestTimeEpoch": int(request.time * 1000),
            "resourceId": route_key,
            "resourcePath": resource,
            "stage": request.stage,
        },
        "pathParameters": dict(path_parameters) or None,
        "stageVariables": dict(request.stage_variables) or None,
        "body": None,
        "isBase64Encoded": False,
    }
    return event | _body(request)


def _body(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    if apigateway._v2_request_body_is_text(request.headers.get("content-type")):
        return {"body": request.body.decode(errors="replace"), "isBase64Encoded": False}
    return {"body": base64.b64encode(request.body).decode(), "isBase64Encoded": True}


def response(payload: Any, payload_format: str) -> Response:
    """Return the response that a function's result describes.

    Raises:
        InvalidResponseError: it means nothing; the client gets a 500.
    """
    if not isinstance(payload, dict) or "statusCode" not in payload:
        if payload_format == "1.0":
            raise InvalidResponseError(
                "The response from the Lambda function doesn't match the format that API Gateway expects."
            )
        body = payload if isinstance(payload, str) else json.dumps(payload)
        return Response(200, {"content-type": "application/json"}, body.encode())
    try:
        status = int(payload["statusCode"])
        if status not in adapter.STATUSES:
            raise ValueError(f"{status} is not a status of a response")
        headers = _headers(payload, payload_format)
        body = payload.get("body") or ""
        if not isinstance(body, str):
            body = json.dumps(body)
        content = base64.b64decode(body, validate=True) if payload.get("isBase64Encoded") else body.encode()
    except (AttributeError, TypeError, ValueError, binascii.Error) as invalid:
        raise InvalidResponseError(str(invalid)) from invalid
    return Response(status, headers, content)


def _headers(payload: Mapping[str, Any], payload_format: str) -> dict[str, str | list[str]]:
    headers: dict[str, str | list[str]] = {"content-type": "text/plain;charset=UTF-8"}
    for name, value in (payload.get("headers") or {}).items():
        headers[name.lower()] = str(value).strip()
    if payload_format == "1.0":
        for name, values in (payload.get("multiValueHeaders") or {}).items():
            headers[name.lower()] = [str(value).strip() for value in values]
    elif cookies := payload.get("cookies"):
        own = headers.get("set-cookie")
        headers["set-cookie"] = [*map(str, cookies), *([own] if isinstance(own, str) else [])]
    for name, value in headers.items():
        if not adapter.is_valid(name, "".join(value)):
            raise ValueError(f"{name!r} is not a header")
    return {name: value for name, value in headers.items() if name not in HOP_BY_HOP}


def raw_query_string(query: Mapping[str, list[str]]) -> str:
    """Return a query in the format of URLs."""
    return urlencode(query, doseq=True)
