"""The process that sends the requests of a load, with Locust. Its standard input is open as long as it is to send them.

Locust waits for a user's response before it sends the user's next request, so a slow service would receive fewer
requests. The user here does not wait: it starts each request when it is due, in a greenlet of its own. It does not use
Locust's FastHttpUser either, because its client sends a request again if the connection is closed, and reports one.
https://docs.locust.io/en/stable/use-as-lib.html
https://docs.locust.io/en/stable/testing-other-systems.html
"""

from __future__ import annotations

# It replaces the blocking calls of the standard library, so it is imported before anything that uses them.
import locust

# isort: split
import contextlib
import http.client
import json
import os
import resource
import signal
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import gevent
import gevent.event
import gevent.lock
import gevent.os
import gevent.pool
from locust.env import Environment
from locust.html import get_html_report
from locust.stats import stats_history

from pathtolive.load.arrivals import OK, Arrival, Step, arrivals

TIMEOUT_SECONDS = 10.0
# Maximum number of concurrent requests. The time of a request that waits for another one counts from when it was due.
CONNECTIONS = 1000
# Servers close idle connections after some seconds, and a request must not meet that.
IDLE_SECONDS = 1.0
REPORT_SECONDS = 0.2


class NoConnectionError(Exception):
    """CONNECTIONS requests were in progress until this one was too late to send."""


class Connections:
    """Connections to a server, the last of which is used first, so that there are as few as possible."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._open = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host = parts.netloc
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []

    def take(self) -> http.client.HTTPConnection:
        """Return a connection that no other request uses."""
        if self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since < IDLE_SECONDS:
                return connection
            # The others are idle for longer.
            for _, other in [(since, connection), *self._idle]:
                other.close()
            self._idle.clear()
        return self._open(self._host, timeout=TIMEOUT_SECONDS)

    def give(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection for other requests."""
        self._idle.append((time.monotonic(), connection))


class Visitors(locust.User):
    """Everybody who visits the stage: one user, for Locust, whose requests do not wait for each other."""

    steps: ClassVar[list[Step]]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        url = str(environment.host)
        self._prefix = urllib.parse.urlsplit(url).path.removesuffix("/")
        self._connections, self._free = Connections(url), gevent.lock.BoundedSemaphore(CONNECTIONS)
        self._ended: list[tuple[Any, ...]] = []
        self._began = 0.0

    @locust.task
    def visit(self) -> None:
        """Send the requests of every step."""
        stopped, pool, turns = gevent.event.Event(), gevent.pool.Pool(), 0
        gevent.spawn(_wait_for_end_of_input, stopped)
        self._began = time.monotonic()
        _print(started=time.time())
        reports = gevent.spawn(self._report)
        for arrival in arrivals(self.steps):
            # Other greenlets run meanwhile, even if this request is late.
            gevent.sleep(0)
            if stopped.wait(max(0.0, self._began + arrival.at - time.monotonic())):
                break
            pool.spawn(self._send, arrival)
            turns += 1
        pool.join()
        reports.kill()
        _print(requests=self._ended)
        _print(ended=turns)
        self.environment.runner.quit()

    def _report(self) -> None:
        while True:
            gevent.sleep(REPORT_SECONDS)
            ended, self._ended = self._ended, []
            _print(requests=ended)

    def _send(self, arrival: Arrival) -> None:
        """Send a request, and record it once for the command, and once for Locust's report."""
        due = self._began + arrival.at
        late = time.monotonic() - due
        status, body = 0, b""
        error: Exception | None = None
        try:
            status, body = self._get(arrival.path, due)
            if status != OK:
                error = http.client.HTTPException(f"status {status}")
        except (OSError, http.client.HTTPException, NoConnectionError) as reason:
            error = reason
        took = time.monotonic() - due
        version = _version(body) if status == OK else None
        self._ended.append((arrival.turn, arrival.step, arrival.at, arrival.path, late, took, status, version))
        self.environment.events.request.fire(
            request_type="GET",
            name=f"step {arrival.step + 1} ({self.steps[arrival.step].rate:g}/s): {arrival.path}",
            response_time=took * 1000,
            response_length=len(body),
            exception=error,
            context={},
        )

    def _get(self, path: str, due: float) -> tuple[int, bytes]:
        with self._slot(due):
            connection = self._connections.take()
            try:
                connection.request("GET", f"{self._prefix}{path}")
                response = connection.getresponse()
                body = response.read()
            except BaseException:
                connection.close()
                raise
            self._connections.give(connection)
            return response.status, body

    @contextlib.contextmanager
    def _slot(self, due: float) -> Iterator[None]:
        if not self._free.acquire(timeout=max(0.0, due + TIMEOUT_SECONDS - time.monotonic())):
            raise NoConnectionError(f"{CONNECTIONS} requests were in progress for {TIMEOUT_SECONDS:g} s")
        try:
            yield
        finally:
            self._free.release()


def _version(body: bytes) -> str | None:
    """Return the version in a response, or None if it is not that of ``/build-info`` with build info."""
    try:
        return str(json.loads(body)["function"]["version"])
    except (ValueError, LookupError, TypeError):
        return None


def _wait_for_end_of_input(stopped: gevent.event.Event) -> None:
    while gevent.os.tp_read(sys.stdin.fileno(), 1):
        pass
    stopped.set()


def _print(**message: Any) -> None:
    """Write a message to the command, or end if there is no command to read it."""
    try:
        print(json.dumps(message), flush=True)
    except BrokenPipeError:
        os._exit(1)


def main() -> None:
    """Send the requests that the first argument describes, and write Locust's report if it names a file."""
    # Ctrl-C reaches this process too, and the command decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.argv[1])
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    Visitors.steps = [Step(*step) for step in settings["steps"]]
    environment = Environment(user_classes=[Visitors], host=settings["url"])
    runner = environment.create_local_runner()
    gevent.spawn(stats_history, runner)
    runner.start(1, spawn_rate=1)
    runner.greenlet.join()
    if settings["report"]:
        report = get_html_report(environment, show_download_link=False)  # type: ignore[no-untyped-call]
        Path(settings["report"]).write_text(report)


if __name__ == "__main__":
    main()
