"""What IAM authorizes for a request, from the bytes that boto3 sends."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from tests.conftest import REGION
from tests.python.permissions import authorization, calls, reference
from tests.python.permissions.authorization import LOG_DELIVERY, Account, Request

ARN = f"{REGION}:000000000000"
FUNCTION = f"arn:aws:lambda:{ARN}:function:hello"
ROLE = "arn:aws:iam::000000000000:role/hello"
APIS = f"arn:aws:apigateway:{REGION}::"
BOUNDARY = "arn:aws:iam::000000000000:policy/boundary"
KEY = f"arn:aws:kms:{ARN}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TOPIC = f"arn:aws:sns:{ARN}:alerts"
SERVICE = {"Service": "hello"}
TAGS = [{"Key": "Service", "Value": "hello"}]
TAGGED, OF_RESOURCE = {"aws:RequestTag/Service": "hello"}, {"aws:ResourceTag/Service": "hello"}
DELIVERIES = [Request(f"logs:{name}", "*") for name in LOG_DELIVERY]


def call(service: str, operation: str, **given: Any) -> calls.Call:
    """Return the call that a proxy reads from the request that boto3 sends."""
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "x", "endpoint_url": "http://127.0.0.1:1"}
    client: Any = boto3.client(service, region_name=REGION, **keys)  # type: ignore[call-overload]
    found: list[calls.Call] = []

    def read(request: Any, **_: Any) -> AWSResponse:
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        assert calls.key(headers) == "AKIAEXAMPLE"
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        found.append(calls.read(request.method, request.url.removeprefix("http://127.0.0.1:1"), headers, body))
        raise InterruptedError

    client.meta.events.register("before-send", read)
    with pytest.raises(InterruptedError):
        getattr(client, operation)(**given)
    return found[0]


def account(*, known: bool = True) -> Account:
    return Account(
        {
            "api tags": lambda path: SERVICE,
            "boundary": lambda role: BOUNDARY,
            "key": lambda alias: KEY,
            "key tags": lambda key: SERVICE,
            "known": lambda _: known,
            "topic key": lambda topic: KEY,
        }
    )


CREATED = {"FunctionName": "hello", "Role": ROLE, "Code": {"ZipFile": b"x"}, "Tags": SERVICE}
STAGE = {"ApiId": "a1b2", "StageName": "live"}
ALARM = {"AlarmName": "hello-errors", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold"}
MACHINE = f"arn:aws:states:{ARN}:stateMachine:hello"
CASES: dict[tuple[str, str], tuple[dict[str, Any], list[Request]]] = {
    ("lambda", "create_function"): (
        CREATED,
        [
            Request("lambda:CreateFunction", FUNCTION, TAGGED),
            Request("lambda:TagResource", FUNCTION, TAGGED),
            Request("iam:PassRole", ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ],
    ),
    ("lambda", "get_function"): (
        {"FunctionName": "hello", "Qualifier": "7"},
        [
            Request("lambda:GetFunction", FUNCTION),
            Request("lambda:GetFunction", f"{FUNCTION}:7"),
            Request("lambda:ListTags", FUNCTION),
        ],
    ),
    ("lambda", "update_alias"): (
        {"FunctionName": "hello", "Name": "dev", "FunctionVersion": "7"},
        [Request("lambda:UpdateAlias", f"{FUNCTION}:dev")],
    ),
    ("lambda", "tag_resource"): (
        {"Resource": FUNCTION, "Tags": SERVICE},
        [Request("lambda:TagResource", FUNCTION, TAGGED)],
    ),
    ("apigatewayv2", "create_api"): (
        {"Name": "hello", "ProtocolType": "HTTP", "Tags": SERVICE},
        [
            Request("apigateway:POST", f"{APIS}/apis", TAGGED | OF_RESOURCE),
            Request("apigateway:TagResource", f"{APIS}/apis", TAGGED | OF_RESOURCE),
            Request(
                "iam:CreateServiceLinkedRole",
                "arn:aws:iam::000000000000:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway",
                {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"},
            ),
        ],
    ),
    ("apigatewayv2", "update_stage"): (
        STAGE | {"AccessLogSettings": {"Format": "x", "DestinationArn": "arn:aws:logs:x"}},
        [Request("apigateway:PATCH", f"{APIS}/apis/a1b2/stages/live", OF_RESOURCE), *DELIVERIES],
    ),
    ("apigatewayv2", "create_route"): (
        {"ApiId": "a1b2", "RouteKey": "GET /"},
        # With and without the tags of the API, which its parts may inherit.
        [
            Request("apigateway:POST", f"{APIS}/apis/a1b2/routes", OF_RESOURCE),
            Request("apigateway:POST", f"{APIS}/apis/a1b2/routes"),
        ],
    ),
    ("apigatewayv2", "tag_resource"): (
        {"ResourceArn": f"{APIS}/apis/a1b2", "Tags": SERVICE},
        [
            Request("apigateway:POST", f"{APIS}/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Fapis%2Fa1b2", TAGGED),
            Request("apigateway:TagResource", f"{APIS}/apis/a1b2", TAGGED | OF_RESOURCE),
        ],
    ),
    ("cloudwatch", "put_metric_alarm"): (
        ALARM | {"Tags": TAGS},
        [
            Request("cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{ARN}:alarm:hello-errors", TAGGED),
            Request("cloudwatch:TagResource", f"arn:aws:cloudwatch:{ARN}:alarm:hello-errors", TAGGED),
        ],
    ),
    ("cloudwatch", "put_composite_alarm"): (
        {"AlarmName": "hello-unhealthy", "AlarmRule": "TRUE", "Tags": TAGS},
        [
            Request("cloudwatch:PutCompositeAlarm", "*", TAGGED),
            Request("cloudwatch:TagResource", f"arn:aws:cloudwatch:{ARN}:alarm:hello-unhealthy", TAGGED),
        ],
    ),
    ("logs", "create_log_group"): (
        {"logGroupName": "/aws/lambda/hello", "tags": SERVICE},
        [
            Request("logs:CreateLogGroup", f"arn:aws:logs:{ARN}:log-group:/aws/lambda/hello:log-stream:", TAGGED),
            Request("logs:TagResource", f"arn:aws:logs:{ARN}:log-group:/aws/lambda/hello", TAGGED),
        ],
    ),
    ("iam", "create_role"): (
        {"RoleName": "hello", "AssumeRolePolicyDocument": "{}", "PermissionsBoundary": BOUNDARY, "Tags": TAGS},
        [
            Request("iam:CreateRole", ROLE, TAGGED | {"iam:PermissionsBoundary": BOUNDARY}),
            Request("iam:TagRole", ROLE, TAGGED),
        ],
    ),
    ("iam", "put_role_policy"): (
        {"RoleName": "hello", "PolicyName": "x", "PolicyDocument": "{}"},
        [Request("iam:PutRolePolicy", ROLE, {"iam:PermissionsBoundary": BOUNDARY})],
    ),
    ("stepfunctions", "update_state_machine"): (
        {"stateMachineArn": MACHINE, "roleArn": ROLE, "loggingConfiguration": {"level": "ALL"}},
        [
            Request("states:UpdateStateMachine", MACHINE),
            Request("iam:PassRole", ROLE, {"iam:PassedToService": "states.amazonaws.com"}),
            *DELIVERIES,
        ],
    ),
    ("events", "put_targets"): (
        {"Rule": "hello", "Targets": [{"Id": "1", "Arn": MACHINE, "RoleArn": ROLE}]},
        [
            Request("events:PutTargets", f"arn:aws:events:{ARN}:rule/hello"),
            Request("iam:PassRole", ROLE, {"iam:PassedToService": "events.amazonaws.com"}),
        ],
    ),
    ("sns", "publish"): (
        {"TopicArn": TOPIC, "Message": "x"},
        [
            Request("sns:Publish", TOPIC),
            Request("kms:Decrypt", KEY, {"kms:EncryptionContext:aws:sns:topicArn": TOPIC}),
            Request("kms:GenerateDataKey", KEY, {"kms:EncryptionContext:aws:sns:topicArn": TOPIC}),
        ],
    ),
    ("kms", "describe_key"): ({"KeyId": "alias/hello"}, [Request("kms:DescribeKey", KEY, OF_RESOURCE)]),
    ("ssm", "put_parameter"): (
        {"Name": "/releases/hello/control", "Value": "{}"},
        [Request("ssm:PutParameter", f"arn:aws:ssm:{ARN}:parameter/releases/hello/control")],
    ),
    ("s3", "head_object"): ({"Bucket": "state", "Key": "a/b"}, [Request("s3:GetObject", "arn:aws:s3:::state/a/b")]),
    ("s3", "list_objects_v2"): ({"Bucket": "state"}, [Request("s3:ListBucket", "arn:aws:s3:::state")]),
    ("sts", "get_caller_identity"): ({}, []),
}


@pytest.mark.parametrize(("service", "operation"), CASES, ids=[" ".join(case) for case in CASES])
def test_requests_of_a_call(service: str, operation: str) -> None:
    given, expected = CASES[service, operation]
    found = authorization.requests(call(service, operation, **given), account())
    assert found == expected
    different = {request.action: text for request in found if (text := reference.difference(request))}
    assert different.keys() <= reference.EXCEPTIONS.keys(), different


def test_parts_of_an_api_count_by_its_tags_until_its_id_is_known() -> None:
    found = authorization.requests(
        call("apigatewayv2", "create_route", ApiId="a1b2", RouteKey="x"), account(known=False)
    )
    assert [request.context for request in found] == [OF_RESOURCE]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request("lambda:MoveAlias", FUNCTION), "it does not exist"),
        (Request("lambda:UpdateAlias", MACHINE), "its resources are function"),
        (Request("ssm:DescribeParameters", FUNCTION), "its resources are [*]"),
        (
            Request("iam:TagRole", ROLE, {"iam:PermissionsBoundary": BOUNDARY}),
            "it does not have iam:PermissionsBoundary",
        ),
    ],
)
def test_reference_differs(request_: Request, reason: str) -> None:
    assert reference.difference(request_) == reason.replace("[*]", "*")
