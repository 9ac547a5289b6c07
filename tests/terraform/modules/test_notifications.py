"""The plan of the notifications module by itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.terraform.modules.test_modules import Modules, values
from tests.terraform.support import document

ACCOUNT = {"AWS": "arn:aws:iam::000000000000:root"}
KEY = "arn:aws:kms:eu-west-2:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
USE = ["kms:GenerateDataKey", "kms:Decrypt"]


@pytest.fixture(scope="module")
def plan(module: Modules) -> Any:
    return module("notifications").variables(emails=["on-call@example.com"], name="greeter").plan()


@pytest.fixture(scope="module")
def statements(plan: Any) -> dict[str, Any]:
    found = document(plan.resources["aws_kms_key.this[0]"])["Statement"]
    return {statement["Sid"]: statement for statement in found}


def test_topic_is_encrypted_with_a_separate_key_that_rotates(plan: Any) -> None:
    configured = {resource["address"]: resource for resource in plan.configuration["root_module"]["resources"]}
    assert configured["aws_sns_topic.this"]["expressions"]["kms_master_key_id"]["references"] == ["local.key_arn"]
    assert values(plan, "aws_sns_topic.this")["name"] == "greeter-alerts"
    assert values(plan, "aws_kms_key.this[0]")["enable_key_rotation"] is True
    assert values(plan, "aws_kms_alias.this[0]")["name"] == "alias/greeter-alerts"


def test_topic_can_have_a_key_from_elsewhere(module: Modules) -> None:
    plan = module("notifications").variables(kms_key_arn=KEY, name="greeter").plan()
    assert values(plan, "aws_sns_topic.this")["kms_master_key_id"] == plan.outputs["key_arn"] == KEY
    assert set(plan.resource_changes) == {"aws_sns_topic.this", "aws_sns_topic_policy.this"} | {
        "data.aws_iam_policy_document.topic"
    }


def test_key_must_not_be_an_alias(module: Modules) -> None:
    alias = "arn:aws:kms:eu-west-2:000000000000:alias/greeter-alerts"
    refusal = module("notifications").variables(kms_key_arn=alias, name="greeter").refusal()
    assert "kms_key_arn must be the ARN of a key" in refusal


def test_account_manages_the_key_but_does_not_use_it(statements: dict[str, Any]) -> None:
    manage = statements["ManageKey"]
    assert manage["Principal"] == ACCOUNT
    assert not set(USE) & set(manage["Action"])
    assert not any("*" in action for action in manage["Action"])


def test_key_may_be_used_only_by_alarms_and_for_the_topic(statements: dict[str, Any]) -> None:
    assert {sid: statement for sid, statement in statements.items() if sid != "ManageKey"} == {
        "DelegateUseForTopic": {
            "Sid": "DelegateUseForTopic",
            "Effect": "Allow",
            "Principal": ACCOUNT,
            "Action": USE,
            "Resource": "*",
            "Condition": {
                "ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": "arn:aws:sns:*:000000000000:greeter-alerts"}
            },
        },
        "UseKeyFromAlarms": {
            "Sid": "UseKeyFromAlarms",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": USE,
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}},
        },
    }


def test_emails_are_subscribed(plan: Any) -> None:
    subscription = values(plan, 'aws_sns_topic_subscription.email["on-call@example.com"]')
    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "on-call@example.com")
