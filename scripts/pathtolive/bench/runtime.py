"""Measure the first call and warm invocations in AWS's runtime interface emulator, with AWS's runtime for Python.

https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import track

from pathtolive import ports
from pathtolive.bench.handlers import EVENT, SETTINGS
from pathtolive.cli import CommandError
from pathtolive.toolchain import rie

INVOKE = "/2015-03-31/functions/function/invocations"
START_SECONDS = 30
# How much longer than the bare handler the service may take.
MAX_FIRST_RATIO = 1.1
MAX_WARM_RATIO = 1.1

METRICS = ("first", "warm")
Medians = Mapping[str, Mapping[str, float]]


def measure(directories: Mapping[str, Path], processes: int, invocations: int) -> dict[str, dict[str, float]]:
    """Return the medians over new runtimes of each handler: its ``first`` call, and ``warm`` invocations, in ms.

    ``first_ratio`` and ``warm_ratio`` are the medians of what they take relative to the handler ``bare`` in the same
    turn. The first call starts Python, the runtime, and the handler.

    Raises:
        CommandError: the emulator cannot be downloaded, or does not start, or a handler fails.
    """
    rie.fetch()
    turns: list[dict[str, dict[str, float]]] = []
    for turn in track(range(processes + 1), "Measuring in the runtime", console=Console(stderr=True), transient=True):
        # Each handler follows each other one: what runs before can make a handler slower.
        names = list(directories)[turn % len(directories) :] + list(directories)[: turn % len(directories)]
        turns.append({name: _run(directories[name], invocations) for name in names})
    # The first turn compiles the bytecode and fills the disk cache.
    del turns[0]
    return {
        name: {
            **{metric: statistics.median(turn[name][metric] for turn in turns) for metric in METRICS},
            **{
                f"{metric}_ratio": statistics.median(turn[name][metric] / turn["bare"][metric] for turn in turns)
                for metric in METRICS
            },
        }
        for name in directories
    }


def rows(medians: Medians) -> list[Mapping[str, str]]:
    """Return a row of the table for each handler."""
    return [
        {
            "handler": name,
            "first call": f"{found['first']:.1f} ms",
            "ratio": f"{found['first_ratio']:.2f}",
            "warm invocation": f"{found['warm']:.3f} ms",
            "warm ratio": f"{found['warm_ratio']:.2f}",
        }
        for name, found in medians.items()
    ]


def missed(medians: Medians) -> list[str]:
    """Return a sentence for each budget that was missed."""
    ours = medians["ours"]
    budgets = [("The first call", "first_ratio", MAX_FIRST_RATIO), ("A warm invocation", "warm_ratio", MAX_WARM_RATIO)]
    return [
        f"{what} takes {ours[ratio]:.3f} times as long as the bare handler's, over {budget:g} times"
        for what, ratio, budget in budgets
        if ours[ratio] > budget
    ]


def _run(directory: Path, invocations: int) -> dict[str, float]:
    with _running(directory) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        first = _invoke(connection)
        warm = statistics.median(_invoke(connection) for _ in range(invocations))
        connection.close()
    return {"first": first * 1e3, "warm": warm * 1e3}


def _invoke(connection: http.client.HTTPConnection) -> float:
    """Invoke the handler, and return the seconds that it takes."""
    began = time.perf_counter()
    connection.request("POST", INVOKE, json.dumps(EVENT))
    body = connection.getresponse().read()
    took = time.perf_counter() - began
    if json.loads(body).get("body") != "Hello, World!":
        raise CommandError(f"The handler returned {body.decode()}")
    return took


@contextlib.contextmanager
def _running(directory: Path) -> Iterator[int]:
    """Start the emulator, and yield its port when it answers. It starts the runtime at the first call."""
    port, api = ports.free(), ports.free()
    addresses = [
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{port}",
        "--runtime-api-address",
        f"127.0.0.1:{api}",
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "COVERAGE", "PYTHON"))}
    # The emulator reads LOG_LEVEL, too, so only the runtime gets it.
    settings = ["/usr/bin/env", *(f"{name}={value}" for name, value in SETTINGS.items())]
    process = subprocess.Popen(
        [rie.path(), *addresses, *settings, sys.executable, "-m", "awslambdaric", "handler.handler"],
        cwd=directory,
        env=kept | {"AWS_LAMBDA_FUNCTION_NAME": "hello", "AWS_LAMBDA_FUNCTION_VERSION": "7"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandError(f"AWS's runtime interface emulator does not start in {directory}")
            time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
