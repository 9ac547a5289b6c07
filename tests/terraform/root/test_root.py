"""The root module's plan for an account without a deployment."""

from __future__ import annotations

from typing import Any

import pytest

from tests.terraform.support import PINNED, SOURCE, Configuration, references, write_config

STAGES = ("dev", "test", "live")
BOUNDARY = "arn:aws:iam::000000000000:policy/greeter-boundary"
# Two stages that share a domain, and one with a certificate from elsewhere.
DOMAINS: dict[str, Any] = {
    "dev": {"name": "api.example.com", "base_path": "dev", "hosted_zone_id": "Z0123456789ABCDEFGHIJ"},
    "live": {
        "name": "example.com",
        "certificate_arn": "arn:aws:acm:eu-west-2:000000000000:certificate/1234abcd-12ab-34cd-56ef-1234567890ab",
    },
    "test": {"name": "api.example.com", "base_path": "test", "hosted_zone_id": "Z0123456789ABCDEFGHIJ"},
}
QUERIES = ("durations", "errors", "errors-by-version", "releases", "responses")


def calls(plan: Any) -> dict[str, Any]:
    return dict(plan.configuration["root_module"]["module_calls"])


def planned(plan: Any, address: str) -> dict[str, Any]:
    return dict(plan.resource_changes[address]["change"]["after"])


def resources(plan: Any, module: str, kind: str) -> dict[str, Any]:
    """Return the configuration of a module's resources of a type, by their names."""
    found = calls(plan)[module]["module"]["resources"]
    return {resource["name"]: resource for resource in found if resource["type"] == kind}


def test_root_creates_only_the_resources_of_the_design(planned_root: Any) -> None:
    per_stage = {
        f'module.{module}["{stage}"].{resource}'
        for stage in STAGES
        for module, resource in (
            ("alias", "aws_lambda_alias.this"),
            ("alias", "aws_lambda_permission.this"),
            ("stage", "aws_apigatewayv2_stage.this"),
            ("stage", "aws_cloudwatch_log_group.access"),
            ("release", "aws_cloudwatch_event_rule.rollback"),
            ("release", "aws_cloudwatch_event_target.rollback"),
            ("release", "aws_cloudwatch_log_group.this"),
            ("release", "aws_iam_role.rollback"),
            ("release", "aws_iam_role.this"),
            ("release", "aws_iam_role_policy.rollback"),
            ("release", "aws_iam_role_policy.this"),
            ("release", "aws_sfn_state_machine.this"),
            ("release", "aws_ssm_parameter.control"),
            ("release", "aws_ssm_parameter.rejected"),
        )
    } | {
        f'module.monitoring.{resource}["{stage}"]'
        for stage in STAGES
        for resource in (
            "aws_cloudwatch_composite_alarm.unhealthy",
            "aws_cloudwatch_metric_alarm.api_5xx_rate",
            "aws_cloudwatch_metric_alarm.duration",
            "aws_cloudwatch_metric_alarm.error_rate",
            "aws_cloudwatch_metric_alarm.throttles",
            "aws_cloudwatch_metric_alarm.total_failure",
        )
    }
    made = {
        address
        for address, change in planned_root.resource_changes.items()
        if change["change"]["actions"] == ["create"] and change["mode"] == "managed"
    }
    assert made == per_stage | {
        "module.api.aws_apigatewayv2_api.this",
        'module.api.aws_apigatewayv2_deployment.this["1"]',
        "module.api.aws_apigatewayv2_integration.this",
        'module.api.aws_apigatewayv2_route.this["ANY /"]',
        'module.api.aws_apigatewayv2_route.this["ANY /build-info"]',
        "module.function.aws_cloudwatch_log_group.this",
        "module.function.aws_cloudwatch_log_metric_filter.error_responses",
        "module.function.aws_iam_role.this",
        "module.function.aws_iam_role_policy.logs",
        "module.function.aws_lambda_function.this",
        "module.dashboard.aws_cloudwatch_dashboard.this",
        *(f'module.dashboard.aws_cloudwatch_query_definition.this["{name}"]' for name in QUERIES),
        "module.notifications.aws_kms_alias.this[0]",
        "module.notifications.aws_kms_key.this[0]",
        "module.notifications.aws_sns_topic.this",
        "module.notifications.aws_sns_topic_policy.this",
    }


def test_root_every_resource_has_the_services_tag(planned_root: Any) -> None:
    tagged = {
        address: change["change"]["after"]["tags_all"]
        for address, change in planned_root.resource_changes.items()
        if "tags_all" in (change["change"]["after"] or {})
    }
    assert len(tagged) == 51
    assert all(tags == {"Service": "path-to-live"} for tags in tagged.values())


@pytest.mark.parametrize("stage", STAGES)
def test_root_connects_each_stage_to_the_alias_of_its_name(planned_root: Any, stage: str) -> None:
    assert planned(planned_root, f'module.alias["{stage}"].aws_lambda_alias.this')["name"] == stage
    made = planned(planned_root, f'module.stage["{stage}"].aws_apigatewayv2_stage.this')
    assert made["name"] == stage
    assert made["stage_variables"] == {"lambdaAlias": stage}
    assert planned(planned_root, f'module.alias["{stage}"].aws_lambda_permission.this')["qualifier"] == stage


def test_root_connects_the_modules(planned_root: Any) -> None:
    modules = calls(planned_root)
    wired = {
        name: {argument: references(value) for argument, value in call["expressions"].items() if references(value)}
        for name, call in modules.items()
    }
    assert {"module.function.arn"} <= wired["api"]["function_arn"]
    assert {"module.function.invoke_arn"} <= wired["api"]["function_invoke_arn"]
    assert wired["api"]["deployments"] == {"local.gateway_deployments", "local.served_deployments"}
    assert wired["api"]["routes"] == {"local.routes"}
    assert {"module.api.execution_arn"} <= wired["alias"]["api_execution_arn"]
    assert {"module.function.version"} <= wired["alias"]["newest_version"]
    assert {"module.function.name"} <= wired["alias"]["function_name"]
    assert "each.value.function_version" in wired["alias"]["function_version"]
    assert wired["alias"]["stage"] == {"each.key"}
    assert {"module.function.arn"} <= wired["monitoring"]["function_arn"]
    assert {"module.api.id"} <= wired["monitoring"]["api_id"]
    assert wired["monitoring"]["stages"] == {"local.pins"}
    assert {"module.monitoring.alarms"} <= wired["dashboard"]["alarms"]
    assert "module.release" in wired["dashboard"]["releases"]
    assert {"module.stage", "local.path"} <= wired["dashboard"]["stages"]
    assert not any("module.release" in reference for given in wired["monitoring"].values() for reference in given)
    assert {"module.function.arn"} <= wired["release"]["function_arn"]
    assert {"module.notifications.topic_arn"} <= wired["monitoring"]["topic_arn"]
    assert {"module.notifications.topic_arn"} <= wired["release"]["topic_arn"]
    assert {"module.notifications.key_arn"} <= wired["release"]["topic_key_arn"]
    assert wired["release"]["stage"] == {"each.key"}
    assert wired["release"]["settings"] == {"var.releases", "each.key"}
    assert {"module.monitoring.unhealthy_alarms", "each.key"} <= wired["release"]["unhealthy_alarm"]
    assert {"module.alias", "each.key"} <= wired["stage"]["alias"]
    assert {"module.api.id"} <= wired["stage"]["api_id"]
    assert {"module.api.deployments"} <= wired["stage"]["deployments"]
    assert "each.value.gateway_deployment" in wired["stage"]["deployment"]
    assert {
        name: references(call["for_each_expression"]) for name, call in modules.items() if "for_each_expression" in call
    } == {
        "alias": {"local.pins"},
        "domain": {"local.domains_by_name"},
        "release": {"local.pins"},
        "stage": {"local.pins"},
    }


def test_root_lets_only_its_stage_invoke_each_alias(planned_root: Any) -> None:
    (permission,) = resources(planned_root, "alias", "aws_lambda_permission").values()
    assert references(permission["expressions"]["source_arn"]) == {"var.api_execution_arn", "var.stage"}
    assert permission["expressions"]["principal"] == {"constant_value": "apigateway.amazonaws.com"}
    assert permission["expressions"]["action"] == {"constant_value": "lambda:InvokeFunction"}
    assert [
        resource
        for module in calls(planned_root)
        for resource in resources(planned_root, module, "aws_lambda_permission")
    ] == ["this"]


def test_root_every_route_leads_to_the_integration_with_the_stages_alias(planned_root: Any) -> None:
    (route,) = resources(planned_root, "api", "aws_apigatewayv2_route").values()
    (integration,) = resources(planned_root, "api", "aws_apigatewayv2_integration").values()
    assert "aws_apigatewayv2_integration.this.id" in references(route["expressions"]["target"])
    assert references(integration["expressions"]["integration_uri"]) == {"var.function_invoke_arn", "var.function_arn"}


def test_root_creates_deployments_after_the_routes(planned_root: Any) -> None:
    (deployment,) = resources(planned_root, "api", "aws_apigatewayv2_deployment").values()
    assert "local.routes_fingerprint" in references(deployment["expressions"]["description"])
    # A plan as JSON does not show what a local value refers to.
    local_values = (SOURCE / "modules" / "api" / "main.tf").read_text().partition("resource ")[0]
    assert "for route in aws_apigatewayv2_route.this" in local_values


@pytest.mark.parametrize(
    ("stage", "follows"),
    [("dev", True), ("test", False), ("live", False)],
)
def test_root_lets_only_dev_follow_the_routes(planned_root: Any, stage: str, follows: bool) -> None:
    made = planned(planned_root, f'module.stage["{stage}"].aws_apigatewayv2_stage.this')
    assert made["auto_deploy"] is follows


@pytest.mark.parametrize("stage", STAGES)
def test_root_throttles_every_stage_alike(planned_root: Any, stage: str) -> None:
    assert throttle(planned_root, stage) == (500, 1000)


def throttle(plan: Any, stage: str) -> tuple[float, int]:
    """Return the limit of requests per second and the burst of a stage."""
    (settings,) = planned(plan, f'module.stage["{stage}"].aws_apigatewayv2_stage.this')["default_route_settings"]
    assert settings["detailed_metrics_enabled"] is False
    return settings["throttling_rate_limit"], settings["throttling_burst_limit"]


def test_root_sets_the_retention_of_every_log(planned_root: Any) -> None:
    groups = {
        change["change"]["after"]["name"]: change["change"]["after"]["retention_in_days"]
        for change in planned_root.resource_changes.values()
        if change["type"] == "aws_cloudwatch_log_group"
    }
    assert groups == {
        "/aws/lambda/path-to-live": 30,
        **{f"/aws/vendedlogs/states/path-to-live-{stage}-release": 30 for stage in STAGES},
        **{f"/aws/apigateway/path-to-live/{stage}": 30 for stage in STAGES},
    }


def test_root_has_the_default_endpoint_and_no_domain_unless_configured(planned_root: Any) -> None:
    assert planned(planned_root, "module.api.aws_apigatewayv2_api.this")["disable_execute_api_endpoint"] is False
    # The plan of a stack that was deployed without this output stays empty.
    assert planned_root.output_changes["domains"]["actions"] == ["no-op"]


class TestDomains:
    @pytest.fixture(scope="class")
    @staticmethod
    def plan(root: Configuration) -> Any:
        return root.variables(default_endpoint=False, domains=DOMAINS).plan()

    def test_creates_each_domain_once_with_the_mappings_of_its_stages(self, planned_root: Any, plan: Any) -> None:
        assert set(plan.resource_changes) - set(planned_root.resource_changes) == {
            'module.domain["api.example.com"].aws_acm_certificate.this[0]',
            'module.domain["api.example.com"].aws_acm_certificate_validation.this[0]',
            'module.domain["api.example.com"].aws_apigatewayv2_api_mapping.this["dev"]',
            'module.domain["api.example.com"].aws_apigatewayv2_api_mapping.this["test"]',
            'module.domain["api.example.com"].aws_apigatewayv2_domain_name.this',
            'module.domain["api.example.com"].aws_route53_record.alias[0]',
            'module.domain["api.example.com"].aws_route53_record.validation[0]',
            'module.domain["example.com"].aws_apigatewayv2_api_mapping.this["live"]',
            'module.domain["example.com"].aws_apigatewayv2_domain_name.this',
        }
        assert set(planned_root.resource_changes) <= set(plan.resource_changes)

    def test_disables_the_default_endpoint_in_the_next_gateway_deployment(self, planned_root: Any, plan: Any) -> None:
        assert planned(plan, "module.api.aws_apigatewayv2_api.this")["disable_execute_api_endpoint"] is True
        assert plan.outputs["routes"] != planned_root.outputs["routes"]

    def test_connects_the_domains(self, plan: Any) -> None:
        wired = {name: references(value) for name, value in calls(plan)["domain"]["expressions"].items()}
        assert {"module.api.id"} <= wired["api_id"]
        # The mappings of a stage are created after the stage, and deleted before it.
        assert {"module.stage", "local.domains"} <= wired["base_paths"]
        assert references(calls(plan)["domain"]["for_each_expression"]) == {"local.domains_by_name"}
        assert "local.urls" in references(calls(plan)["dashboard"]["expressions"]["stages"])

    def test_workspaces_have_the_default_endpoint_alone(self, root: Configuration) -> None:
        root.run("workspace", "new", "bob")
        try:
            plan = root.variables(default_endpoint=False, domains=DOMAINS).plan()
        finally:
            root.run("workspace", "select", "default")
        assert not [address for address in plan.resource_changes if address.startswith("module.domain")]
        assert planned(plan, "module.api.aws_apigatewayv2_api.this")["disable_execute_api_endpoint"] is False


def test_root_has_the_outputs_for_scripts_and_people(planned_root: Any) -> None:
    assert set(planned_root.planned_values["outputs"]) == {
        "api_id",
        "domains",
        "function_name",
        "gateway_deployments",
        "newest_version",
        "routes",
        "stages",
        "topic_arn",
    }
    assert planned_root.planned_values["outputs"]["function_name"]["value"] == "path-to-live"


@pytest.fixture(scope="module")
def plan(root: Configuration) -> Any:
    return root.variables(
        alarms={"error_rate_percent": 5},
        alert_emails=["on-call@example.com"],
        function={"log_level": "DEBUG", "memory_megabytes": 256, "timeout_seconds": 29},
        log_retention_days=7,
        name="greeter",
        permissions_boundary_arn=BOUNDARY,
        region="eu-central-1",
        runbook="https://example.com/runbook",
        tags={"Team": "greetings"},
        throttles={"dev": {"burst": 7, "requests_per_second": 3}, "test": {"requests_per_second": 4}},
    ).plan()


class TestVariables:
    """Each setting reaches its resources."""

    def test_function(self, plan: Any) -> None:
        function = planned(plan, "module.function.aws_lambda_function.this")
        assert function["function_name"] == "greeter"
        assert function["environment"] == [{"variables": {"LOG_LEVEL": "DEBUG"}}]
        assert (function["memory_size"], function["timeout"]) == (256, 29)

    def test_logs(self, plan: Any) -> None:
        group = planned(plan, "module.function.aws_cloudwatch_log_group.this")
        assert (group["name"], group["retention_in_days"]) == ("/aws/lambda/greeter", 7)
        access = planned(plan, 'module.stage["live"].aws_cloudwatch_log_group.access')
        assert (access["name"], access["retention_in_days"]) == ("/aws/apigateway/greeter/live", 7)

    def test_alarms(self, plan: Any) -> None:
        alarm = planned(plan, 'module.monitoring.aws_cloudwatch_metric_alarm.error_rate["live"]')
        assert alarm["threshold"] == 5
        assert references(calls(plan)["monitoring"]["expressions"]["runbook"]) == {"var.runbook"}
        other = planned(plan, 'module.monitoring.aws_cloudwatch_metric_alarm.duration["live"]')
        assert other["threshold"] == 1000

    def test_emails(self, plan: Any) -> None:
        address = 'module.notifications.aws_sns_topic_subscription.email["on-call@example.com"]'
        assert planned(plan, address)["endpoint"] == "on-call@example.com"

    def test_key(self, plan: Any) -> None:
        assert references(calls(plan)["notifications"]["expressions"]["kms_key_arn"]) == {"var.kms_key_arn"}

    def test_permissions_boundary(self, plan: Any) -> None:
        roles = {
            address: change["change"]["after"]["permissions_boundary"]
            for address, change in plan.resource_changes.items()
            if change["type"] == "aws_iam_role"
        }
        assert len(roles) == 7
        assert set(roles.values()) == {BOUNDARY}

    def test_region(self, plan: Any) -> None:
        provider = plan.configuration["provider_config"]["aws"]
        assert references(provider["expressions"]["region"]) == {"var.region"}

    def test_tags(self, plan: Any) -> None:
        tags = planned(plan, "module.function.aws_iam_role.this")["tags_all"]
        assert tags == {"Service": "greeter", "Team": "greetings"}

    @pytest.mark.parametrize(("stage", "limits"), [("dev", (3, 7)), ("test", (4, 1000)), ("live", (500, 1000))])
    def test_throttles_of_one_stage_do_not_affect_another(
        self, plan: Any, stage: str, limits: tuple[float, int]
    ) -> None:
        assert throttle(plan, stage) == limits


def test_stages_can_have_other_names(root: Configuration) -> None:
    before = (root.directory / "config.tf").read_text()
    write_config(root.directory, {"dev": {}, "staging": {"gateway_deployment": "1"}, "prod": PINNED["live"]})
    try:
        plan = root.variables(throttles={"staging": {"burst": 7}}).plan()
    finally:
        (root.directory / "config.tf").write_text(before)
    limits = {stage: throttle(plan, stage) for stage in ("dev", "staging", "prod")}
    assert limits == {"dev": (500, 1000), "staging": (500, 7), "prod": (500, 1000)}


@pytest.mark.parametrize(
    "stages",
    [
        "stages = {\n  test = {}\n  dev  = {}\n  live = {}\n}",
        'stages = { "test" : {}, dev : {}, "live" : { function_version = "newest" } }',
        "# live = {}\nstages = { test = {} # dev = {}\n  // live = {}\n  dev = {}\n  live = {} }",
    ],
)
def test_path_has_the_order_of_the_config(root: Configuration, stages: str) -> None:
    before = (root.directory / "config.tf").read_text()
    (root.directory / "config.tf").write_text(f'locals {{\n  gateway_deployments = ["1"]\n  {stages}\n}}\n')
    try:
        assert root.variables().value("local.path") == ["test", "dev", "live"]
    finally:
        (root.directory / "config.tf").write_text(before)


class TestPins:
    """The warnings about the pins in config.tf."""

    def test_every_plan_warns_about_stages_without_version(self, root: Configuration) -> None:
        assert "Not pinned in config.tf: live, test." in root.variables().warnings()

    def test_plan_does_not_warn_about_pinned_stages(self, root: Configuration) -> None:
        before = (root.directory / "config.tf").read_text()
        write_config(root.directory, PINNED)
        try:
            assert "Not pinned" not in root.variables().warnings()
        finally:
            (root.directory / "config.tf").write_text(before)

    def test_private_copies_have_their_own_name_and_follow_the_newest(self, root: Configuration) -> None:
        root.run("workspace", "new", "alice")
        try:
            plan = root.variables().plan()
            said = root.warnings()
        finally:
            root.run("workspace", "select", "default")
        assert planned(plan, "module.function.aws_lambda_function.this")["function_name"] == "path-to-live-alice"
        assert planned(plan, "module.api.aws_apigatewayv2_api.this")["name"] == "path-to-live-alice"
        assert planned(plan, 'module.stage["live"].aws_apigatewayv2_stage.this')["auto_deploy"] is True
        assert "Not pinned" not in said
