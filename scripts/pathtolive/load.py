"""A load on a stage: requests at a constant rate, whether or not earlier ones have received a response.

The requests are for every GET route of the API: a version can fail on one route alone.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Sequence

from pathtolive import smoke, stack, traffic
from pathtolive.cli import CommandError
from pathtolive.traffic import OK, Request

# Maximum number of concurrent requests. The time of a request that waits for another one counts from when it was due.
THREADS = 24
TIMEOUT_SECONDS = 10.0
NOT_FOUND = 404
# The route whose response contains the version.
BUILD_INFO = "/build-info"


def paths(here: stack.Stack, stage: str) -> list[str]:
    """Return the paths of the API's GET routes that a stage has.

    Raises:
        CommandError: there is none.
    """
    pages = here.target.client("apigatewayv2").get_paginator("get_routes").paginate(ApiId=here.outputs["api_id"])
    found = served(here.stage_url(stage), [item["RouteKey"] for page in pages for item in page["Items"]])
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


class Load:
    """Sends requests to the paths of a stage in turn, until it is stopped.

    ``url`` ends in a slash. The times of requests are seconds since ``started``, a time as of ``time.time()``.
    """

    def __init__(self, url: str, per_second: float, started: float, paths: Sequence[str] = (BUILD_INFO,)) -> None:
        parts = urllib.parse.urlsplit(url)
        self._host, self._stage, self._paths = parts.netloc, parts.path.removesuffix("/"), paths
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._per_second, self._started = per_second, started
        self._first = time.time()
        self._turns = itertools.count()
        self._requests: list[Request] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    @property
    def requests(self) -> list[Request]:
        """The requests that have ended, in the order in which they were due."""
        return sorted(self._requests, key=lambda request: request.at)

    def stop(self) -> None:
        """Send no more requests, and wait for those in progress."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        for turn in self._turns:
            due = self._first + turn / self._per_second
            if self._stopped.wait(max(0.0, due - time.time())):
                return
            path = self._paths[turn % len(self._paths)]
            status, version = self._send(path)
            self._requests.append(Request(due - self._started, time.time() - due, status, version, path))

    def _send(self, path: str) -> tuple[int, str | None]:
        """Send a request, and return the status and the version of the response; status 0 if there was none."""
        connection = self._connection(self._host, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", f"{self._stage}{path}", headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, _version(response.read()) if response.status == OK else None
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()


def _version(body: bytes) -> str | None:
    """Return the version in a response, or None if it is not that of ``/build-info`` with build info."""
    try:
        return str(json.loads(body)["function"]["version"])
    except (ValueError, LookupError, TypeError):
        return None


def describe(requests: list[Request]) -> str:
    """Return a line with the number of requests, of those that failed, and of the responses that name each version."""
    found = traffic.totals(requests)
    routes = Counter(request.path for request in requests if request.failed)
    failed = ", ".join(f"{count} of GET {path}" for path, count in sorted(routes.items()))
    versions = Counter(request.version for request in requests if request.version)
    shares = [f"version {version}: {count}" for version, count in sorted(versions.items())]
    return ", ".join(
        [f"{found.requests} requests", f"{found.failed} failed{f' ({failed})' if failed else ''}", *shares]
    )
