"""https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html."""

from __future__ import annotations

from typing import Any

import pytest

from tests.python.emulator.contract.state_machines import StateMachine, caught, statement, task
from tests.python.emulator.contract.support import Function

VERSION = """
    class Refused(Exception): pass
    def handler(event, context):
        if event == "fail": raise Refused("no")
        return {"event": event, "version": context.function_version, "arn": context.invoked_function_arn}
"""


@pytest.fixture
def called(machine: StateMachine, function: Function) -> StateMachine:
    """Return a state machine that may invoke every version and alias of a function with two versions."""
    function.create(VERSION)
    function.update(VERSION + "\n    # two")
    machine.allow(statement("lambda:InvokeFunction", [function.arn, f"{function.arn}:*"]))
    return machine


def invoke(function: Function, payload: Any = None, **more: Any) -> dict[str, Any]:
    return {"FunctionName": function.name, "Payload": payload, **more}


@pytest.mark.parametrize(("qualifier", "version"), [({}, "$LATEST"), ({"Qualifier": "1"}, "1")])
def test_qualifier_selects_the_version(
    called: StateMachine, function: Function, qualifier: dict[str, str], version: str
) -> None:
    called.create({"Call": task("lambda:invoke", invoke(function, {"a": 1}, **qualifier))})
    result = called.output()
    assert result["ExecutedVersion"] == version
    suffix = "".join(f":{name}" for name in qualifier.values())
    assert result["Payload"] == {"event": {"a": 1}, "version": version, "arn": function.arn + suffix}


def test_qualifier_may_be_an_alias_with_weights(called: StateMachine, function: Function) -> None:
    function.alias("live", "1", {"2": 1.0})
    called.create({"Call": task("lambda:invoke", invoke(function, Qualifier="live"))})
    result = called.output()
    assert (result["ExecutedVersion"], result["Payload"]["arn"]) == ("2", f"{function.arn}:live")


def test_result_has_the_keys_of_the_previous_sdk(called: StateMachine, function: Function) -> None:
    called.create({"Call": task("lambda:invoke", invoke(function))})
    result = called.output()
    assert set(result) == {"ExecutedVersion", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode"}
    assert result["StatusCode"] == 200
    assert result["SdkHttpMetadata"]["HttpStatusCode"] == 200


def test_version_that_does_not_exist_fails_the_task(called: StateMachine, function: Function) -> None:
    called.create(caught("lambda:invoke", invoke(function, Qualifier="9")))
    error = called.output()
    assert error["Error"] == "Lambda.ResourceNotFoundException"
    assert f"{function.arn}:9" in error["Cause"]


def test_error_of_the_function_fails_the_task_by_its_type(called: StateMachine, function: Function) -> None:
    called.create(caught("lambda:invoke", invoke(function, "fail")))
    error = called.output()
    assert error["Error"] == "Refused"
    assert '"errorMessage":"no"' in error["Cause"]


def test_throttled_invocation_fails_the_task(called: StateMachine, function: Function) -> None:
    function.api.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    called.create(caught("lambda:invoke", invoke(function)))
    assert called.output()["Error"] == "Lambda.TooManyRequestsException"


def test_function_arn_as_resource_returns_only_the_payload(called: StateMachine, function: Function) -> None:
    called.create({"Call": {"Type": "Task", "Resource": f"{function.arn}:1", "Arguments": {"a": 1}, "End": True}})
    assert called.output() == {"event": {"a": 1}, "version": "1", "arn": f"{function.arn}:1"}


def test_timeout_of_the_function_fails_the_task(called: StateMachine, function: Function) -> None:
    function.update("import time\ndef handler(event, context): time.sleep(5)")
    function.api.update_function_configuration(FunctionName=function.name, Timeout=1)
    function.api.get_waiter("function_updated").wait(FunctionName=function.name)
    called.create(caught("lambda:invoke", invoke(function)))
    error = called.output()
    # "In newer runtimes, timeouts are reported as Sandbox.Timedout", in older ones as Lambda.Unknown:
    # https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    assert error["Error"] in {"Sandbox.Timedout", "Lambda.Unknown"}
    assert "Task timed out after 1.00 seconds" in error["Cause"]
