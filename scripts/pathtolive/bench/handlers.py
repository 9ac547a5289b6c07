"""Measure the service, a bare handler, and a handler with Powertools."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import track

from pathtolive import build
from pathtolive.cli import ROOT, CommandError

MAX_IMPORT_MS = 1.0
MIN_IMPORT_RATIO = 50.0
MAX_WARM_US = 9.0
MAX_WARM_RATIO = 0.2
MAX_BYTES = 16 * 1024
BARE = """
def handler(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": "Hello, World!"}
"""
# As in its documentation: https://docs.aws.amazon.com/powertools/python/latest/core/event_handler/api_gateway/
POWERTOOLS = """
import json
import pathlib

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types

app = APIGatewayHttpResolver()
logger = Logger(service="path-to-live")
FILE = pathlib.Path(__file__).parent / "service" / "build_info.json"
BUILD_INFO = json.loads(FILE.read_text()) if FILE.exists() else None


@app.get("/")
def hello():
    return Response(status_code=200, content_type=content_types.TEXT_PLAIN, body="Hello, World!")


@app.get("/build-info")
def build_info():
    context = app.lambda_context
    function = {"name": context.function_name, "version": context.function_version, "alias": None}
    return {**(BUILD_INFO or {}), "function": function, "stage": app.current_event.request_context.stage}


@logger.inject_lambda_context
def handler(event, context):
    result = app.resolve(event, context)
    logger.info("request", extra={"route": event["routeKey"], "status": result["statusCode"]})
    return result
"""
SETTINGS = {"LOG_LEVEL": "INFO", "POWERTOOLS_LOG_LEVEL": "INFO"}
# As on Lambda, AWS's runtime is imported before the handler, and the log goes to a pipe or a file.
MEASURE = """
import json, os, sys, time
import awslambdaric.bootstrap
from awslambdaric.lambda_context import LambdaContext

invocations = int(sys.argv[1])
# The event of an HTTP API. The context is one of the runtime.
event = json.loads(sys.argv[2])
report = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
started = time.perf_counter()
import handler
imported = time.perf_counter() - started
context = LambdaContext("id", None, None, 10**13, "arn:aws:lambda:eu-west-2:123456789012:function:hello:live")
started = time.perf_counter()
result = handler.handler(event, context)
first = time.perf_counter() - started
assert result["statusCode"] == 200 and result["body"] == "Hello, World!", result
times = []
for _ in range(invocations):
    started = time.perf_counter()
    handler.handler(event, context)
    times.append(time.perf_counter() - started)
times.sort()
result_ms = {"import": imported * 1e3, "first": first * 1e3, "warm": times[invocations // 2] * 1e3}
os.write(report, json.dumps(result_ms).encode())
"""
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
EVENT = {
    "version": "2.0",
    "routeKey": "ANY /",
    "rawPath": "/live/",
    "rawQueryString": "",
    "headers": {"host": "id.execute-api.eu-west-2.amazonaws.com", "user-agent": "bench", "accept": "*/*"},
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "id",
        "domainName": "id.execute-api.eu-west-2.amazonaws.com",
        "domainPrefix": "id",
        "http": {
            "method": "GET",
            "path": "/live/",
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.1",
            "userAgent": "bench",
        },
        "requestId": "id",
        "routeKey": "ANY /",
        "stage": "live",
        "time": "12/Mar/2020:19:03:58 +0000",
        "timeEpoch": 1583348638390,
    },
    "isBase64Encoded": False,
}


def measure(directories: dict[str, Path], processes: int, invocations: int) -> dict[str, dict[str, float]]:
    """Return the medians over new processes of each handler, in ms: ``import``, and ``first`` and ``warm`` invocations.

    The handlers take turns, so that a moment in which the machine is busy affects all of them.
    """
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in directories}
    for turn in track(range(processes + 1), "Measuring", console=Console(stderr=True), transient=True):
        for name, directory in directories.items():
            run = _run(directory, invocations)
            # The first turn compiles the bytecode and fills the disk cache.
            if turn:
                runs[name].append(run)
    return {
        name: {metric: statistics.median(run[metric] for run in of_name) for metric in ("import", "first", "warm")}
        for name, of_name in runs.items()
    }


def _run(directory: Path, invocations: int) -> dict[str, float]:
    settings = {"AWS_LAMBDA_FUNCTION_NAME": "hello", "AWS_LAMBDA_FUNCTION_VERSION": "7", "AWS_REGION": "eu-west-2"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(invocations), json.dumps(EVENT)],
        cwd=directory,
        env=environment | settings | SETTINGS,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandError(f"The handler in {directory} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def ratios(medians: dict[str, dict[str, float]]) -> tuple[float, float]:
    """Return how many times as fast as Powertools' the import is, and how many times as long a warm invocation takes.

    Unlike times, they hardly depend on the machine.
    """
    ours, powertools = medians["ours"], medians["powertools"]
    return powertools["import"] / ours["import"], ours["warm"] / powertools["warm"]


def missed(medians: dict[str, dict[str, float]], size: int) -> list[str]:
    """Return a sentence for each budget that was missed."""
    import_ms, warm_us = medians["ours"]["import"], medians["ours"]["warm"] * 1e3
    faster, share = ratios(medians)
    kept = {
        f"The import takes {import_ms:.2f} ms, more than {MAX_IMPORT_MS:g} ms": import_ms <= MAX_IMPORT_MS,
        f"The import is {faster:.0f} times as fast as Powertools', less than {MIN_IMPORT_RATIO:g} times": faster
        >= MIN_IMPORT_RATIO,
        f"A warm invocation takes {warm_us:.1f} µs, more than {MAX_WARM_US:g} µs": warm_us <= MAX_WARM_US,
        f"A warm invocation takes {share:.2f} times as long as Powertools', more than {MAX_WARM_RATIO:g} times": share
        <= MAX_WARM_RATIO,
        f"The artifact has {size} bytes, more than {MAX_BYTES}": size <= MAX_BYTES,
    }
    return [sentence for sentence in kept if not kept[sentence]]


def rows(medians: dict[str, dict[str, float]]) -> list[Mapping[str, str]]:
    """Return a row of the table for each handler."""
    return [
        {
            "handler": name,
            "import": f"{found['import']:.2f} ms",
            "first invocation": f"{found['first']:.3f} ms",
            "warm invocation": f"{found['warm'] * 1e3:.1f} µs",
        }
        for name, found in medians.items()
    ]


def summary(medians: dict[str, dict[str, float]], size: int) -> str:
    """Return what the budgets are about."""
    faster, share = ratios(medians)
    return (
        f"The import is {faster:.0f} times as fast as Powertools', and a warm invocation takes {share:.2f} times as "
        f"long. The artifact has {size} bytes."
    )


def unpack(zipped: Path, directory: Path) -> int:
    """Build the artifact, unpack it as Lambda does, and return its size in bytes."""
    size = build.build(ROOT / "lambda", zipped).bytes
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(directory)
    return size
