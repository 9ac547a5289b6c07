"""Find what is wrong with a definition before it runs.

statelint finds most of it, in sentences: ``_CODES`` has those that AWS agrees with. ``_missed`` finds the rest, but not
in expressions.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinitionDiagnostic.html
https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import json_response
from ministack.services import stepfunctions

from emulator import hooks
from emulator.step_functions import expressions

_SCHEMA = "SCHEMA_VALIDATION_FAILED"
_TARGET = "MISSING_TRANSITION_TARGET"

# Other sentences are about single values: statelint refuses expressions for numbers and times, and many of AWS's paths.
_CODES = {
    "DUPLICATE_STATE_NAME": re.compile(r"^State .* is also defined at "),
    "MISSING_END_STATE": re.compile(r"^No terminal state found "),
    _TARGET: re.compile(r"^No state found |^StartAt value "),
    _SCHEMA: re.compile(
        r" does not have required field | has forbidden field | may have only one of |^Field .* not allowed in "
        r"| not one of the allowed values | non-empty required$| should be non-null$| allowed (ceiling|floor) is "
        r"| should be an (Array|Object)$|\.(Default|Next|StartAt) is .* should be a String$"
    ),
}
# statelint lacks fields that AWS has: of a distributed Map, and Assign in JSONPath.
_DISTRIBUTED = re.compile(r'^Field "Label" |\.(ItemReader\.ReaderConfig|ResultWriter)\b')
_JSONPATH = re.compile(r'^Field "Assign" ')
# The fields that have an error output.
_CATCHER = re.compile(r"/Catch\[\d+\]/(Assign|Output)\b")


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
    language = machine.get("QueryLanguage", "JSONPath")
    found = list(_by_statelint(_with_languages(machine, language))) or list(_missed(machine, "", language))
    return found or list(_in_expressions(machine, "", language))


def _refusal(original: Callable[..., Any], definition_str: str) -> str | None:
    found = diagnose(definition_str)
    if found:
        return "Invalid State Machine Definition: " + ", ".join(f"'{diagnostic}'" for diagnostic in found)
    refusal: str | None = original(definition_str)
    return refusal


def _validate(_original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    found = diagnose(data.get("definition", ""))
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


def _by_statelint(machine: dict[str, Any]) -> Iterator[Diagnostic]:
    from statelint.linter import Linter  # noqa: PLC0415 - it takes a tenth of a second, which a start need not wait

    try:
        problems = Linter.validate(machine)
    except TypeError as error:
        # A list or an object in the place of a state's name.
        yield Diagnostic(_SCHEMA, f"Value is not a string: {error}", "/")
        return
    if machine.get("QueryLanguage") != "JSONata":
        problems = [problem for problem in problems if not _JSONPATH.search(problem)]
    locations = dict(_locations(machine, "State Machine", ""))
    for problem in problems:
        code = next((code for code, pattern in _CODES.items() if pattern.search(problem)), None)
        if code and not _DISTRIBUTED.search(problem):
            named = max((path for path in locations if path in problem), key=len)
            yield Diagnostic(code, problem, locations[named])


def _with_languages(machine: dict[str, Any], language: str) -> dict[str, Any]:
    """Return a definition in which each state has its language: to statelint, it is that of the state around it.

    To AWS, it is that of the whole state machine.
    https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
    """
    states = machine.get("States")
    if not isinstance(states, dict):
        return machine
    return {**machine, "States": {name: _with_language(state, language) for name, state in states.items()}}


def _with_language(state: Any, language: str) -> Any:
    if not isinstance(state, dict):
        return state
    inner: dict[str, Any] = {
        field: _with_languages(state[field], language)
        for field in ("ItemProcessor", "Iterator")
        if isinstance(state.get(field), dict)
    }
    if isinstance(state.get("Branches"), list):
        inner["Branches"] = [
            _with_languages(branch, language) if isinstance(branch, dict) else branch for branch in state["Branches"]
        ]
    return {"QueryLanguage": language, **state, **inner}


def _locations(value: Any, path: str, location: str) -> Iterator[tuple[str, str]]:
    """Return the location of everything in a definition, by the path that statelint gives it."""
    yield path, location or "/"
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _locations(item, f"{path}.{name}", f"{location}/{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _locations(item, f"{path}[{index}]", f"{location}[{index}]")


def _missed(machine: Mapping[str, Any], at: str, language: str) -> Iterator[Diagnostic]:
    """Return what statelint does not find: it takes a loop for reachable where a choice or a catcher is part of it.

    It also lets states turn back to JSONPath. AWS's words are from https://github.com/floci-io/floci/issues/2968.
    """
    states = machine["States"]
    reached: set[str] = set()
    ahead = [machine["StartAt"]]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += _targets(states.get(name))
    for name, state in states.items():
        where = f"{at}/States/{name}"
        if not isinstance(state, dict):
            yield Diagnostic(_SCHEMA, "Value is not an object", where)
            continue
        if name not in reached:
            yield Diagnostic(_TARGET, f'State "{name}" is not reachable.', where)
        if language == "JSONata" and state.get("QueryLanguage") == "JSONPath":
            message = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
            yield Diagnostic(_SCHEMA, message, where)
        if state["Type"] == "Task" and "Resource" not in state:
            yield Diagnostic(_SCHEMA, "These fields are required: [Resource]", where)
        if state["Type"] in {"Map", "Parallel"} and "TimeoutSeconds" in state:
            yield Diagnostic(_SCHEMA, "Field 'TimeoutSeconds' is not supported", where)
        for location, inner in _inner(state):
            yield from _missed(inner, where + location, language)


def _in_expressions(machine: Mapping[str, Any], at: str, language: str) -> Iterator[Diagnostic]:
    """Return what is wrong with the expressions of states whose language is JSONata."""
    for name, state in machine["States"].items():
        where = f"{at}/States/{name}"
        inner = dict(_inner(state))
        if state.get("QueryLanguage", language) == "JSONata":
            for text, location in _texts(state, ""):
                if text.startswith("{%") and text.endswith("%}") and not location.startswith(tuple(inner)):
                    in_catcher = bool(_CATCHER.match(location))
                    for code, message in expressions.problems(text[2:-2].strip(), in_catcher=in_catcher):
                        yield Diagnostic(code, message, where + location)
        for location, other in inner.items():
            yield from _in_expressions(other, where + location, language)


def _inner(state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the machines inside of a state, by their locations in it."""
    for index, branch in enumerate(state.get("Branches", [])):
        yield f"/Branches[{index}]", branch
    for field in {"ItemProcessor", "Iterator"} & state.keys():
        yield f"/{field}", state[field]


def _texts(value: Any, location: str) -> Iterator[tuple[str, str]]:
    """Yield every text in a value, and its location."""
    match value:
        case str():
            yield value, location
        case dict() | list():
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from _texts(item, f"{location}/{key}" if isinstance(value, dict) else f"{location}[{key}]")


def _targets(state: Any) -> list[str]:
    """Return the states that can follow a state."""
    if not isinstance(state, dict):
        return []
    rules = [*state.get("Choices", []), *state.get("Catch", [])]
    return [item[field] for item in (state, *rules) for field in ("Default", "Next") if field in item]
