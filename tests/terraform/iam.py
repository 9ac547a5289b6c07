"""An evaluator of IAM policies, for the elements that the project's policies use.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Context = Mapping[str, str | list[str]]
ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


def _string_equals(given: str | None, values: list[str]) -> bool:
    """Compare case-sensitively. Several values are alternatives, and a missing key equals none of them.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    # A policy variable would be replaced first.
    assert not any("${" in value for value in values), values
    return given in values


def _arn_like(given: str | None, values: list[str]) -> bool:
    """Match ARNs by their components: ``*`` and ``?`` match no colon of the first six.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    assert not any("${" in value for value in values), values
    if given is None:
        return False
    parts = given.split(":", 5)
    return any(
        len(parts) == len(patterns) and all(map(_matches, patterns, parts))
        for patterns in (value.split(":", 5) for value in values)
    )


def _string_like(given: str | None, values: list[str]) -> bool:
    """Match case-sensitively. ``*`` and ``?`` match any characters."""
    assert not any("${" in value for value in values), values
    return given is not None and any(_matches(value, given) for value in values)


def _for_all_values(operator: Operator) -> Operator:
    """Return the operator for a key with several values: each has to match. A missing key has none, and matches.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    return lambda given, values: all(operator(each, values) for each in as_list(given or []))


def _single(operator: Operator) -> Operator:
    def apply(given: Any, values: list[str]) -> bool:
        assert not isinstance(given, list), f"several values need a set operator: {given}"
        return operator(given, values)

    return apply


Operator = Callable[[Any, list[str]], bool]
OPERATORS: Mapping[str, Operator] = {
    "ArnLike": _single(_arn_like),
    "ForAllValues:StringEquals": _for_all_values(_string_equals),
    "ForAllValues:StringLike": _for_all_values(_string_like),
    "StringEquals": _single(_string_equals),
}


def statements(document: str | dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a policy, and fail if this module does not support one of them."""
    policy = json.loads(document) if isinstance(document, str) else document
    found: list[dict[str, Any]] = policy["Statement"]
    for statement in found:
        assert set(statement) <= ELEMENTS, f"unknown elements: {set(statement) - ELEMENTS}"
        assert statement["Effect"] in {"Allow", "Deny"}
        for operator in statement.get("Condition", {}):
            assert operator in OPERATORS, f"{operator} is unknown here: implement what AWS documents"
    return found


def allows(
    document: str | dict[str, Any],
    action: str,
    *,
    resource: str | None = None,
    principal: str | None = None,
    context: Context | None = None,
) -> bool:
    """Return whether a policy allows a request: some statement does, and none denies it."""
    effects = {
        statement["Effect"]
        for statement in statements(document)
        if _applies(statement, action, resource, principal, context or {})
    }
    return effects == {"Allow"}


def actions(document: str | dict[str, Any]) -> set[str]:
    """Return the actions that a policy allows for some resource."""
    allowing = [statement for statement in statements(document) if statement["Effect"] == "Allow"]
    return {action for statement in allowing for action in as_list(statement["Action"])}


def as_list(value: str | list[str]) -> list[str]:
    """Return an element as a list. A single string is a list of one."""
    return [value] if isinstance(value, str) else value


def _applies(
    statement: dict[str, Any], action: str, resource: str | None, principal: str | None, context: Context
) -> bool:
    assert ("Resource" in statement) == (resource is not None), "trust policies have no resource, others have one"
    assert ("Principal" in statement) == (principal is not None), "trust policies alone have a principal"
    if action not in as_list(statement["Action"]):
        return False
    if resource is not None and not any(_matches(pattern, resource) for pattern in as_list(statement["Resource"])):
        return False
    if principal is not None:
        assert set(statement["Principal"]) == {"Federated"}, statement["Principal"]
        if principal not in as_list(statement["Principal"]["Federated"]):
            return False
    return all(
        OPERATORS[operator](context.get(key), as_list(values))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _matches(pattern: str, resource: str) -> bool:
    """Match a resource. ``*`` and ``?`` match any characters, including colons and slashes.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, resource, re.DOTALL) is not None
