"""The CORS headers of an HTTP API: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIX = "access-control-"
# These allow every origin, or every origin of a scheme.
PATTERNS = ("*", "http://*", "https://*")


def replaced(
    answer: Mapping[str, Any], configuration: Mapping[str, Any], method: str, request: Mapping[str, str]
) -> dict[str, Any]:
    """Return a response's headers with the API's CORS headers instead of the integration's.

    ``request`` are the headers of the request, in lowercase.
    """
    kept = {name: value for name, value in answer.items() if not name.lower().startswith(PREFIX)}
    return kept | _headers(configuration, method, request)


def _headers(configuration: Mapping[str, Any], method: str, request: Mapping[str, str]) -> dict[str, str]:
    origin = request.get("origin", "")
    preflight = method == "OPTIONS"
    allowed = _allowed(configuration.get("allowOrigins") or [], origin)
    if not origin or not allowed or (preflight and "access-control-request-method" not in request):
        return {}
    headers = {"access-control-allow-origin": allowed}
    if configuration.get("allowCredentials"):
        headers["access-control-allow-credentials"] = "true"
    lists = {"access-control-expose-headers": "exposeHeaders"}
    if preflight:
        lists |= {"access-control-allow-methods": "allowMethods", "access-control-allow-headers": "allowHeaders"}
        if configuration.get("maxAge") is not None:
            headers["access-control-max-age"] = str(configuration["maxAge"])
    return headers | {name: ",".join(configuration[key]) for name, key in lists.items() if configuration.get(key)}


def _allowed(origins: list[str], origin: str) -> str:
    """Return the value of ``Access-Control-Allow-Origin``: empty if the configuration does not allow the origin."""
    if "*" in origins:
        return "*"
    patterns = [allowed.removesuffix("*") for allowed in origins if allowed in PATTERNS]
    if origin.lower() in (allowed.lower() for allowed in origins) or origin.lower().startswith(tuple(patterns)):
        return origin
    return ""
