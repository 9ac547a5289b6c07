"""https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html."""

from __future__ import annotations

from typing import Any

import pytest

from tests.python.emulator.contract.state_machines import StateMachine, caught, statement
from tests.python.emulator.contract.support import Function
from tests.waiting import eventually

TOO_LARGE = "States.DataLimitExceeded"


def cause(source: str) -> str:
    return (
        f"The state/task '{source}' returned a result with a size exceeding the maximum number of bytes service limit."
    )


@pytest.fixture
def calling(machine: StateMachine, function: Function) -> StateMachine:
    """Return a state machine whose role may invoke a function that repeats a text."""
    function.create("def handler(event, context): return event['text'] * event['times']")
    machine.allow(statement("lambda:InvokeFunction", function.arn))
    return machine


def call(function: Function, text: str, times: int, **more: Any) -> dict[str, Any]:
    states = caught("lambda:invoke", {"FunctionName": function.name, "Payload": {"text": text, "times": times}})
    states["Call"] |= more
    return states


# The limit is 262,144 bytes in UTF-8. The result also contains the headers of the response.
@pytest.mark.parametrize(("text", "times"), [("x", 263_000), ("\u00e4", 132_000), ("\u20ac", 88_000)])
def test_result_that_is_too_large_fails_the_task(
    calling: StateMachine, function: Function, text: str, times: int
) -> None:
    """https://github.com/localstack/localstack/blob/main/tests/aws/services/stepfunctions/v2/error_handling/test_states_errors.py.

    The error is recorded there. A catcher for States.ALL caught it, though the documentation says that it does not.
    """
    calling.create(call(function, text, times))
    execution = calling.start()
    assert calling.end(execution)["output"] == {"Error": TOO_LARGE, "Cause": cause("lambda")}
    (failed,) = (event for event in calling.history(execution) if event["type"] == "TaskFailed")
    assert failed["taskFailedEventDetails"] == {
        "resourceType": "lambda",
        "resource": "invoke",
        "error": TOO_LARGE,
        "cause": cause("lambda"),
    }


@pytest.mark.parametrize(("text", "times"), [("x", 250_000), ("\u00e4", 125_000)])
def test_result_within_the_limit_is_passed_on(calling: StateMachine, function: Function, text: str, times: int) -> None:
    calling.create(call(function, text, times, Output="{% $length($states.result.Payload) %}"))
    assert calling.output() == times


def test_input_of_a_task_that_is_too_large_fails_it(calling: StateMachine, function: Function) -> None:
    states = call(function, "x", 1)
    states["Call"]["Arguments"]["Payload"]["text"] = "{% $pad('', 263000, 'x') %}"
    calling.create(states)
    execution = calling.start()
    assert calling.end(execution)["output"]["Error"] == TOO_LARGE
    assert "TaskScheduled" not in [event["type"] for event in calling.history(execution)]


def test_output_of_a_state_that_is_too_large_fails_the_execution(machine: StateMachine) -> None:
    machine.create({"Large": {"Type": "Pass", "Output": "{% $pad('', 263000, 'x') %}", "End": True}})
    ended = machine.run()
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", TOO_LARGE, cause("Large"))


def test_input_of_an_execution_is_limited(machine: StateMachine) -> None:
    machine.create({"End": {"Type": "Succeed", "Output": "{% $length($states.input) %}"}})
    assert machine.output("x" * 262_142) == 262_142
    with pytest.raises(machine.api.exceptions.ClientError) as refused:
        machine.start("x" * 262_143)
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert "Member must have size less than or equal to 262144 bytes in UTF-8 encoding" in error["Message"]


def test_response_that_is_too_large_for_lambda_fails_the_task(calling: StateMachine, function: Function) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""
    calling.create(call(function, "x", 6_300_000))
    assert calling.output()["Error"] == "Function.ResponseSizeTooLarge"


def loop() -> dict[str, Any]:
    """Return states that never end."""
    rules = [{"Condition": "{% false %}", "Next": "End"}]
    return {
        "Loop": {"Type": "Choice", "Choices": rules, "Default": "Loop"},
        "End": {"Type": "Succeed"},
    }


def test_execution_ends_with_a_full_history(machine: StateMachine) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html."""
    machine.create(loop())
    execution = machine.start()
    ended = eventually(lambda: _ended(machine, execution), seconds=1800)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert ended["cause"] == "The execution reached the maximum number of history events (25000)."
    (last, before) = machine.api.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=2)[
        "events"
    ]
    assert (last["id"], last["type"], before["type"]) == (25_000, "ExecutionFailed", "ChoiceStateExited")


def _ended(machine: StateMachine, execution: str) -> Any:
    found = machine.api.describe_execution(executionArn=execution)
    return None if found["status"] == "RUNNING" else found
