"""Measure local AWS beside plain MiniStack: requests per second, and memory per invocation."""

from __future__ import annotations

import contextlib
import http.client
import io
import itertools
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3

from pathtolive import ports
from pathtolive.bench import handlers
from pathtolive.cli import ROOT, CommandError

NAMES = {"local AWS": "emulator", "MiniStack": "ministack"}
REGION = "eu-west-2"
CLIENTS = 8
ROUNDS = 3
ROUND_SECONDS = 5.0
START_SECONDS = 30
EXPECTED = "200: Hello, World!"


@dataclass
class Emulator:
    """A running emulator with an HTTP API whose only route invokes the bare handler."""

    process: subprocess.Popen[bytes]
    url: str
    rates: list[float] = field(default_factory=list)
    bytes_per_invocation: float = 0.0

    @property
    def memory(self) -> int:
        """Its memory in bytes, without that of the function."""
        done = subprocess.run(["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, check=True)
        return int(done.stdout) * 1024


def measure(invocations: int) -> dict[str, dict[str, float]]:
    """Return, for each emulator, its median requests per second, and the bytes that its memory grows by per invocation.

    They take turns. ``invocations`` is the number over which the memory is compared, after those of the rounds.

    Raises:
        CommandError: an emulator does not start, or a request fails.
    """
    with contextlib.ExitStack() as stack:
        emulators = {name: stack.enter_context(_running(name)) for name in NAMES}
        for _ in range(ROUNDS):
            for emulator in emulators.values():
                began = time.monotonic()
                done = _send(emulator.url, until=began + ROUND_SECONDS)
                emulator.rates.append(done / (time.monotonic() - began))
        for emulator in emulators.values():
            before = emulator.memory
            _send(emulator.url, number=invocations)
            emulator.bytes_per_invocation = (emulator.memory - before) / invocations
        return {
            name: {
                "requests_per_second": statistics.median(emulator.rates),
                "bytes_per_invocation": emulator.bytes_per_invocation,
                "megabytes": emulator.memory / 1e6,
            }
            for name, emulator in emulators.items()
        }


def rows(found: Mapping[str, Mapping[str, float]]) -> list[Mapping[str, str]]:
    """Return a row of the table for each emulator."""
    return [
        {
            "emulator": name,
            "requests per second": f"{figures['requests_per_second']:.0f}",
            "memory per invocation": f"{figures['bytes_per_invocation']:.0f} bytes",
            "memory": f"{figures['megabytes']:.0f} MB",
        }
        for name, figures in found.items()
    ]


@contextlib.contextmanager
def _running(name: str) -> Iterator[Emulator]:
    """Start an emulator with default settings on a free port of this machine, and create the API."""
    port = ports.free()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "COVERAGE"))}
    arguments = ["--port", str(port)] if name == "local AWS" else []
    process = subprocess.Popen(
        [sys.executable, "-m", NAMES[name], *arguments],
        cwd=ROOT,
        env=kept | {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, name, url)
        yield Emulator(process, _create_api(url))
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], name: str, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        address = urllib.parse.urlsplit(url).netloc
        with (
            contextlib.suppress(OSError),
            contextlib.closing(http.client.HTTPConnection(address, timeout=START_SECONDS)) as connection,
        ):
            connection.request("GET", "/_ministack/health")
            connection.getresponse().read()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise CommandError(f"{name} does not start")
        time.sleep(0.1)


def _create_api(endpoint: str) -> str:
    """Create the function and the API, and return the URL of its stage."""
    session = boto3.session.Session("test", "test", region_name=REGION)
    functions = session.client("lambda", endpoint_url=endpoint)
    gateway = session.client("apigatewayv2", endpoint_url=endpoint)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("handler.py", handlers.BARE)
    role = session.client("iam", endpoint_url=endpoint).create_role(RoleName="bench", AssumeRolePolicyDocument="{}")
    arn = functions.create_function(
        FunctionName="bench",
        Role=role["Role"]["Arn"],
        Runtime="python3.13",
        Handler="handler.handler",
        Code={"ZipFile": buffer.getvalue()},
    )["FunctionArn"]
    functions.add_permission(
        FunctionName="bench", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    api: dict[str, Any] = {"ApiId": gateway.create_api(Name="bench", ProtocolType="HTTP")["ApiId"]}
    integration = gateway.create_integration(
        **api, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    gateway.create_route(**api, RouteKey="ANY /", Target=f"integrations/{integration}")
    gateway.create_stage(**api, StageName="live", AutoDeploy=True)
    return f"{endpoint}/_aws/execute-api/{api['ApiId']}/live/"


def _send(url: str, *, number: int | None = None, until: float = float("inf")) -> int:
    """Send a number of requests, or those until a time, as fast as CLIENTS connections can, and return their number.

    Raises:
        CommandError: one fails.
    """
    parts = urllib.parse.urlsplit(url)
    turns = iter(range(number)) if number is not None else itertools.count()
    lock, done, failures = threading.Lock(), itertools.count(), list[str]()

    def run() -> None:
        address = parts.netloc
        with contextlib.closing(http.client.HTTPConnection(address, timeout=START_SECONDS)) as connection:
            while time.monotonic() < until and not failures:
                with lock:
                    if next(turns, None) is None:
                        return
                try:
                    connection.request("GET", parts.path)
                    response = connection.getresponse()
                    said = f"{response.status}: {response.read().decode()}"
                except (OSError, http.client.HTTPException) as error:
                    said = str(error)
                if said != EXPECTED:
                    failures.append(f"GET {url} returned {said}")
                next(done)

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise CommandError(failures[0])
    return next(done)
