"""The plan of each module by itself."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.support import Configuration, document

Modules = Callable[[str], Configuration]
EXECUTION_ARN = "arn:aws:execute-api:eu-west-2:000000000000:abc"
FUNCTION_ARN = "arn:aws:lambda:eu-west-2:000000000000:function:greeter"
INVOKE_ARN = f"arn:aws:apigateway:eu-west-2:lambda:path/2015-03-31/functions/{FUNCTION_ARN}/invocations"
ACCESS_LOG = {
    "errorMessage",
    "lambdaErrorMessage",
    "lambdaLatencyMs",
    "lambdaRequestId",
    "lambdaStatus",
    "latencyMs",
    "method",
    "path",
    "requestId",
    "responseLength",
    "routeKey",
    "sourceIp",
    "stage",
    "status",
    "time",
    "userAgent",
}


def values(plan: Any, address: str) -> dict[str, Any]:
    return dict(plan.resources[address]["values"])


class TestFunction:
    @pytest.fixture(scope="class")
    @staticmethod
    def plan(module: Modules, tmp_path_factory: pytest.TempPathFactory) -> Any:
        artifact: Path = tmp_path_factory.mktemp("artifact") / "lambda.zip"
        with zipfile.ZipFile(artifact, "w") as archive:
            archive.writestr("handler.py", "")
        return (
            module("function")
            .variables(
                artifact=str(artifact),
                log_level="INFO",
                log_retention_days=7,
                memory_megabytes=128,
                name="greeter",
                timeout_seconds=5,
            )
            .plan()
        )

    def test_publishes_every_change(self, plan: Any) -> None:
        assert values(plan, "aws_lambda_function.this")["publish"] is True

    def test_runs_the_handler_on_a_supported_runtime(self, plan: Any) -> None:
        function = values(plan, "aws_lambda_function.this")
        assert (function["runtime"], function["handler"]) == ("python3.13", "handler.handler")
        assert function["architectures"] == ["arm64"]

    def test_logs_to_the_group_that_terraform_manages(self, plan: Any) -> None:
        assert values(plan, "aws_cloudwatch_log_group.this")["name"] == "/aws/lambda/greeter"
        (logging,) = values(plan, "aws_lambda_function.this")["logging_config"]
        assert (logging["log_group"], logging["log_format"]) == ("/aws/lambda/greeter", "Text")

    def test_role_trusts_only_lambda(self, plan: Any) -> None:
        assert document(plan.resources["aws_iam_role.this"], "assume_role_policy") == {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "LambdaAssumeRole",
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                }
            ],
        }


class TestApi:
    @pytest.fixture(scope="class")
    @staticmethod
    def plan(module: Modules) -> Any:
        return (
            module("api")
            .variables(
                deployments=["1", "2024-06"],
                function_arn=FUNCTION_ARN,
                function_invoke_arn=INVOKE_ARN,
                name="greeter",
                routes=["ANY /", "GET /items/{id}"],
            )
            .plan()
        )

    @staticmethod
    def fingerprint(module: Modules, **variables: Any) -> str:
        given = {
            "deployments": ["1"],
            "function_arn": FUNCTION_ARN,
            "function_invoke_arn": INVOKE_ARN,
            "name": "greeter",
        }
        plan = module("api").variables(routes=["GET /b", "ANY /"], **given, **variables).plan()
        return str(plan.outputs["routes_fingerprint"])

    def test_fingerprint_is_that_of_earlier_releases(self, module: Modules) -> None:
        routes = json.dumps(["2.0", ["ANY /", "GET /b"]], separators=(",", ":"))
        assert self.fingerprint(module) == hashlib.sha256(routes.encode()).hexdigest()[:12]

    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-disable-default-endpoint.html
    def test_fingerprint_depends_on_the_default_endpoint_that_a_deployment_freezes(self, module: Modules) -> None:
        assert self.fingerprint(module, default_endpoint=False) != self.fingerprint(module)

    def test_is_an_http_api(self, plan: Any) -> None:
        assert values(plan, "aws_apigatewayv2_api.this")["protocol_type"] == "HTTP"

    def test_invokes_the_alias_that_the_stage_names(self, plan: Any) -> None:
        integration = values(plan, "aws_apigatewayv2_integration.this")
        assert integration["integration_uri"] == INVOKE_ARN.replace("greeter", "greeter:${stageVariables.lambdaAlias}")
        assert integration["integration_type"] == "AWS_PROXY"
        assert integration["payload_format_version"] == "2.0"

    def test_has_the_routes(self, plan: Any) -> None:
        assert {
            resource["values"]["route_key"]
            for resource in plan.resources.values()
            if resource["type"] == "aws_apigatewayv2_route"
        } == {"ANY /", "GET /items/{id}"}

    def test_deployments_have_a_fingerprint_of_their_routes(self, plan: Any) -> None:
        fingerprint = plan.outputs["routes_fingerprint"]
        assert [
            values(plan, f'aws_apigatewayv2_deployment.this["{name}"]')["description"] for name in ("1", "2024-06")
        ] == [f"1 {fingerprint}", f"2024-06 {fingerprint}"]
        assert plan.outputs["deployment_routes"] == {"1": fingerprint, "2024-06": fingerprint}


class TestAlias:
    @pytest.fixture(scope="class")
    @staticmethod
    def plan(module: Modules) -> Any:
        return TestAlias.planned(module, "3")

    @staticmethod
    def planned(module: Modules, version: str) -> Any:
        return (
            module("alias")
            .variables(
                api_execution_arn=EXECUTION_ARN,
                function_name="greeter",
                function_version=version,
                newest_version="12",
                stage="live",
            )
            .plan()
        )

    def test_points_to_its_version(self, plan: Any) -> None:
        alias = values(plan, "aws_lambda_alias.this")
        assert (alias["name"], alias["function_name"], alias["function_version"]) == ("live", "greeter", "3")

    def test_follows_the_newest(self, module: Modules) -> None:
        alias = values(self.planned(module, "newest"), "aws_lambda_alias.this")
        assert alias["function_version"] == "12"

    def test_is_invoked_only_by_its_stage(self, plan: Any) -> None:
        permission = values(plan, "aws_lambda_permission.this")
        assert permission["source_arn"] == f"{EXECUTION_ARN}/live/*"
        assert permission["principal"] == "apigateway.amazonaws.com"
        assert permission["action"] == "lambda:InvokeFunction"
        assert (permission["function_name"], permission["qualifier"]) == ("greeter", "live")


class TestStage:
    @pytest.fixture(scope="class")
    @staticmethod
    def plan(module: Modules) -> Any:
        return TestStage.planned(module, "1")

    @staticmethod
    def planned(module: Modules, deployment: str) -> Any:
        return TestStage.configured(module, deployment, {"burst": 2, "requests_per_second": 1}).plan()

    @staticmethod
    def configured(module: Modules, deployment: str, throttle: dict[str, Any]) -> Configuration:
        return module("stage").variables(
            alias="live",
            api_id="abc",
            api_name="greeter",
            deployment=deployment,
            deployments={"1": "d1", "2": "d2"},
            log_retention_days=7,
            name="live",
            throttle=throttle,
        )

    def test_serves_its_deployment(self, plan: Any) -> None:
        stage = values(plan, "aws_apigatewayv2_stage.this")
        assert (stage["deployment_id"], stage["auto_deploy"]) == ("d1", False)

    def test_follows_the_routes(self, module: Modules) -> None:
        stage = values(self.planned(module, "newest"), "aws_apigatewayv2_stage.this")
        assert stage["auto_deploy"] is True
        assert stage.get("deployment_id") is None

    def test_has_its_limits(self, plan: Any) -> None:
        (settings,) = values(plan, "aws_apigatewayv2_stage.this")["default_route_settings"]
        assert (settings["throttling_rate_limit"], settings["throttling_burst_limit"]) == (1, 2)

    @pytest.mark.parametrize("throttle", [{"burst": 0}, {"requests_per_second": 0}])
    def test_refuses_limits_that_reject_every_request(self, module: Modules, throttle: dict[str, Any]) -> None:
        refusal = self.configured(module, "1", throttle).refusal()
        assert "Stage live: the throttling limits burst and requests_per_second must be at least 1." in refusal

    def test_names_its_alias(self, plan: Any) -> None:
        assert values(plan, "aws_apigatewayv2_stage.this")["stage_variables"] == {"lambdaAlias": "live"}

    def test_logs_to_a_separate_group(self, plan: Any) -> None:
        configured = plan.configuration["root_module"]["resources"]
        (stage,) = [resource for resource in configured if resource["type"] == "aws_apigatewayv2_stage"]
        (settings,) = stage["expressions"]["access_log_settings"]
        assert "aws_cloudwatch_log_group.access.arn" in settings["destination_arn"]["references"]

    def test_access_log_is_json_with_the_fields_for_debugging(self, plan: Any) -> None:
        (settings,) = values(plan, "aws_apigatewayv2_stage.this")["access_log_settings"]
        assert set(json.loads(settings["format"])) == ACCESS_LOG
        assert values(plan, "aws_cloudwatch_log_group.access")["name"] == "/aws/apigateway/greeter/live"
