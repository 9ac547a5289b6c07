"""A steady load on a stage: calls at set times, whether or not the ones before were answered."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
import urllib.parse

from traffic import OK, Call

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
        """Return status and version of an answer; status 0 where there was none, or none that could be read."""
        connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", self._path, headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body)["function"]["version"] if answer.status == OK else None
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
            return 0, None
        finally:
            connection.close()
