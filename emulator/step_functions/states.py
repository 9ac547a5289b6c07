"""Evaluate the states whose fields MiniStack evaluates otherwise than AWS.

https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import stepfunctions

from emulator import hooks

# No wildcard matches it: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
# The page says so of States.DataLimitExceeded too, but States.ALL caught that one on AWS, as recorded:
# https://github.com/localstack/localstack/blob/main/tests/aws/services/stepfunctions/v2/error_handling/test_states_errors.py
_TERMINAL = "States.Runtime"


def install() -> None:
    """Put this in front of MiniStack's own evaluation."""
    hooks.wrap(stepfunctions, "_apply_output_path", ["state_def", "data", "ctx"], _output)
    hooks.wrap(
        stepfunctions, "_apply_state_assign", ["state_def", "raw_input", "ctx", "result", "error_output"], _assign
    )
    hooks.wrap(stepfunctions, "_execute_choice", ["state_def", "raw_input", "ctx"], _choice)
    hooks.wrap(stepfunctions, "_error_matches", ["error_equals", "error"], _error_matches)
    hooks.wrap(stepfunctions, "_fail_state_error", ["state_def", "raw_input", "ctx"], _fail)
    hooks.wrap(stepfunctions, "_register_sfn_jsonata_functions", ["expr"], _register_functions)


def _output(original: Callable[..., Any], state_def: Mapping[str, Any], data: Any, ctx: Any = None) -> Any:
    """Return the output of a Succeed state, for which MiniStack only supports JSONPath's OutputPath."""
    if stepfunctions._state_query_language(state_def, ctx) != "JSONata":
        return original(state_def, data, ctx)
    return stepfunctions._apply_jsonata_output(state_def, data, ctx, default=data)


def _assign(
    original: Callable[..., Any],
    state_def: Mapping[str, Any],
    raw_input: Any,
    ctx: dict[str, Any],
    result: Any = None,
    error_output: Any = None,
) -> None:
    """Assign all variables together: each expression uses the values from before the state."""
    if "Assign" not in state_def or stepfunctions._state_query_language(state_def, ctx) != "JSONata":
        original(state_def, raw_input, ctx, result, error_output)
        return
    new = stepfunctions._apply_jsonata_template(state_def["Assign"], raw_input, ctx, result, error_output)
    ctx["variables"].update(new)


def _choice(
    original: Callable[..., Any], state_def: Mapping[str, Any], raw_input: Any, ctx: dict[str, Any]
) -> tuple[Any, str]:
    """Follow the first rule that is true, else the default, with that one's Output and Assign."""
    if stepfunctions._state_query_language(state_def, ctx) != "JSONata":
        result: tuple[Any, str] = original(state_def, raw_input, ctx)
        return result
    chosen, following = state_def, state_def.get("Default")
    for rule in state_def["Choices"]:
        if stepfunctions._jsonata_state_field(rule, "Condition", "boolean", raw_input, ctx):
            chosen, following = rule, rule["Next"]
            break
    if following is None:
        raise stepfunctions._ExecutionError("States.NoChoiceMatched", "No choice rule matched and no Default")
    output = stepfunctions._apply_jsonata_output(chosen, raw_input, ctx, default=raw_input)
    stepfunctions._apply_state_assign(chosen, raw_input, ctx)
    return output, following


def _error_matches(original: Callable[..., Any], error_equals: list[str], error: str) -> bool:
    if error == _TERMINAL:
        return error in error_equals
    return bool(original(error_equals, error))


def _fail(
    original: Callable[..., Any], state_def: Mapping[str, Any], raw_input: Any, ctx: Any = None
) -> tuple[str | None, str | None]:
    """Return the error and the cause of a Fail state, each None if the state has none.

    https://docs.aws.amazon.com/step-functions/latest/dg/state-fail.html
    """
    error, cause = original(state_def, raw_input, ctx)
    return (
        error if {"Error", "ErrorPath"} & state_def.keys() else None,
        cause if {"Cause", "CausePath"} & state_def.keys() else None,
    )


def _register_functions(original: Callable[..., Any], expr: Any) -> None:
    """Take ``$eval`` away: a call of it fails with T1006, as measured on AWS.

    https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
    https://github.com/floci-io/floci/issues/2737
    """
    original(expr)
    expr.assign("eval", None)
