"""https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import pytest

from tests.python.emulator.contract.state_machines import StateMachine, statement
from tests.python.emulator.contract.support import REGION, Client
from tests.waiting import eventually

FAIL = {"Pass": {"Type": "Pass", "Next": "Fail"}, "Fail": {"Type": "Fail", "Error": "E", "Cause": "C"}}
RIGHTS = [
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
]
Logging = Callable[..., dict[str, Any]]


@pytest.fixture
def group(client: Client) -> Iterator[str]:
    name = f"/aws/vendedlogs/states/contract-{uuid.uuid4().hex[:8]}"
    client("logs").create_log_group(logGroupName=name)
    yield name
    client("logs").delete_log_group(logGroupName=name)


@pytest.fixture
def logging(machine: StateMachine, group: str) -> Logging:
    """Return a function that returns a logging configuration for a state machine that may deliver logs."""
    machine.allow(statement(RIGHTS, "*"))

    def configure(level: str = "ALL", *, data: bool = True, to: str = group, end: str = ":*") -> dict[str, Any]:
        arn = f"arn:aws:logs:{REGION}:{machine.account}:log-group:{to}{end}"
        destination = {"cloudWatchLogsLogGroup": {"logGroupArn": arn}}
        return {"level": level, "includeExecutionData": data, "destinations": [destination]}

    return configure


def logged(client: Client, group: str, last: str = "ExecutionFailed") -> list[Any]:
    """Return the events of the log when it contains the last one."""

    def look() -> list[Any]:
        events = client("logs").filter_log_events(logGroupName=group)["events"]
        found = [json.loads(event["message"]) for event in events]
        return found if last in {event["type"] for event in found} else []

    return eventually(look)


def test_every_event_is_logged(machine: StateMachine, client: Client, group: str, logging: Logging) -> None:
    machine.create(FAIL, loggingConfiguration=logging())
    execution = machine.start({"a": 1})
    machine.end(execution)
    events = logged(client, group)
    history = machine.history(execution)
    assert [(event["id"], event["type"], event["previous_event_id"]) for event in events] == [
        (str(event["id"]), event["type"], str(event["previousEventId"])) for event in history
    ]
    assert {event["execution_arn"] for event in events} == {execution}
    assert events[0]["details"]["input"] == '{"a": 1}'
    assert events[0]["details"]["roleArn"] == machine.role
    assert events[1]["details"]["name"] == "Pass"
    assert int(events[0]["event_timestamp"]) == int(history[0]["timestamp"].timestamp() * 1000)
    (stream,) = client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    assert stream["logStreamName"].startswith(f"states/{machine.name}/")


@pytest.mark.parametrize(
    ("level", "types"), [("ERROR", ["FailStateEntered", "ExecutionFailed"]), ("FATAL", ["ExecutionFailed"])]
)
def test_level_selects_the_events(
    machine: StateMachine, client: Client, group: str, logging: Logging, *, level: str, types: list[str]
) -> None:
    machine.create(FAIL, loggingConfiguration=logging(level))
    machine.run()
    assert [event["type"] for event in logged(client, group)] == types


def test_stop_is_logged(machine: StateMachine, client: Client, group: str, logging: Logging) -> None:
    machine.create({"Wait": {"Type": "Wait", "Seconds": 86_400, "End": True}}, loggingConfiguration=logging("FATAL"))
    execution = machine.start()
    machine.api.stop_execution(executionArn=execution, error="Enough", cause="of it")
    (event,) = logged(client, group, "ExecutionAborted")
    assert event["details"] == {"error": "Enough", "cause": "of it"}


def test_data_is_omitted_by_default(machine: StateMachine, client: Client, group: str, logging: Logging) -> None:
    machine.create({"Pass": {"Type": "Pass", "End": True}}, loggingConfiguration=logging(data=False))
    machine.run({"secret": 1})
    assert "secret" not in json.dumps(logged(client, group, "ExecutionSucceeded"))


@pytest.mark.parametrize("wrong", [{"to": "/contract/no-such-group"}, {"end": ""}])
def test_invalid_destination_is_refused(machine: StateMachine, logging: Logging, wrong: dict[str, str]) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as created:
        machine.create(FAIL, loggingConfiguration=logging(**wrong))
    machine.create(FAIL)
    with pytest.raises(botocore.exceptions.ClientError) as updated:
        machine.api.update_state_machine(stateMachineArn=machine.arn, loggingConfiguration=logging(**wrong))
    assert {error.value.response["Error"]["Code"] for error in (created, updated)} == {"InvalidLoggingConfiguration"}


def test_role_must_be_able_to_deliver_logs(machine: StateMachine, logging: Logging) -> None:
    machine.allow(statement(RIGHTS[1:], "*"))
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        machine.create(FAIL, loggingConfiguration=logging())
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "not authorized to access the Log Destination" in refused.value.response["Error"]["Message"]
