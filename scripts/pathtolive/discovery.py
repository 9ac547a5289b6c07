"""Find a stack on AWS that Terraform's state has lost, for example because the state bucket was deleted.

The commands then know the version and the routes of each stage, and a deploy imports the resources instead of creating
them again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import botocore.exceptions

from pathtolive.target import Target

Values = Mapping[str, Any]
Find = Callable[[Target, Values], str | None]


def outputs(target: Target, name: str) -> dict[str, Any]:
    """Return what the root module would output for a stack with this name; empty if there is none."""
    function, api = _function(target, name), _api(target, name)
    if function is None or api is None:
        return {}
    gateway, api_id = target.client("apigatewayv2"), {"ApiId": api["ApiId"]}
    deployments = {
        deployment["Description"].split()[0]: {
            "id": deployment["DeploymentId"],
            "routes": deployment["Description"].split()[-1],
        }
        for page in gateway.get_paginator("get_deployments").paginate(**api_id)
        for deployment in page["Items"]
        if deployment.get("Description")
    }
    names = {deployment["id"]: name for name, deployment in deployments.items()}
    aliases = {
        alias["Name"]: alias["FunctionVersion"]
        for page in target.client("lambda").get_paginator("list_aliases").paginate(FunctionName=name)
        for alias in page["Aliases"]
    }
    machines, domains = _state_machines(target), urls(target, name, api["ApiId"])
    stages = {
        stage["StageName"]: {
            "control_parameter": f"/releases/{name}/{stage['StageName']}/control",
            "function_version": aliases[stage["StageName"]],
            "gateway_deployment": names.get(stage.get("DeploymentId"), "newest"),
            "state_machine_arn": machines.get(f"{name}-{stage['StageName']}-release"),
            "url": domains.get(stage["StageName"], f"{api['ApiEndpoint']}/{stage['StageName']}/"),
        }
        for page in gateway.get_paginator("get_stages").paginate(**api_id)
        for stage in page["Items"]
        if stage["StageName"] in aliases
    }
    return {
        "api_id": api["ApiId"],
        "function_name": name,
        "gateway_deployments": deployments,
        # Only Terraform knows their fingerprint.
        "routes": None,
        "stages": stages,
    }


def imports(target: Target, name: str, content: Mapping[str, Any]) -> dict[str, str]:
    """Return the import IDs of resources of a stack that a plan would create, although they exist, by address.

    ``content`` is the plan as JSON. Resources are left out if AWS replaces or keeps them when they are created again,
    as an alarm or a topic.
    """
    created = [change for change in content.get("resource_changes", []) if change["change"]["actions"] == ["create"]]
    if not created:
        return {}
    function, api = _function(target, name), _api(target, name)
    finders = _OTHER | (_OF_FUNCTION if function else {}) | (_OF_API if api else {})
    context = {"function": name, "api": (api or {}).get("ApiId")}
    found = {}
    for change in created:
        find = finders.get(change["type"])
        if find is None:
            continue
        # A resource that cannot be found is created, and Terraform then prints the reason if it exists.
        with contextlib.suppress(botocore.exceptions.ClientError):
            if identity := find(target, change["change"]["after"] | context | {"key": change.get("index")}):
                found[change["address"]] = identity
    return found


def _function(target: Target, name: str) -> Values | None:
    """Return the function of a stack, if Terraform created it for this service."""
    functions = target.client("lambda")
    try:
        function = functions.get_function(FunctionName=name)
    except functions.exceptions.ResourceNotFoundException:
        return None
    return function if function.get("Tags", {}).get("Service") == name else None


def _api(target: Target, name: str) -> Values | None:
    """Return the API of a stack, if there is only one: AWS allows several with the same name."""
    pages = target.client("apigatewayv2").get_paginator("get_apis").paginate()
    found = [api for page in pages for api in page["Items"] if api["Name"] == name]
    return found[0] if len(found) == 1 and found[0].get("Tags", {}).get("Service") == name else None


def _mappings(target: Target, domain: str) -> Iterator[Mapping[str, str]]:
    """Yield the mappings of a custom domain. boto3 has no paginator for them."""
    request = {"DomainName": domain}
    while request:
        found = target.client("apigatewayv2").get_api_mappings(**request)
        yield from found["Items"]
        token = found.get("NextToken")
        request = {"DomainName": domain, "NextToken": token} if token else {}


def urls(target: Target, name: str, api_id: str) -> dict[str, str]:
    """Return the URLs of stages that have a custom domain of the service, each with a slash at its end."""
    pages = target.client("apigatewayv2").get_paginator("get_domain_names").paginate()
    try:
        domains = [domain for page in pages for domain in page["Items"]]
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        # The roles of GitHub Actions can list domains only if the service has some.
        return {}
    return {
        mapping["Stage"]: "/".join(["https:/", *filter(None, [domain["DomainName"], mapping.get("ApiMappingKey")]), ""])
        for domain in domains
        # The roles of GitHub Actions can read only the mappings of domains that make bootstrap knows.
        if domain.get("Tags", {}).get("Service") == name
        for mapping in _mappings(target, domain["DomainName"])
        if mapping["ApiId"] == api_id
    }


def _state_machines(target: Target) -> dict[str, str]:
    """Return the ARNs of the account's state machines, by name."""
    pages = target.client("stepfunctions").get_paginator("list_state_machines").paginate()
    return {machine["name"]: machine["stateMachineArn"] for page in pages for machine in page["stateMachines"]}


def _state_machine(target: Target, values: Values) -> str | None:
    return _state_machines(target).get(values["name"])


def _alias(target: Target, values: Values) -> str:
    target.client("lambda").get_alias(FunctionName=values["function"], Name=values["name"])
    return f"{values['function']}/{values['name']}"


def _permission(target: Target, values: Values) -> str | None:
    function, alias, statement = values["function"], values["qualifier"], values["statement_id"]
    policy = json.loads(target.client("lambda").get_policy(FunctionName=function, Qualifier=alias)["Policy"])
    found = statement in {each["Sid"] for each in policy["Statement"]}
    return f"{function}:{alias}/{statement}" if found else None


def _route(target: Target, values: Values) -> str | None:
    return _of_api(target, values, "get_routes", "RouteId", lambda route: route["RouteKey"] == values["key"])


def _integration(target: Target, values: Values) -> str | None:
    return _of_api(target, values, "get_integrations", "IntegrationId", lambda _: True)


def _deployment(target: Target, values: Values) -> str | None:
    """Return the deployment with a name: a stage that pins the name must keep its routes."""
    return _of_api(
        target,
        values,
        "get_deployments",
        "DeploymentId",
        lambda deployment: deployment.get("Description", "").split()[:1] == [values["key"]],
    )


def _stage(target: Target, values: Values) -> str | None:
    return _of_api(target, values, "get_stages", "StageName", lambda stage: stage["StageName"] == values["name"])


def _of_api(
    target: Target, values: Values, operation: str, identity: str, wanted: Callable[[Values], bool]
) -> str | None:
    pages = target.client("apigatewayv2").get_paginator(operation).paginate(ApiId=values["api"])
    found = [item[identity] for page in pages for item in page["Items"] if wanted(item)]
    return f"{values['api']}/{found[0]}" if found else None


def _domain(target: Target, values: Values) -> str | None:
    domain = target.client("apigatewayv2").get_domain_name(DomainName=values["domain_name"])
    return values["domain_name"] if domain.get("Tags", {}).get("Service") == values["function"] else None


def _mapping(target: Target, values: Values) -> str | None:
    for mapping in _mappings(target, values["domain_name"]):
        if (mapping["ApiId"], mapping["Stage"]) == (values["api"], values["stage"]):
            return f"{mapping['ApiMappingId']}/{values['domain_name']}"
    return None


def _record(target: Target, values: Values) -> str | None:
    """Return the record that leads a domain to API Gateway. The one that validates a certificate is overwritten."""
    if values.get("type") != "A":
        return None
    found = target.client("route53").list_resource_record_sets(
        HostedZoneId=values["zone_id"], StartRecordName=values["name"], StartRecordType="A", MaxItems="1"
    )["ResourceRecordSets"]
    leads = [
        record
        for record in found
        if (record["Name"], record["Type"]) == (f"{values['name']}.", "A")
        and ".execute-api." in record.get("AliasTarget", {}).get("DNSName", "")
    ]
    return f"{values['zone_id']}_{values['name']}_A" if leads else None


def _role(target: Target, values: Values) -> str | None:
    tags = target.client("iam").get_role(RoleName=values["name"])["Role"].get("Tags", [])
    return values["name"] if {"Key": "Service", "Value": values["function"]} in tags else None


def _log_group(target: Target, values: Values) -> str | None:
    pages = target.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=values["name"])
    names = {group["logGroupName"] for page in pages for group in page["logGroups"]}
    return values["name"] if values["name"] in names else None


def _query(target: Target, values: Values) -> str | None:
    """Return a saved query, because AWS saves several with the same name."""
    logs = target.client("logs")
    described = logs.describe_query_definitions(queryDefinitionNamePrefix=values["name"])["queryDefinitions"]
    found = [each["queryDefinitionId"] for each in described if each["name"] == values["name"]]
    arn = f"arn:{logs.meta.partition}:logs:{target.region}:{target.account}:query-definition:"
    return f"{arn}{found[0]}" if found else None


def _parameter(target: Target, values: Values) -> str:
    target.client("ssm").get_parameter(Name=values["name"])
    return str(values["name"])


def _key(target: Target, values: Values) -> str:
    """Return the key of the topic, which its alias names: nobody needs a second one."""
    key: str = target.client("kms").describe_key(KeyId=f"alias/{values['function']}-alerts")["KeyMetadata"]["KeyId"]
    return key


def _key_alias(target: Target, values: Values) -> str:
    target.client("kms").describe_key(KeyId=values["name"])
    return str(values["name"])


# How to find the resources of a function, those of an API, and others. Each page documents the resource's import ID.
# https://registry.terraform.io/providers/hashicorp/aws/latest/docs
_OF_FUNCTION: dict[str, Find] = {
    "aws_lambda_function": lambda _, values: values["function"],
    "aws_lambda_alias": _alias,
    "aws_lambda_permission": _permission,
}
_OF_API: dict[str, Find] = {
    "aws_apigatewayv2_api": lambda _, values: values["api"],
    "aws_apigatewayv2_api_mapping": _mapping,
    "aws_apigatewayv2_deployment": _deployment,
    "aws_apigatewayv2_integration": _integration,
    "aws_apigatewayv2_route": _route,
    "aws_apigatewayv2_stage": _stage,
}
_OTHER: dict[str, Find] = {
    "aws_apigatewayv2_domain_name": _domain,
    "aws_cloudwatch_log_group": _log_group,
    "aws_cloudwatch_query_definition": _query,
    "aws_iam_role": _role,
    "aws_kms_alias": _key_alias,
    "aws_kms_key": _key,
    "aws_route53_record": _record,
    "aws_sfn_state_machine": _state_machine,
    "aws_ssm_parameter": _parameter,
}
