"""https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.parse
from typing import Any

import pytest

from tests.python.emulator.contract.support import ECHO, Api


def event(api: Api, *arguments: Any, **more: Any) -> Any:
    return api.call(*arguments, **more).json["event"]


def test_event_2_0_has_the_stage_in_its_paths(echo: Api) -> None:
    found = event(echo, "/build-info")
    assert found["version"] == "2.0"
    assert found["rawPath"] == found["requestContext"]["http"]["path"] == "/dev/build-info"
    assert found["requestContext"]["stage"] == "dev"


def test_event_2_0_of_the_default_stage_has_no_stage_in_its_paths(echo: Api) -> None:
    echo.stage("$default", AutoDeploy=True)
    found = event(echo, "/build-info", "$default")
    assert found["rawPath"] == found["requestContext"]["http"]["path"] == "/build-info"
    assert found["requestContext"]["stage"] == "$default"


def test_event_2_0_omits_empty_fields(echo: Api) -> None:
    echo.stage("bare", AutoDeploy=True)
    found = event(echo, "/", "bare")
    assert set(found) <= {
        "version",
        "routeKey",
        "rawPath",
        "rawQueryString",
        "headers",
        "requestContext",
        "isBase64Encoded",
    }
    assert (found["rawQueryString"], found["isBase64Encoded"]) == ("", False)


def test_event_2_0_has_separate_cookies(echo: Api) -> None:
    found = event(echo, headers={"Cookie": "a=1; b=2"})
    assert found["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in found["headers"]


def test_event_2_0_joins_values_with_commas(echo: Api) -> None:
    found = event(echo, "/?a=1&a=2&b=%20x", headers=[("X-Thing", "one"), ("X-Thing", "two")])
    assert found["queryStringParameters"] == {"a": "1,2", "b": " x"}
    assert found["rawQueryString"] == "a=1&a=2&b=%20x"
    assert re.fullmatch("one, ?two", found["headers"]["x-thing"])


def test_event_2_0_has_the_stage_variables(echo: Api) -> None:
    assert event(echo)["stageVariables"] == {"colour": "blue"}


def test_event_2_0_has_the_request_context(echo: Api) -> None:
    answer = echo.call("/x", method="POST", headers={"User-Agent": "tests"})
    context = answer.json["event"]["requestContext"]
    assert context["accountId"] == echo.function.account
    assert context["apiId"] == context["domainPrefix"] == echo.id
    assert context["domainName"].startswith(f"{echo.id}.")
    assert context["routeKey"] == "$default"
    assert (context["http"]["method"], context["http"]["userAgent"]) == ("POST", "tests")
    assert context["http"]["protocol"] == "HTTP/1.1"
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["time"])
    assert abs(context["timeEpoch"] / 1000 - __import__("time").time()) < 300
    assert answer.header("apigw-requestid") == context["requestId"]


def test_event_2_0_has_the_headers_that_api_gateway_adds(echo: Api) -> None:
    headers = event(echo)["headers"]
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    assert {"x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "host"} <= set(headers)
    assert all(name == name.lower() for name in headers)


def test_event_2_0_has_path_parameters(echo: Api) -> None:
    echo.route("GET /items/{id}", echo.integrate())
    found = event(echo, "/items/a%20b")
    assert (found["routeKey"], found["pathParameters"]) == ("GET /items/{id}", {"id": "a b"})


@pytest.mark.parametrize(
    ("content_type", "body", "expected", "encoded"),
    [
        ("application/json", b'{"a": 1}', '{"a": 1}', False),
        ("text/plain; charset=utf-8", "é".encode(), "é", False),
        ("application/octet-stream", b"\x00\xff", "AP8=", True),
    ],
)
def test_event_2_0_encodes_binary_bodies(
    echo: Api, content_type: str, body: bytes, expected: str, encoded: bool
) -> None:
    found = event(echo, method="POST", body=body, headers={"Content-Type": content_type})
    assert (found["body"], found["isBase64Encoded"]) == (expected, encoded)


def test_event_1_0_is_sent_if_the_integration_requests_it(api: Api) -> None:
    api.function.create(ECHO)
    api.permit()
    api.route("GET /items/{id}", api.integrate(PayloadFormatVersion="1.0"))
    api.stage(AutoDeploy=True)
    found = event(api, "/items/7?a=1&a=2", headers={"Cookie": "a=1; b=2"})
    assert found["version"] == "1.0"
    assert (found["httpMethod"], found["resource"], found["path"]) == ("GET", "/items/{id}", "/dev/items/7")
    assert found["queryStringParameters"] == {"a": "2"}
    assert found["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert found["pathParameters"] == {"id": "7"}
    assert found["headers"]["cookie"] == "a=1; b=2"
    assert (found["body"], found["stageVariables"], found["isBase64Encoded"]) == (None, None, False)
    assert (found["requestContext"]["stage"], found["requestContext"]["resourcePath"]) == ("dev", "/items/{id}")


def answering(api: Api, answer: str, payload_format: str = "2.0") -> Api:
    api.function.create(f"def handler(event, context): return {answer}")
    api.permit()
    api.route("$default", api.integrate(PayloadFormatVersion=payload_format))
    api.stage(AutoDeploy=True)
    return api


@pytest.mark.parametrize(("answer", "body"), [("{'a': 1}", '{"a": 1}'), ("'Hello'", "Hello"), ("[1]", "[1]")])
def test_answer_2_0_without_a_status_is_json(api: Api, answer: str, body: str) -> None:
    found = answering(api, answer).call()
    assert (found.status, found.header("content-type"), found.body.decode()) == (200, "application/json", body)


def test_answer_2_0_sets_each_cookie(api: Api) -> None:
    found = answering(api, "{'statusCode': 201, 'cookies': ['a=1', 'b=2'], 'headers': {'X-A': '1'}}").call()
    assert [value for name, value in found.headers if name.lower() == "set-cookie"] == ["a=1", "b=2"]
    assert (found.status, found.header("x-a"), found.body) == (201, "1", b"")


def test_answer_is_decoded(api: Api) -> None:
    assert answering(api, "{'statusCode': 200, 'isBase64Encoded': True, 'body': 'AP8='}").call().body == b"\x00\xff"


def test_answer_1_0_sends_a_header_for_each_value(api: Api) -> None:
    answer = "{'statusCode': 200, 'multiValueHeaders': {'X-A': ['1', '2']}, 'body': 'x'}"
    found = answering(api, answer, "1.0").call()
    assert [value for name, value in found.headers if name.lower() == "x-a"] == ["1", "2"]


@pytest.mark.parametrize(
    ("answer", "payload_format"),
    [
        ("{'a': 1}", "1.0"),
        ("{'statusCode': 'x'}", "2.0"),
        ("{'statusCode': None}", "2.0"),
        ("{'statusCode': 700}", "2.0"),
        ("{'statusCode': 99}", "2.0"),
        ("{'statusCode': 200, 'headers': {'x-a': 'a\\nb: c'}}", "2.0"),
        ("{'statusCode': 200, 'headers': {'x a': 'b'}}", "2.0"),
        ("{'statusCode': 200, 'cookies': ['a=1\\r\\nb: c']}", "2.0"),
        ("{'statusCode': 200, 'multiValueHeaders': {'x-a': ['1', '2\\n3']}}", "1.0"),
    ],
)
def test_invalid_answer_is_a_500(api: Api, answer: str, payload_format: str) -> None:
    found = answering(api, answer, payload_format).call()
    assert (found.status, found.json) == (500, {"message": "Internal Server Error"})


@pytest.mark.parametrize("status", [204, 304])
def test_answer_without_content_leaves_the_connection_usable(api: Api, status: int) -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1."""
    answering(api, f"{{'statusCode': {status}, 'body': 'ignored'}}")
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(api.endpoint).netloc, timeout=30)
    for _ in range(3):
        connection.request("GET", f"/_aws/execute-api/{api.id}/dev/")
        found = connection.getresponse()
        assert (found.status, found.read()) == (status, b"")
    connection.close()


def test_headers_of_the_connection_are_not_those_of_the_function(api: Api) -> None:
    headers = "{'Transfer-Encoding': 'chunked', 'Content-Length': '1', 'Connection': 'close', 'X-A': '1'}"
    found = answering(api, f"{{'statusCode': 200, 'headers': {headers}, 'body': 'hello'}}").call()
    assert (found.status, found.body, found.header("x-a")) == (200, b"hello", "1")
    assert found.header("content-length") == "5"


def test_answer_to_head_has_no_body(api: Api) -> None:
    found = answering(api, "{'statusCode': 200, 'body': 'hello'}").call(method="HEAD")
    assert (found.status, found.body) == (200, b"")


def test_error_of_the_function_is_a_500_without_details(api: Api) -> None:
    found = answering(api, "1 / 0").call()
    assert (found.status, found.json) == (500, {"message": "Internal Server Error"})
    assert "division" not in json.dumps(found.headers)


def test_timeout_of_the_function_is_a_500(api: Api) -> None:
    api.function.create("import time\ndef handler(event, context): time.sleep(3)", Timeout=1)
    api.permit()
    api.route("$default", api.integrate())
    api.stage(AutoDeploy=True)
    found = api.call()
    assert (found.status, found.json) == (500, {"message": "Internal Server Error"})


def test_timeout_of_the_integration_is_a_503(api: Api) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html."""
    api.function.create("import time\ndef handler(event, context): time.sleep(10)", Timeout=15)
    api.permit()
    api.route("$default", api.integrate(TimeoutInMillis=500))
    api.stage(AutoDeploy=True)
    began = time.monotonic()
    found = api.call()
    # It does not wait for the function, which continues.
    assert time.monotonic() - began < 8
    assert (found.status, found.json) == (503, {"message": "Service Unavailable"})
