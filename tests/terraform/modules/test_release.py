"""The plan of the release module by itself. tests/python/release tests its state machine."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.terraform.modules.test_modules import FUNCTION_ARN, Modules, values
from tests.terraform.support import SOURCE, Configuration, document, references

VERSION_ARNS = {f"{FUNCTION_ARN}:{digit}*" for digit in range(1, 10)}
TOPIC = "arn:aws:sns:eu-west-2:000000000000:greeter-alerts"
KEY = "arn:aws:kms:eu-west-2:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
MACHINE = "arn:aws:states:eu-west-2:000000000000:stateMachine:greeter-live-release"
PARAMETERS = "arn:aws:ssm:eu-west-2:000000000000:parameter/releases/greeter/live"
GIVEN = {
    "function_arn": FUNCTION_ARN,
    "log_retention_days": 7,
    "name": "greeter",
    "stage": "live",
    "topic_arn": TOPIC,
    "topic_key_arn": KEY,
    "unhealthy_alarm": "greeter-live-unhealthy",
}
DEFAULTS = {
    "bake_seconds": 900,
    "hold": False,
    "ignore_alarms_reason": "",
    "ignore_freeze_reason": "",
    "ignore_rejection_reason": "",
    "max_error_rate": 0.01,
    "max_extensions": 2,
    "max_p99_ms": 1000,
    "metrics_delay_seconds": 60,
    "min_invocations": 50,
    "on_inconclusive": "rollback",
    "smoke_test": True,
    "stage": "live",
    "step_seconds": 300,
    "steps": [0.1, 0.5],
    "version": "",
}


@pytest.fixture(scope="module")
def release(module: Modules) -> Configuration:
    return module("release")


@pytest.fixture(scope="module")
def plan(release: Configuration) -> Any:
    return release.variables(**GIVEN).plan()


@pytest.fixture(scope="module")
def definition(plan: Any) -> Any:
    return json.loads(values(plan, "aws_sfn_state_machine.this")["definition"])


def test_machine_is_standard_and_logs_everything(plan: Any) -> None:
    machine = values(plan, "aws_sfn_state_machine.this")
    assert (machine["name"], machine["type"]) == ("greeter-live-release", "STANDARD")
    (logging,) = machine["logging_configuration"]
    assert (logging["level"], logging["include_execution_data"]) == ("ALL", True)
    group = values(plan, "aws_cloudwatch_log_group.this")
    assert (group["name"], group["retention_in_days"]) == ("/aws/vendedlogs/states/greeter-live-release", 7)


def test_machine_uses_only_this_function_this_alias_this_alarm_and_this_topic(definition: Any) -> None:
    states = definition["States"]
    arguments = [state["Arguments"] for state in states.values() if "Arguments" in state]
    assert {given["Name"] for given in arguments if "FunctionName" in given and "Name" in given} == {"live"}
    parameters = {state["Arguments"]["Name"] for state in states.values() if ":ssm:" in state.get("Resource", "")}
    assert parameters == {"/releases/greeter/live/control", "/releases/greeter/live/rejected"}
    alarms = [given["AlarmNames"] for given in arguments if "AlarmNames" in given]
    assert alarms == [["greeter-live-unhealthy"]] * 2
    functions = {
        task["Arguments"]["FunctionName"] for task in states.values() if "FunctionName" in task.get("Arguments", {})
    }
    topics = {task["Arguments"]["TopicArn"] for task in states.values() if "TopicArn" in task.get("Arguments", {})}
    assert (functions, topics) == ({"greeter"}, {TOPIC})


def test_role_may_do_only_what_the_machine_needs(plan: Any) -> None:
    statements = {
        statement["Sid"]: (set(flat(statement["Action"])), set(flat(statement["Resource"])))
        for statement in document(plan.resources["aws_iam_role_policy.this"])["Statement"]
    }
    actions, _ = statements.pop("DeliverLogs")
    assert all(action.startswith("logs:") for action in actions)
    assert statements == {
        "UpdateAlias": ({"lambda:GetAlias", "lambda:UpdateAlias"}, {FUNCTION_ARN, f"{FUNCTION_ARN}:live"}),
        "ReadVersions": ({"lambda:GetFunctionConfiguration"}, {FUNCTION_ARN, *VERSION_ARNS}),
        "InvokeVersions": ({"lambda:InvokeFunction"}, VERSION_ARNS),
        "ReadMetricsAndAlarms": ({"cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData"}, {"*"}),
        "FindExecutions": (
            {"states:DescribeExecution"},
            {"arn:aws:states:eu-west-2:000000000000:execution:greeter-live-release:*"},
        ),
        "ReadRequests": ({"ssm:GetParameter"}, {f"{PARAMETERS}/control", f"{PARAMETERS}/rejected"}),
        "RejectVersions": ({"ssm:PutParameter"}, {f"{PARAMETERS}/rejected"}),
        "PublishNotifications": ({"sns:Publish"}, {TOPIC}),
        "EncryptNotifications": ({"kms:Decrypt", "kms:GenerateDataKey"}, {KEY}),
    }


def test_what_people_and_releases_write_into_the_parameters_is_no_change(plan: Any) -> None:
    written = {"control": "{}", "rejected": "[]"}
    for name, content in written.items():
        parameter = values(plan, f"aws_ssm_parameter.{name}")
        assert (parameter["name"], parameter["type"]) == (f"/releases/greeter/live/{name}", "String")
        assert parameter["insecure_value"] == content
    source = (SOURCE / "modules" / "release" / "main.tf").read_text()
    assert source.count("ignore_changes = [insecure_value]") == len(written)


def test_role_trusts_only_this_machine(plan: Any) -> None:
    (statement,) = document(plan.resources["aws_iam_role.this"], "assume_role_policy")["Statement"]
    assert statement["Principal"] == {"Service": "states.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": MACHINE}}


def test_settings_have_defaults_that_name_no_stage(definition: Any) -> None:
    assert definition["TimeoutSeconds"] == 21600
    assert definition["States"]["ReadInput"]["Assign"]["defaults"] == DEFAULTS


def test_settings_and_smoke_tests_reach_the_machine(release: Configuration) -> None:
    settings: dict[str, Any] = {
        "bake_seconds": 0,
        "max_error_rate": 0.5,
        "max_extensions": None,
        "steps": [],
        "timeout_seconds": 600,
    }
    tests = [{"path": "/health", "status": 204}, {"path": "/5", "route_key": "GET /{id}", "json": {"id": "5"}}]
    plan = release.variables(**GIVEN, settings=settings, smoke_tests=tests).plan()
    definition = json.loads(values(plan, "aws_sfn_state_machine.this")["definition"])
    assigned = definition["States"]["ReadInput"]["Assign"]
    given = {name: value for name, value in settings.items() if name not in {"max_extensions", "timeout_seconds"}}
    assert (definition["TimeoutSeconds"], assigned["defaults"]) == (600, DEFAULTS | given)
    assert assigned["smoke_tests"] == [
        {"json": {}, "path": "/health", "route_key": "ANY /health", "status": 204, "text": ""},
        {"json": {"id": "5"}, "path": "/5", "route_key": "GET /{id}", "status": 200, "text": ""},
    ]


@pytest.mark.parametrize("timeout_seconds", [43_200, 43_201, 86_400])
def test_no_release_reaches_the_limit_of_events(release: Configuration, timeout_seconds: int) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html."""
    plan = release.variables(**GIVEN, settings={"timeout_seconds": timeout_seconds}).plan()
    states = json.loads(values(plan, "aws_sfn_state_machine.this")["definition"])["States"]
    # tests/python/release/test_steering.py counts the events of a look.
    assert timeout_seconds / states["Wait"]["Seconds"] * 30 < 24_000


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"settings": {"bake_seconds": 30}}, "Releases of live: bake_seconds must be 0 or a multiple of 60."),
        ({"settings": {"bake_seconds": -60}}, "Releases of live: bake_seconds must be 0 or a multiple of 60."),
        ({"settings": {"max_error_rate": 1.1}}, "Releases of live: max_error_rate must be from 0 to 1."),
        ({"settings": {"max_extensions": 0.5}}, "max_extensions must be a whole number from 0 to 100."),
        ({"settings": {"max_p99_ms": 0}}, "max_p99_ms must be from 1 to 900000."),
        ({"settings": {"metrics_delay_seconds": 901}}, "metrics_delay_seconds must be a whole number from 0 to 900."),
        ({"settings": {"min_invocations": 0}}, "min_invocations must be a whole number of at least 1."),
        ({"settings": {"on_inconclusive": "go"}}, "on_inconclusive must be rollback, promote, or hold."),
        ({"settings": {"step_seconds": 0}}, "step_seconds must be a multiple of 60."),
        ({"settings": {"steps": [0.5, 0.1]}}, "steps must be increasing weights between 0 and 1, such as [0.1, 0.5]."),
        ({"settings": {"steps": [0]}}, "steps must be increasing weights between 0 and 1, such as [0.1, 0.5]."),
        ({"settings": {"timeout_seconds": 59}}, "timeout_seconds must be a whole number from 60 to 86400 (one day)."),
        (
            {"settings": {"timeout_seconds": 3060}},
            "A release of live can take 3060 seconds, with all extensions of its steps, and times out after 3060. "
            "Increase timeout_seconds, or decrease step_seconds, max_extensions, or bake_seconds.",
        ),
        ({"smoke_tests": [{"path": "health"}]}, "The paths of smoke_tests must start with /, and have no query."),
        ({"smoke_tests": [{"status": 0}]}, "The statuses of smoke_tests must be from 100 to 599."),
        (
            {"stage": "s" * 48},
            f"The name of the role greeter-{'s' * 48}-rollback would exceed 64 characters. Choose a shorter name for "
            "the stage, the service, or the workspace: the names of the service and the stage can have 54 characters "
            "together.",
        ),
    ],
)
def test_values_that_no_release_could_have_are_refused(
    release: Configuration, given: dict[str, Any], reason: str
) -> None:
    assert reason in release.variables(**GIVEN | given).refusal()


def test_rule_ignores_only_the_errors_of_the_machine(definition: Any) -> None:
    own = set(re.findall(r'"error": "([A-Za-z]+)"', json.dumps(definition["States"])))
    source = (SOURCE / "modules" / "release" / "main.tf").read_text()
    (listed,) = re.findall(r"errors = \[(.*?)\]", source, re.DOTALL)
    assert set(re.findall(r'"([A-Za-z]+)"', listed)) == own


def test_rule_starts_the_machine_with_a_separate_role(plan: Any) -> None:
    configured = {
        resource["address"]: resource["expressions"] for resource in plan.configuration["root_module"]["resources"]
    }
    target = configured["aws_cloudwatch_event_target.rollback"]
    assert "aws_sfn_state_machine.this.arn" in references(target["arn"])
    assert "aws_iam_role.rollback.arn" in references(target["role_arn"])
    policy = configured["aws_iam_role_policy.rollback"]["policy"]
    assert "data.aws_iam_policy_document.rollback.json" in references(policy)
    (statement,) = configured["data.aws_iam_policy_document.rollback"]["statement"]
    assert statement["actions"] == {"constant_value": ["states:StartExecution"]}
    assert "aws_sfn_state_machine.this.arn" in references(statement["resources"])


def test_rule_gives_the_machine_the_name_and_the_status_alone(plan: Any) -> None:
    (transformer,) = values(plan, "aws_cloudwatch_event_target.rollback")["input_transformer"]
    assert transformer == {
        "input_paths": {"name": "$.detail.name", "status": "$.detail.status"},
        "input_template": '{"rolls_back":<name>,"status":<status>}',
    }


def flat(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
