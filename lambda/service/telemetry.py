"""The log: one line of JSON per request."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from service.http import Invocation, Request

# Releases count the lines of ERROR, so it is the highest.
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# The sender chooses the route and the stage, which can have thousands of characters.
MAX_CHARACTERS = 200


def _threshold(level: str) -> int:
    if level not in LEVELS:
        raise ValueError(f"LOG_LEVEL is {level!r}; it must be one of {', '.join(LEVELS)}")
    return LEVELS.index(level)


THRESHOLD = _threshold(os.environ.get("LOG_LEVEL", "INFO"))


def log(invocation: Invocation, request: Request | None, status: int, error: Exception | None = None) -> None:
    """Write the line of a request, unless LOG_LEVEL is above its level.

    The level is ERROR for a status of 500 or more, WARNING for 400 or more, else INFO. ``request`` is None
    for an event that is not an HTTP request.
    """
    level = "ERROR" if status >= 500 else "WARNING" if status >= 400 else "INFO"
    if LEVELS.index(level) < THRESHOLD:
        return
    now = time.time()
    line = {
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03}Z",
        "level": level,
        "request_id": invocation.request_id,
        "trace_id": _trace_id(),
        "stage": request and request.stage and request.stage[:MAX_CHARACTERS],
        "alias": invocation.alias,
        "version": invocation.version,
        "route": request and f"{request.method} {request.path}"[:MAX_CHARACTERS],
        "status": status,
        "ms": round((time.perf_counter() - invocation.started) * 1000, 3),
    }
    if error is not None:
        line["error"] = "".join(traceback.format_exception(error))
    # JSON escapes line breaks and all characters outside ASCII, so no value can end the line or forge another.
    sys.stdout.write(json.dumps(line) + "\n")


def _trace_id() -> str | None:
    """Return the root of the trace. Lambda sets the variable for each invocation.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    for field in os.environ.get("_X_AMZN_TRACE_ID", "").split(";"):
        name, _, value = field.partition("=")
        if name == "Root":
            return value
    return None
