"""Stage variables, permissions, routes, throttles, access logs, and metrics of a stage."""

from __future__ import annotations

import datetime
import json

import pytest

from tests.python.emulator.contract.support import ECHO, REGION, Api
from tests.waiting import eventually

ALIASED = ":${stageVariables.lambdaAlias}"


@pytest.fixture
def staged(api: Api) -> Api:
    """Return an API whose stages dev and live each invoke an alias, which a stage variable names."""
    api.function.create(ECHO)
    api.route("GET /", api.integrate(ALIASED))
    for stage in ("dev", "live"):
        api.function.alias(stage, "1")
        api.permit(f"{stage}/*", stage)
        api.stage(stage, AutoDeploy=True, StageVariables={"lambdaAlias": stage})
    return api


def test_stage_variable_names_the_alias(staged: Api) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.stage-variables-reference.html."""
    for stage in ("dev", "live"):
        assert staged.call(stage=stage).json["arn"] == f"{staged.function.arn}:{stage}"


def test_stage_variable_may_name_the_function(api: Api) -> None:
    api.function.create(ECHO)
    api.permit()
    uri = f"arn:aws:lambda:{REGION}:{api.function.account}:function:${{stageVariables.name}}"
    integration = api.gateway.create_integration(
        ApiId=api.id,
        IntegrationType="AWS_PROXY",
        PayloadFormatVersion="2.0",
        IntegrationUri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{uri}/invocations",
    )["IntegrationId"]
    api.route("$default", integration)
    api.stage(AutoDeploy=True, StageVariables={"name": api.function.name})
    assert api.call().status == 200


def test_stage_variable_that_is_missing_is_a_500(staged: Api) -> None:
    staged.stage("bare", AutoDeploy=True)
    assert staged.call(stage="bare").status == 500


def test_stage_cannot_invoke_the_alias_of_another(staged: Api) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html."""
    staged.gateway.update_stage(ApiId=staged.id, StageName="dev", StageVariables={"lambdaAlias": "live"})
    answer = staged.call(stage="dev")
    assert (answer.status, answer.json) == (500, {"message": "Internal Server Error"})
    assert staged.call(stage="live").status == 200


def test_api_cannot_invoke_without_a_permission(staged: Api) -> None:
    staged.function.api.remove_permission(FunctionName=staged.function.name, StatementId="api", Qualifier="dev")
    assert staged.call(stage="dev").status == 500


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("dev/GET/items", 200),
        ("dev/*/items", 200),
        ("*/GET/*", 200),
        ("dev/POST/items", 500),
        ("dev/GET/other", 500),
        ("live/*/*", 500),
    ],
)
def test_permission_applies_only_to_its_source(api: Api, source: str, status: int) -> None:
    api.function.create(ECHO)
    api.permit(source)
    api.route("GET /items", api.integrate())
    api.stage(AutoDeploy=True)
    assert api.call("/items").status == status


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/items/1", "GET /items/{id}"),
        ("GET", "/items/special", "GET /items/special"),
        ("POST", "/items/special", "ANY /items/{id}"),
        ("GET", "/items/1/more/still", "GET /items/{proxy+}"),
        ("PUT", "/elsewhere", "$default"),
    ],
)
def test_route_is_the_most_specific_match(echo: Api, method: str, path: str, key: str) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html."""
    integration = echo.integrate()
    for route in ("GET /items/{id}", "GET /items/special", "ANY /items/{id}", "GET /items/{proxy+}"):
        echo.route(route, integration)
    assert echo.call(path, method=method).json["event"]["routeKey"] == key


def test_path_without_a_route_is_a_404(staged: Api) -> None:
    answers = [staged.call("/nosuch"), staged.call("/", method="POST"), staged.call("/", stage="nosuch")]
    assert [(answer.status, answer.json) for answer in answers] == [(404, {"message": "Not Found"})] * 3


def test_throttle_refuses_requests_above_its_limit(staged: Api) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html."""
    limits = {"ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 5}
    staged.gateway.update_stage(ApiId=staged.id, StageName="dev", DefaultRouteSettings=limits)
    answers = [staged.call(stage="dev") for _ in range(20)]
    refused = [answer for answer in answers if answer.status == 429]
    assert 5 <= len(answers) - len(refused) <= 10
    assert refused[0].json == {"message": "Too Many Requests"}
    assert staged.call(stage="live").status == 200


def test_throttle_of_a_route_overrides_that_of_the_stage(staged: Api) -> None:
    staged.gateway.update_stage(
        ApiId=staged.id,
        StageName="dev",
        DefaultRouteSettings={"ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 1},
        RouteSettings={"GET /": {"ThrottlingRateLimit": 1000, "ThrottlingBurstLimit": 1000}},
    )
    assert {staged.call(stage="dev").status for _ in range(10)} == {200}


FORMAT = {
    "id": "$context.requestId",
    "stage": "$context.stage",
    "route": "$context.routeKey",
    "status": "$context.status",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "agent": "$context.identity.userAgent",
    "length": "$context.responseLength",
    "latency": "$context.responseLatency",
    "lambda": "$context.integration.requestId",
    "error": "$context.error.message",
    "integrationError": "$context.integrationErrorMessage",
    "none": "$context.authorizer.claims.sub",
}


@pytest.fixture
def logged(staged: Api) -> Api:
    """Return the API with an access log of stage dev."""
    group = f"/contract/{staged.function.name}"
    logs = staged.client("logs")
    logs.create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:{REGION}:{staged.function.account}:log-group:{group}"
    settings = {"DestinationArn": arn, "Format": json.dumps(FORMAT)}
    staged.gateway.update_stage(ApiId=staged.id, StageName="dev", AccessLogSettings=settings)
    return staged


def lines(api: Api, count: int) -> list[dict[str, str]]:
    group = f"/contract/{api.function.name}"
    found = eventually(lambda: log if len(log := api.function.log(group)) >= count else [])
    return [json.loads(message) for _, message in found]


def test_access_log_has_a_line_per_request(logged: Api) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html."""
    answer = logged.call(stage="dev", headers={"User-Agent": "tests"})
    logged.call(stage="live")
    (line,) = lines(logged, 1)
    assert line["id"] == answer.header("apigw-requestid")
    assert line["length"] == str(len(answer.body))
    assert {key: line[key] for key in ("stage", "route", "status", "method", "path", "agent")} == {
        "stage": "dev",
        "route": "GET /",
        "status": "200",
        "method": "GET",
        "path": "/dev/",
        "agent": "tests",
    }
    assert (line["error"], line["integrationError"], line["none"]) == ("-", "-", "-")
    assert any(message.startswith(f"START RequestId: {line['lambda']}") for _, message in logged.function.log())


def test_access_log_has_errors_that_the_client_does_not_receive(logged: Api) -> None:
    logged.function.api.remove_permission(FunctionName=logged.function.name, StatementId="api", Qualifier="dev")
    logged.call(stage="dev")
    (line,) = lines(logged, 1)
    assert (line["status"], line["error"]) == ("500", "Internal Server Error")
    assert "doesn't have permissions" in line["integrationError"]


def test_access_log_cannot_be_forged(logged: Api) -> None:
    hostile = 'x", "status": "200"} \t\\'
    logged.call(stage="dev", headers={"User-Agent": hostile})
    (line,) = lines(logged, 1)
    assert line["agent"] == hostile.strip()


def test_tags_that_are_set_later_are_returned(api: Api) -> None:
    """https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/tags-resource-arn.html."""
    api.stage("dev", Tags={"Service": "echo"})
    for path in (api.id, f"{api.id}/stages/dev"):
        api.gateway.tag_resource(
            ResourceArn=f"arn:aws:apigateway:{REGION}::/apis/{path}", Tags={"Team": "a", "Old": "b"}
        )
        api.gateway.untag_resource(ResourceArn=f"arn:aws:apigateway:{REGION}::/apis/{path}", TagKeys=["Old"])
    assert api.gateway.get_stage(ApiId=api.id, StageName="dev")["Tags"] == {"Service": "echo", "Team": "a"}
    assert api.gateway.get_api(ApiId=api.id)["Tags"] == {"Team": "a"}


def test_metrics_count_requests_of_api_and_stage(staged: Api) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html."""
    for path in ("/", "/", "/nosuch"):
        staged.call(path, stage="dev")
    staged.call(stage="live")
    now = datetime.datetime.now(datetime.UTC)

    def total(metric: str, **dimensions: str) -> float:
        points = staged.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/ApiGateway",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=now - datetime.timedelta(minutes=5),
            EndTime=now + datetime.timedelta(minutes=5),
            Period=600,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    eventually(lambda: total("Count", ApiId=staged.id) == 4)
    assert total("Count", ApiId=staged.id, Stage="dev") == 3
    assert total("4xx", ApiId=staged.id, Stage="dev") == 1
    assert total("5xx", ApiId=staged.id, Stage="dev") == 0
    assert total("Latency", ApiId=staged.id, Stage="live") > 0
