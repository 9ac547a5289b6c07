"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html."""

from __future__ import annotations

import json
import threading
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest

from tests.python.emulator.contract.support import Api, Function
from tests.waiting import eventually

SLEEPS = "import time\ndef handler(event, context): time.sleep(event.get('seconds', 0))"
ANSWERS = "def handler(event, context): return {'statusCode': 200, 'body': 'ok'}"


def invoke(function: Function, qualifier: str | None = None, **event: Any) -> Any:
    """Invoke a function once: SDKs retry throttled invocations."""
    client: Any = boto3.client(
        "lambda",
        region_name=function.api.meta.region_name,
        endpoint_url=function.api.meta.endpoint_url,
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    named = {"Qualifier": qualifier} if qualifier else {}
    return client.invoke(FunctionName=function.name, Payload=json.dumps(event).encode(), **named)


@pytest.mark.parametrize("qualifier", [None, "$LATEST", "1", "live"])
def test_reserved_concurrency_of_0_throttles_every_qualifier(function: Function, qualifier: str | None) -> None:
    function.create(SLEEPS)
    function.alias("live", "1")
    function.api.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        invoke(function, qualifier)
    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert dict(refused.value.response)["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    function.api.delete_function_concurrency(FunctionName=function.name)
    assert invoke(function, qualifier)["StatusCode"] == 200


def test_versions_and_aliases_share_the_reserved_concurrency(function: Function) -> None:
    function.create(SLEEPS, Timeout=30)
    function.alias("live", "1")
    function.api.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=1)

    def throttled(qualifier: str, **event: Any) -> bool:
        try:
            invoke(function, qualifier, **event)
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"] == "TooManyRequestsException"
        return False

    # Each of the two can throttle the other.
    busy = threading.Thread(target=eventually, args=(lambda: not throttled("live", seconds=3), 60))
    busy.start()
    eventually(lambda: throttled("1"), 60)
    busy.join()
    assert invoke(function, "1")["StatusCode"] == 200


def test_reserved_concurrency_of_0_stops_a_stage(api: Api) -> None:
    function = api.function
    function.create(ANSWERS)
    function.alias("live", "1")
    api.permit(qualifier="live")
    api.route("$default", api.integrate(":live"))
    api.stage(AutoDeploy=True)
    assert api.call().status == 200
    function.api.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    # Which status of 500 and more it is, AWS does not document for HTTP APIs.
    assert api.call().status >= 500
