"""The events of AWS's services, in the shapes that AWS documents: none of them raises an exception."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import handler
from pathtolive import build
from service import http, routes
from tests.conftest import ROOT
from tests.python.emulator.contract.support import Function
from tests.python.service.events import DOCUMENTED, REQUESTS, Documented

every_event = pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda documented: documented.file)
CONTEXT: Any = SimpleNamespace(
    aws_request_id="11111111-2222-3333-4444-555555555555",
    function_name="hello",
    function_version="7",
    invoked_function_arn="arn:aws:lambda:eu-west-2:123456789012:function:hello:live",
)


def check(answer: dict[str, Any], documented: Documented) -> None:
    """Check an answer, and that its headers have the form that the sender of the event expects."""
    assert answer["statusCode"] == documented.status, documented.page
    assert isinstance(answer["body"], str)
    # A load balancer without multi-value headers, and API Gateway, take the ones of ``headers``.
    expected, other = ("headers", "multiValueHeaders")[:: -1 if documented.multi_value else 1]
    assert expected in answer
    assert other not in answer
    assert all(isinstance(value, list if documented.multi_value else str) for value in answer[expected].values())


@every_event
def test_event_is_answered_and_logged(documented: Documented, capsys: pytest.CaptureFixture[str]) -> None:
    check(handler.handler(documented.event, CONTEXT), documented)
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    level = "INFO" if documented.status == 200 else "WARNING"
    found = (line["level"], line["status"], line["route"], line["stage"])
    assert found == (level, documented.status, documented.route, documented.stage)


@pytest.mark.parametrize("documented", REQUESTS, ids=lambda documented: documented.file)
def test_route_reads_the_parts_of_the_request(documented: Documented, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[http.Request] = []

    def keep(request: http.Request) -> http.Response:
        requests.append(request)
        return http.text_response("")

    monkeypatch.setattr(routes, "respond", keep)
    handler.handler(documented.event, CONTEXT)
    (request,) = requests
    assert {name: request.headers.get(name) for name in documented.headers} == documented.headers
    assert (request.query, request.body) == (documented.query, documented.body)


@pytest.fixture(scope="module")
def function(client: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    """Yield the service as a function on local AWS."""
    archive = tmp_path_factory.mktemp("artifact") / "lambda.zip"
    build.build(ROOT / "lambda", archive)
    name = f"events-{uuid.uuid4().hex[:8]}"
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = Function(client, name, role)
    with contextlib.ExitStack() as stack:
        stack.callback(client("iam").delete_role, RoleName=name)
        client("lambda").create_function(
            FunctionName=name,
            Role=role,
            Runtime="python3.13",
            Handler="handler.handler",
            Code={"ZipFile": archive.read_bytes()},
        )
        stack.callback(client("lambda").delete_function, FunctionName=name)
        yield made


@every_event
def test_event_is_answered_on_local_aws(documented: Documented, function: Function) -> None:
    answer = function.call(documented.event)
    assert "FunctionError" not in answer
    check(answer["Payload"], documented)
