"""https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html.

The permissions that a target needs: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import pytest

from tests.python.emulator.contract.state_machines import StateMachine, document, statement, trust
from tests.python.emulator.contract.support import Client
from tests.waiting import eventually

Role = Callable[..., str]
WAIT = {
    "Choose": {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $exists($states.input.detail) %}", "Next": "Event"}],
        "Default": "Wait",
    },
    "Event": {"Type": "Succeed"},
    "Wait": {"Type": "Wait", "Seconds": 86_400, "End": True},
}


@pytest.fixture
def role(client: Client, machine: StateMachine) -> Iterator[Role]:
    """Yield a function that returns a role that a service may assume and that has the given statements."""
    iam, name = client("iam"), f"{machine.name}-events"

    def make(*statements: dict[str, Any], service: str = "events") -> str:
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))
        iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=document(*statements))
        return str(made["Role"]["Arn"])

    yield make
    iam.delete_role_policy(RoleName=name, PolicyName="test")
    iam.delete_role(RoleName=name)


@pytest.fixture
def rule(client: Client, machine: StateMachine) -> Iterator[str]:
    """Yield the name of a rule for aborted and timed out executions, which end without running their Catch."""
    machine.create(WAIT, TimeoutSeconds=86_400)
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [machine.arn], "status": ["ABORTED", "TIMED_OUT"]},
    }
    events = client("events")
    events.put_rule(Name=machine.name, EventPattern=json.dumps(pattern))
    yield machine.name
    events.remove_targets(Rule=machine.name, Ids=["target"])
    events.delete_rule(Name=machine.name)


def aborted(machine: StateMachine) -> str:
    execution = machine.start({"stage": "live"})
    machine.api.stop_execution(executionArn=execution, error="E", cause="C")
    return execution


def others(machine: StateMachine, *known: str) -> list[Any]:
    found = machine.api.list_executions(stateMachineArn=machine.arn)["executions"]
    return [item for item in found if item["executionArn"] not in known]


def test_aborted_execution_starts_the_state_machine_with_its_event(
    client: Client, machine: StateMachine, rule: str, role: Role
) -> None:
    target = {"Id": "target", "Arn": machine.arn, "RoleArn": role(statement("states:StartExecution", machine.arn))}
    client("events").put_targets(Rule=rule, Targets=[target])
    execution = aborted(machine)
    (started,) = eventually(lambda: others(machine, execution))
    event = machine.end(started["executionArn"])["output"]
    assert (event["source"], event["detail-type"]) == ("aws.states", "Step Functions Execution Status Change")
    assert event["resources"] == [execution]
    detail = event["detail"]
    assert (detail["status"], detail["executionArn"], detail["stateMachineArn"]) == ("ABORTED", execution, machine.arn)
    assert json.loads(detail["input"]) == {"stage": "live"}
    assert detail["inputDetails"] == {"included": True}
    assert detail["output"] is None
    # The rule does not match the success of the new execution.
    assert len(others(machine, execution)) == 1


def test_target_gets_what_its_input_transformer_takes_from_the_event(
    client: Client, machine: StateMachine, rule: str, role: Role
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html."""
    target = {
        "Id": "target",
        "Arn": machine.arn,
        "RoleArn": role(statement("states:StartExecution", machine.arn)),
        "InputTransformer": {
            "InputPathsMap": {"name": "$.detail.name", "status": "$.detail.status"},
            "InputTemplate": '{"detail":<name>,"status":<status>}',
        },
    }
    client("events").put_targets(Rule=rule, Targets=[target])
    execution = aborted(machine)
    (started,) = eventually(lambda: others(machine, execution))
    described = machine.api.describe_execution(executionArn=started["executionArn"])
    assert json.loads(described["input"]) == {"detail": execution.rpartition(":")[2], "status": "ABORTED"}
    # A pattern can tell it from other input by its start.
    assert described["input"].startswith('{"detail":')


@pytest.mark.parametrize(
    ("given", "starts"),
    [({"rolls_back": "x"}, False), ({"version": "7"}, True), ({}, True), ("text", True), ({"x": "y" * 260_000}, True)],
)
def test_rule_excludes_input_by_its_start_and_matches_an_event_without_input(
    client: Client, machine: StateMachine, rule: str, role: Role, *, given: Any, starts: bool
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html."""
    start = '{"rolls_back":'
    detail = {
        "stateMachineArn": [machine.arn],
        "status": ["ABORTED"],
        "input": [None, {"exists": False}, {"anything-but": {"prefix": start}}],
    }
    pattern = {"source": ["aws.states"], "detail": detail}
    client("events").put_rule(Name=rule, EventPattern=json.dumps(pattern))
    target = {"Id": "target", "Arn": machine.arn, "RoleArn": role(statement("states:StartExecution", machine.arn))}
    client("events").put_targets(Rule=rule, Targets=[target])
    content = json.dumps(given, separators=(",", ":"))
    execution = machine.api.start_execution(stateMachineArn=machine.arn, input=content)["executionArn"]
    machine.api.stop_execution(executionArn=execution)
    if starts:
        eventually(lambda: others(machine, execution))
    else:
        # A new execution would be listed before StopExecution answers.
        assert others(machine, execution) == []


@pytest.mark.parametrize("given", [("states:DescribeExecution", "events"), ("states:StartExecution", "lambda")])
def test_nothing_starts_without_permission_of_the_role(
    client: Client, machine: StateMachine, rule: str, role: Role, given: tuple[str, str]
) -> None:
    action, service = given
    target = {"Id": "target", "Arn": machine.arn, "RoleArn": role(statement(action, machine.arn), service=service)}
    client("events").put_targets(Rule=rule, Targets=[target])
    execution = aborted(machine)
    # A new execution would be listed before StopExecution answers.
    assert others(machine, execution) == []


def test_state_machine_as_target_needs_a_role(client: Client, machine: StateMachine, rule: str) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        client("events").put_targets(Rule=rule, Targets=[{"Id": "target", "Arn": machine.arn}])
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert f"RoleArn is required for target {machine.arn}" in refused.value.response["Error"]["Message"]


def test_timed_out_execution_notifies_a_topic(
    client: Client, machine: StateMachine, rule: str, topic: tuple[str, str]
) -> None:
    arn, queue = topic
    policy = document(statement("sns:Publish", arn, Principal={"Service": "events.amazonaws.com"}))
    client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
    client("events").put_targets(Rule=rule, Targets=[{"Id": "target", "Arn": arn}])
    definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Choose", "States": WAIT, "TimeoutSeconds": 60})
    machine.api.update_state_machine(stateMachineArn=machine.arn, definition=definition)
    execution = machine.start()
    machine.end(execution)
    (message,) = client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    detail = json.loads(message["Body"])["detail"]
    assert (detail["executionArn"], detail["status"]) == (execution, "TIMED_OUT")
    assert detail["stopDate"] > detail["startDate"]


def test_topic_receives_nothing_without_permission_in_its_policy(
    client: Client, machine: StateMachine, rule: str, topic: tuple[str, str]
) -> None:
    arn, queue = topic
    client("events").put_targets(Rule=rule, Targets=[{"Id": "target", "Arn": arn}])
    aborted(machine)
    assert not client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")


def test_topic_receives_messages_with_permission_of_a_role(
    client: Client, machine: StateMachine, rule: str, topic: tuple[str, str], role: Role
) -> None:
    arn, queue = topic
    target = {"Id": "target", "Arn": arn, "RoleArn": role(statement("sns:Publish", arn))}
    client("events").put_targets(Rule=rule, Targets=[target])
    aborted(machine)
    assert client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
