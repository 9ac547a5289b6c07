"""The handler: its answers to events, and the line that it logs for each event."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import handler
from service import build_info, http, parts, routes, telemetry
from tests.python.service.events import http_api, load_balancer

ROOT = Path(__file__).parents[3]
ARN = "arn:aws:lambda:eu-west-2:123456789012:function:hello"
INFO = {
    "type": "git",
    "short": "0a1b2c3",
    "long": "0a1b2c3" + "d" * 33,
    "time": "2026-01-02T03:04:05Z",
    "modified": False,
}
# The members of events that the service reads, apart from the method, the path, and the version.
PARTS = (
    *("body", "cookies", "headers", "isBase64Encoded", "multiValueHeaders", "multiValueQueryStringParameters"),
    *("pathParameters", "queryStringParameters", "rawQueryString", "requestContext", "resource", "routeKey"),
)
TEXT = st.text(st.characters(codec=None), max_size=300)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
SHAPES = {
    "2.0": http_api,
    "2.0, stage dev": lambda method, path: http_api(method, path, "dev"),
    "1.0": lambda method, path: http_api(method, path, version="1.0"),
    "1.0, stage dev": lambda method, path: http_api(method, path, "dev", "1.0"),
    "load balancer": load_balancer,
}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def context(qualifier: str = "") -> Any:
    return SimpleNamespace(
        aws_request_id="11111111-2222-3333-4444-555555555555",
        function_name="hello",
        function_version="7",
        invoked_function_arn=ARN + qualifier,
    )


def answer(event: object, qualifier: str = ":dev") -> dict[str, Any]:
    return handler.handler(event, context(qualifier))


class Lines:
    """The logged lines."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def read(self) -> list[dict[str, Any]]:
        text = self._capsys.readouterr().out
        assert text == "" or text.endswith("\n")
        return [json.loads(line) for line in text.split("\n")[:-1]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    return Lines(capsys)


@every_shape
def test_root_returns_a_greeting(shape: Any) -> None:
    assert answer(shape("GET", "/")) == {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain; charset=utf-8"},
        "body": "Hello, World!",
        "isBase64Encoded": False,
    }


@every_shape
def test_build_info_has_revision_version_and_alias(shape: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "BUILD_INFO", INFO)
    event = shape("GET", "/build-info")
    result = answer(event)
    assert (result["statusCode"], result["headers"]) == (200, {"Content-Type": "application/json"})
    assert json.loads(result["body"]) == {
        **INFO,
        "function": {"name": "hello", "version": "7", "alias": "dev"},
        "stage": event["requestContext"].get("stage"),
    }


def test_build_info_reports_that_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "BUILD_INFO", None)
    result = answer(http_api("GET", "/build-info"))
    assert (result["statusCode"], result["body"]) == (200, "No build info available")


def test_build_info_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "build_info.json"
    assert build_info.read(str(file)) is None
    file.write_text(json.dumps(INFO))
    assert build_info.read(str(file)) == INFO


@pytest.mark.parametrize(
    ("qualifier", "alias"), [(":dev", "dev"), (":v-2_x", "v-2_x"), ("", None), (":7", None), (":$LATEST", None)]
)
def test_alias_is_the_invoked_alias(qualifier: str, alias: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "BUILD_INFO", INFO)
    body = json.loads(answer(http_api("GET", "/build-info"), qualifier)["body"])
    assert body["function"]["alias"] == alias


@every_shape
def test_head_answers_like_get_without_the_body(shape: Any) -> None:
    got, headed = answer(shape("GET", "/")), answer(shape("HEAD", "/"))
    assert headed == {**got, "body": ""}


@every_shape
@pytest.mark.parametrize("path", ["/nowhere", "/build-info/", "//", "/build-info/x", "/devices", "/dev/dev"])
def test_unknown_path_is_not_found(shape: Any, path: str) -> None:
    result = answer(shape("GET", path))
    assert (result["statusCode"], json.loads(result["body"])) == (404, {"message": "Not Found"})


@every_shape
@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_not_allowed(shape: Any, method: str) -> None:
    result = answer(shape(method, "/build-info"))
    assert (result["statusCode"], json.loads(result["body"])) == (405, {"message": "Method Not Allowed"})
    assert result["headers"]["Allow"] == "GET, HEAD"


def test_head_is_not_allowed_if_get_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(routes.ROUTES, "/jobs", {"POST": routes.hello})
    result = answer(http_api("HEAD", "/jobs"))
    assert (result["statusCode"], result["headers"]["Allow"], result["body"]) == (405, "POST", "")


def test_stage_is_removed_from_the_path_once_and_only_as_a_whole() -> None:
    event = http_api("GET", "/", "dev")
    for path, status in {"/dev": 200, "/dev/": 200, "/dev/build-info": 200, "/develop": 404, "/": 200, "": 200}.items():
        assert answer(event | {"rawPath": path})["statusCode"] == status


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"routeKey": "ANY /build-info", "rawPath": "/v1/build-info"}, 200),
        ({"routeKey": "ANY /{proxy+}", "pathParameters": {"proxy": "build-info"}, "rawPath": "/v1/build-info"}, 200),
        ({"routeKey": "GET /{a}/{b}", "pathParameters": {"a": "build-info"}, "rawPath": "/build-info"}, 200),
        ({"routeKey": "ANY /{proxy+}", "pathParameters": {"proxy": "a/b"}, "rawPath": "/build-info"}, 404),
        ({"routeKey": "$default", "rawPath": "/build-info"}, 200),
        ({"routeKey": "$default", "rawPath": "/v1/build-info"}, 404),
        ({"routeKey": ["ANY /build-info"], "rawPath": "/"}, 200),
    ],
)
def test_route_that_api_gateway_matched_counts_and_not_the_base_path(given: dict[str, Any], status: int) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html."""
    assert answer(http_api("GET", "/") | given)["statusCode"] == status
    route = given["routeKey"].rpartition(" ")[2] if isinstance(given["routeKey"], str) else given["routeKey"]
    older = {"resource": route, "path": given["rawPath"], "pathParameters": given.get("pathParameters")}
    assert answer(http_api("GET", "/", version="1.0") | older)["statusCode"] == status


def test_load_balancer_with_multi_value_headers_gets_them() -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#multi-value-headers."""
    event = load_balancer("POST", "/")
    event["multiValueHeaders"] = {name: [value] for name, value in event.pop("headers").items()}
    result = answer(event)
    assert "headers" not in result
    assert result["multiValueHeaders"] == {"Content-Type": ["application/json"], "Allow": ["GET, HEAD"]}


def seen(event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> http.Request:
    """Return the request that a route gets for an event."""
    requests: list[http.Request] = []

    def keep(request: http.Request) -> http.Response:
        requests.append(request)
        return http.text_response("")

    monkeypatch.setitem(routes.ROUTES, "/", {"GET": keep})
    answer(event)
    (request,) = requests
    return request


@pytest.mark.parametrize(
    "event",
    [
        http_api("GET", "/")
        | {"headers": {"x-a": "1,2"}, "rawQueryString": "q=a%20b&q=c&empty=", "cookies": ["m=1", "n=2"]},
        http_api("GET", "/", version="1.0")
        | {
            "headers": {"X-A": "2", "Cookie": "m=1; n=2"},
            "multiValueHeaders": {"X-A": ["1", "2"], "Cookie": ["m=1; n=2"]},
            "queryStringParameters": {"q": "c", "empty": ""},
            "multiValueQueryStringParameters": {"q": ["a b", "c"], "empty": [""]},
        },
        {
            name: value
            for name, value in load_balancer("GET", "/").items()
            if name not in {"headers", "queryStringParameters"}
        }
        | {
            "multiValueHeaders": {"x-a": ["1", "2"], "cookie": ["m=1; n=2"]},
            "multiValueQueryStringParameters": {"q": ["a%20b", "c"], "empty": [""]},
        },
    ],
    ids=["2.0", "1.0", "load balancer"],
)
def test_route_reads_headers_and_query(event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    request = seen(event, monkeypatch)
    assert (request.headers["x-a"], request.headers["cookie"]) == ("1,2", "m=1; n=2")
    assert request.query == {"q": ["a b", "c"], "empty": [""]}


def test_route_reads_single_values_of_a_load_balancer(monkeypatch: pytest.MonkeyPatch) -> None:
    event = load_balancer("GET", "/") | {"headers": {"X-A": "1"}, "queryStringParameters": {"q": "a%20b"}}
    request = seen(event, monkeypatch)
    assert (request.headers, request.query) == ({"x-a": "1"}, {"q": ["a b"]})


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({"body": "é", "isBase64Encoded": False}, "é".encode()),
        ({"body": "aGVsbG8=", "isBase64Encoded": True}, b"hello"),
        ({"body": None, "isBase64Encoded": False}, b""),
        ({"body": {"a": 1}, "isBase64Encoded": "yes"}, b""),
    ],
)
@every_shape
def test_route_reads_the_body(shape: Any, given: dict[str, Any], body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen(shape("GET", "/") | given, monkeypatch).body == body


def test_body_that_cannot_be_decoded_is_a_bad_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(routes.ROUTES, "/", {"GET": lambda request: http.text_response(request.body.decode())})
    assert answer(http_api("GET", "/") | {"body": "a", "isBase64Encoded": True})["statusCode"] == 400


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "GET /",
        {},
        {"version": "2.0"},
        {"version": "2.0", "rawPath": "/"},
        {"version": "2.0", "rawPath": "/", "requestContext": []},
        {"version": "2.0", "rawPath": "/", "requestContext": {"http": []}},
        {"version": "2.0", "rawPath": ["/"], "requestContext": {"http": {"method": "GET"}}},
        {"version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": "GET"}, "stage": 1}},
        {"httpMethod": "GET", "path": None},
        {"httpMethod": 1, "path": "/"},
    ],
)
def test_event_that_is_not_an_http_request_is_a_bad_request(event: object, lines: Lines) -> None:
    result = answer(event)
    assert (result["statusCode"], json.loads(result["body"])) == (400, {"message": "Bad Request"})
    (line,) = lines.read()
    assert (line["route"], line["stage"], line["status"], line["level"]) == (None, None, 400, "WARNING")


@given(
    JSON | st.builds(lambda path, stage: http_api("GET", path) | {"rawPath": path, "requestContext": stage}, JSON, JSON)
)
def test_no_event_raises(event: object) -> None:
    result = answer(event)
    assert result["statusCode"] in {200, 400, 404, 405}
    json.dumps(result)


@given(
    st.dictionaries(
        st.sampled_from(PARTS),
        JSON | st.sampled_from(["ANY /{a}/{b+}", True]),
    )
)
def test_no_part_of_an_event_raises(event: dict[str, object]) -> None:
    for shape in (http_api("GET", "/"), http_api("GET", "/", version="1.0"), load_balancer("GET", "/")):
        assert answer(shape | event)["statusCode"] in {200, 400, 404, 405}
        assert all(isinstance(value, str) for value in parts.headers(shape | event).values())
        assert all(isinstance(values, list) for values in parts.query(shape | event).values())
        with contextlib.suppress(http.BadRequest):
            assert isinstance(parts.body(shape | event), bytes)


@given(method=TEXT, path=TEXT, stage=TEXT)
def test_log_line_cannot_be_broken_or_forged(method: str, path: str, stage: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr(sys, "stdout", SimpleNamespace(write=written.append))
        answer(http_api(method, path, stage))
    (line,) = written
    assert line.isascii()
    assert line.splitlines(keepends=True) == [line]
    assert json.loads(line)["stage"] == stage[:200]
    assert len(line) < 5_000


def test_log_line_has_the_fields_for_a_search(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0625)
    answer(http_api("GET", "/", "dev"))
    (line,) = lines.read()
    assert 0 <= line.pop("ms") < 1000
    assert line == {
        "time": "2023-11-14T22:13:20.062Z",
        "level": "INFO",
        "request_id": "11111111-2222-3333-4444-555555555555",
        "trace_id": "1-5759e988-bd862e3fe1be46a994272793",
        "stage": "dev",
        "alias": "dev",
        "version": "7",
        "route": "GET /",
        "status": 200,
    }


@pytest.mark.parametrize("header", [None, "", "Parent=53995c3f42cd8ad8;Sampled=1", "Rooted=1"])
def test_trace_id_is_null_without_a_trace(header: str | None, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    if header is not None:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    answer(http_api("GET", "/"))
    assert lines.read()[0]["trace_id"] is None


@pytest.mark.parametrize("after_request", [True, False], ids=["in a route", "in the adapter"])
def test_exception_is_logged_once_and_raised_again(
    after_request: bool, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError('broken\n{"forged": true}')

    if after_request:
        monkeypatch.setitem(routes.ROUTES, "/", {"GET": fail})
    else:
        monkeypatch.setattr(handler, "_request", fail)
    with pytest.raises(RuntimeError, match="broken"):
        answer(http_api("GET", "/", "dev"))
    (line,) = lines.read()
    assert (line["level"], line["status"], line["request_id"]) == ("ERROR", 500, context().aws_request_id)
    assert line["route"] == ("GET /" if after_request else None)
    assert line["error"].startswith("Traceback (most recent call last)")
    assert line["error"].endswith('RuntimeError: broken\n{"forged": true}\n')


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        ("DEBUG", [200, 404, 500]),
        ("INFO", [200, 404, 500]),
        ("WARNING", [404, 500]),
        ("ERROR", [500]),
    ],
)
def test_levels_below_log_level_are_not_logged(
    level: str, logged: list[int], lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "THRESHOLD", telemetry._threshold(level))
    invocation = http.Invocation("id", "hello", "7", "dev", 0.0)
    for status in (200, 404, 500):
        telemetry.log(invocation, http.Request("GET", "/", "dev", invocation, {}), status)
    assert [line["status"] for line in lines.read()] == logged


def test_log_level_is_read_at_import() -> None:
    code = "import handler, service.telemetry as t; print(t.LEVELS[t.THRESHOLD])"
    assert fresh(code, LOG_LEVEL="ERROR").stdout == "ERROR\n"
    assert fresh(code).stdout == "INFO\n"


@pytest.mark.parametrize("level", ["LOUD", "info", "", "30", "CRITICAL"])
def test_unknown_log_level_is_refused_at_import(level: str) -> None:
    done = fresh("import handler", LOG_LEVEL=level)
    assert done.returncode == 1
    assert f"LOG_LEVEL is {level!r}; it must be one of DEBUG, INFO, WARNING, ERROR" in done.stderr


def test_import_of_the_handler_adds_only_these_modules() -> None:
    done = fresh(
        "import awslambdaric.bootstrap, sys; before = set(sys.modules); import handler; "
        "print(*sorted(set(sys.modules) - before))"
    )
    assert done.stdout.split() == [
        "handler",
        "service",
        "service.build_info",
        "service.http",
        "service.routes",
        "service.telemetry",
    ]


def test_requests_leave_no_state() -> None:
    def state() -> str:
        modules = (handler, routes, telemetry, http, build_info)
        return repr([{name: value for name, value in vars(module).items() if name[:2] != "__"} for module in modules])

    answer(http_api("GET", "/"))
    before = state()
    for shape in SHAPES.values():
        for path in ("/", "/build-info", "/nowhere"):
            answer(shape("GET", path))
    assert state() == before


def fresh(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a separate Python process that can import the handler."""
    inherited = {name: value for name, value in os.environ.items() if name != "LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"PYTHONPATH": str(ROOT / "lambda")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_log_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="LOG_LEVEL is 'LOUD'; it must be one of DEBUG, INFO"):
        telemetry._threshold("LOUD")
