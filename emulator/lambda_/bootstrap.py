"""The runtime inside an execution environment: load the handler once, then pass one event after the other to it.

Run as ``python bootstrap.py HANDLER REQUESTS RESULTS``, the latter two being file descriptors. Each request is a line
of JSON, ``{"event": ..., "context": {...}, "trace_id": ...}``; each result is one with ``result`` or ``error``, the
latter as AWS's runtime reports it: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
Each result also has ``max_memory_kilobytes``, the peak memory of the process, and ``output_bytes``, the size of its
output so far.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any


class Context:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def __init__(self, aws_request_id: str, invoked_function_arn: str, deadline_ms: int) -> None:
        self.aws_request_id = aws_request_id
        self.invoked_function_arn = invoked_function_arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline_ms = deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the handler may still take."""
        return max(0, self._deadline_ms - int(time.time() * 1000))


def main() -> None:
    """Serve until there are no more requests."""
    name, requests, results = sys.argv[1], os.fdopen(int(sys.argv[2])), os.fdopen(int(sys.argv[3]), "w")
    # A copy of the descriptor, because the handler may close the original.
    output = os.dup(1)
    sys.path[0] = str(Path.cwd())

    def answer(**content: Any) -> None:
        content["max_memory_kilobytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # The handler may have closed it.
        with contextlib.suppress(ValueError):
            sys.stdout.flush()
        content["output_bytes"] = os.fstat(output).st_size
        results.write(json.dumps(content) + "\n")
        results.flush()

    module, _, function = name.rpartition(".")
    try:
        handler = getattr(importlib.import_module(module.replace("/", ".")), function)
    except Exception as error:  # noqa: BLE001 - whatever the code raises
        answer(error=_description(error))
        return
    answer()
    for line in requests:
        request = json.loads(line)
        os.environ["_X_AMZN_TRACE_ID"] = request["trace_id"]
        try:
            result = handler(request["event"], Context(**request["context"]))
        except Exception as error:  # noqa: BLE001 - whatever the code raises
            answer(error=_description(error))
            continue
        try:
            answer(result=result)
        except (TypeError, ValueError) as error:
            message = f"Unable to marshal response: {error}"
            answer(error={"errorMessage": message, "errorType": "Runtime.MarshalError", "stackTrace": []})


def _description(error: BaseException) -> dict[str, Any]:
    # The frames of this file are nobody's business.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    frames = [frame for frame in frames if "importlib" not in frame.filename]
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_list(frames),
    }


if __name__ == "__main__":
    main()
