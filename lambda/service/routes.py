"""The routes of the service, and their responses."""

from __future__ import annotations

from service.build_info import BUILD_INFO
from service.http import MethodNotAllowed, NotFound, json_response, text_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from service.http import Request, Response


def hello(request: Request) -> Response:  # noqa: ARG001 - every route takes the request
    """Return the greeting."""
    return text_response("Hello, World!")


def build_info(request: Request) -> Response:
    """Return the commit that the version was built from, the version, and the stage."""
    if BUILD_INFO is None:
        return text_response("No build info available")
    invocation = request.invocation
    return json_response(
        {
            **BUILD_INFO,
            "function": {
                "name": invocation.function_name,
                "version": invocation.version,
                "alias": invocation.alias,
            },
            "stage": request.stage,
        }
    )


ROUTES: dict[str, dict[str, Callable[[Request], Response]]] = {
    "/": {"GET": hello},
    "/build-info": {"GET": build_info},
}


def respond(request: Request) -> Response:
    """Return the response of the request's route. The route for GET also handles HEAD.

    Raises:
        NotFound: no route has the path.
        MethodNotAllowed: a route has the path, but not with the method.
    """
    methods = ROUTES.get(request.path)
    if methods is None:
        raise NotFound
    method = "GET" if request.method == "HEAD" else request.method
    if method not in methods:
        raise MethodNotAllowed([*methods, "HEAD"] if "GET" in methods else [*methods])
    return methods[method](request)
