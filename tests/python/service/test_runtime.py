"""The artifact on AWS's runtime, with events of API Gateway.

https://docs.aws.amazon.com/lambda/latest/dg/python-image.html, https://github.com/aws/aws-lambda-python-runtime-interface-client
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pathtolive import build
from pathtolive.toolchain import rie
from tests import processes
from tests.conftest import free_port
from tests.python.service.events import DOCUMENTED, Documented, http_api, load_balancer
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="AWS makes its emulator for Linux alone")


class Runtime:
    """The runtime interface emulator with the artifact in it."""

    def __init__(self, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        self.log = log

    def invoke(self, event: object) -> Any:
        request = urllib.request.Request(self.url, json.dumps(event).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of JSON that were logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith('{"time"')]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(directory: Path, log: Path, **environment: str) -> Iterator[Runtime]:
    port = free_port()
    kept = {"PATH": os.environ["PATH"], "AWS_LAMBDA_FUNCTION_NAME": "hello", "AWS_LAMBDA_FUNCTION_VERSION": "7"}
    addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    addresses += ["--runtime-api-address", f"127.0.0.1:{free_port()}"]
    # The runtime interface emulator reads LOG_LEVEL too.
    settings = ["/usr/bin/env", *(f"{name}={value}" for name, value in environment.items())]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [rie.path(), *addresses, *settings, sys.executable, "-m", "awslambdaric", "handler.handler"],
            cwd=directory,
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(
            lambda: process.poll() is not None or ("exec '" in log.read_text() and listens(port)),
            60,
            described=log.read_text,
        )
        assert process.poll() is None, log.read_text()
        yield Runtime(port, log)
    finally:
        processes.terminate(process)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifact, unpacked as on Lambda."""
    directory = tmp_path_factory.mktemp("artifact")
    build.build(ROOT / "lambda", directory / "lambda.zip")
    with zipfile.ZipFile(directory / "lambda.zip") as archive:
        archive.extractall(directory / "task")
    return directory / "task"


@pytest.fixture(scope="module")
def runtime(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    with running(artifact, tmp_path_factory.mktemp("runtime") / "log") as runtime:
        yield runtime


EVENTS = {
    "HTTP API, 2.0": http_api,
    "HTTP API, 2.0, stage dev": lambda method, path: http_api(method, path, "dev"),
    "HTTP API, 1.0": lambda method, path: http_api(method, path, version="1.0"),
    "HTTP API, 1.0, stage dev": lambda method, path: http_api(method, path, "dev", "1.0"),
    "load balancer": load_balancer,
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_service_answers_every_format_of_event(runtime: Runtime, event: Any) -> None:
    assert runtime.invoke(event("GET", "/")) == {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain; charset=utf-8"},
        "body": "Hello, World!",
        "isBase64Encoded": False,
    }
    assert runtime.invoke(event("GET", "/nowhere"))["statusCode"] == 404
    refused = runtime.invoke(event("DELETE", "/"))
    assert (refused["statusCode"], refused["headers"]["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda documented: documented.file)
def test_documented_event_has_a_response(runtime: Runtime, documented: Documented) -> None:
    assert runtime.invoke(documented.event)["statusCode"] == documented.status


def test_build_info_has_the_commit_and_the_version(runtime: Runtime, artifact: Path) -> None:
    content = json.loads(runtime.invoke(http_api("GET", "/build-info", "dev"))["body"])
    built = json.loads((artifact / build.BUILD_INFO).read_text())
    assert content == {**built, "function": {"name": "hello", "version": "7", "alias": None}, "stage": "dev"}
    assert (
        content["long"]
        == subprocess.check_output(["git", "log", "-1", "--format=%H", "--", "lambda"], cwd=ROOT, text=True).strip()
    )


def test_request_is_one_line_of_the_log(runtime: Runtime) -> None:
    before = len(runtime.lines())
    runtime.invoke(http_api("GET", "/a\nb", "dev"))
    (line,) = runtime.lines()[before:]
    assert line["route"] == "GET /a\nb"
    assert (line["level"], line["status"], line["stage"], line["version"]) == ("WARNING", 404, "dev", "7")
    assert f"START RequestId: {line['request_id']}" in runtime.log.read_text()


def test_event_that_is_not_a_request_is_answered(runtime: Runtime) -> None:
    assert runtime.invoke(["no request"])["statusCode"] == 400


def test_unknown_log_level_fails_the_start_with_the_reason(artifact: Path, tmp_path: Path) -> None:
    with running(artifact, tmp_path / "log", LOG_LEVEL="LOUD") as runtime:
        with contextlib.suppress(urllib.error.HTTPError):
            assert "LOG_LEVEL is 'LOUD'" in runtime.invoke(http_api("GET", "/"))["errorMessage"]
        assert "LOG_LEVEL is 'LOUD'; it must be one of DEBUG, INFO" in runtime.log.read_text()
