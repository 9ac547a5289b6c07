"""Requests, responses, and errors that have a response."""

# Plain classes: importing dataclasses, or typing for NamedTuple, would take longer than the whole service.

from __future__ import annotations

import json


class Invocation:
    """An invocation of the function: its request ID, its version, and its alias, or None for a version by number.

    ``started`` is its start, as of ``time.perf_counter()``.
    """

    __slots__ = ("alias", "function_name", "request_id", "started", "version")

    def __init__(self, request_id: str, function_name: str, version: str, alias: str | None, started: float) -> None:
        self.request_id = request_id
        self.function_name = function_name
        self.version = version
        self.alias = alias
        self.started = started


class Request:
    """An HTTP request: the method in capitals, the path without the stage, and the stage or None.

    The other parts are read from AWS's event when they are used.
    """

    __slots__ = ("_event", "invocation", "method", "path", "stage")

    def __init__(
        self, method: str, path: str, stage: str | None, invocation: Invocation, event: dict[str, object]
    ) -> None:
        self.method = method
        self.path = path
        self.stage = stage
        self.invocation = invocation
        self._event = event

    @property
    def headers(self) -> dict[str, str]:
        """The headers by their names in lower case."""
        from service import parts  # noqa: PLC0415 - not every service reads them

        return parts.headers(self._event)

    @property
    def query(self) -> dict[str, list[str]]:
        """The values of each parameter of the query string."""
        from service import parts  # noqa: PLC0415

        return parts.query(self._event)

    @property
    def body(self) -> bytes:
        """The body.

        Raises:
            BadRequest: it cannot be decoded.
        """
        from service import parts  # noqa: PLC0415

        return parts.body(self._event)


class Response:
    """An HTTP response with a body of text."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: str) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def text_response(body: str) -> Response:
    """Return a response of plain text, with status 200."""
    return Response(200, {"Content-Type": "text/plain; charset=utf-8"}, body)


def json_response(content: dict[str, object], status: int = 200, **headers: str) -> Response:
    """Return a response whose body is the content as JSON."""
    return Response(status, {"Content-Type": "application/json", **headers}, json.dumps(content))


class HTTPError(Exception):
    """A request that gets a response with a 4xx status."""

    status: int
    message: str

    @property
    def response(self) -> Response:
        """The response: ``{"message": "..."}``, like the errors of API Gateway."""
        return json_response({"message": self.message}, self.status)


class BadRequest(HTTPError):
    """An event that is not an HTTP request."""

    status = 400
    message = "Bad Request"


class NotFound(HTTPError):
    """A path without a route."""

    status = 404
    message = "Not Found"


class MethodNotAllowed(HTTPError):
    """A path with routes, none of them for the method."""

    status = 405
    message = "Method Not Allowed"

    def __init__(self, allowed: list[str]) -> None:
        self.allowed = allowed

    @property
    def response(self) -> Response:
        """The response, with the allowed methods."""
        return json_response({"message": self.message}, self.status, Allow=", ".join(self.allowed))
