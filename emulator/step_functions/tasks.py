"""Run Task states: attempts, timeouts, retries, catchers, and their events in the history.

https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

import contextvars
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from ministack.core.responses import get_region
from ministack.services import stepfunctions

from emulator import clock, hooks
from emulator.step_functions import executions, integrations


def install() -> None:
    """Put this in the place of MiniStack's own Task states."""
    hooks.wrap(stepfunctions, "_execute_task", ["state_def", "raw_input", "execution", "ctx"], _execute)


class Retries:
    """The retriers of one state, each with its own count of what it has retried."""

    def __init__(self, retriers: list[dict[str, Any]]) -> None:
        self._retriers = retriers
        self._made: Counter[int] = Counter()

    @property
    def made(self) -> int:
        """Number of retries."""
        return self._made.total()

    def delay(self, error: str) -> float | None:
        """Return the seconds until the next retry, or None for no retry. The first retrier that matches decides."""
        for index, retrier in enumerate(self._retriers):
            if not stepfunctions._error_matches(retrier["ErrorEquals"], error):
                continue
            if self._made[index] >= retrier.get("MaxAttempts", 3):
                return None
            seconds: float = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** self._made[index]
            self._made[index] += 1
            seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
            # Any time up to the delay: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
            return random.uniform(0, seconds) if retrier.get("JitterStrategy") == "FULL" else seconds  # noqa: S311
        return None


def _execute(
    _original: Callable[..., Any],
    state_def: Mapping[str, Any],
    raw_input: Any,
    _execution: Mapping[str, Any],
    ctx: dict[str, Any],
) -> tuple[Any, str | None]:
    run, retries = executions.current(), Retries(state_def.get("Retry", []))
    state = dict(ctx["State"])
    while True:
        # Branches of a Parallel or Map state share the context and leave their own state in it.
        ctx["State"] = {**state, "RetryCount": retries.made}
        try:
            return _attempt(run, state_def, raw_input, ctx), stepfunctions._next_or_end(state_def)
        except stepfunctions._ExecutionError as error:
            delay = retries.delay(error.error)
            if delay is None:
                return _catch(state_def, raw_input, ctx, error)
        run.sleep(delay)


def _catch(state_def: Mapping[str, Any], raw_input: Any, ctx: dict[str, Any], error: Any) -> tuple[Any, str]:
    catcher = stepfunctions._find_matching_catcher(state_def.get("Catch", []), error.error)
    if catcher is None:
        raise error
    language = stepfunctions._state_query_language(state_def, ctx)
    # A catcher's own expressions are in the language of its state.
    catcher = {"QueryLanguage": language, **catcher}
    given = {"Error": error.error, "Cause": error.cause}
    return stepfunctions._apply_catcher(catcher, raw_input, ctx, language, given), catcher["Next"]


def _attempt(run: executions.Run, state_def: Mapping[str, Any], raw_input: Any, ctx: dict[str, Any]) -> Any:
    """Return the state's output after one call."""
    resource = state_def["Resource"]
    jsonata = stepfunctions._state_query_language(state_def, ctx) == "JSONata"
    if resource.endswith(".waitForTaskToken"):
        ctx["Task"] = {"Token": str(uuid.uuid4())}
    try:
        if jsonata:
            arguments = stepfunctions._apply_jsonata_arguments(state_def, raw_input, ctx)
        else:
            effective = stepfunctions._apply_input_path(state_def, raw_input, ctx)
            arguments = stepfunctions._apply_parameters(state_def, effective, ctx)
        timeout = _timeout(state_def, raw_input, ctx)
    except stepfunctions._ExecutionError as error:
        executions.evaluation_failed(run, ctx["State"]["Name"], error)
        raise
    executions.check_size(arguments, ctx["State"]["Name"])
    result = _call(run, state_def, arguments, timeout, ctx)
    if jsonata:
        output = _jsonata_output(run, state_def, raw_input, result, ctx)
    else:
        result = stepfunctions._apply_result_selector(state_def, result)
        output = stepfunctions._apply_result_path(state_def, raw_input, result)
        output = stepfunctions._apply_output_path(state_def, output, ctx)
    executions.check_size(output, ctx["State"]["Name"])
    return output


def _jsonata_output(
    run: executions.Run, state_def: Mapping[str, Any], raw_input: Any, result: Any, ctx: dict[str, Any]
) -> Any:
    try:
        output = stepfunctions._apply_jsonata_output(state_def, raw_input, ctx, result=result, default=result)
        stepfunctions._apply_state_assign(state_def, raw_input, ctx, result=result)
    except stepfunctions._ExecutionError as error:
        executions.evaluation_failed(run, ctx["State"]["Name"], error)
        raise
    return output


def _timeout(state_def: Mapping[str, Any], raw_input: Any, ctx: dict[str, Any]) -> float | None:
    if "TimeoutSecondsPath" in state_def:
        seconds: float = stepfunctions._resolve_path_or_ctx(state_def["TimeoutSecondsPath"], raw_input, ctx)
        return seconds
    if "TimeoutSeconds" not in state_def:
        return None
    given = stepfunctions._jsonata_state_field(state_def, "TimeoutSeconds", "number", raw_input, ctx)
    return float(given)


def _call(
    run: executions.Run, state_def: Mapping[str, Any], arguments: Any, timeout: float | None, ctx: Mapping[str, Any]
) -> Any:
    """Make the call, and write down what became of it."""
    kind, _, action = state_def["Resource"].removeprefix("arn:aws:states:::").rpartition(":")
    named = {"resourceType": kind, "resource": action}
    scheduled = named | {"region": get_region(), "parameters": executions.compact(arguments)}
    if timeout is not None:
        scheduled["timeoutInSeconds"] = timeout
    run.event("TaskScheduled", taskScheduledEventDetails=scheduled)
    run.event("TaskStarted", taskStartedEventDetails=named)
    try:
        result = _within(timeout, _dispatch, state_def, arguments, ctx)
        resource = state_def["Resource"]
        executions.check_size(result, resource if resource.startswith("arn:aws:lambda:") else kind)
    except stepfunctions._ExecutionError as error:
        event = "TimedOut" if error.error == "States.Timeout" else "Failed"
        details = named | {"error": error.error, "cause": error.cause}
        run.event(f"Task{event}", **{f"task{event}EventDetails": details})
        raise
    output = {"output": executions.compact(result), "outputDetails": {"truncated": False}}
    run.event("TaskSucceeded", taskSucceededEventDetails=named | output)
    return result


def _dispatch(state_def: Mapping[str, Any], arguments: Any, ctx: Mapping[str, Any]) -> Any:
    resource = state_def["Resource"]
    integrations.authorize(executions.current(), resource, arguments)
    if resource.endswith(".waitForTaskToken"):
        # The timeout is measured here, in AWS's seconds.
        return stepfunctions._invoke_with_callback(resource, arguments, ctx["Task"]["Token"], {})
    return stepfunctions._invoke_resource(resource, arguments)


def _within(seconds: float | None, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the function does, or fail after some of AWS's seconds; what it does afterwards is lost."""
    if seconds is None:
        return function(*arguments)
    done: Future[Any] = Future()

    def work() -> None:
        try:
            done.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            done.set_exception(error)

    # A daemon thread, because Python waits for the threads of an executor when local AWS ends.
    threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    try:
        return done.result(timeout=clock.real(seconds))
    except TimeoutError:
        raise stepfunctions._ExecutionError("States.Timeout", "") from None
