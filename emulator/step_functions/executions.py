"""Run an execution until it succeeds, fails, is stopped or times out; once it has ended, it does nothing more.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-statemachines.html and, for the whole of an execution's
``TimeoutSeconds``, https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html
"""

from __future__ import annotations

import contextvars
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ministack.core.responses import error_response_json, json_response, now_iso
from ministack.services import stepfunctions

from emulator import clock, hooks
from emulator.step_functions import logs

MAX_EVENTS = 25_000
HISTORY_IS_FULL = f"The execution reached the maximum number of history events ({MAX_EVENTS})."
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MAX_BYTES = 262_144
_EVENT_TYPES = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "ABORTED": "ExecutionAborted",
    "TIMED_OUT": "ExecutionTimedOut",
}
RUNS: dict[str, Run] = {}
_current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("execution", default=None)
# Whoever ends an execution first has the last word: its own thread, StopExecution or the deadline.
LOCK = threading.Lock()
_frozen = threading.Event()
# What else is called when an execution has made progress.
ON_CHANGE: list[Callable[[], None]] = []


class EndedError(Exception):
    """The execution has ended while a state of it was at work, whose result nobody wants."""


@dataclass
class Run:
    """An execution at work, with the definition, the role, and the log that its state machine had when it started.

    ``position`` is the current state, its input, the context, and when the state was entered; or None before the first
    one. ``waited`` is how many of AWS's seconds it was in the state before local AWS ended.
    """

    record: dict[str, Any]
    definition: str
    role_arn: str
    logging: Mapping[str, Any]
    position: str | None = None
    waited: float = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def event(self, event_type: str, **details: Any) -> None:
        """Add to the history.

        Raises:
            EndedError: the execution has ended.
        """
        self._add(event_type, details, self.position)

    def enter(self, event_type: str, position: str, **details: Any) -> None:
        """Add to the history that a state was entered.

        Raises:
            EndedError: the execution has ended.
        """
        self._add(event_type, details, position)

    def _add(self, event_type: str, details: Mapping[str, Any], position: str | None) -> None:
        with LOCK:
            if self.record["status"] != "RUNNING" or _frozen.is_set():
                raise EndedError
            full = len(self.record["events"]) >= MAX_EVENTS - 1
            if not full:
                event = _append(self.record, event_type, details)
                self.position = position
        if full:
            # https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html
            end(self.record, "FAILED", error="States.Runtime", cause=HISTORY_IS_FULL)
            raise EndedError
        for notice in ON_CHANGE:
            notice()
        logs.write(self.logging, self.record, event)

    def sleep(self, seconds: float) -> None:
        """Let some of AWS's seconds pass.

        Raises:
            EndedError: the execution has ended in the meantime.
        """
        waited, self.waited = self.waited, 0
        if self.ended.wait(clock.real(max(0, seconds - waited))):
            raise EndedError


def install() -> None:
    """Put this in the place of MiniStack's own loop, and in front of StartExecution and StopExecution."""
    hooks.wrap(stepfunctions, "_run_execution", ["exec_arn"], _run)
    hooks.wrap(stepfunctions, "_scaled_sleep", ["seconds"], _sleep)
    hooks.wrap(stepfunctions, "_start_execution", ["data"], _start_execution)
    hooks.wrap(stepfunctions, "_stop_execution", ["data"], _stop_execution)


def freeze() -> None:
    """Stop all executions in their current state: local AWS stops, so that their tasks would fail."""
    _frozen.set()


def current() -> Run:
    """Return the execution that this thread works for."""
    run = _current.get()
    if run is None:
        raise LookupError("no execution is at work here")
    return run


def compact(value: Any) -> str:
    """Return JSON as Step Functions writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def check_size(value: Any, source: str) -> None:
    """Verify that a value is not too large to be the input, result, or output of a state.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html

    Raises:
        _ExecutionError: ``States.DataLimitExceeded``, with ``source`` in its cause.
    """
    if len(compact(value).encode()) > MAX_BYTES:
        raise stepfunctions._ExecutionError(
            "States.DataLimitExceeded",
            f"The state/task '{source}' returned a result with a size exceeding the maximum number of bytes service "
            "limit.",
        )


def _start_execution(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html."""
    given = data.get("input", "{}")
    if len(given.encode()) > MAX_BYTES:
        message = (
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            f"Member must have size less than or equal to {MAX_BYTES} bytes in UTF-8 encoding"
        )
        return error_response_json("ValidationException", message, 400)
    try:
        json.loads(given)
    except ValueError as error:
        return error_response_json("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'", 400)
    machine = stepfunctions._resolve_state_machine_arn(data.get("stateMachineArn", ""))
    if machine is not None and data.get("name"):
        arn = machine.replace(":stateMachine:", ":execution:") + f":{data['name']}"
        record = stepfunctions._executions.get(arn)
        if record is not None and record["status"] == "RUNNING" and record["input"] == given:
            return json_response({"executionArn": arn, "startDate": record["startDate"]})
    return original(data)


def _stop_execution(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html."""
    record = stepfunctions._executions.get(data.get("executionArn"))
    if record is None or not end(record, "ABORTED", error=data.get("error"), cause=data.get("cause")):
        return original(data)
    return json_response({"stopDate": record["stopDate"]})


def _sleep(original: Callable[..., Any], seconds: float) -> None:
    run = _current.get()
    if run is None:
        original(seconds)
    else:
        run.sleep(seconds)


def _run(_original: Callable[..., Any], exec_arn: str) -> None:
    record = stepfunctions._executions.get(exec_arn)
    machine = record and stepfunctions._state_machines.get(record["stateMachineArn"])
    if not record or not machine:
        return
    run = Run(record, machine["definition"], machine["roleArn"], machine["loggingConfiguration"])
    started = record["events"][0]
    started["previousEventId"] = 0
    started["executionStartedEventDetails"]["inputDetails"] = {"truncated": False}
    logs.write(run.logging, record, started)
    work(run)


def work(run: Run) -> None:
    """Run an execution until it ends."""
    definition = json.loads(run.definition)
    RUNS[run.record["executionArn"]] = run
    _current.set(run)
    deadline = _deadline(run, definition)
    try:
        output = _walk(run, definition)
        end(run.record, "SUCCEEDED", output=compact(output))
    except EndedError:
        pass
    except stepfunctions._ExecutionError as error:
        end(run.record, "FAILED", error=error.error, cause=error.cause)
    except Exception as error:  # noqa: BLE001 - AWS too reports what its interpreter cannot do, whatever that is
        end(run.record, "FAILED", error="States.Runtime", cause=str(error))
    finally:
        if deadline is not None:
            deadline.cancel()
        del RUNS[run.record["executionArn"]]


def _deadline(run: Run, definition: Mapping[str, Any]) -> threading.Timer | None:
    seconds = definition.get("TimeoutSeconds")
    if seconds is None:
        return None
    elapsed = time.time() - datetime.fromisoformat(run.record["startDate"]).timestamp()
    arguments = (end, run.record, "TIMED_OUT")
    timer = threading.Timer(clock.real(seconds) - elapsed, contextvars.copy_context().run, arguments)
    timer.daemon = True
    timer.start()
    return timer


def _walk(run: Run, definition: Mapping[str, Any]) -> Any:
    """Go from state to state and return the last one's output."""
    name, value, context = definition["StartAt"], json.loads(run.record["input"]), _context(run, definition)
    resumed = run.position is not None
    if run.position is not None:
        name, value, context, entered = json.loads(run.position)
        if definition["States"][name].keys() & {"Seconds", "SecondsPath"}:
            run.waited = (time.time() - entered) * clock.speed
    while name is not None:
        state = definition["States"][name]
        kind = state["Type"]
        if not resumed:
            context["State"] = {"Name": name, "EnteredTime": now_iso(), "RetryCount": 0}
            details = {"name": name, "input": compact(value), "inputDetails": {"truncated": False}}
            position = json.dumps([name, value, context, time.time()])
            run.enter(f"{kind}StateEntered", position, stateEnteredEventDetails=details)
        resumed = False
        try:
            value, following = _step(run, kind, state, value, context)
            check_size(value, name)
        except stepfunctions._ExecutionError as error:
            # A task has logged this for each of its attempts.
            if error.error == "States.QueryEvaluationError" and kind != "Task":
                evaluation_failed(run, name, error)
            raise
        exited = {"name": name, "output": compact(value), "outputDetails": {"truncated": False}}
        run.event(f"{kind}StateExited", stateExitedEventDetails=exited)
        name = following
    return value


def _context(run: Run, definition: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html."""
    return {
        "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
        "Execution": {
            "Id": run.record["executionArn"],
            "Input": json.loads(run.record["input"]),
            "Name": run.record["name"],
            "RedriveCount": 0,
            "RoleArn": run.role_arn,
            "StartTime": run.record["startDate"],
        },
        "StateMachine": {
            "Id": run.record["stateMachineArn"],
            "Name": run.record["stateMachineArn"].rpartition(":")[2],
        },
        "variables": {},
    }


def evaluation_failed(run: Run, state: str, error: Any) -> None:
    """Add to the history that an expression of a state has no result."""
    details = {"error": error.error, "cause": error.cause, "state": state}
    run.event("EvaluationFailed", evaluationFailedEventDetails=details)


def _step(run: Run, kind: str, state: Mapping[str, Any], value: Any, context: dict[str, Any]) -> tuple[Any, str | None]:
    """Return a state's output, and the name of the next one."""
    if kind == "Succeed":
        value = stepfunctions._apply_input_path(state, value, context)
        return stepfunctions._apply_output_path(state, value, context), None
    if kind == "Fail":
        raise stepfunctions._ExecutionError(*stepfunctions._fail_state_error(state, value, context))
    with_record = {
        "Map": stepfunctions._execute_map,
        "Parallel": stepfunctions._execute_parallel,
        "Task": stepfunctions._execute_task,
    }
    if kind in with_record:
        result: tuple[Any, str | None] = with_record[kind](state, value, run.record, context)
        return result
    return {  # type: ignore[no-any-return]
        "Pass": stepfunctions._execute_pass,
        "Choice": stepfunctions._execute_choice,
        "Wait": stepfunctions._execute_wait,
    }[kind](state, value, context)


def end(record: dict[str, Any], status: str, **outcome: str | None) -> bool:
    """End an execution and notify its listeners, or return False if it has already ended."""
    run = RUNS.get(record["executionArn"])
    with LOCK:
        if record["status"] != "RUNNING" or _frozen.is_set():
            return False
        record.update(outcome)
        record["status"], record["stopDate"] = status, now_iso()
        name = _EVENT_TYPES[status]
        details = {key: value for key, value in outcome.items() if value is not None}
        event = _append(record, name, {f"{name[0].lower()}{name[1:]}EventDetails": details})
    if run is not None:
        run.ended.set()
        logs.write(run.logging, record, event)
    stepfunctions._emit_execution_status_event(record)
    return True


def _append(record: dict[str, Any], event_type: str, details: Mapping[str, Any]) -> dict[str, Any]:
    made = len(record["events"])
    event = {
        "id": made + 1,
        # The first state's entry too follows on nothing.
        "previousEventId": made if made > 1 else 0,
        "type": event_type,
        "timestamp": now_iso(),
        **details,
    }
    record["events"].append(event)
    return event
