"""Run each invocation in an execution environment, with the version that the weights of its alias choose.

Every way to invoke a function ends in MiniStack's ``_execute_function``. The order of the calls, with ``->`` for a call
and an asterisk for a function that this package wraps (its module is in parentheses):

Invoke API
    ``lambda_svc.handle_request`` -> ``_invoke`` * (here): chooses the version -> a thread: *Execution*, or for the
    invocation type ``Event`` -> ``invoke_async_with_retry`` -> a thread: *Execution* from step 2 on, with retries
API Gateway
    ``app._handle_special_data_plane_request`` * (``api_gateway.addresses``) -> ``app._handle_execute_api_request`` ->
    ``apigateway._handle_execute_in_scope`` * (``api_gateway.requests``) -> ``permissions.allows`` (``lambda_``) ->
    ``invoke`` (here) -> ``_get_func_record_for_ref`` * (here): chooses the version -> a thread: *Execution*
Step Functions
    ``stepfunctions._execute_task`` * (``step_functions.tasks``) -> ``_invoke_resource`` *
    (``step_functions.integrations``) -> ``aws_sdk.call`` -> HTTP -> *Invoke API*
SNS
    ``sns._fanout`` -> ``_deliver_to_lambda`` -> ``_get_func_record_for_ref`` * (here): chooses the version ->
    *Execution*. EventBridge and MiniStack's other event sources take the same way. Actions of alarms
    (``cloudwatch.actions``) do too, with ``invoke_async_with_retry`` before *Execution*.

*Execution*, the same for all of them:

1. ``_execute_function_with_config_scope`` sets the function's account and region.
2. ``_execute_function`` * (here) -> the original, which takes a slot of the function's concurrency, or throttles.
3. ``_execute_function_warm`` * (here) -> ``environments.Pool.call`` runs the handler.
4. ``_emit_lambda_logs`` * (here) writes the log, with the outcome that step 3 left in ``log_source``.
5. Back in step 2, ``_put_metrics`` (here) puts the metrics. The slot is free again.
"""

from __future__ import annotations

import base64
import contextvars
import functools
import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core.lambda_runtime import execution_credentials
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch_logs, lambda_svc

from emulator import hooks, identifiers, threads
from emulator.cloudwatch import metrics
from emulator.lambda_ import environments

POOL = environments.Pool()
THREADS = threads.Threads()
_trace_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("trace_id", default=None)
# Whether somebody waits for the response.
_synchronous: contextvars.ContextVar[bool] = contextvars.ContextVar("synchronous", default=False)


class FunctionNotFoundError(LookupError):
    """There is no such function, version or alias."""


@dataclass(frozen=True)
class Result:
    """What came of a call: the payload, parsed, and whether it is an error's, or Lambda's own for too many calls."""

    payload: Any
    error: bool
    throttled: bool
    request_id: str | None


async def invoke(function_arn: str, event: Any, *, trace_id: str | None = None) -> Result:
    """Call a function as the Invoke API does; for those who call by the ARN of a function, version or alias.

    Raises:
        FunctionNotFoundError: the ARN leads nowhere.
    """
    record, config, _ = lambda_svc._get_func_record_for_ref(function_arn)
    if not record or not config:
        raise FunctionNotFoundError(function_arn)
    _trace_id.set(trace_id)
    _synchronous.set(True)
    execution = lambda_svc._execution_record_for_config(record, config)
    result = await THREADS.run(lambda_svc._execute_function_with_config_scope, execution, event)
    outcome = result.get("log_source")
    request_id = outcome.request_id if isinstance(outcome, environments.Outcome) else None
    return Result(result.get("body"), bool(result.get("error")), bool(result.get("throttle")), request_id)


def install() -> None:
    """Put this in the place of MiniStack's own execution, logs and metrics."""
    hooks.wrap(lambda_svc, "_get_func_record_for_ref", ["function_ref"], _record_for_ref)
    hooks.wrap(lambda_svc, "_invoke", ["name", "event", "headers", "path_qualifier", "query_params"], _invoke)
    hooks.wrap(lambda_svc, "_execute_function", ["func", "event"], _execute)
    hooks.wrap(lambda_svc, "_execute_function_warm", ["func", "event", "request_id"], _execute_in_environment)
    hooks.wrap(
        lambda_svc,
        "_emit_lambda_logs",
        ["func", "request_id", "log_text", "error", "duration_ms", "log_source"],
        _write_logs,
    )
    hooks.wrap(
        lambda_svc, "_emit_lambda_metrics", ["function_name", "duration_ms", "error", "throttle"], lambda *_, **__: None
    )


def chosen_version(alias: Mapping[str, Any]) -> str:
    """Return the version for one invocation of an alias, chosen at random by the weights.

    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    draw = random.random()  # noqa: S311 - traffic, not secrets
    for version, weight in alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}).items():
        if draw < weight:
            return str(version)
        draw -= weight
    return str(alias["FunctionVersion"])


def _qualified(function: Mapping[str, Any], qualifier: str | None) -> tuple[Any, Any]:
    """Return the record and configuration that a call by a qualifier runs; its ARN is the one that was called.

    Versions share the reserved concurrency of their function.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    """
    if not qualifier:
        return function, function["config"]
    alias = function["aliases"].get(qualifier)
    version = chosen_version(alias) if alias else qualifier
    found = function if version == "$LATEST" else function["versions"].get(version)
    if found is None:
        return None, None
    record = {**found, "concurrency": function["concurrency"]}
    return record, {**found["config"], "FunctionArn": f"{function['config']['FunctionArn']}:{qualifier}"}


def _record_for_ref(original: Callable[..., Any], function_ref: str) -> tuple[Any, Any, str]:
    record, config, name = original(function_ref)
    if record is None:
        return record, config, name
    function, _, _ = lambda_svc._get_base_func_record_for_ref(function_ref)
    qualifier = function_ref.rpartition(f"{name}:")[2] if f"{name}:" in function_ref else None
    return (*_qualified(function, qualifier), name)


async def _invoke(
    original: Callable[..., Any],
    name: str,
    event: Any,
    headers: Mapping[str, str],
    path_qualifier: str | None = None,
    query_params: Mapping[str, Any] | None = None,
) -> Any:
    """Answer the Invoke API: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html."""
    function = lambda_svc._functions.get(name)
    qualifier = path_qualifier or lambda_svc._qp_first(query_params or {}, "Qualifier")
    if function is None or headers.get("x-amz-invocation-type") == "DryRun":
        return await original(name, event, headers, path_qualifier, query_params)
    record, config = _qualified(function, qualifier)
    if record is None:
        return lambda_svc._function_qualifier_not_found(name, qualifier)
    execution = lambda_svc._execution_record_for_config(record, config)
    response_headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": config["Version"]}
    if headers.get("x-amz-invocation-type") == "Event":
        lambda_svc.invoke_async_with_retry(execution, event)
        return 202, response_headers, b""
    _trace_id.set(headers.get("x-amzn-trace-id"))
    _synchronous.set(True)
    result = await THREADS.run(lambda_svc._execute_function_with_config_scope, execution, event)
    if result.get("throttle"):
        return 429, {"Content-Type": "application/json"}, json.dumps(result["body"]).encode()
    if result.get("error"):
        response_headers["X-Amz-Function-Error"] = "Unhandled"
    if headers.get("x-amz-log-type") == "Tail":
        response_headers["X-Amz-Log-Result"] = base64.b64encode(result["log"].encode()[-4096:]).decode()
    return 200, response_headers, json.dumps(result.get("body")).encode()


def _execute(original: Callable[..., Any], func: dict[str, Any], event: Any) -> Any:
    config = func.get("config") or func
    if lambda_svc._function_config_scope_mismatch(config):
        # Comes back here in the function's own account and region.
        return original(func, event)
    result = original(func, event)
    _put_metrics(config, result)
    return result


def _execute_in_environment(
    original: Callable[..., Any], func: dict[str, Any], event: Any, request_id: str
) -> dict[str, Any]:
    config = func["config"]
    if not str(config.get("Runtime", "")).startswith("python"):
        result: dict[str, Any] = original(func, event, request_id)
        return result
    outcome = POOL.call(
        _function(config, func["code_zip"]),
        event,
        request_id,
        config["FunctionArn"],
        _trace_id.get() or _new_trace_id(),
        synchronous=_synchronous.get(),
    )
    return {
        "body": outcome.result if outcome.error is None else outcome.error,
        "error": outcome.error is not None,
        "log": "\n".join(outcome.lines),
        # Carried to _write_logs and _put_metrics.
        "log_source": outcome,
    }


def _function(config: Mapping[str, Any], code: bytes) -> environments.Function:
    name, version = config["FunctionName"], config["Version"]
    settings = [config.get(key) for key in ("Handler", "MemorySize", "Timeout", "Environment", "LoggingConfig")]
    fingerprint = hashlib.sha256(json.dumps([config["CodeSha256"], settings], sort_keys=True).encode()).hexdigest()
    return environments.Function(
        key=(get_account_id(), get_region(), name, version, fingerprint),
        handler=config["Handler"],
        code=code,
        timeout_seconds=config.get("Timeout") or 3,
        memory_megabytes=config.get("MemorySize", 128),
        version=version,
        log_group=_log_group(config),
        variables=functools.partial(_variables, config),
    )


def _variables(config: Mapping[str, Any]) -> dict[str, str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime."""
    return {
        "AWS_DEFAULT_REGION": get_region(),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
        "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"],
        "AWS_LAMBDA_FUNCTION_VERSION": config["Version"],
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": get_region(),
        "LANG": "en_US.UTF-8",
        "PATH": os.environ["PATH"],
        "TZ": ":UTC",
        "_HANDLER": config["Handler"],
        **execution_credentials(config),
        **lambda_svc._runtime_env_vars(config),
    }


def _new_trace_id() -> str:
    """https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader."""
    return f"Root=1-{int(time.time()):08x}-{identifiers.digits(24)};Parent={identifiers.digits(16)};Sampled=0"


def _write_logs(original: Callable[..., Any], func: dict[str, Any], *arguments: Any, **more: Any) -> None:
    """Write the log of a call into the stream of its environment.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
    """
    outcome = more.get("log_source")
    if isinstance(outcome, environments.Outcome):
        write_log(_log_group(func["config"]), outcome.log_stream, outcome.lines)
    else:
        original(func, *arguments, **more)


def _log_group(config: Mapping[str, Any]) -> str:
    return str((config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}")


def write_log(group: str, stream: str, messages: list[str]) -> None:
    """Write events to a stream, and create the stream and its group if they do not exist."""
    now = int(time.time() * 1000)
    groups = cloudwatch_logs._log_groups
    if group not in groups:
        cloudwatch_logs._create_log_group({"logGroupName": group})
    if stream not in groups[group]["streams"]:
        cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    events = [{"timestamp": now, "message": message, "ingestionTime": now} for message in messages]
    cloudwatch_logs._append_log_events(groups[group]["streams"][stream], events)
    cloudwatch_logs._fanout_to_subscription_filters(group, stream, events)


def _put_metrics(config: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Put a call's metrics under every set of dimensions that names it.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    name, version = config["FunctionName"], config["Version"]
    resource = config["FunctionArn"].partition(":function:")[2]
    dimensions = [{"FunctionName": name}, {"FunctionName": name, "Resource": resource}]
    qualifier = resource.partition(":")[2]
    if qualifier not in {"", version}:
        dimensions.append({"FunctionName": name, "Resource": resource, "ExecutedVersion": version})
    if result.get("throttle"):
        values: list[tuple[str, float, str]] = [("Throttles", 1, "Count")]
    else:
        error = int(bool(result.get("error")))
        values = [("Throttles", 0, "Count"), ("Invocations", 1, "Count"), ("Errors", error, "Count")]
        outcome = result.get("log_source")
        if isinstance(outcome, environments.Outcome):
            values.append(("Duration", outcome.milliseconds, "Milliseconds"))
    metrics.record("AWS/Lambda", values, *dimensions)
