"""What IAM authorizes for a call: actions, each with a resource and condition keys.

The source is the service authorization reference. If it has nothing, or AWS does something else, the address of
another source stands beside the entry.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from tests.conftest import REGION
from tests.python.permissions.calls import Call

ACCOUNT = "000000000000"
APIS = f"arn:aws:apigateway:{REGION}::"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"
API_SERVICE = "ops.apigateway.amazonaws.com"
ANY = ["*"]
# Whoever configures logs that a service delivers needs these.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
LOG_DELIVERY = (
    *("CreateLogDelivery", "DeleteLogDelivery", "DescribeLogGroups", "DescribeResourcePolicies", "GetLogDelivery"),
    *("ListLogDeliveries", "PutResourcePolicy", "UpdateLogDelivery"),
)
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: "No permissions are required"
NO_PERMISSION = {"sts:GetCallerIdentity"}
# The names of actions that are not those of their operations.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "lambda:Invoke": "lambda:InvokeFunction",
}
# The actions that tag a resource while it is created: who creates it with tags needs them, too.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html and the API reference of each operation
TAGGED = {
    "cloudwatch:PutCompositeAlarm": "cloudwatch:TagResource",
    "cloudwatch:PutMetricAlarm": "cloudwatch:TagResource",
    "events:PutRule": "events:TagResource",
    "iam:CreateRole": "iam:TagRole",
    "lambda:CreateFunction": "lambda:TagResource",
    "logs:CreateLogGroup": "logs:TagResource",
    "sns:CreateTopic": "sns:TagResource",
    "ssm:PutParameter": "ssm:AddTagsToResource",
    "states:CreateStateMachine": "states:TagResource",
}

# The actions on an existing role that have the condition key iam:PermissionsBoundary.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
OF_BOUNDED_ROLES = {
    *("iam:AttachRolePolicy", "iam:DeleteRole", "iam:DeleteRolePermissionsBoundary", "iam:DeleteRolePolicy"),
    *("iam:DetachRolePolicy", "iam:GetRole", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole"),
    "iam:UpdateRoleDescription",
}


class Account(dict[str, Callable[[str], Any]]):
    """What a call does not contain: functions that read it from the account, such as the boundary of a role."""


@dataclass(frozen=True)
class Request:
    """A request that IAM decides on."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def requests(call: Call, read: Account) -> list[Request]:
    """Return the requests that IAM decides on when a service gets a call."""
    prefix = {"apigatewayv2": "apigateway", "cloudwatch": "cloudwatch", "stepfunctions": "states"}
    service = prefix.get(call.service, call.service)
    operation = f"{service}:{call.operation}"
    if operation in NO_PERMISSION:
        return []
    if service == "apigateway":
        return list(_api(call, read))
    action = ACTIONS.get(operation, operation)
    if service == "kms" and call.input.get("KeyId", "").startswith("alias/"):
        # The key of an alias is authorized, not the alias. Without one, the response is NotFoundException.
        # https://docs.aws.amazon.com/kms/latest/developerguide/alias-access.html
        key = read["key"](call.input["KeyId"])
        if key is None:
            return []
        call = replace(call, input={**call.input, "KeyId": key})
    resources, tags = RESOURCES[service](call), _request_tags(call)
    context = tags | _context(action, call, read)
    found = [Request(action, resource, context) for resource in resources]
    if tags and action in TAGGED:
        names = _log_groups(call, "") if service == "logs" else resources if resources != ANY else _alarms(call)
        found += [Request(TAGGED[action], name, tags) for name in names]
    if action == "lambda:GetFunction":
        # It returns the tags only with this permission. https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
        found.append(Request("lambda:ListTags", resources[0]))
    if action == "sns:Publish":
        # SNS names the topic whenever it uses the key.
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#sns-what-permissions-for-sse
        key, topic = read["topic key"](call.input["TopicArn"]), call.input["TopicArn"]
        used = {"kms:EncryptionContext:aws:sns:topicArn": topic}
        found += [Request(name, key, used) for name in ("kms:Decrypt", "kms:GenerateDataKey")]
    return [*found, *_passed(action, call), *_deliveries(action, call)]


def _context(action: str, call: Call, read: Account) -> dict[str, str]:
    """Return the condition keys of a request other than the tags that it sets."""
    context = {}
    if action == "iam:CreateRole":
        boundary = call.input.get("PermissionsBoundary")
    elif action == "iam:PutRolePermissionsBoundary":
        boundary = call.input["PermissionsBoundary"]
    elif action in OF_BOUNDED_ROLES:
        boundary = read["boundary"](call.input["RoleName"])
    else:
        boundary = None
    if boundary:
        context["iam:PermissionsBoundary"] = boundary
    if call.service == "kms" and "KeyId" in call.input:
        context |= _resource_tags(read["key tags"](call.input["KeyId"]))
    return context


def _resource_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"aws:ResourceTag/{name}": value for name, value in tags.items()}


def _request_tags(call: Call) -> dict[str, str]:
    return {f"aws:RequestTag/{name}": value for name, value in _tags(call).items()}


def _tags(call: Call) -> dict[str, str]:
    """Return the tags that a call sets."""
    # The Query protocol: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
    if names := {name: value for name, value in call.input.items() if name.startswith("Tags.member.")}:
        return {v: names[k.removesuffix("Key") + "Value"] for k, v in names.items() if k.endswith(".Key")}
    given = call.input.get("Tags") or call.input.get("tags") or {}
    if isinstance(given, list):
        return {tag.get("Key", tag.get("key")): tag.get("Value", tag.get("value")) for tag in given}
    return dict(given)


def _lambda(call: Call) -> list[str]:
    if "Resource" in call.input:
        return [call.input["Resource"]]
    name = call.input["FunctionName"].removeprefix(FUNCTION)
    qualifier = call.input.get("Qualifier") or (call.input.get("Name") if "Alias" in call.operation else None)
    name, _, inside = name.partition(":")
    qualifier = qualifier or inside
    # With a qualifier, AWS's guide names the ARN of the alias or the version, the reference that of the function.
    # https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
    qualified = [f"{FUNCTION}{name}:{qualifier}"] if qualifier else []
    # Not verified on AWS: docs/aws.md. Permissions for the function would include every stage.
    if call.operation in {"Invoke", "UpdateAlias"} and qualified:
        return qualified
    return [f"{FUNCTION}{name}", *qualified]


def _states(call: Call) -> list[str]:
    for name in ("stateMachineArn", "executionArn", "resourceArn"):
        if name in call.input:
            return [call.input[name]]
    if call.operation == "CreateStateMachine":
        return [f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{call.input['name']}"]
    assert call.operation in {"ListStateMachines", "ValidateStateMachineDefinition"}, call
    return ANY


def _events(call: Call) -> list[str]:
    name = call.input.get("Name") or call.input.get("Rule")
    return [call.input.get("ResourceARN", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}")]


def _alarms(call: Call) -> list[str]:
    # A list in the Query protocol, or a list.
    names = [value for name, value in call.input.items() if re.match(r"AlarmNames?\b", name)]
    names = [name for found in names for name in ([found] if isinstance(found, str) else found)]
    return [f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}" for name in names]


def _cloudwatch(call: Call) -> list[str]:
    if "ResourceARN" in call.input:
        return [call.input["ResourceARN"]]
    if "Dashboard" in call.operation:
        return [f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{call.input['DashboardName']}"]
    # The reference names the alarm, the API reference says "scoped to *".
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
    if call.operation in {"DescribeAlarms", "GetMetricData", "PutCompositeAlarm"}:
        return ANY
    return _alarms(call)


def _log_groups(call: Call, suffix: str) -> list[str]:
    return [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{call.input['logGroupName']}{suffix}"]


def _logs(call: Call) -> list[str]:
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
    if "resourceArn" in call.input:
        return [call.input["resourceArn"].removesuffix(":*")]
    if call.operation in {
        "DescribeLogGroups",
        "DescribeQueryDefinitions",
        "PutQueryDefinition",
        "DeleteQueryDefinition",
    }:
        return ANY
    # The form in AWS's error messages: https://github.com/elastic/apm-aws-lambda/issues/526
    return _log_groups(call, ":log-stream:")


def _sns(call: Call) -> list[str]:
    if "Name" in call.input and call.operation == "CreateTopic":
        return [f"arn:aws:sns:{REGION}:{ACCOUNT}:{call.input['Name']}"]
    return [next(call.input[name] for name in ("TopicArn", "SubscriptionArn", "ResourceArn") if name in call.input)]


def _iam(call: Call) -> list[str]:
    return [f"{ROLE}{call.input['RoleName']}"]


def _kms(call: Call) -> list[str]:
    if call.operation == "ListAliases":
        return ANY
    key = call.input["KeyId"]
    return [key if key.startswith("arn:") else f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key}"]


def _ssm(call: Call) -> list[str]:
    if call.operation == "DescribeParameters":
        return ANY
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
    name = call.input.get("Name") or call.input["ResourceId"]
    return [f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name.lstrip('/')}"]


def _s3(call: Call) -> list[str]:
    return ["arn:aws:s3:::" + "/".join(filter(None, [call.input["Bucket"], call.input["Key"]]))]


RESOURCES: Mapping[str, Callable[[Call], list[str]]] = {
    "cloudwatch": _cloudwatch,
    "events": _events,
    "iam": _iam,
    "kms": _kms,
    "lambda": _lambda,
    "logs": _logs,
    "s3": _s3,
    "sns": _sns,
    "ssm": _ssm,
    "states": _states,
}


def _passed(action: str, call: Call) -> Iterator[Request]:
    """Yield the requests to pass a role to a service.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    roles = {
        "lambda": [call.input.get("Role")],
        "states": [call.input.get("roleArn")],
        "events": [target.get("RoleArn") for target in call.input.get("Targets", [])]
        if action == "events:PutTargets"
        else [],
    }
    service = action.partition(":")[0]
    for role in filter(None, roles.get(service, [])):
        yield Request("iam:PassRole", role, {"iam:PassedToService": f"{service}.amazonaws.com"})


def _deliveries(action: str, call: Call) -> Iterator[Request]:
    if action in {"states:CreateStateMachine", "states:UpdateStateMachine"} and "loggingConfiguration" in call.input:
        yield from (Request(f"logs:{name}", "*") for name in LOG_DELIVERY)


def _api(call: Call, read: Account) -> Iterator[Request]:
    """Yield the requests of a call of API Gateway, whose actions are the methods, and whose resources are the paths.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html
    """
    path = call.path.removeprefix("/v2").rstrip("/")
    tags = _request_tags(call)
    if path.startswith("/tags/"):
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging.html
        arn = call.input["ResourceArn"]
        yield Request(f"apigateway:{call.method}", f"{APIS}/tags/{quote(arn, safe='')}", tags)
        if call.method != "GET":
            action = "apigateway:TagResource" if call.method == "POST" else "apigateway:UntagResource"
            yield Request(action, arn, tags | _resource_tags(read["api tags"](arn.removeprefix(APIS))))
        return
    context = tags | _resource_tags(read["api tags"](path))
    yield Request(f"apigateway:{call.method}", f"{APIS}{path}", context)
    # Whether the parts of an API inherit its tags is an open question: docs/aws.md. Once the roles know the ID of the
    # API, they must not depend on the answer. A stage has tags of its own.
    if call.method != "GET" and read["known"]("API") and re.fullmatch(r"/apis/\w+/(?!stages/).+", path):
        yield Request(f"apigateway:{call.method}", f"{APIS}{path}", tags)
    if call.operation in {"CreateApi", "CreateStage"} and tags:
        # Not in the reference: https://github.com/hashicorp/terraform-provider-aws/issues/20634
        yield Request("apigateway:TagResource", f"{APIS}{path}", context)
    if call.operation == "CreateApi":
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html
        role = f"{ROLE}aws-service-role/{API_SERVICE}/AWSServiceRoleForAPIGateway"
        yield Request("iam:CreateServiceLinkedRole", role, {"iam:AWSServiceName": API_SERVICE})
    if call.input.get("AccessLogSettings"):
        yield from (Request(f"logs:{name}", "*") for name in LOG_DELIVERY)
