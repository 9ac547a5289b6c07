"""A steady load on a stage: requests at set times, whether or not the ones before were answered."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
import urllib.parse
from collections import Counter

from pathtolive import traffic
from pathtolive.traffic import OK, Call

# So many may be under way at a time; a call that has to wait for one of them counts from when it was due.
CALLERS = 24
TIMEOUT_SECONDS = 10.0


class Load:
    """Calls ``/build-info`` of a stage, which names the version that answers, until it is stopped.

    ``url`` ends in a slash; ``began`` is the moment from which the times of calls are told, as of ``time.time()``.
    """

    def __init__(self, url: str, per_second: float, began: float) -> None:
        parts = urllib.parse.urlsplit(f"{url}build-info")
        self._host, self._path = parts.netloc, parts.path
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._per_second, self._began = per_second, began
        self._first = time.time()
        self._turns = itertools.count()
        self._calls: list[Call] = []
        self._stopped = threading.Event()
        self._callers = [threading.Thread(target=self._call_in_turn, daemon=True) for _ in range(CALLERS)]
        for caller in self._callers:
            caller.start()

    @property
    def calls(self) -> list[Call]:
        """The calls that have ended, in the order in which they were due."""
        return sorted(self._calls, key=lambda call: call.at)

    def stop(self) -> None:
        """Begin no more calls, and wait for those that are under way."""
        self._stopped.set()
        for caller in self._callers:
            caller.join()

    def _call_in_turn(self) -> None:
        for turn in self._turns:
            due = self._first + turn / self._per_second
            if self._stopped.wait(max(0.0, due - time.time())):
                return
            status, version = self._call()
            self._calls.append(Call(due - self._began, time.time() - due, status, version))

    def _call(self) -> tuple[int, str | None]:
        """Return status and version of an answer; status 0 where there was none."""
        connection = self._connection(self._host, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", self._path, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, _version(answer.read()) if answer.status == OK else None
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()


def _version(body: bytes) -> str | None:
    """Return the version that answered, or None where the artifact carries no build info."""
    try:
        return str(json.loads(body)["function"]["version"])
    except (ValueError, LookupError, TypeError):
        return None


def describe(calls: list[Call]) -> str:
    """Return a line on some calls: how many there were, how many failed, and which versions answered."""
    found = traffic.figures(calls)
    versions = Counter(call.version or "unknown" for call in calls if not call.failed)
    shares = [f"version {version}: {count}" for version, count in sorted(versions.items())]
    return ", ".join([f"{found.calls} calls", f"{found.failed} failed", *shares])
