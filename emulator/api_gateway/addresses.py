"""The URLs of stages and the custom domains, where API Gateway answers and nothing else does.

MiniStack serves pages of its own there as well, such as ``/health`` and ``/_ministack/reset``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ministack import app
from ministack.services import apigateway, apigateway_v1

from emulator import hooks

# MiniStack answers one of these, /_ministack/rds/iam-auth, before it calls the functions below.
ADMINISTRATION = "/_ministack/"
# The API that manages WebSocket connections belongs to the control plane: its requests are signed.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
CONNECTIONS = "/@connections"
FORBIDDEN = b'{"message":"Forbidden"}'


def install() -> None:
    """Put API Gateway in front of everything else that MiniStack serves at the URL of a stage, or at a domain."""
    request = ["method", "path", "headers"]
    hooks.wrap(app, "_handle_pre_body_request", [*request, "query_params", "request_id"], _nothing)
    hooks.wrap(app, "_handle_post_body_shortcuts", [*request, "body", "query_params", "request_id"], _nothing)
    hooks.wrap(
        app,
        "_handle_special_data_plane_request",
        [*request, "body", "query_params", "request_id", "raw_path", "raw_query_string", "client_ip"],
        _handle,
    )


def is_stage(host: str, path: str) -> bool:
    """Return whether a request goes to a stage that exists, and to nothing else."""
    parsed = app._parse_execute_api_url(host, path)
    if parsed is None or not path.startswith("/") or path.startswith(ADMINISTRATION) or CONNECTIONS in path:
        return False
    api_id, stage, _ = parsed
    is_http_api = apigateway_v1.find_api_scope(api_id) is None
    stages = apigateway.stages_for_api(api_id) if is_http_api else apigateway_v1.stages_for_api(api_id)
    return not {stage, "$default"}.isdisjoint(stages)


def domain(host: str) -> str | None:
    """Return the custom domain that a ``Host`` header names, or None. The fence admits only names in ``.localhost``."""
    name = host.partition(":")[0].lower()
    return name if name.endswith(".localhost") and apigateway_v1.find_domain_scope(name) else None


def _is_api(host: str, path: str) -> bool:
    return app._parse_execute_api_url(host, path) is not None or domain(host) is not None


async def _nothing(
    original: Callable[..., Any], method: str, path: str, headers: Mapping[str, str], *arguments: Any
) -> Any:
    if _is_api(headers.get("host", ""), path):
        return None
    return await original(method, path, headers, *arguments)


async def _handle(
    original: Callable[..., Any],
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, list[str]],
    request_id: str,
    raw_path: str | None = None,
    raw_query_string: str = "",
    client_ip: str = "127.0.0.1",
) -> Any:
    host = headers.get("host", "")
    if not _is_api(host, path):
        return await original(method, path, headers, body, query, request_id, raw_path, raw_query_string, client_ip)
    answer = await app._handle_execute_api_request(
        host, path, method, headers, body, query, raw_path=raw_path, raw_query_string=raw_query_string
    )
    if answer is None:
        # The domain has no mapping for the path: https://repost.aws/questions/QUp0DAM_5YTk6vThSiM2kcLg
        answer = 403, {"content-type": "application/json", "x-amzn-errortype": "ForbiddenException"}, FORBIDDEN
    return app._with_data_plane_headers(answer, request_id, wildcard_cors=False)
