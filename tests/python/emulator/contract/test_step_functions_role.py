"""https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html.

Permissions: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html and the
pages next to it.
"""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import pytest

from tests.python.emulator.contract.state_machines import StateMachine, caught, document, statement, task, trust
from tests.python.emulator.contract.support import REGION, Client, Function
from tests.waiting import eventually

CALLS = [
    ("lambda:invoke", {"FunctionName": "no-such"}, "lambda:InvokeFunction", "Lambda.AWSLambdaException"),
    ("aws-sdk:lambda:getAlias", {"FunctionName": "no-such", "Name": "a"}, "lambda:GetAlias", "Lambda.LambdaException"),
    (
        "aws-sdk:lambda:updateAlias",
        {"FunctionName": "no-such", "Name": "a"},
        "lambda:UpdateAlias",
        "Lambda.LambdaException",
    ),
    (
        "aws-sdk:lambda:getFunctionConfiguration",
        {"FunctionName": "no-such"},
        "lambda:GetFunctionConfiguration",
        "Lambda.LambdaException",
    ),
    (
        "aws-sdk:cloudwatch:describeAlarms",
        {},
        "cloudwatch:DescribeAlarms",
        "CloudWatch.CloudWatchException",
    ),
    (
        "sns:publish",
        {"TopicArn": f"arn:aws:sns:{REGION}:000000000000:no-such", "Message": "m"},
        "SNS:Publish",
        "SNS.AuthorizationErrorException",
    ),
]


@pytest.mark.parametrize(("resource", "arguments", "action", "error"), CALLS)
def test_request_without_permission_is_refused(
    machine: StateMachine, resource: str, arguments: dict[str, Any], action: str, error: str
) -> None:
    machine.create(caught(resource, arguments))
    refused = machine.output()
    assert refused["Error"] == error
    role = f"User: arn:aws:sts::{machine.account}:assumed-role/{machine.name}/"
    assert refused["Cause"].startswith(role)
    assert f"is not authorized to perform: {action} on resource: " in refused["Cause"]
    assert f"because no identity-based policy allows the {action} action" in refused["Cause"]


@pytest.mark.parametrize(("resource", "arguments", "action", "error"), CALLS)
def test_request_with_permission_reaches_the_service(
    machine: StateMachine, resource: str, arguments: dict[str, Any], action: str, error: str
) -> None:
    machine.allow(statement(action, "*"))
    machine.create(caught(resource, arguments))
    assert "not authorized" not in json.dumps(machine.output())


def test_permission_for_a_function_does_not_include_its_versions(machine: StateMachine, function: Function) -> None:
    function.create("def handler(event, context): pass")
    machine.allow(statement("lambda:InvokeFunction", function.arn))
    machine.create(caught("lambda:invoke", {"FunctionName": function.arn, "Qualifier": "1"}))
    assert f"on resource: {function.arn}:1 because" in machine.output()["Cause"]


def test_permission_for_an_alias_request_is_on_the_function(machine: StateMachine, function: Function) -> None:
    function.create("def handler(event, context): pass")
    function.alias("live", "1")
    machine.allow(statement("lambda:GetAlias", function.arn))
    machine.create(caught("aws-sdk:lambda:getAlias", {"FunctionName": function.name, "Name": "live"}))
    assert machine.output()["Name"] == "live"


def test_deny_overrides_allow(machine: StateMachine) -> None:
    deny = {"Effect": "Deny", "Action": "cloudwatch:*", "Resource": "*"}
    machine.allow(statement("*", "*"), deny)
    machine.create(caught("aws-sdk:cloudwatch:describeAlarms", {}))
    assert "with an explicit deny in an identity-based policy" in machine.output()["Cause"]


def test_conditions_are_evaluated(machine: StateMachine) -> None:
    elsewhere = {"StringEquals": {"aws:RequestedRegion": "us-west-1"}}
    machine.allow(statement("cloudwatch:DescribeAlarms", "*", Condition=elsewhere))
    machine.create(caught("aws-sdk:cloudwatch:describeAlarms", {}))
    assert machine.output()["Error"] == "CloudWatch.CloudWatchException"


def test_attached_policy_applies(machine: StateMachine, client: Client) -> None:
    iam = client("iam")
    document = {"Version": "2012-10-17", "Statement": [statement("cloudwatch:DescribeAlarms", "*")]}
    policy = iam.create_policy(PolicyName=machine.name, PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=machine.name, PolicyArn=policy)
    machine.create(caught("aws-sdk:cloudwatch:describeAlarms", {}))
    output = machine.output()
    iam.detach_role_policy(RoleName=machine.name, PolicyArn=policy)
    iam.delete_policy(PolicyArn=policy)
    assert "MetricAlarms" in output


def test_permission_revoked_during_an_execution_no_longer_applies(machine: StateMachine) -> None:
    machine.allow(statement("cloudwatch:DescribeAlarms", "*"))
    states = caught("aws-sdk:cloudwatch:describeAlarms", {})
    first = task("aws-sdk:cloudwatch:describeAlarms", {}, Next="Wait")
    machine.create({"First": first, "Wait": {"Type": "Wait", "Seconds": 60, "Next": "Call"}} | states)
    execution = machine.start()
    eventually(lambda: [event for event in machine.history(execution) if event["type"] == "WaitStateEntered"])
    machine.allow(statement("cloudwatch:ListMetrics", "*"))
    assert machine.end(execution)["output"]["Error"] == "CloudWatch.CloudWatchException"


def test_role_must_trust_step_functions(machine: StateMachine, client: Client) -> None:
    client("iam").update_assume_role_policy(RoleName=machine.name, PolicyDocument=trust("lambda"))
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        machine.create({"End": {"Type": "Succeed"}})
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "authorized to assume the provided role" in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize(("account", "trusted"), [("111111111111", False), (None, True)])
def test_trust_may_depend_on_the_account(
    machine: StateMachine, client: Client, account: str | None, *, trusted: bool
) -> None:
    condition = {
        "StringEquals": {"aws:SourceAccount": account or machine.account},
        "ArnLike": {"aws:SourceArn": f"arn:aws:states:*:*:stateMachine:{machine.name}"},
    }
    policy = trust("states", Condition=condition)
    client("iam").update_assume_role_policy(RoleName=machine.name, PolicyDocument=policy)
    if trusted:
        machine.create({"End": {"Type": "Succeed"}})
    else:
        with pytest.raises(botocore.exceptions.ClientError):
            machine.create({"End": {"Type": "Succeed"}})


@pytest.mark.parametrize("allowed", [True, False])
def test_publisher_to_an_encrypted_topic_needs_its_key(machine: StateMachine, client: Client, *, allowed: bool) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#sns-what-permissions-for-sse."""
    keys, topics = client("kms"), client("sns")
    key = keys.create_key()["KeyMetadata"]
    topic = topics.create_topic(Name=machine.name, Attributes={"KmsMasterKeyId": key["KeyId"]})["TopicArn"]
    rights = [statement("sns:Publish", topic), statement("kms:Decrypt", key["Arn"])]
    machine.allow(*rights, *([statement("kms:GenerateDataKey*", key["Arn"])] if allowed else []))
    machine.create(caught("sns:publish", {"TopicArn": topic, "Message": "m"}))
    output = machine.output()
    topics.delete_topic(TopicArn=topic)
    keys.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert output.get("Error") == (None if allowed else "SNS.KMSAccessDeniedException")


@pytest.mark.parametrize("same", [True, False])
def test_key_can_be_limited_to_the_topic(machine: StateMachine, client: Client, *, same: bool) -> None:
    """https://docs.aws.amazon.com/gameliftservers/latest/flexmatchguide/queue-notification-sns-sse.html."""
    keys, topics = client("kms"), client("sns")
    named = f"arn:aws:sns:*:{machine.account}:{machine.name if same else 'other'}"
    account = {"Principal": {"AWS": f"arn:aws:iam::{machine.account}:root"}}
    limited = {"Condition": {"ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": named}}}
    manage = statement(["kms:DescribeKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"], "*") | account
    use = statement(["kms:Decrypt", "kms:GenerateDataKey"], "*") | account | limited
    key = keys.create_key(Policy=document(manage, use))["KeyMetadata"]
    topic = topics.create_topic(Name=machine.name, Attributes={"KmsMasterKeyId": key["Arn"]})["TopicArn"]
    machine.allow(statement("sns:Publish", topic), statement(["kms:Decrypt", "kms:GenerateDataKey"], key["Arn"]))
    machine.create(caught("sns:publish", {"TopicArn": topic, "Message": "m"}))
    output = machine.output()
    topics.delete_topic(TopicArn=topic)
    keys.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert output.get("Error") == (None if same else "SNS.KMSAccessDeniedException")


def test_start_of_another_execution_needs_a_permission(machine: StateMachine) -> None:
    choice = [{"Condition": "{% $states.input.last %}", "Next": "End"}]
    arguments = {"StateMachineArn": "{% $states.context.StateMachine.Id %}", "Input": {"last": True}}
    calls = caught("states:startExecution", arguments)
    choose = {"Type": "Choice", "Choices": choice, "Default": "Call"}
    arn = f"arn:aws:states:{REGION}:{machine.account}:stateMachine:{machine.name}"
    machine.create({"Choose": choose, "End": {"Type": "Succeed"}} | calls)
    assert machine.output({"last": False})["Error"] == "StepFunctions.AWSStepFunctionsException"
    machine.allow(statement("states:StartExecution", arn))
    started = machine.output({"last": False})["ExecutionArn"]
    assert machine.end(started)["status"] == "SUCCEEDED"


def test_role_that_no_longer_trusts_step_functions_fails_the_task(machine: StateMachine, client: Client) -> None:
    machine.allow(statement("*", "*"))
    machine.create(caught("aws-sdk:cloudwatch:describeAlarms", {}))
    client("iam").update_assume_role_policy(RoleName=machine.name, PolicyDocument=trust("lambda"))
    assert "MetricAlarms" not in machine.output()


def test_permissions_boundary_limits_the_role(machine: StateMachine, client: Client) -> None:
    iam = client("iam")
    boundary = iam.create_policy(PolicyName=machine.name, PolicyDocument=document(statement("sns:*", "*")))["Policy"]
    iam.put_role_permissions_boundary(RoleName=machine.name, PermissionsBoundary=boundary["Arn"])
    machine.allow(statement("*", "*"))
    machine.create(caught("aws-sdk:cloudwatch:describeAlarms", {}))
    output = machine.output()
    iam.delete_role_permissions_boundary(RoleName=machine.name)
    iam.delete_policy(PolicyArn=boundary["Arn"])
    assert "because no permissions boundary allows the cloudwatch:DescribeAlarms action" in output["Cause"]


def test_unknown_action_is_not_allowed(machine: StateMachine) -> None:
    machine.allow(statement("sns:Publish", "*"))
    machine.create(caught("aws-sdk:iam:listRoles", {}))
    assert "Error" in machine.output()
