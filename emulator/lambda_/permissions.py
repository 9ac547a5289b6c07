"""Store a policy for each version and alias, and decide whom it allows.

https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import lambda_svc

from emulator import hooks


def install() -> None:
    """Put this in front of MiniStack's own AddPermission, DeleteAlias, and GetPolicy."""
    hooks.wrap(lambda_svc, "_add_permission", ["func_name", "data", "query_params", "path_qualifier"], _add_permission)
    hooks.wrap(lambda_svc, "_delete_alias", ["func_name", "alias_name"], _delete_alias)
    hooks.wrap(lambda_svc, "_get_policy", ["func_name", "query_params", "path_qualifier"], _get_policy)


def allows(function_arn: str, principal: str, source_arn: str) -> bool:
    """Return whether the policy of the function in an ARN allows a service to invoke it for one of its resources."""
    name, qualifier = lambda_svc._lambda_function_name_and_qualifier_from_arn(function_arn)
    function = lambda_svc._functions.get(name)
    if function is None:
        return False
    resource = lambda_svc._policy_resource_arn(name, qualifier)
    return any(
        statement["Resource"] == resource
        and statement["Principal"] in ({"Service": principal}, "*")
        and statement["Action"] in {"lambda:InvokeFunction", "lambda:*"}
        and _conditions_hold(statement.get("Condition", {}), source_arn)
        for statement in function["policy"]["Statement"]
    )


def _conditions_hold(conditions: Mapping[str, Mapping[str, str]], source_arn: str) -> bool:
    found = {"aws:sourcearn": source_arn, "aws:sourceaccount": source_arn.split(":")[4]}
    operators = {"ArnLike": arn_like, "StringEquals": str.__eq__}
    return all(
        operator in operators and operators[operator](pattern, found.get(key.lower(), ""))
        for operator, patterns in conditions.items()
        for key, pattern in patterns.items()
    )


def arn_like(pattern: str, arn: str) -> bool:
    """Return whether an ARN matches, each of its six parts by itself.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
    """
    return all(
        re.fullmatch(re.escape(wanted).replace(r"\*", ".*").replace(r"\?", "."), part, re.DOTALL)
        for wanted, part in zip(pattern.split(":", 5), arn.split(":", 5), strict=True)
    )


def _add_permission(
    original: Callable[..., Any],
    func_name: str,
    data: Mapping[str, Any],
    query_params: Mapping[str, Any] | None = None,
    path_qualifier: str | None = None,
) -> Any:
    """Add a statement, whose id need only be new to the policy of its own qualifier."""
    function, sid = lambda_svc._functions.get(func_name), data.get("StatementId")
    if function is None or sid is None:
        return original(func_name, data, query_params, path_qualifier)
    qualifier = lambda_svc._qualifier_from_path_or_query(path_qualifier, query_params)
    resource = lambda_svc._policy_resource_arn(func_name, qualifier)
    statements = function["policy"]["Statement"]
    if any(statement["Sid"] == sid and statement["Resource"] == resource for statement in statements):
        return original(func_name, data, query_params, path_qualifier)
    # MiniStack takes an id only once per function: lend it another one until it is done.
    lent = uuid.uuid4().hex
    status, headers, body = original(func_name, {**data, "StatementId": lent}, query_params, path_qualifier)
    for statement in function["policy"]["Statement"]:
        if statement["Sid"] == lent:
            statement["Sid"] = sid
            body = json.dumps({"Statement": json.dumps(statement)}).encode()
    return status, headers, body


def _delete_alias(original: Callable[..., Any], func_name: str, alias_name: str) -> Any:
    """Delete the policy of an alias with the alias: an alias that is created again has none.

    https://github.com/hashicorp/terraform-provider-aws/issues/12917
    """
    if function := lambda_svc._functions.get(func_name):
        resource = lambda_svc._policy_resource_arn(func_name, alias_name)
        statements = function["policy"]["Statement"]
        statements[:] = [statement for statement in statements if statement["Resource"] != resource]
    return original(func_name, alias_name)


def _get_policy(
    original: Callable[..., Any],
    func_name: str,
    query_params: Mapping[str, Any] | None = None,
    path_qualifier: str | None = None,
) -> Any:
    """Return the function's own policy if there is no qualifier: MiniStack returns the policies of all qualifiers.

    https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html
    """
    answer = original(func_name, query_params, path_qualifier)
    status, headers, body = answer
    if status != 200 or lambda_svc._qualifier_from_path_or_query(path_qualifier, query_params):
        return answer
    resource = lambda_svc._policy_resource_arn(func_name, None)
    content = json.loads(body)
    policy = json.loads(content["Policy"])
    policy["Statement"] = [statement for statement in policy["Statement"] if statement["Resource"] == resource]
    if not policy["Statement"]:
        return error_response_json("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    return status, headers, json.dumps(content | {"Policy": json.dumps(policy)}).encode()
