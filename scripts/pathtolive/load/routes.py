"""The paths of a stage that a load requests, and the throttle of the stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pathtolive import smoke, stack
from pathtolive.cli import CommandError

NOT_FOUND = 404
# The route whose response contains the version.
BUILD_INFO = "/build-info"


@dataclass(frozen=True)
class Throttle:
    """The limits of a route: requests per second, and how many more API Gateway accepts until they are used up."""

    path: str
    rate: float
    burst: float

    def seconds(self, rate: float) -> float:
        """Return how long a higher rate takes to use up the burst."""
        return self.burst / (rate - self.rate)


def path(text: str) -> str:
    """Return a path to request.

    Raises:
        ValueError: it does not start with a slash.
    """
    if not text.startswith("/"):
        raise ValueError(f"{text} is not a path, such as {BUILD_INFO}")
    return text


def paths(here: stack.Stack, stage: str) -> list[str]:
    """Return the paths of the API's GET routes that a stage has.

    Raises:
        CommandError: there is none.
    """
    found = served(here.stage_url(stage), _route_keys(here))
    if not found:
        raise CommandError(
            f"{stage} has no GET route without variables. Set the path to request, such as ROUTE=/users/1"
        )
    return found


def served(url: str, route_keys: Iterable[str]) -> list[str]:
    """Return the paths of GET routes, without those to which the stage at ``url`` responds with 404.

    API Gateway lists the newest routes, and a stage can serve older ones. A route with variables, such as
    ``GET /users/{id}``, names no path.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
    """
    keys = [key.partition(" ") for key in route_keys]
    found = sorted({path for method, _, path in keys if method in {"ANY", "GET"} and path and "{" not in path})
    return [path for path in found if smoke.get(f"{url}{path[1:]}")[0] != NOT_FOUND]


def throttle(here: stack.Stack, stage: str, paths: Iterable[str]) -> Throttle:
    """Return the lowest limits of the paths' routes, as the stage has them on AWS.

    A route's own limits override those of the stage.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html

    Raises:
        CommandError: the stage has none, so that those of the account apply, which all APIs of the Region share.
    """
    found = here.target.client("apigatewayv2").get_stage(ApiId=here.outputs["api_id"], StageName=stage)
    limits = []
    for path in paths:
        own = [found.get("RouteSettings", {}).get(f"{method} {path}") for method in ("GET", "ANY")]
        settings = next(filter(None, own), None) or found.get("DefaultRouteSettings", {})
        if {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= settings.keys():
            limits.append(Throttle(path, settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]))
    if not limits:
        raise CommandError(f"The stage {stage} has no throttle in API Gateway. Set one in the variable throttles.")
    return min(limits, key=lambda limit: limit.rate)


def _route_keys(here: stack.Stack) -> list[str]:
    pages = here.target.client("apigatewayv2").get_paginator("get_routes").paginate(ApiId=here.outputs["api_id"])
    return [item["RouteKey"] for page in pages for item in page["Items"]]
