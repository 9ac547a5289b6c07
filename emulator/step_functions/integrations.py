"""Call other services for tasks, with the rights of the state machine's role.

https://docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html
https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import sns, stepfunctions

from emulator import hooks
from emulator.iam import roles
from emulator.step_functions import aws_sdk
from emulator.step_functions.executions import Run, compact

_PREFIX = "arn:aws:states:::"


def install() -> None:
    """Put this in front of MiniStack's own calls."""
    hooks.wrap(stepfunctions, "_invoke_resource", ["resource", "input_data"], _invoke)


def function_arn(reference: str, qualifier: str | None = None) -> str:
    """Return the ARN of what a name, partial ARN or ARN and a qualifier name together."""
    before, _, name = reference.rpartition(":function:")
    name, _, own = name.partition(":")
    prefix = before if before.startswith("arn:") else f"arn:aws:lambda:{get_region()}:{get_account_id()}"
    return ":".join([prefix, "function", name, *filter(None, [qualifier or own])])


def _qualified(given: Mapping[str, Any]) -> str:
    return function_arn(given["FunctionName"], given.get("Qualifier"))


def _function(given: Mapping[str, Any]) -> str:
    return function_arn(given["FunctionName"])


def _parameter(given: Mapping[str, Any]) -> str:
    """Return the ARN of a parameter, without its version or label.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
    """
    prefix, _, name = given["Name"].rpartition(":parameter/")
    prefix = prefix or f"arn:aws:ssm:{get_region()}:{get_account_id()}"
    return f"{prefix}:parameter/{name.partition(':')[0].removeprefix('/')}"


# What each call needs, of the services in the Service Authorization Reference:
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
# Lambda's aliases are resources of its Invoke API and the like, but not of the calls about the aliases themselves.
_RIGHTS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "lambda:invoke": ("lambda:InvokeFunction", _qualified),
    "sns:publish": ("SNS:Publish", lambda given: str(given.get("TopicArn") or given.get("TargetArn") or "*")),
    "states:startExecution": ("states:StartExecution", lambda given: str(given["StateMachineArn"])),
    "aws-sdk:lambda:getAlias": ("lambda:GetAlias", _function),
    "aws-sdk:lambda:updateAlias": ("lambda:UpdateAlias", _function),
    "aws-sdk:lambda:getFunctionConfiguration": ("lambda:GetFunctionConfiguration", _qualified),
    "aws-sdk:cloudwatch:getMetricData": ("cloudwatch:GetMetricData", lambda _: "*"),
    # "must have a * scope": https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/permissions-reference-cw.html
    "aws-sdk:cloudwatch:describeAlarms": ("cloudwatch:DescribeAlarms", lambda _: "*"),
    "aws-sdk:sfn:describeExecution": ("states:DescribeExecution", lambda given: str(given["ExecutionArn"])),
    "aws-sdk:ssm:getParameter": ("ssm:GetParameter", _parameter),
    "aws-sdk:ssm:putParameter": ("ssm:PutParameter", _parameter),
    "aws-sdk:ssm:deleteParameter": ("ssm:DeleteParameter", _parameter),
}
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
# https://docs.aws.amazon.com/step-functions/latest/apireference/CommonErrors.html
_DENIED_STATUS = {"sfn": 400, "ssm": 400}

# Optimized integrations are older than the SDK integrations, and name errors after an older SDK.
_OPTIMIZED = {
    "lambda": ("Lambda", "AWSLambda", "AWSLambdaException"),
    "sns": ("SNS", "AmazonSNS", "AuthorizationErrorException"),
    "states": ("StepFunctions", "AWSStepFunctions", "AWSStepFunctionsException"),
}


def authorize(run: Run, resource: str, given: Any) -> None:
    """Verify that the role of the execution's state machine allows a request.

    Raises:
        _ExecutionError: it does not, with the error of the service; or ``States.Permissions``, if the role cannot be
            assumed or the permissions for the request are not known here.
    """
    if ":activity:" in resource:
        return
    name = _name(resource)
    if name not in _RIGHTS:
        raise stepfunctions._ExecutionError(
            "States.Permissions", f"Local AWS does not know the permissions for {resource}, so it refuses the request"
        )
    if not roles.assumable(run.role_arn, "states", run.record["stateMachineArn"]):
        raise stepfunctions._ExecutionError(
            "States.Permissions",
            "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume "
            "the provided role.",
        )
    action, resource_arn = _RIGHTS[name]
    given = {"FunctionName": resource} if resource.startswith("arn:aws:lambda:") else given
    try:
        roles.check(run.role_arn, action, resource_arn(given))
    except roles.NotAuthorizedError as error:
        raise _denied(name, str(error)) from None
    except KeyError as error:
        raise stepfunctions._ExecutionError("States.Runtime", f"The field {error} is required by {resource}") from None
    if name == "sns:publish":
        _authorize_encryption(run, given)


def _authorize_encryption(run: Run, given: Mapping[str, Any]) -> None:
    """Hold a publisher to an encrypted topic against its key.

    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#sns-what-permissions-for-sse
    """
    topic_arn = given.get("TopicArn") or given.get("TargetArn")
    topic = sns._topics.get(topic_arn)
    key_id = topic and topic["attributes"].get("KmsMasterKeyId")
    if not key_id or key_id == "alias/aws/sns":
        return
    try:
        key = aws_sdk.call("kms", "DescribeKey", {"KeyId": key_id})["KeyMetadata"]
    except aws_sdk.ServiceError:
        message = f"Key '{key_id}' does not exist"
        raise _optimized_error("sns", "KMSNotFoundException", "KMSNotFound", message, 400, str(uuid.uuid4())) from None
    # https://docs.aws.amazon.com/gameliftservers/latest/flexmatchguide/queue-notification-sns-sse.html
    keys = {"kms:encryptioncontext:aws:sns:topicarn": str(topic_arn)}
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        try:
            roles.check(run.role_arn, action, key["Arn"], keys)
        except roles.NotAuthorizedError as error:
            raise _optimized_error(
                "sns", "KMSAccessDeniedException", "KMSAccessDenied", str(error), 400, str(uuid.uuid4())
            ) from None


def _name(resource: str) -> str:
    if resource.startswith("arn:aws:lambda:"):
        return "lambda:invoke"
    return resource.removeprefix(_PREFIX).removesuffix(".waitForTaskToken").partition(".sync")[0]


def _denied(name: str, message: str) -> Any:
    service, _, called = name.partition(":")
    if service == "aws-sdk":
        called = called.partition(":")[0]
        status = _DENIED_STATUS.get(called, 403)
        return aws_sdk.error(called, "AccessDeniedException", message, status, str(uuid.uuid4()))
    _, _, error = _OPTIMIZED[service]
    return _optimized_error(service, error, "AccessDeniedException", message, 403, str(uuid.uuid4()))


def _optimized_error(service: str, name: str, code: str, message: str, status: int, request_id: str) -> Any:
    prefix, sdk, _ = _OPTIMIZED[service]
    cause = (
        f"{message} (Service: {sdk}; Status Code: {status}; Error Code: {code}; Request ID: {request_id}; Proxy: null)"
    )
    return stepfunctions._ExecutionError(f"{prefix}.{name}", cause)


def _invoke(original: Callable[..., Any], resource: str, input_data: Any) -> Any:
    name = _name(resource)
    if resource.startswith("arn:aws:lambda:"):
        return _invoke_function({"FunctionName": resource, "Payload": input_data})["Payload"]
    if name == "lambda:invoke":
        return _invoke_function(input_data)
    if name == "sns:publish":
        message = input_data.get("Message")
        text = message if isinstance(message, str) else compact(message)
        return _optimized("sns", "Publish", {**input_data, "Message": text})
    if name.startswith("aws-sdk:") and name in _RIGHTS:
        _, service, action = name.split(":")
        return aws_sdk.call(service, action[0].upper() + action[1:], input_data)
    return original(resource, input_data)


def _invoke_function(given: Mapping[str, Any]) -> Any:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html."""
    payload = {"Payload": compact(given["Payload"]).encode()} if "Payload" in given else {}
    answer = _optimized("lambda", "Invoke", {**given, **payload})
    content = answer.get("Payload", "")
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = content
    if "FunctionError" in answer:
        # https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
        if isinstance(parsed, dict) and "errorType" in parsed:
            raise stepfunctions._ExecutionError(parsed["errorType"], compact(parsed))
        unknown = "The cause could not be determined because Lambda did not return an error type. Returned payload: "
        raise stepfunctions._ExecutionError("Lambda.Unknown", unknown + compact(parsed))
    return {**answer, "Payload": parsed}


def _optimized(service: str, operation: str, given: Mapping[str, Any]) -> Any:
    try:
        return aws_sdk.call(service, operation, given, metadata=True)
    except aws_sdk.ServiceError as error:
        raise _optimized_error(
            service, error.shape or _OPTIMIZED[service][2], error.code, error.message, error.status, error.request_id
        ) from None
