"""Clients of the demonstration: requests at a constant rate, whether or not earlier ones have received a response."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
import urllib.parse
from collections.abc import Mapping

from pathtolive.demo.traffic import OK, Request

# Maximum number of concurrent requests. The time of a request that waits for another one counts from when it was due.
THREADS = 24
TIMEOUT_SECONDS = 10.0
# The route whose response contains the version.
PATH = "/build-info"


class Load:
    """Sends requests to a stage, until it is stopped or has sent ``number`` of them.

    ``url`` ends in a slash. The times of requests are seconds since ``started``, a time as of ``time.time()``.
    """

    def __init__(
        self,
        url: str,
        per_second: float,
        started: float,
        *,
        number: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        self._host, self._path = parts.netloc, f"{parts.path.removesuffix('/')}{PATH}"
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._headers = {"Connection": "close", **(headers or {})}
        self._per_second, self._started = per_second, started
        self._first = time.time()
        self._turns = itertools.islice(itertools.count(), number)
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
            status, version = self._send()
            self._requests.append(Request(due - self._started, time.time() - due, status, version))

    def _send(self) -> tuple[int, str | None]:
        """Send a request, and return the status and the version of the response; status 0 if there was none."""
        connection = self._connection(self._host, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", self._path, headers=self._headers)
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
