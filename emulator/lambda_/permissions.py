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
    """Put this in front of MiniStack's own AddPermission, DeleteAlias, GetPolicy, and RemovePermission."""
    hooks.wrap(lambda_svc, "_add_permission", ["func_name", "data", "query_params", "path_qualifier"], _add_permission)
    hooks.wrap(lambda_svc, "_delete_alias", ["func_name", "alias_name"], _delete_alias)
    hooks.wrap(lambda_svc, "_get_policy", ["func_name", "query_params", "path_qualifier"], _get_policy)
    hooks.wrap(lambda_svc, "_remove_permission", ["func_name", "sid", "query_params", "path_qualifier"], _remove)


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
    """Add a statement, whose id need only be new to the policy of its own qualifier.

    https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
    """
    function, sid = lambda_svc._functions.get(func_name), data.get("StatementId")
    qualifier = lambda_svc._qualifier_from_path_or_query(path_qualifier, query_params)
    owner = _owner(function, qualifier)
    if function is None or owner is None or sid is None:
        return original(func_name, data, query_params, path_qualifier)
    if data.get("RevisionId") not in {None, owner["RevisionId"]}:
        return _outdated("GetPolicy API")
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
            _revise(function, owner)
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
    """Return the policy of one qualifier, or the function's own: MiniStack returns the policies of all qualifiers.

    https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html
    """
    answer = original(func_name, query_params, path_qualifier)
    status, headers, body = answer
    if status != 200:
        return answer
    qualifier = lambda_svc._qualifier_from_path_or_query(path_qualifier, query_params)
    resource = lambda_svc._policy_resource_arn(func_name, qualifier)
    policy = json.loads(json.loads(body)["Policy"])
    policy["Statement"] = [statement for statement in policy["Statement"] if statement["Resource"] == resource]
    if not policy["Statement"]:
        return error_response_json("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    revision = _owner(lambda_svc._functions[func_name], qualifier)["RevisionId"]
    return status, headers, json.dumps({"Policy": json.dumps(policy), "RevisionId": revision}).encode()


def _remove(
    original: Callable[..., Any],
    func_name: str,
    sid: str,
    query_params: Mapping[str, Any],
    path_qualifier: str | None = None,
) -> Any:
    """Remove a statement from the policy of one qualifier: MiniStack removes it from all without a qualifier.

    https://docs.aws.amazon.com/lambda/latest/api/API_RemovePermission.html
    """
    function = lambda_svc._functions.get(func_name)
    qualifier = lambda_svc._qualifier_from_path_or_query(path_qualifier, query_params)
    owner = _owner(function, qualifier)
    if function is None or owner is None:
        return original(func_name, sid, query_params, path_qualifier)
    resource = lambda_svc._policy_resource_arn(func_name, qualifier)
    statements = [statement for statement in function["policy"]["Statement"] if statement["Resource"] == resource]
    if not statements:
        return error_response_json("ResourceNotFoundException", "No policy is associated with the given resource.", 404)
    found = next((statement for statement in statements if statement["Sid"] == sid), None)
    if found is None:
        message = f"Statement {sid} is not found in resource policy."
        return error_response_json("ResourceNotFoundException", message, 404)
    if lambda_svc._qp_first(query_params, "RevisionId") not in {"", owner["RevisionId"]}:
        return _outdated("GetFunction/GetAlias API")
    function["policy"]["Statement"].remove(found)
    _revise(function, owner)
    return 204, {}, b""


def _owner(function: Any, qualifier: str | None) -> Any:
    """Return the alias, or the configuration of the version or function, that a policy belongs to; None for none."""
    if function is None or qualifier in function["aliases"]:
        return function and function["aliases"][qualifier]
    version = function if qualifier in {None, "$LATEST"} else function["versions"].get(qualifier)
    return version and version["config"]


def _revise(function: Any, owner: dict[str, Any]) -> None:
    """Give what a policy belongs to a new revision, as recorded on AWS when its policy changes.

    https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda_api.py
    """
    previous, owner["RevisionId"] = owner["RevisionId"], str(uuid.uuid4())
    # MiniStack knows by the revision whether the function has changed since a version was published: it has not.
    for version in function["versions"].values():
        if version.get("function_revision") == previous:
            version["function_revision"] = owner["RevisionId"]


def _outdated(source: str) -> Any:
    return error_response_json(
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        f"Call the {source} to retrieve the latest Revision Id",
        412,
    )
