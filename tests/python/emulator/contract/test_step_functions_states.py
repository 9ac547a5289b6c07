"""https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html and workflow-variables.html beside it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.python.emulator.contract.state_machines import StateMachine, caught, statement, task

MISSING = {"FunctionName": "contract-no-such-function", "Name": "live"}


def assigned(*assignments: dict[str, Any], output: Any) -> dict[str, Any]:
    """Return Pass states that assign variables in order, and a last state with an output."""
    names = [*(f"Assign{number}" for number in range(len(assignments))), "End"]
    states: dict[str, Any] = {
        name: {"Type": "Pass", "Assign": assignment, "Next": following}
        for name, assignment, following in zip(names, assignments, names[1:], strict=False)
    }
    return states | {"End": {"Type": "Succeed", "Output": output}}


def test_succeed_has_an_output(machine: StateMachine) -> None:
    machine.create({"End": {"Type": "Succeed", "Output": {"twice": "{% $states.input.a * 2 %}", "plain": [1, None]}}})
    assert machine.output({"a": 4}) == {"twice": 8, "plain": [1, None]}


def test_succeed_without_output_passes_its_input(machine: StateMachine) -> None:
    machine.create({"End": {"Type": "Succeed"}})
    assert machine.output({"a": 4}) == {"a": 4}


def test_assign_uses_the_values_from_before_the_state(machine: StateMachine) -> None:
    swap = {"a": "{% $b %}", "b": "{% $a %}"}
    machine.create(assigned({"a": 1, "b": 2}, swap, output="{% [$a, $b] %}"))
    assert machine.output() == [2, 1]


def test_output_uses_the_values_from_before_the_state(machine: StateMachine) -> None:
    state = {"Type": "Pass", "Assign": {"a": "{% $a + 1 %}"}, "Output": "{% $a %}", "Next": "End"}
    states = assigned({"a": 1}, output="{% [$states.input, $a] %}")
    states["Assign0"]["Next"] = "Both"
    machine.create(states | {"Both": state})
    assert machine.output() == [1, 2]


def test_choice_follows_the_first_true_rule_with_its_assign_and_output(machine: StateMachine) -> None:
    rules = [
        {"Condition": "{% $states.input.a > 9 %}", "Next": "End", "Assign": {"v": "first"}},
        {"Condition": "{% $states.input.a > 1 %}", "Next": "End", "Assign": {"v": "second"}, "Output": "of the rule"},
        {"Condition": "{% true %}", "Next": "End", "Assign": {"v": "third"}},
    ]
    end = {"Type": "Succeed", "Output": "{% [$v, $states.input] %}"}
    machine.create({"Choose": {"Type": "Choice", "Choices": rules}, "End": end})
    assert machine.output({"a": 5}) == ["second", "of the rule"]


def test_choice_without_a_true_rule_uses_the_default_with_its_assign_and_output(machine: StateMachine) -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Condition": "{% false %}", "Next": "End"}],
        "Default": "End",
        "Assign": {"v": "default"},
        "Output": "of the state",
    }
    end = {"Type": "Succeed", "Output": "{% [$v, $states.input] %}"}
    machine.create({"Choose": choice, "End": end})
    assert machine.output() == ["default", "of the state"]


def test_condition_that_is_not_a_boolean_fails(machine: StateMachine) -> None:
    rules = [{"Condition": "{% 'yes' %}", "Next": "End"}]
    machine.create({"Choose": {"Type": "Choice", "Choices": rules, "Default": "End"}, "End": {"Type": "Succeed"}})
    execution = machine.start()
    assert machine.end(execution)["error"] == "States.QueryEvaluationError"
    types = [event["type"] for event in machine.history(execution)]
    assert types == ["ExecutionStarted", "ChoiceStateEntered", "EvaluationFailed", "ExecutionFailed"]


def test_choice_without_a_true_rule_or_default_fails(machine: StateMachine) -> None:
    rules = [{"Condition": "{% false %}", "Next": "End"}]
    machine.create({"Choose": {"Type": "Choice", "Choices": rules}, "End": {"Type": "Succeed"}})
    assert machine.run()["error"] == "States.NoChoiceMatched"


def test_context_has_execution_state_and_machine(machine: StateMachine) -> None:
    machine.create({"End": {"Type": "Succeed", "Output": "{% $states.context %}"}})
    execution = machine.start({"a": 1}, name="named")
    context = machine.end(execution)["output"]
    assert context["Execution"] | {"StartTime": ""} == {
        "Id": execution,
        "Input": {"a": 1},
        "Name": "named",
        "RedriveCount": 0,
        "RoleArn": machine.role,
        "StartTime": "",
    }
    assert context["StateMachine"] == {"Id": machine.arn, "Name": machine.name}
    assert context["State"]["Name"] == "End"
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(moment, context["State"]["EnteredTime"])
    assert re.fullmatch(moment, context["Execution"]["StartTime"])


def test_catch_assigns_and_outputs_the_error(machine: StateMachine) -> None:
    machine.allow(statement("lambda:GetAlias", "*"))
    states = caught("aws-sdk:lambda:getAlias", MISSING)
    states["Call"]["Catch"][0] |= {
        "Assign": {"error": "{% $states.errorOutput.Error %}"},
        "Output": "{% $states.errorOutput.Cause %}",
    }
    states["Caught"]["Output"] = "{% {'error': $error, 'cause': $states.input} %}"
    machine.create(states)
    output = machine.output()
    assert output["error"] == "Lambda.ResourceNotFoundException"
    assert "contract-no-such-function" in output["cause"]


def test_caught_error_is_the_next_input_if_the_catcher_has_no_output(machine: StateMachine) -> None:
    states = caught("aws-sdk:lambda:getAlias", MISSING)
    del states["Call"]["Catch"][0]["Output"]
    machine.create(states)
    assert set(machine.output()) == {"Error", "Cause"}


@pytest.mark.parametrize("field", ["Arguments", "Output"])
def test_expression_without_a_result_can_be_caught(machine: StateMachine, field: str) -> None:
    machine.allow(statement("cloudwatch:DescribeAlarms", "*"))
    states = caught("aws-sdk:cloudwatch:describeAlarms", {})
    states["Call"][field] = {"AlarmNamePrefix": "{% $states.input.missing %}"}
    machine.create(states)
    execution = machine.start()
    assert machine.end(execution)["output"]["Error"] == "States.QueryEvaluationError"
    (failed,) = (event for event in machine.history(execution) if event["type"] == "EvaluationFailed")
    assert failed["evaluationFailedEventDetails"]["state"] == "Call"


def test_task_output_and_assign_use_its_result(machine: StateMachine) -> None:
    machine.allow(statement("cloudwatch:DescribeAlarms", "*"))
    call = task(
        "aws-sdk:cloudwatch:describeAlarms",
        {"AlarmNames": ["contract-no-such-alarm"]},
        Assign={"found": "{% $states.result.MetricAlarms %}"},
        Output="{% $count($states.result.MetricAlarms) %}",
        Next="End",
    )
    machine.create({"Call": call, "End": {"Type": "Succeed", "Output": "{% [$states.input, $count($found)] %}"}})
    assert machine.output() == [0, 0]


def test_fail_ends_with_its_error_and_cause(machine: StateMachine) -> None:
    machine.create({"End": {"Type": "Fail", "Error": "{% 'Not' & 'Good' %}", "Cause": "{% $states.input.why %}"}})
    ended = machine.run({"why": "it is not"})
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "NotGood", "it is not")
    assert "output" not in ended


@pytest.mark.parametrize("given", [{}, {"Error": "NotGood"}, {"Cause": "it is not"}])
def test_fail_without_error_or_cause_has_none(machine: StateMachine, given: dict[str, str]) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-fail.html."""
    machine.create({"End": {"Type": "Fail"} | given})
    execution = machine.start()
    ended = machine.end(execution)
    assert ended["status"] == "FAILED"
    assert {field: ended[field.lower()] for field in ("Error", "Cause") if field.lower() in ended} == given
    details = machine.history(execution)[-1].get("executionFailedEventDetails", {})
    assert {name.capitalize(): value for name, value in details.items()} == given


def test_eval_is_not_a_function(machine: StateMachine) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html.

    AWS creates the state machine, and the state fails: https://github.com/floci-io/floci/issues/2737.
    """
    machine.create({"End": {"Type": "Pass", "Output": "{% $eval('1+1') %}", "End": True}})
    ended = machine.run()
    assert ended["error"] == "States.QueryEvaluationError"
    assert "T1006: Attempted to invoke a non-function" in ended["cause"]
