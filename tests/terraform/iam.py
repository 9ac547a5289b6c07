"""IAM's decisions on requests, by the policy evaluator of MiniStack.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ministack.core import iam_evaluator

Context = Mapping[str, str | list[str]]
Document = str | dict[str, Any]
ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
# The evaluator never meets a condition whose operator it does not know. In its ArnLike, wildcards also match colons.
OPERATORS = {"ArnLike", "ForAllValues:StringEquals", "ForAllValues:StringLike", "StringEquals"}


def statements(document: Document) -> list[dict[str, Any]]:
    """Return the statements of a policy, and fail if the tests do not know one of their elements."""
    policy = json.loads(document) if isinstance(document, str) else document
    found: list[dict[str, Any]] = policy["Statement"]
    for statement in found:
        assert set(statement) <= ELEMENTS, f"unknown elements: {set(statement) - ELEMENTS}"
        assert statement["Effect"] in {"Allow", "Deny"}
        for operator, keys in statement.get("Condition", {}).items():
            assert operator in OPERATORS, f"{operator} is unknown here: verify how the evaluator treats it"
            # A policy variable would be replaced first.
            assert "${" not in json.dumps(keys), keys
    return found


def allows(
    document: Document,
    action: str,
    *,
    resource: str | None = None,
    principal: str | None = None,
    context: Context | None = None,
    boundary: Document | None = None,
) -> bool:
    """Return whether a policy and, if given, a permissions boundary allow a request.

    ``principal`` is the identity provider of a request that a trust policy decides on, which has no resource.
    """
    applying = [statement for statement in statements(document) if _has_principal(statement, principal)]
    for statement in applying:
        assert ("Resource" in statement) == (resource is not None), "trust policies have no resource, others have one"
    request = iam_evaluator.EvalContext(
        principal_arn=principal or "",
        principal_type="AssumedRole",
        principal_account="",
        action=action,
        resource_arn=resource or "",
        region="",
        # Names of keys are not case-sensitive.
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html
        service_context={name.lower(): value for name, value in (context or {}).items()},
    )
    limits = [[iam_evaluator.parse_policy_document({"Statement": statements(boundary)})]] if boundary else []
    policies = [iam_evaluator.parse_policy_document({"Statement": applying})]
    return bool(iam_evaluator.evaluate(request, policies, *limits).decision == "Allow")


def actions(document: Document) -> set[str]:
    """Return the actions that a policy allows for some resource."""
    allowing = [statement for statement in statements(document) if statement["Effect"] == "Allow"]
    return {action for statement in allowing for action in as_list(statement["Action"])}


def as_list(value: str | list[str]) -> list[str]:
    """Return an element as a list. A single string is a list of one."""
    return [value] if isinstance(value, str) else value


def _has_principal(statement: dict[str, Any], principal: str | None) -> bool:
    assert ("Principal" in statement) == (principal is not None), "trust policies alone have a principal"
    if principal is None:
        return True
    assert set(statement["Principal"]) == {"Federated"}, statement["Principal"]
    return principal in as_list(statement["Principal"]["Federated"])
