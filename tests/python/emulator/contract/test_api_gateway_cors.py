"""CORS of HTTP APIs: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html."""

from __future__ import annotations

from typing import Any

import pytest

from tests.python.emulator.contract.support import Answer, Api

APP = "https://app.example"
OTHER = "https://other.example"
CONFIGURATION = {
    "AllowOrigins": [APP],
    "AllowMethods": ["GET", "PUT"],
    "AllowHeaders": ["authorization", "content-type"],
    "ExposeHeaders": ["x-total"],
    "MaxAge": 300,
    "AllowCredentials": True,
}
# Headers of the function, which API Gateway ignores if the API has a CORS configuration.
SOURCE = """
    def handler(event, context):
        headers = {"access-control-allow-origin": "*", "Access-Control-Max-Age": "1", "x-total": "2"}
        return {"statusCode": 200, "headers": headers, "body": event["routeKey"]}
"""


def preflight(origin: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}


def cors(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers if name.lower().startswith("access-control-")}


@pytest.fixture
def shared(api: Api) -> Api:
    """Return an API with one route to a function that sets CORS headers."""
    api.function.create(SOURCE)
    api.permit()
    api.route("GET /", api.integrate())
    api.stage(AutoDeploy=True)
    return api


def configure(api: Api, **changes: Any) -> None:
    api.gateway.update_api(ApiId=api.id, CorsConfiguration=CONFIGURATION | changes)


def test_api_answers_preflights_without_a_route(shared: Api) -> None:
    configure(shared)
    answer = shared.call(method="OPTIONS", headers=preflight(APP))
    assert (answer.status, answer.body) == (204, b"")
    assert cors(answer) == {
        "access-control-allow-origin": APP,
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "authorization,content-type",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-total",
        "access-control-max-age": "300",
    }


@pytest.mark.parametrize(
    "headers",
    [
        preflight(OTHER),
        preflight("null"),
        preflight(f"{APP}.evil.example"),
        {"Origin": APP},
        {"Access-Control-Request-Method": "PUT"},
    ],
    ids=repr,
)
def test_preflight_needs_an_allowed_origin_and_a_method(shared: Api, headers: dict[str, str]) -> None:
    configure(shared)
    answer = shared.call(method="OPTIONS", headers=headers)
    assert (answer.status, cors(answer)) == (204, {})


def test_answer_has_only_the_headers_of_the_configuration(shared: Api) -> None:
    configure(shared)
    answer = shared.call(headers={"Origin": APP})
    assert (answer.status, answer.body, answer.header("x-total")) == (200, b"GET /", "2")
    assert cors(answer) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-total",
    }


@pytest.mark.parametrize("headers", [{"Origin": OTHER}, {}], ids=repr)
def test_answer_to_other_origins_has_no_cors_headers(shared: Api, headers: dict[str, str]) -> None:
    configure(shared)
    answer = shared.call(headers=headers)
    assert (answer.status, answer.body, cors(answer)) == (200, b"GET /", {})


@pytest.mark.parametrize(
    ("allowed", "origin", "sent"),
    [
        ("*", OTHER, "*"),
        ("https://*", OTHER, OTHER),
        ("https://*", "http://other.example", None),
        ("http://*", "http://other.example", "http://other.example"),
    ],
)
def test_origins_are_allowed_by_pattern(shared: Api, allowed: str, origin: str, sent: str | None) -> None:
    configure(shared, AllowOrigins=[allowed], AllowCredentials=False)
    assert cors(shared.call(headers={"Origin": origin})).get("access-control-allow-origin") == sent
    found = cors(shared.call(method="OPTIONS", headers=preflight(origin)))
    assert found.get("access-control-allow-origin") == sent


def test_preflight_goes_to_a_route_that_matches_it(shared: Api) -> None:
    """The page describes this for ``$default``, and for ``OPTIONS /{proxy+}``, which takes precedence over it."""
    shared.route("$default", shared.integrate())
    configure(shared)
    answer = shared.call(method="OPTIONS", headers=preflight(APP))
    assert (answer.status, answer.body) == (200, b"$default")
    assert cors(answer)["access-control-allow-origin"] == APP
    assert cors(answer)["access-control-max-age"] == "300"


def test_api_without_a_configuration_treats_a_preflight_as_any_request(shared: Api) -> None:
    answer = shared.call(method="OPTIONS", headers=preflight(APP))
    assert (answer.status, answer.json, cors(answer)) == (404, {"message": "Not Found"}, {})
    shared.route("OPTIONS /", shared.integrate())
    answer = shared.call(method="OPTIONS", headers=preflight(APP))
    assert (answer.status, answer.body) == (200, b"OPTIONS /")
    assert cors(answer) == {"access-control-allow-origin": "*", "access-control-max-age": "1"}


def test_preflight_of_an_unknown_stage_is_not_answered(shared: Api) -> None:
    configure(shared)
    assert shared.call(method="OPTIONS", stage="none").status == 404


def test_api_with_a_configuration_serves_its_deployment(api: Api) -> None:
    api.function.create(SOURCE)
    api.permit()
    api.route("GET /", api.integrate())
    configure(api)
    api.stage(DeploymentId=api.deploy())
    api.route("GET /later", api.integrate())
    assert [api.call(path).status for path in ("/", "/later")] == [200, 404]
