"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html."""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import pytest

from tests.python.emulator.contract.state_machines import StateMachine, task

END = {"End": {"Type": "Succeed"}}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no start": ({"States": END}, "SCHEMA_VALIDATION_FAILED"),
    "no states": ({"StartAt": "End"}, "SCHEMA_VALIDATION_FAILED"),
    "start that is not there": ({"StartAt": "Start", "States": END}, "MISSING_TRANSITION_TARGET"),
    "next that is not there": (
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}},
        "MISSING_TRANSITION_TARGET",
    ),
    "catcher to what is not there": (
        {"StartAt": "A", "States": {"A": task("lambda:invoke", {}, Catch=[{"ErrorEquals": ["E"], "Next": "B"}])}},
        "MISSING_TRANSITION_TARGET",
    ),
    "state that is not reached": (
        {"StartAt": "End", "States": END | {"A": {"Type": "Pass", "End": True}}},
        "MISSING_TRANSITION_TARGET",
    ),
    "no way out": ({"StartAt": "A", "States": {"A": {"Type": "Pass"}}}, "SCHEMA_VALIDATION_FAILED"),
    "no type": ({"StartAt": "A", "States": {"A": {"End": True}}}, "SCHEMA_VALIDATION_FAILED"),
    "no resource": ({"StartAt": "A", "States": {"A": {"Type": "Task", "End": True}}}, "SCHEMA_VALIDATION_FAILED"),
    "no time to wait": ({"StartAt": "A", "States": {"A": {"Type": "Wait", "End": True}}}, "SCHEMA_VALIDATION_FAILED"),
    "rule without a condition": (
        {"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Next": "End"}]}} | END},
        "SCHEMA_VALIDATION_FAILED",
    ),
    "field of the other language": (
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {}, "End": True}}},
        "SCHEMA_VALIDATION_FAILED",
    ),
    "field that does not exist": (
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Outptu": {}, "End": True}}},
        "SCHEMA_VALIDATION_FAILED",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_invalid_definition_is_refused(machine: StateMachine, wrong: str) -> None:
    definition, code = WRONG[wrong]
    text = json.dumps({"QueryLanguage": "JSONata"} | definition)
    with pytest.raises(botocore.exceptions.ClientError) as created:
        machine.api.create_state_machine(name=machine.name, roleArn=machine.role, definition=text)
    machine.create(END)
    with pytest.raises(botocore.exceptions.ClientError) as updated:
        machine.api.update_state_machine(stateMachineArn=machine.arn, definition=text)
    for refused in (created, updated):
        error = refused.value.response["Error"]
        assert error["Code"] == "InvalidDefinition"
        assert code in error["Message"]
    checked = machine.api.validate_state_machine_definition(definition=text)
    assert checked["result"] == "FAIL"
    assert code in {diagnostic["code"] for diagnostic in checked["diagnostics"]}


def test_definition_must_be_json(machine: StateMachine) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        machine.api.create_state_machine(name=machine.name, roleArn=machine.role, definition="{")
    assert refused.value.response["Error"]["Code"] == "InvalidDefinition"


def test_valid_definition_is_accepted(machine: StateMachine) -> None:
    retry = {"ErrorEquals": ["States.ALL"], "MaxDelaySeconds": 9, "JitterStrategy": "FULL", "BackoffRate": 1}
    catch = {"ErrorEquals": ["States.ALL"], "Next": "Fail", "Assign": {"a": 1}, "Output": "{% $states.errorOutput %}"}
    handled = {"Retry": [retry], "Catch": [catch], "TimeoutSeconds": "{% 3 %}", "Next": "Choose"}
    rules = [{"Condition": "{% true %}", "Next": "Wait", "Assign": {"a": 1}, "Output": {}}]
    definition = {
        "Comment": "everything that a release uses",
        "QueryLanguage": "JSONata",
        "StartAt": "Call",
        "TimeoutSeconds": 60,
        "States": {
            "Call": task("lambda:invoke", {"FunctionName": "f"}, Assign={"b": 2}, Output={}, **handled),
            "Choose": {"Type": "Choice", "Choices": rules, "Default": "End", "Assign": {"a": 2}, "Output": {}},
            "Wait": {"Type": "Wait", "Seconds": "{% $a %}", "Assign": {"a": 2}, "Next": "End"},
            "End": {"Type": "Succeed", "Output": "{% $a %}"},
            "Fail": {"Type": "Fail", "Error": "E", "Cause": "{% 'C' %}"},
        },
    }
    checked = machine.api.validate_state_machine_definition(definition=json.dumps(definition))
    assert (checked["result"], checked["diagnostics"]) == ("OK", [])
