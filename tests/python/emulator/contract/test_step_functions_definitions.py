"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html."""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import pytest

from tests.python.emulator.contract.state_machines import StateMachine, task

END = {"End": {"Type": "Succeed"}}


def choice(*names: str) -> dict[str, Any]:
    """Return a Choice state that these states can follow."""
    return {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": name} for name in names]}


def parallel(states: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a Parallel state of one branch, the last one unless told otherwise."""
    following = {} if "Next" in more else {"End": True}
    return {"Type": "Parallel", "Branches": [{"StartAt": next(iter(states)), "States": states}]} | following | more


def expression(text: str) -> dict[str, Any]:
    """Return a definition with an expression."""
    return {"StartAt": "A", "States": {"A": {"Type": "Pass", "Output": {"v": "{% " + text + " %}"}, "End": True}}}


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
    "loop that is not reached": (
        {"StartAt": "End", "States": END | {"A": {"Type": "Pass", "Next": "B"}, "B": choice("A")}},
        "MISSING_TRANSITION_TARGET",
    ),
    "target that is not a name": (
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": ["End"]}} | END},
        "SCHEMA_VALIDATION_FAILED",
    ),
    "target outside of its branch": (
        {"StartAt": "A", "States": {"A": parallel({"B": {"Type": "Pass", "Next": "End"}}, Next="End")} | END},
        "MISSING_TRANSITION_TARGET",
    ),
    "loop without an end": ({"StartAt": "A", "States": {"A": choice("A")}}, "MISSING_END_STATE"),
    "name that is used twice": (
        {"StartAt": "A", "States": {"A": parallel(END, Next="End")} | END},
        "DUPLICATE_STATE_NAME",
    ),
    "state that is not an object": (
        {"StartAt": "A", "States": {"A": choice("B", "End"), "B": 1} | END},
        "SCHEMA_VALIDATION_FAILED",
    ),
    "timeout of what has none": (
        {"StartAt": "A", "States": {"A": parallel(END, TimeoutSeconds=9)}},
        "SCHEMA_VALIDATION_FAILED",
    ),
    "task in a branch without a resource": (
        {"StartAt": "A", "States": {"A": parallel({"B": {"Type": "Task", "End": True}})}},
        "SCHEMA_VALIDATION_FAILED",
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
    # https://github.com/floci-io/floci/issues/2968
    "state that turns back to JSONPath": (
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "QueryLanguage": "JSONPath", "End": True}}},
        "SCHEMA_VALIDATION_FAILED",
    ),
    "state in a branch that turns back to JSONPath": (
        {"StartAt": "A", "States": {"A": parallel({"B": {"Type": "Pass", "QueryLanguage": "JSONPath", "End": True}})}},
        "SCHEMA_VALIDATION_FAILED",
    ),
    "field of the other language in a branch of a state with that language": (
        {
            "QueryLanguage": "JSONPath",
            "StartAt": "A",
            "States": {
                "A": parallel({"B": {"Type": "Pass", "Output": 1, "End": True}}, QueryLanguage="JSONata"),
            },
        },
        "SCHEMA_VALIDATION_FAILED",
    ),
    # https://github.com/floci-io/floci/issues/2745
    "expression with a syntax error": (expression("$states.input +"), "INVALID_JSONATA_EXPRESSION"),
    # https://github.com/floci-io/floci/issues/2670
    "name without a dollar": (expression("states.input.a"), "UNSUPPORTED_JSONATA_EXPRESSION"),
    "name without a dollar in a function": (
        expression("$map($states.input.a, function($x) { b })"),
        "UNSUPPORTED_JSONATA_EXPRESSION",
    ),
    "name without a dollar in a branch": (
        {"StartAt": "A", "States": {"A": parallel({"B": {"Type": "Pass", "Output": ["{% a %}"], "End": True}})}},
        "UNSUPPORTED_JSONATA_EXPRESSION",
    ),
    "root of the context": (expression("$$.a"), "UNSUPPORTED_JSONATA_EXPRESSION"),
    "error output outside of a catcher": (expression("$states.errorOutput"), "UNSUPPORTED_JSONATA_EXPRESSION"),
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


def test_diagnostic_has_the_location_of_its_expression(machine: StateMachine) -> None:
    """https://github.com/floci-io/floci/issues/2670."""
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "A", "Output": "{% error %}"}]
    definition = expression("phone")
    definition["States"] |= {"B": task("lambda:invoke", {"FunctionName": "{% $f %}"}, Next="A", Catch=catch)}
    definition |= {"QueryLanguage": "JSONata", "StartAt": "B"}
    checked = machine.api.validate_state_machine_definition(definition=json.dumps(definition))
    assert {(item["location"], item["message"]) for item in checked["diagnostics"]} == {
        ("/States/A/Output/v", "Reference to 'phone' at the top level is not supported."),
        ("/States/B/Catch[0]/Output", "Reference to 'error' at the top level is not supported."),
    }


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


# https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
# https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
READER = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"}, "Arguments": {}}
PROCESSOR = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "End", "States": END}
RIGHT: dict[str, dict[str, Any]] = {
    "variable in JSONPath": {"QueryLanguage": "JSONPath", "Type": "Pass", "Assign": {"a.$": "$.b"}},
    "branch in the language of the state machine": parallel(
        {"B": {"Type": "Pass", "Parameters": {}, "End": True}}, QueryLanguage="JSONata"
    ),
    "path of a variable": {"QueryLanguage": "JSONPath", "Type": "Wait", "SecondsPath": "$seconds"},
    "time that is an expression": {"QueryLanguage": "JSONata", "Type": "Wait", "Timestamp": "{% $now() %}"},
    "names with a context": expression(
        "$append($states.input.a[b = c].d, [])[e = f] ~> $map(function($x) { $x.y.{ 'k': v } })"
        " ~> $sort(function($l, $r) { $l.m > $r.n })"
    )["States"]["A"]
    | {"QueryLanguage": "JSONata"},
    "text of JSONPath that looks like an expression": {
        "QueryLanguage": "JSONPath",
        "Type": "Pass",
        "Parameters": {"a": "{% b %}"},
    },
    "arguments on more lines": task("lambda:invoke", "{%\n$states.input\n%}") | {"QueryLanguage": "JSONata"},
    "distributed map": {
        "QueryLanguage": "JSONata",
        "Type": "Map",
        "Label": "Rows",
        "MaxConcurrency": "{% 2 %}",
        "ItemReader": READER,
        "ItemProcessor": PROCESSOR,
        "ResultWriter": {"WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSON"}},
    },
}


@pytest.mark.parametrize("right", RIGHT)
def test_right_state_is_found_right(machine: StateMachine, right: str) -> None:
    definition = json.dumps({"StartAt": "A", "States": {"A": RIGHT[right] | {"End": True}}})
    checked = machine.api.validate_state_machine_definition(definition=definition)
    assert (checked["result"], checked["diagnostics"]) == ("OK", [])
