"""Measure the service beside a bare handler and Powertools, all in one run, and compare with the budgets."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

import build
from command import ROOT, CommandError, main, require

MAX_IMPORT_MS = 5.0
MIN_IMPORT_RATIO = 20.0
MAX_WARM_RATIO = 0.5
MAX_BYTES = 16 * 1024

BARE = """
def handler(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": "Hello, World!"}
"""

# As their own page has it: https://docs.aws.amazon.com/powertools/python/latest/core/event_handler/api_gateway/
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

# What is measured runs as on Lambda: AWS's runtime is imported before the handler, the log goes to a pipe or file.
MEASURE = """
import json, os, sys, time
import awslambdaric.bootstrap
from awslambdaric.lambda_context import LambdaContext

calls = int(sys.argv[1])
# A call as HTTP APIs make it, and a context as the runtime makes it.
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
for _ in range(calls):
    started = time.perf_counter()
    handler.handler(event, context)
    times.append(time.perf_counter() - started)
times.sort()
os.write(report, json.dumps({"import": imported * 1e3, "first": first * 1e3, "warm": times[calls // 2] * 1e3}).encode())
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


def measure(directories: dict[str, Path], processes: int, calls: int) -> dict[str, dict[str, float]]:
    """Return the medians over fresh processes of each handler, in ms: ``import``, ``first`` and ``warm`` calls.

    The handlers take turns, so that a busy moment of the machine falls upon all of them.
    """
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in directories}
    for turn in track(range(processes + 1), "Measuring", console=Console(stderr=True), transient=True):
        for name, directory in directories.items():
            run = _run(directory, calls)
            # The first turn compiles to bytecode and fills the disk's cache.
            if turn:
                runs[name].append(run)
    return {
        name: {figure: statistics.median(run[figure] for run in of_name) for figure in ("import", "first", "warm")}
        for name, of_name in runs.items()
    }


def _run(directory: Path, calls: int) -> dict[str, float]:
    settings = {"AWS_LAMBDA_FUNCTION_NAME": "hello", "AWS_LAMBDA_FUNCTION_VERSION": "7", "AWS_REGION": "eu-west-2"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(calls), json.dumps(EVENT)],
        cwd=directory,
        env=environment | settings | {"LOG_LEVEL": "INFO", "POWERTOOLS_LOG_LEVEL": "INFO"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandError(f"The handler in {directory} fails:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def missed(medians: dict[str, dict[str, float]], size: int) -> list[str]:
    """Return a sentence for each budget that was missed."""
    ours, powertools = medians["ours"], medians["powertools"]
    faster, share = powertools["import"] / ours["import"], ours["warm"] / powertools["warm"]
    kept = {
        f"The import takes {ours['import']:.1f} ms, over {MAX_IMPORT_MS:g} ms": ours["import"] <= MAX_IMPORT_MS,
        f"The import is {faster:.0f} times Powertools' speed, under {MIN_IMPORT_RATIO:g}": faster >= MIN_IMPORT_RATIO,
        f"A warm call takes {share:.2f} of Powertools' time, over {MAX_WARM_RATIO:g}": share <= MAX_WARM_RATIO,
        f"The artifact has {size} bytes, over {MAX_BYTES}": size <= MAX_BYTES,
    }
    return [sentence for sentence in kept if not kept[sentence]]


def _show(medians: dict[str, dict[str, float]], size: int) -> None:
    table = Table(box=None, header_style="bold")
    for column in ("handler", "import", "first call", "warm call"):
        table.add_column(column, justify="left" if column == "handler" else "right")
    for name, figures in medians.items():
        row = (f"{figures['import']:.2f} ms", f"{figures['first']:.3f} ms", f"{figures['warm'] * 1e3:.1f} µs")
        table.add_row(name, *row)
    Console(width=max(80, Console().width)).print(table)
    ours, powertools = medians["ours"], medians["powertools"]
    print(
        f"Ours is imported {powertools['import'] / ours['import']:.0f} times faster than Powertools' and answers "
        f"a warm call in {ours['warm'] / powertools['warm']:.2f} of its time. The artifact has {size} bytes."
    )


def command() -> int:
    """Return 0 where every budget is kept, 1 where one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=15, help="fresh processes per handler (%(default)s)")
    parser.add_argument("--calls", type=int, default=2000, help="warm calls per process (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print medians in ms, bytes and the missed budgets as JSON")
    options = parser.parse_args()
    if min(options.processes, options.calls) < 1:
        parser.error("--processes and --calls are at least 1")
    require("aws_lambda_powertools", target="bench")
    with tempfile.TemporaryDirectory() as temporary:
        directories = {name: Path(temporary) / name for name in ("bare", "ours", "powertools")}
        for name, code in (("bare", BARE), ("powertools", POWERTOOLS)):
            directories[name].mkdir()
            (directories[name] / "handler.py").write_text(code)
        size = _unpack(Path(temporary) / "lambda.zip", directories["ours"])
        medians = measure(directories, options.processes, options.calls)
    failures = missed(medians, size)
    if options.json:
        result: dict[str, Any] = {"medians": medians, "bytes": size, "missed": failures}
        print(json.dumps(result))
    else:
        _show(medians, size)
    if failures:
        raise CommandError("\n".join(failures))
    return 0


def _unpack(artifact: Path, directory: Path) -> int:
    """Build the artifact, unpack it as Lambda does, and return its size in bytes."""
    size = build.build(ROOT / "lambda", artifact).bytes
    with zipfile.ZipFile(artifact) as archive:
        archive.extractall(directory)
    return size


if __name__ == "__main__":
    main(command)
