"""Execution environments: a process per concurrent call, reused, with a log stream of its own.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import atexit
import contextlib
import io
import itertools
import json
import math
import os
import platform
import select
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
INIT_SECONDS = 10
IDLE_SECONDS = 300
CHECK_SECONDS = 1
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 6 MB, and a little more, as AWS's error says.
MAX_RESPONSE_BYTES = 6_291_556
TOO_LARGE = {
    "errorMessage": f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).",
    "errorType": "Function.ResponseSizeTooLarge",
}
EXITED = {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited without providing a reason"}


@dataclass(frozen=True)
class Function:
    """A version of a function, as much as an execution environment needs of it.

    ``variables`` returns the environment variables, Lambda's own among them, except those of the log.
    """

    key: tuple[str, ...]
    handler: str
    code: bytes = field(repr=False)
    timeout_seconds: float
    memory_megabytes: int
    version: str
    log_group: str
    variables: Callable[[], Mapping[str, str]] = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """What came of a call: a result or an error, and the lines of the log, those of the platform among them."""

    request_id: str
    result: Any
    error: Mapping[str, Any] | None
    log_stream: str
    lines: list[str]
    milliseconds: float


class Environment:
    """One execution environment. It serves one call at a time."""

    def __init__(self, function: Function, directory: Path) -> None:
        self.function = function
        self.ended = False
        self.used = time.monotonic()
        self.log_stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{function.version}]{uuid.uuid4().hex}"
        # A file takes any amount of output, unlike a pipe, which blocks the handler when nobody reads.
        self._output = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed with the environment
        self._read = self._received = 0
        requests, self._requests = os.pipe()
        self._results, results = os.pipe()
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-u", BOOTSTRAP, function.handler, str(requests), str(results)],
            cwd=_unpacked(function, directory),
            env={
                **function.variables(),
                "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
                "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            },
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            pass_fds=[requests, results],
        )
        os.close(requests)
        os.close(results)
        self._began: float | None = began
        self.init_error: Mapping[str, Any] | None = None
        self.init_milliseconds: float | None = None

    @property
    def alive(self) -> bool:
        """Whether it can serve another call."""
        return self._process.poll() is None

    def call(self, event: Any, request_id: str, invoked_arn: str, trace_id: str, *, synchronous: bool) -> Outcome:
        """Run the handler. An environment that fails to start, or does not respond in time, ends.

        Only the response of a ``synchronous`` invocation can be too large: there is no other.
        """
        self._initialize()
        lines = [f"START RequestId: {request_id} Version: {self.function.version}"]
        if self.init_milliseconds is not None:
            lines.insert(0, f"INIT_START Runtime Version: python:{platform.python_version()}")
        began = time.perf_counter()
        answer = self._answer(event, request_id, invoked_arn, trace_id)
        milliseconds = (time.perf_counter() - began) * 1000
        error = answer.get("error")
        lines += self._new_output(answer)
        if error is not None:
            lines.append(_log_line(error, request_id))
            error = {**error, "requestId": request_id}
        # The runtime answers in ASCII JSON, which is never shorter than the response that Lambda measures.
        elif synchronous and self._received > MAX_RESPONSE_BYTES and _is_too_large(answer.get("result")):
            error = TOO_LARGE
            lines.append(
                f"[ERROR] [{int(time.time() * 1000)}] LAMBDA_RUNTIME Failed to post handler success response. "
                "Http response code: 413."
            )
        lines += [f"END RequestId: {request_id}", self._report(request_id, milliseconds, answer)]
        self.init_milliseconds = None
        self.used = time.monotonic()
        return Outcome(request_id, answer.get("result"), error, self.log_stream, lines, milliseconds)

    def _initialize(self) -> None:
        """Wait until the code is loaded, before the first invocation."""
        if self._began is not None:
            self.init_error = (self._receive(INIT_SECONDS) or {"error": EXITED}).get("error")
            self.init_milliseconds = (time.perf_counter() - self._began) * 1000
            self._began = None

    def end(self) -> None:
        """Kill its process."""
        if self.ended:
            return
        self.ended = True
        self._process.kill()
        self._process.wait()
        for descriptor in (self._requests, self._results):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _answer(self, event: Any, request_id: str, invoked_arn: str, trace_id: str) -> dict[str, Any]:
        """Return the response of the runtime, or that of Lambda instead.

        https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
        """
        if self.init_error is not None:
            self.end()
            return {"error": self.init_error}
        timeout = self.function.timeout_seconds
        context = {
            "aws_request_id": request_id,
            "invoked_function_arn": invoked_arn,
            "deadline_ms": int((time.time() + timeout) * 1000),
        }
        self._send({"event": event, "context": context, "trace_id": trace_id})
        answer = self._receive(timeout)
        if answer is not None:
            return answer
        try:
            self._process.wait(0.1)
            error = {**EXITED, "errorMessage": f"RequestId: {request_id} Error: {EXITED['errorMessage']}"}
        except subprocess.TimeoutExpired:
            message = f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
            error = {"errorType": "Sandbox.Timedout", "errorMessage": message}
        self.end()
        return {"error": error}

    def _send(self, request: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            content = (json.dumps(request) + "\n").encode()
            while content:
                content = content[os.write(self._requests, content) :]

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        """Return the next response, or None if there is none in time."""
        deadline = time.monotonic() + seconds
        content = b""
        while not content.endswith(b"\n"):
            # Unlike select, poll accepts descriptors above 1023.
            poll = select.poll()
            poll.register(self._results, select.POLLIN)
            ready = poll.poll(max(0, 1000 * (deadline - time.monotonic())))
            chunk = os.read(self._results, 1 << 20) if ready else b""
            if not chunk:
                return None
            content += chunk
        self._received = len(content)
        answer: dict[str, Any] = json.loads(content)
        return answer

    def _new_output(self, answer: Mapping[str, Any]) -> list[str]:
        """Return the new lines of output, up to ``output_bytes``; all if the runtime ended without a response."""
        size = answer.get("output_bytes")
        if size is None:
            size = os.fstat(self._output.fileno()).st_size
        if size == self._read:
            return []
        content = os.pread(self._output.fileno(), size - self._read, self._read)
        self._read = size
        return content.decode(errors="replace").splitlines()

    def _report(self, request_id: str, milliseconds: float, answer: Mapping[str, Any]) -> str:
        init = self.init_milliseconds
        # https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {milliseconds:.2f} ms",
            f"Billed Duration: {math.ceil(milliseconds + (init or 0))} ms",
            f"Memory Size: {self.function.memory_megabytes} MB",
            f"Max Memory Used: {answer.get('max_memory_kilobytes', 0) // 1024} MB",
        ]
        return "\t".join(parts if init is None else [*parts, f"Init Duration: {init:.2f} ms"])


class Pool:
    """The environments of every function: a call takes an idle one, or starts one."""

    def __init__(self) -> None:
        self._idle: defaultdict[tuple[str, ...], list[Environment]] = defaultdict(list)
        self._busy: set[Environment] = set()
        self._lock = threading.Lock()
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._checked = 0.0

    def call(
        self, function: Function, event: Any, request_id: str, invoked_arn: str, trace_id: str, *, synchronous: bool
    ) -> Outcome:
        """Run a function's handler in an environment of its own for as long as it takes."""
        environment = self._take(function)
        with self._lock:
            self._busy.add(environment)
        try:
            return environment.call(event, request_id, invoked_arn, trace_id, synchronous=synchronous)
        finally:
            with self._lock:
                self._busy.discard(environment)
                if not environment.ended:
                    self._idle[function.key].append(environment)

    def end(self) -> None:
        """End all environments and delete their code."""
        with self._lock:
            environments = [*self._busy, *itertools.chain(*self._idle.values())]
            self._busy.clear()
            self._idle.clear()
        for environment in environments:
            environment.end()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def _take(self, function: Function) -> Environment:
        with self._lock:
            if self._directory is None:
                self._directory = tempfile.TemporaryDirectory(prefix="local-aws-")
                atexit.register(self.end)
            if time.monotonic() > self._checked + CHECK_SECONDS:
                self._end_idle()
            idle = self._idle[function.key]
            while idle:
                environment = idle.pop()
                if environment.alive:
                    return environment
                environment.end()
        return Environment(function, Path(self._directory.name))

    def _end_idle(self) -> None:
        self._checked = time.monotonic()
        oldest = self._checked - IDLE_SECONDS
        for key, environments in self._idle.items():
            for environment in environments:
                if environment.used < oldest or not environment.alive:
                    environment.end()
            self._idle[key] = [environment for environment in environments if not environment.ended]


def _is_too_large(result: Any) -> bool:
    return len(json.dumps(result, ensure_ascii=False).encode()) > MAX_RESPONSE_BYTES


def _log_line(error: Mapping[str, Any], request_id: str) -> str:
    """Return the log's text for an error: that of the runtime with its traceback, or that of Lambda."""
    if "stackTrace" in error:
        trace = "".join(["Traceback (most recent call last):\n", *error["stackTrace"]])
        return f"[ERROR] {error['errorType']}: {error['errorMessage']}\n{trace}"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f"{now} {request_id} {error['errorMessage'].rpartition('Error: ')[2]}"


_unpacking = threading.Lock()


def _unpacked(function: Function, directory: Path) -> Path:
    """Return the directory with a function's code, which all its environments share."""
    code = directory / uuid.uuid5(uuid.NAMESPACE_OID, "/".join(function.key)).hex
    with _unpacking:
        if not code.exists():
            with zipfile.ZipFile(io.BytesIO(function.code)) as archive:
                archive.extractall(code)
    return code
