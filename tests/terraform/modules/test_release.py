"""The plan of the release module by itself. tests/python/release tests its state machine."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.terraform.modules.test_modules import FUNCTION_ARN, Modules, values
from tests.terraform.support import SOURCE, document, references

STAGES = ("live", "test")
VERSION_ARNS = {f"{FUNCTION_ARN}:{digit}*" for digit in range(1, 10)}
TOPIC = "arn:aws:sns:eu-west-2:000000000000:greeter-alerts"
KEY = "arn:aws:kms:eu-west-2:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
MACHINE = "arn:aws:states:eu-west-2:000000000000:stateMachine:greeter-release"


@pytest.fixture(scope="module")
def plan(module: Modules) -> Any:
    return (
        module("release")
        .variables(
            function_arn=FUNCTION_ARN,
            log_retention_days=7,
            name="greeter",
            timeout_seconds=3600,
            topic_arn=TOPIC,
            topic_key_arn=KEY,
            unhealthy_alarms={stage: f"greeter-{stage}-unhealthy" for stage in STAGES},
        )
        .plan()
    )


@pytest.fixture(scope="module")
def definition(plan: Any) -> Any:
    return json.loads(values(plan, "aws_sfn_state_machine.this")["definition"])


def test_machine_is_standard_and_logs_everything(plan: Any) -> None:
    machine = values(plan, "aws_sfn_state_machine.this")
    assert (machine["name"], machine["type"]) == ("greeter-release", "STANDARD")
    (logging,) = machine["logging_configuration"]
    assert (logging["level"], logging["include_execution_data"]) == ("ALL", True)
    group = values(plan, "aws_cloudwatch_log_group.this")
    assert (group["name"], group["retention_in_days"]) == ("/aws/vendedlogs/states/greeter-release", 7)


def test_machine_uses_only_this_function_these_alarms_and_this_topic(definition: Any) -> None:
    assert definition["TimeoutSeconds"] == 3600
    states = definition["States"]
    assert states["ReadInput"]["Assign"]["alarms"] == {stage: f"greeter-{stage}-unhealthy" for stage in STAGES}
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
        "UpdateAliases": (
            {"lambda:GetAlias", "lambda:UpdateAlias"},
            {FUNCTION_ARN, *(f"{FUNCTION_ARN}:{stage}" for stage in STAGES)},
        ),
        "ReadVersions": ({"lambda:GetFunctionConfiguration"}, {FUNCTION_ARN, *VERSION_ARNS}),
        "InvokeVersions": ({"lambda:InvokeFunction"}, VERSION_ARNS),
        "ReadMetricsAndAlarms": ({"cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData"}, {"*"}),
        "PublishNotifications": ({"sns:Publish"}, {TOPIC}),
        "EncryptNotifications": ({"kms:Decrypt", "kms:GenerateDataKey"}, {KEY}),
    }


def test_role_trusts_only_this_machine(plan: Any) -> None:
    (statement,) = document(plan.resources["aws_iam_role.this"], "assume_role_policy")["Statement"]
    assert statement["Principal"] == {"Service": "states.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": MACHINE}}


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


def flat(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
