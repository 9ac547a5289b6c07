"""https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html."""

from __future__ import annotations

from typing import Any

import pytest

from tests.python.emulator.contract.state_machines import StateMachine, caught, statement
from tests.python.emulator.contract.support import Client, Function

MISSING = {"FunctionName": "contract-no-such-function", "Name": "live"}
NOT_FOUND = "Lambda.ResourceNotFoundException"


@pytest.fixture
def failing(machine: StateMachine) -> StateMachine:
    """Return a state machine whose requests for an alias all fail."""
    machine.allow(statement("lambda:GetAlias", "*"))
    return machine


def attempts(machine: StateMachine, *retriers: dict[str, Any]) -> list[float]:
    """Run the request with these retriers, and return the intervals between the attempts, in seconds of AWS."""
    states = caught("aws-sdk:lambda:getAlias", MISSING)
    states["Call"]["Retry"] = list(retriers)
    machine.create(states)
    execution = machine.start()
    assert machine.end(execution)["output"]["Error"] == NOT_FOUND
    return machine.seconds(execution, "TaskScheduled")


def test_retrier_retries_three_times_by_default(failing: StateMachine) -> None:
    assert len(attempts(failing, {"ErrorEquals": ["States.ALL"], "BackoffRate": 1.0})) == 3


def test_retrier_with_zero_attempts_never_retries(failing: StateMachine) -> None:
    never = {"ErrorEquals": [NOT_FOUND], "MaxAttempts": 0}
    assert attempts(failing, never, {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}) == []


def test_first_retrier_that_matches_applies(failing: StateMachine) -> None:
    other = {"ErrorEquals": ["Lambda.ServiceException"], "MaxAttempts": 5}
    once = {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1}
    assert len(attempts(failing, other, once, {"ErrorEquals": ["States.ALL"], "MaxAttempts": 4})) == 1


def test_delay_grows_up_to_its_maximum(failing: StateMachine) -> None:
    retrier = {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 15,
        "BackoffRate": 4,
        "MaxDelaySeconds": 45,
        "MaxAttempts": 3,
    }
    delays = attempts(failing, retrier)
    assert len(delays) == 3
    # A request takes a few milliseconds, which are seconds at this speed.
    for delay, wanted in zip(delays, (15, 45, 45), strict=True):
        assert wanted <= delay + 1
        assert delay < wanted + 0.4 * failing.speed


def test_delay_is_not_limited_without_a_maximum(failing: StateMachine) -> None:
    retrier = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 90, "MaxAttempts": 1}
    assert attempts(failing, retrier)[0] > 89


def test_full_jitter_waits_any_time_up_to_the_delay(failing: StateMachine) -> None:
    retrier = {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 60,
        "BackoffRate": 1,
        "JitterStrategy": "FULL",
        "MaxAttempts": 4,
    }
    # Each delay is random from 0 to 60. All are above 55 once in fifty thousand runs.
    assert min(attempts(failing, retrier)) < 55


def test_retry_count_is_in_the_context(failing: StateMachine) -> None:
    states = caught("aws-sdk:lambda:getAlias", MISSING)
    states["Call"]["Retry"] = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]
    states["Call"]["Catch"][0]["Output"] = "{% $states.context.State.RetryCount %}"
    failing.create(states)
    assert failing.output() == 2


def test_task_times_out(machine: StateMachine, function: Function) -> None:
    function.create("import time\ndef handler(event, context): time.sleep(3)", Timeout=10)
    machine.allow(statement("lambda:InvokeFunction", function.arn))
    states = caught("lambda:invoke", {"FunctionName": function.name})
    states["Call"]["TimeoutSeconds"] = "{% 1 %}"
    machine.create(states)
    execution = machine.start()
    assert machine.end(execution)["output"]["Error"] == "States.Timeout"
    assert "TaskTimedOut" in [event["type"] for event in machine.history(execution)]


def test_task_times_out_after_its_timeout(machine: StateMachine, client: Client) -> None:
    topic = client("sns").create_topic(Name=machine.name)["TopicArn"]
    machine.allow(statement("sns:Publish", topic))
    arguments = {"TopicArn": topic, "Message": "{% $states.context.Task.Token %}"}
    states = caught("sns:publish.waitForTaskToken", arguments)
    states["Call"]["TimeoutSeconds"] = 60
    machine.create(states)
    execution = machine.start()
    error = machine.end(execution)["output"]["Error"]
    client("sns").delete_topic(TopicArn=topic)
    assert error == "States.Timeout"
    (seconds,) = machine.seconds(execution, "TaskScheduled", "TaskTimedOut")
    assert 59 <= seconds < 60 + 0.4 * machine.speed


@pytest.mark.parametrize("wildcard", ["States.ALL", "States.TaskFailed"])
def test_wildcards_do_not_catch_runtime_errors(machine: StateMachine, wildcard: str) -> None:
    machine.allow(statement("lambda:GetAlias", "*"))
    states = caught("aws-sdk:lambda:getAlias", {"FunctionName": "f", "Name": "n", "Unknown": 1})
    states["Call"]["Catch"][0]["ErrorEquals"] = [wildcard]
    machine.create(states)
    assert machine.run()["error"] == "States.Runtime"


def test_task_failed_does_not_catch_a_timeout(machine: StateMachine, function: Function) -> None:
    function.create("import time\ndef handler(event, context): time.sleep(3)", Timeout=10)
    machine.allow(statement("lambda:InvokeFunction", function.arn))
    states = caught("lambda:invoke", {"FunctionName": function.name})
    states["Call"]["TimeoutSeconds"] = 1
    states["Call"]["Catch"][0]["ErrorEquals"] = ["States.TaskFailed"]
    machine.create(states)
    assert machine.run()["error"] == "States.Timeout"
