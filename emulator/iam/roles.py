"""Say whether a service may act as a role, and what the role's policies let it do.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam


class NotAuthorizedError(PermissionError):
    """The role's policies do not allow the call; the message reads as AWS's."""


def assumable(role_arn: str, service: str, source_arn: str) -> bool:
    """Return whether a role trusts a service (``states``, ``events``) that acts for one of its resources.

    Both the global and the regional name of the service count, and the keys against the confused deputy:
    https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html
    """
    role = _role(role_arn)
    if role is None:
        return False
    return service_may(role["AssumeRolePolicyDocument"], service, "sts:AssumeRole", role_arn, source_arn)


def service_may(policy: str, service: str, action: str, resource_arn: str, source_arn: str) -> bool:
    """Return whether a resource's policy allows an action of a service on behalf of one of its resources."""
    context = _context(f"{service}.amazonaws.com", action, resource_arn)
    context.service_context = {"aws:sourcearn": source_arn, "aws:sourceaccount": get_account_id()}
    decisions = [
        iam_evaluator.evaluate_resource_policy(policy, context, principal).decision
        for principal in (f"{service}.amazonaws.com", f"{service}.{get_region()}.amazonaws.com")
    ]
    return "Allow" in decisions and "Deny" not in decisions


def check(role_arn: str, action: str, resource_arn: str, keys: Mapping[str, str] | None = None) -> None:
    """Verify that the role allows an action now. Its policies are read each time.

    ``keys`` are condition keys of the service, in lowercase.

    Raises:
        NotAuthorizedError: no policy allows it, or one denies it.
    """
    account, name = get_account_id(), _name(role_arn)
    session = "".join(secrets.choice(string.ascii_letters) for _ in range(32))
    context = _context(f"arn:aws:sts::{account}:assumed-role/{name}/{session}", action, resource_arn)
    context.service_context = dict(keys or {})
    limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
    policies = iam_evaluator._gather_role_policies(name, account)
    result = iam_evaluator.evaluate(context, policies, *limits)
    found = iam_evaluator._resource_policy(action.partition(":")[0].lower(), resource_arn)
    if found is not None:
        result = iam_evaluator.combine_resource_policy(
            result, context, *found, required=action.startswith("kms:"), limits=limits
        )
    if result.decision == "Allow":
        return
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    refusal = f"User: {context.principal_arn} is not authorized to perform: {action} on resource: {resource_arn}"
    if result.decision == "Deny":
        kind = "a resource-based policy" if result.resource_policy_arn else "an identity-based policy"
        raise NotAuthorizedError(f"{refusal} with an explicit deny in {kind}")
    within = iam_evaluator.evaluate(context, policies).decision == "Allow"
    kind = "permissions boundary" if within and limits else "identity-based policy"
    raise NotAuthorizedError(f"{refusal} because no {kind} allows the {action} action")


def _context(principal: str, action: str, resource_arn: str) -> Any:
    return iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=get_account_id(),
        action=action,
        resource_arn=resource_arn,
        region=get_region(),
    )


def _role(role_arn: str) -> Any:
    role = iam._roles.get(_name(role_arn))
    return role if role is not None and role["Arn"] == role_arn else None


def _name(role_arn: str) -> str:
    return role_arn.rpartition("/")[2]
