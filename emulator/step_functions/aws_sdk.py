"""Call a service by its model, with names, types, and errors in the format of Step Functions.

https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.configprovider import ConstantProvider
from botocore.exceptions import ClientError, ParamValidationError
from ministack.core.responses import get_account_id, get_region
from ministack.services import stepfunctions

from emulator import models

# boto's names of services that Step Functions names otherwise.
_OTHER_NAMES = {"sfn": "stepfunctions"}
# Lists that AWS returns even if they are empty, by their shape.
_ALWAYS_LISTS = {
    "DescribeAlarmsOutput": ("CompositeAlarms", "MetricAlarms"),
    "GetMetricDataOutput": ("Messages", "MetricDataResults"),
    "MetricDataResult": ("Timestamps", "Values"),
}


class ServiceError(stepfunctions._ExecutionError):  # type: ignore[misc]
    """A service refused a request. ``shape`` is the name of the error in the service's model, or None."""

    def __init__(self, name: str, cause: str, code: str, shape: str | None, message: str, status: int, request_id: str):
        super().__init__(name, cause)
        self.code = code
        self.shape = shape
        self.message = message
        self.status = status
        self.request_id = request_id


def call(service: str, operation: str, given: Mapping[str, Any], *, metadata: bool = False) -> dict[str, Any]:
    """Return the response of an operation, with ``metadata`` as in the results of the optimized integrations.

    Raises:
        ServiceError: the service refuses the request.
        _ExecutionError: ``States.Runtime``, if the arguments do not fit the operation.
    """
    client = _client(service, get_region(), get_account_id())
    model = client.meta.service_model.operation_model(operation)
    try:
        answer = client._make_api_call(operation, _wire(model.input_shape, given))
    except ParamValidationError as refused:
        raise stepfunctions._ExecutionError("States.Runtime", str(refused)) from None
    except ClientError as refused:
        found, about = refused.response["Error"], refused.response["ResponseMetadata"]
        raise error(
            service,
            found["Code"],
            found.get("Message", ""),
            about["HTTPStatusCode"],
            about.get("RequestId", about["HTTPHeaders"].get("x-amzn-requestid", "")),
        ) from None
    about = answer.pop("ResponseMetadata")
    result: dict[str, Any] = _result(model.output_shape, answer)
    if metadata:
        headers = about["HTTPHeaders"]
        result["SdkHttpMetadata"] = {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": about["HTTPStatusCode"],
        }
        result["SdkResponseMetadata"] = {"RequestId": about.get("RequestId", "")}
    return result


def error(service: str, code: str, message: str, status: int, request_id: str) -> ServiceError:
    """Return the error of a task: one that the service's model does not name is the service's own, as in the SDK.

    The names are those of the AWS SDK for Java 2.x.
    """
    model = _client(service, get_region(), get_account_id()).meta.service_model
    shapes = {shape.metadata.get("error", {}).get("code", shape.name): shape.name for shape in model.error_shapes}
    shape = shapes.get(code)
    prefix = stepfunctions._api_name_to_sfn_key(model.service_id.replace(" ", ""))
    name = stepfunctions._api_name_to_sfn_key(shape) if shape else f"{prefix}Exception"
    name = name.removesuffix("Fault").removesuffix("Exception") + "Exception"
    cause = f"{message} (Service: {prefix}, Status Code: {status}, Request ID: {request_id})"
    return ServiceError(f"{prefix}.{name}", cause, code, shape, message, status, request_id)


@functools.cache
def _client(service: str, region: str, account: str) -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", models.LOADER)
    # Local AWS calls itself: the AWS settings of the person who runs it do not apply.
    store = session.get_component("config_store")
    for name, value in {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}.items():
        store.set_config_provider(name, ConstantProvider(value))
    return session.create_client(
        _OTHER_NAMES.get(service, service),
        region_name=region,
        endpoint_url=f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        # An account is its own root here; what the role may do has been decided before.
        aws_access_key_id=account,
        aws_secret_access_key="test",  # noqa: S106 - MiniStack's
        config=Config(retries={"total_max_attempts": 1}, read_timeout=900, proxies={}),
    )


def _wire(shape: Any, value: Any) -> Any:
    """Return a value as the service's model has it: Step Functions writes names as the SDK for Java does."""
    if shape is None or value is None:
        return value
    if shape.type_name == "structure" and isinstance(value, Mapping):
        names = {stepfunctions._api_name_to_sfn_key(name): name for name in shape.members}
        return {names.get(key, key): _wire(shape.members.get(names.get(key, key)), item) for key, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_wire(shape.member, item) for item in value]
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {key: _wire(shape.value, item) for key, item in value.items()}
    if shape.type_name in {"integer", "long"} and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _result(shape: Any, value: Any) -> Any:
    """Return a value in the format of Step Functions: JSON, with times in ISO 8601."""
    kind = shape.type_name
    if kind == "structure":
        always: dict[str, Any] = {name: [] for name in _ALWAYS_LISTS.get(shape.name, ())}
        return {
            stepfunctions._api_name_to_sfn_key(name): _result(shape.members[name], item)
            for name, item in {**always, **value}.items()
        }
    if kind == "list":
        return [_result(shape.member, item) for item in value]
    if kind == "map":
        return {key: _result(shape.value, item) for key, item in value.items()}
    if kind == "blob":
        return (value.read() if hasattr(value, "read") else value).decode()
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")
    return value
