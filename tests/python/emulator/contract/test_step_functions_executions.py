"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html and the actions beside it."""

from __future__ import annotations

import json
import time
from typing import Any

import botocore.exceptions
import pytest

from tests.python.emulator.contract.state_machines import StateMachine, statement, task
from tests.python.emulator.contract.support import Function
from tests.waiting import eventually

# A day, which takes 24 minutes even at 60 times the speed.
LONG = 86_400
WAIT = {"Wait": {"Type": "Wait", "Seconds": LONG, "Next": "After"}, "After": {"Type": "Pass", "End": True}}


def types(machine: StateMachine, execution: str) -> list[str]:
    return [event["type"] for event in machine.history(execution)]


def at_state(machine: StateMachine, execution: str, name: str) -> None:
    eventually(
        lambda: any(
            event.get("stateEnteredEventDetails", {}).get("name") == name for event in machine.history(execution)
        )
    )


def test_stopped_execution_is_aborted_in_the_middle_of_a_wait(machine: StateMachine) -> None:
    machine.create(WAIT)
    execution = machine.start({"a": 1})
    at_state(machine, execution, "Wait")
    machine.api.stop_execution(executionArn=execution, error="Enough", cause="of it")
    ended = machine.api.describe_execution(executionArn=execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "Enough", "of it")
    assert ended["stopDate"] >= ended["startDate"]
    assert "output" not in ended
    assert types(machine, execution) == ["ExecutionStarted", "WaitStateEntered", "ExecutionAborted"]
    details = machine.history(execution)[-1]["executionAbortedEventDetails"]
    assert details == {"error": "Enough", "cause": "of it"}


def test_executions_of_a_deleted_machine_are_refused(machine: StateMachine) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html."""
    machine.create(WAIT)
    machine.api.delete_state_machine(stateMachineArn=machine.arn)
    deleted, machine.arn = machine.arn, ""
    with pytest.raises(machine.api.exceptions.StateMachineDoesNotExist):
        machine.api.list_executions(stateMachineArn=deleted)


def test_execution_stopped_during_a_task_runs_no_more_states(machine: StateMachine, function: Function) -> None:
    function.create("import time\ndef handler(event, context): time.sleep(1)", Timeout=10)
    machine.allow(statement("lambda:InvokeFunction", function.arn))
    call = task("lambda:invoke", {"FunctionName": function.name}, Next="After")
    machine.create({"Call": call, "After": {"Type": "Pass", "End": True}})
    execution = machine.start()
    eventually(lambda: "TaskStarted" in types(machine, execution))
    machine.api.stop_execution(executionArn=execution)
    eventually(lambda: [line for _, line in function.log() if line.startswith("REPORT")])
    assert types(machine, execution)[-2:] == ["TaskStarted", "ExecutionAborted"]


def test_execution_times_out_in_the_middle_of_a_wait(machine: StateMachine) -> None:
    machine.create(WAIT, TimeoutSeconds=60)
    execution = machine.start()
    began = time.monotonic()
    ended = machine.end(execution)
    assert ended["status"] == "TIMED_OUT"
    assert time.monotonic() - began < 90
    assert types(machine, execution) == ["ExecutionStarted", "WaitStateEntered", "ExecutionTimedOut"]


def test_timeout_of_the_execution_runs_no_catch(machine: StateMachine, function: Function) -> None:
    function.create("import time\ndef handler(event, context): time.sleep(2)", Timeout=10)
    machine.allow(statement("lambda:InvokeFunction", function.arn))
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    call = task("lambda:invoke", {"FunctionName": function.name}, Catch=catch)
    machine.create({"Call": call, "Caught": {"Type": "Succeed"}}, TimeoutSeconds=1)
    execution = machine.start()
    assert machine.end(execution)["status"] == "TIMED_OUT"
    eventually(lambda: [line for _, line in function.log() if line.startswith("REPORT")])
    assert types(machine, execution)[-1] == "ExecutionTimedOut"


def test_execution_that_ends_in_time_does_not_time_out(machine: StateMachine) -> None:
    machine.create({"Wait": {"Type": "Wait", "Seconds": 1, "End": True}}, TimeoutSeconds=30)
    assert machine.run()["status"] == "SUCCEEDED"


def test_name_cannot_be_reused(machine: StateMachine) -> None:
    machine.create({"End": {"Type": "Succeed"}})
    machine.end(machine.start(name="once"))
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        machine.start(name="once")
    assert refused.value.response["Error"]["Code"] == "ExecutionAlreadyExists"


def test_start_is_idempotent_while_the_same_execution_runs(machine: StateMachine) -> None:
    machine.create(WAIT)
    first = machine.start({"a": 1}, name="once")
    assert machine.start({"a": 1}, name="once") == first
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        machine.start({"a": 2}, name="once")
    assert refused.value.response["Error"]["Code"] == "ExecutionAlreadyExists"


def test_input_must_be_json(machine: StateMachine) -> None:
    machine.create({"End": {"Type": "Succeed"}})
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        machine.api.start_execution(stateMachineArn=machine.arn, input="{")
    assert refused.value.response["Error"]["Code"] == "InvalidExecutionInput"


def test_history_has_states_and_requests(machine: StateMachine, function: Function) -> None:
    function.create("def handler(event, context): return event")
    machine.allow(statement("lambda:InvokeFunction", function.arn))
    call = task("lambda:invoke", {"FunctionName": function.name, "Payload": 1}, Output="{% $states.result.Payload %}")
    machine.create({"Call": call})
    execution = machine.start({"a": 1})
    machine.end(execution)
    events = machine.history(execution)
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    assert [(event["id"], event["previousEventId"]) for event in events] == [
        (1, 0),
        (2, 0),
        *((number, number - 1) for number in range(3, 8)),
    ]
    assert events[0]["executionStartedEventDetails"]["roleArn"] == machine.role
    assert events[1]["stateEnteredEventDetails"]["input"] == '{"a":1}'
    scheduled = events[2]["taskScheduledEventDetails"]
    assert (scheduled["resourceType"], scheduled["resource"]) == ("lambda", "invoke")
    assert json.loads(scheduled["parameters"]) == {"FunctionName": function.name, "Payload": 1}
    assert events[5]["stateExitedEventDetails"] | {"outputDetails": {}} == {
        "name": "Call",
        "output": "1",
        "outputDetails": {},
    }
    assert events[6]["executionSucceededEventDetails"]["output"] == "1"


def test_executions_are_listed_newest_first_by_status_and_page(machine: StateMachine) -> None:
    choice = [{"Condition": "{% $states.input.fail %}", "Next": "Fail"}]
    end: dict[str, Any] = {"Fail": {"Type": "Fail", "Error": "E"}, "End": {"Type": "Succeed"}}
    machine.create({"Choose": {"Type": "Choice", "Choices": choice, "Default": "End"}} | end)
    executions = []
    for fail in (False, True, False):
        executions.append(machine.start({"fail": fail}))
        machine.end(executions[-1])
        # Start dates have a resolution of milliseconds.
        time.sleep(0.01)
    first = machine.api.list_executions(stateMachineArn=machine.arn, maxResults=2)
    second = machine.api.list_executions(stateMachineArn=machine.arn, maxResults=2, nextToken=first["nextToken"])
    listed = [item["executionArn"] for page in (first, second) for item in page["executions"]]
    assert listed == executions[::-1]
    failed = machine.api.list_executions(stateMachineArn=machine.arn, statusFilter="FAILED")["executions"]
    assert [item["executionArn"] for item in failed] == [executions[1]]
