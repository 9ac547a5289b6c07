"""Find what is wrong with a definition before it runs.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html
https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import json_response
from ministack.services import stepfunctions

from emulator import hooks

_SCHEMA = "SCHEMA_VALIDATION_FAILED"
_TARGET = "MISSING_TRANSITION_TARGET"
_MACHINE = {"Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"}
_COMMON = {"Comment", "QueryLanguage", "Type"}
_FLOW = {"End", "Next"}
_HANDLING = {"Catch", "Retry"}
_PATHS = {"InputPath", "OutputPath"}
_RESULT = {"Parameters", "ResultPath", "ResultSelector"}
_VALUES = {"Assign", "Output"}

# Of each type: the fields it needs (one of each set), those that it may have, and those of one language alone.
_NEEDED: dict[str, list[set[str]]] = {
    "Choice": [{"Choices"}],
    "Fail": [],
    "Map": [{"ItemProcessor", "Iterator"}, _FLOW],
    "Parallel": [{"Branches"}, _FLOW],
    "Pass": [_FLOW],
    "Succeed": [],
    "Task": [{"Resource"}, _FLOW],
    "Wait": [{"Seconds", "SecondsPath", "Timestamp", "TimestampPath"}, _FLOW],
}
_ALLOWED: dict[str, set[str]] = {
    "Choice": {"Choices", "Default"},
    "Fail": {"Cause", "Error"},
    "Parallel": _FLOW | _HANDLING | {"Branches"},
    "Pass": _FLOW,
    "Succeed": set(),
    "Task": _FLOW | _HANDLING | {"Credentials", "HeartbeatSeconds", "Resource", "TimeoutSeconds"},
    "Wait": _FLOW | {"Seconds", "Timestamp"},
}
_ALLOWED_IN: dict[str, dict[str, set[str]]] = {
    "JSONata": {
        "Choice": _VALUES,
        "Parallel": _VALUES | {"Arguments"},
        "Pass": _VALUES,
        "Succeed": {"Output"},
        "Task": _VALUES | {"Arguments"},
        "Wait": _VALUES,
    },
    "JSONPath": {
        "Choice": _PATHS | {"Assign"},
        "Fail": {"CausePath", "ErrorPath"},
        "Parallel": _PATHS | _RESULT | {"Assign"},
        "Pass": _PATHS | {"Assign", "Parameters", "Result", "ResultPath"},
        "Succeed": _PATHS,
        "Task": _PATHS | _RESULT | {"Assign", "HeartbeatSecondsPath", "TimeoutSecondsPath"},
        "Wait": _PATHS | {"Assign", "SecondsPath", "TimestampPath"},
    },
}


@dataclass(frozen=True)
class Diagnostic:
    """A problem, and its location."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location}"


def install() -> None:
    """Put this in front of MiniStack's own check, and in the place of its ValidateStateMachineDefinition."""
    hooks.wrap(stepfunctions, "_validate_definition_jsonata", ["definition_str"], _refusal)
    hooks.wrap(stepfunctions, "_validate_state_machine_definition", ["data"], _validate)


def diagnose(definition: str) -> list[Diagnostic]:
    """Return everything that is wrong with a definition."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        return [Diagnostic("INVALID_JSON_DESCRIPTION", str(error), "/")]
    if not isinstance(machine, dict):
        return [Diagnostic(_SCHEMA, "Value is not an object", "/")]
    unknown = [Diagnostic(_SCHEMA, "Field is not supported", f"/{name}") for name in sorted(machine.keys() - _MACHINE)]
    seconds = machine.get("TimeoutSeconds", 1)
    if not isinstance(seconds, int) or seconds <= 0:
        unknown.append(Diagnostic(_SCHEMA, "Value is not a positive integer", "/TimeoutSeconds"))
    return unknown + list(_of_machine(machine, "", machine.get("QueryLanguage", "JSONPath")))


def _refusal(original: Callable[..., Any], definition_str: str) -> str | None:
    found = diagnose(definition_str)
    if found:
        return "Invalid State Machine Definition: " + ", ".join(f"'{diagnostic}'" for diagnostic in found)
    refusal: str | None = original(definition_str)
    return refusal


def _validate(_original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    found = diagnose(data.get("definition", ""))
    if not found and (refusal := stepfunctions._validate_definition_jsonata(data["definition"])):
        found = [Diagnostic("INVALID_JSONATA_EXPRESSION", refusal, "/")]
    diagnostics = [
        {"severity": "ERROR", "code": item.code, "message": item.message, "location": item.location} for item in found
    ]
    most = data.get("maxResults") or 100
    return json_response(
        {
            "result": "FAIL" if found else "OK",
            "diagnostics": diagnostics[:most],
            "truncated": len(diagnostics) > most,
        }
    )


def _of_machine(machine: Mapping[str, Any], at: str, language: str) -> Iterator[Diagnostic]:
    missing = sorted({"StartAt", "States"} - machine.keys())
    if missing or not isinstance(machine["States"], dict) or not machine["States"]:
        yield Diagnostic(_SCHEMA, f"These fields are required: [{', '.join(missing) or 'States'}]", at or "/")
        return
    states = machine["States"]
    if machine["StartAt"] not in states:
        yield Diagnostic(_TARGET, f"Missing 'StartAt' target: {machine['StartAt']}", f"{at}/StartAt")
    targets: dict[str, list[str]] = {}
    for name, state in states.items():
        where = f"{at}/States/{name}"
        if not isinstance(state, dict):
            yield Diagnostic(_SCHEMA, "Value is not an object", where)
            continue
        yield from _of_state(state, where, state.get("QueryLanguage", language))
        found = dict(_targets(state))
        targets[name] = list(found.values())
        for path, target in found.items():
            if target not in states:
                field = path.rpartition("/")[2]
                yield Diagnostic(_TARGET, f"Missing '{field}' target: {target}", f"{where}/{path}")
    reached: set[str] = set()
    ahead = [machine["StartAt"]]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += targets.get(name, [])
    for name in states:
        if name not in reached:
            yield Diagnostic(_TARGET, f'State "{name}" is not reachable.', f"{at}/States/{name}")


def _targets(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the states that can follow a state, by the field that names them."""
    for field in ("Next", "Default"):
        if field in state:
            yield field, str(state[field])
    for field in ("Choices", "Catch"):
        for index, item in enumerate(state.get(field) or []):
            if isinstance(item, dict) and "Next" in item:
                yield f"{field}/{index}/Next", str(item["Next"])


def _of_state(state: Mapping[str, Any], at: str, language: str) -> Iterator[Diagnostic]:
    kind = state.get("Type")
    if kind not in _NEEDED:
        yield Diagnostic(_SCHEMA, f"Value is not valid, not one of: {sorted(_NEEDED)}", f"{at}/Type")
        return
    for group in _NEEDED[kind]:
        if len(group & state.keys()) != 1:
            wanted = " or ".join(sorted(group))
            yield Diagnostic(_SCHEMA, f"These fields are required: [{wanted}]", at)
    if kind in _ALLOWED:
        known = _COMMON | _ALLOWED[kind] | _ALLOWED_IN.get(language, {}).get(kind, set())
        for name in sorted(state.keys() - known):
            yield Diagnostic(_SCHEMA, "Field is not supported", f"{at}/{name}")
    needed_of_items = {
        "Choices": {"Next"} | ({"Condition"} if language == "JSONata" else set()),
        "Catch": {"ErrorEquals", "Next"},
        "Retry": {"ErrorEquals"},
    }
    for field, needed in needed_of_items.items():
        for index, item in enumerate(state.get(field) or []):
            missing = sorted(needed - item.keys())
            if missing:
                yield Diagnostic(_SCHEMA, f"These fields are required: [{', '.join(missing)}]", f"{at}/{field}/{index}")
    if "Choices" in state and not state["Choices"]:
        yield Diagnostic(_SCHEMA, "Value is empty", f"{at}/Choices")
    for index, branch in enumerate(state.get("Branches") or []):
        yield from _of_machine(branch, f"{at}/Branches/{index}", language)
    for field in ("ItemProcessor", "Iterator"):
        if field in state:
            yield from _of_machine(state[field], f"{at}/{field}", language)
