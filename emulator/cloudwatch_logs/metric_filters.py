"""Publish the metrics of metric filters as lines arrive: MiniStack only stores the filters.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import cloudwatch_logs

from emulator import hooks
from emulator.cloudwatch import metrics
from emulator.cloudwatch_logs import patterns
from emulator.cloudwatch_logs.patterns import Line, Pattern, PatternError
from emulator.cloudwatch_logs.refusals import RefusalError

OK = 200
MAX_FILTERS = 100
MAX_DIMENSIONS = 3
MAX_MESSAGES = 50
# The length that a text must not exceed, and what it must consist of. Namespaces may have colons, as recorded on AWS:
# https://github.com/localstack/localstack/blob/main/tests/aws/services/logs/test_logs_metric_filters.py
NAME = (512, re.compile(r"[^:*]+"))
PATTERN = (1024, re.compile(r".*", re.DOTALL))
TRANSFORMATION = {
    "metricName": (255, re.compile(r"[^:*$]+")),
    "metricNamespace": (255, re.compile(r"[^*$]+")),
    "metricValue": (100, re.compile(r".+")),
}
NOT_SUPPORTED = ("applyOnTransformedLogs", "emitSystemFieldDimensions", "fieldSelectionCriteria")


def install() -> None:
    """Put this in front of MiniStack's own metric filters, and of every line that arrives."""
    hooks.wrap(cloudwatch_logs, "_put_metric_filter", ["data"], _put)
    hooks.wrap(
        cloudwatch_logs, "_fanout_to_subscription_filters", ["group_name", "stream_name", "events"], _publish_all
    )


def test(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the messages that a pattern matches.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TestMetricFilter.html
    """
    messages = data.get("logEventMessages") or []
    pattern = _pattern(data)
    _check_length("logEventMessages", messages, MAX_MESSAGES)
    # Only space-delimited patterns extract values.
    matches = [
        {"eventNumber": number, "eventMessage": message, "extractedValues": {}}
        for number, message in enumerate(messages, 1)
        if pattern.match(message) is not None
    ]
    return {"matches": matches}


def _put(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    group, name = data.get("logGroupName"), data.get("filterName")
    try:
        _check_text("filterName", name, NAME)
        _check(data, _pattern(data))
    except RefusalError as refusal:
        return refusal.response
    filters = cloudwatch_logs._metric_filters
    if (group, name) not in filters and len(_names(str(group))) >= MAX_FILTERS:
        return error_response_json("LimitExceededException", "Resource limit exceeded.", 400)
    response = original(data)
    if response[0] == OK:
        filters[group, name]["applyOnTransformedLogs"] = False
    return response


def _pattern(data: Mapping[str, Any]) -> Pattern:
    text = data.get("filterPattern") or ""
    _check_text("filterPattern", text, PATTERN)
    try:
        return patterns.compiled(text)
    except PatternError as error:
        raise RefusalError(str(error)) from error


def _check(data: Mapping[str, Any], pattern: Pattern) -> None:
    transformations = data.get("metricTransformations") or []
    _check_length("metricTransformations", transformations, 1)
    for name in NOT_SUPPORTED:
        if data.get(name):
            raise RefusalError(f"Local AWS does not support {name} in metric filters.")
    (transformation,) = transformations
    for name, rule in TRANSFORMATION.items():
        _check_text(f"metricTransformations.1.member.{name}", transformation.get(name), rule)
    value = transformation["metricValue"]
    if not patterns.NUMBER.fullmatch(value) and not (pattern.has_fields and patterns.SELECTOR.fullmatch(value)):
        raise RefusalError(f"Invalid metric transformation: metric value {value} must be a valid number")
    if transformation.get("dimensions"):
        _check_dimensions(transformation, pattern)


def _check_dimensions(transformation: Mapping[str, Any], pattern: Pattern) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-logs-metricfilter-dimension.html."""
    dimensions: Mapping[str, str] = transformation["dimensions"]
    if not pattern.has_fields:
        raise RefusalError("The specified filter pattern does not support dimensions")
    if transformation.get("defaultValue") is not None:
        raise RefusalError(
            "Invalid metric transformation: dimensions and default value are mutually exclusive properties"
        )
    if len(dimensions) > MAX_DIMENSIONS:
        raise RefusalError(f"Invalid metric transformation: at most {MAX_DIMENSIONS} dimensions are allowed")
    for name, selector in dimensions.items():
        if len(name) > 255 or not name.isascii() or not name.strip() or name.startswith(":"):
            raise RefusalError(f"Invalid metric transformation: dimension name {name} is not valid")
        if len(selector) > 255 or not patterns.SELECTOR.fullmatch(selector):
            raise RefusalError("Invalid metric transformation: dimension value must be valid selector")


def _check_length(name: str, items: Any, most: int) -> None:
    wanted = f"less than or equal to {most}" if items else "greater than or equal to 1"
    if not 1 <= len(items) <= most:
        raise RefusalError(
            f"1 validation error detected: Value '{items}' at '{name}' failed to satisfy constraint: "
            f"Member must have length {wanted}"
        )


def _check_text(name: str, text: str | None, rule: tuple[int, re.Pattern[str]]) -> None:
    most, form = rule
    if text is None:
        constraint = "Member must not be null"
    elif len(text) > most:
        constraint = f"Member must have length less than or equal to {most}"
    elif not form.fullmatch(text):
        constraint = f"Member must satisfy regular expression pattern: {form.pattern}"
    else:
        return
    raise RefusalError(
        f"1 validation error detected: Value '{text}' at '{name}' failed to satisfy constraint: {constraint}"
    )


def _names(group: str) -> list[str]:
    return [name for owner, name in cloudwatch_logs._metric_filters if owner == group]


def _publish_all(
    original: Callable[..., Any], group_name: str, stream_name: str, events: Iterable[Mapping[str, Any]]
) -> None:
    for name in _names(group_name):
        # A request can delete it in the meantime.
        if found := cloudwatch_logs._metric_filters.get((group_name, name)):
            pattern = patterns.compiled(found["filterPattern"])
            for event in events:
                _publish(found["metricTransformations"][0], pattern, event)
    original(group_name, stream_name, events)


def _publish(transformation: Mapping[str, Any], pattern: Pattern, event: Mapping[str, Any]) -> None:
    """Publish the value of a line that matches, or else the default value, at the time of the line."""
    line = pattern.match(event["message"])
    value = transformation.get("defaultValue") if line is None else _value(transformation["metricValue"], line)
    if value is None:
        return
    metrics.record(
        transformation["metricNamespace"],
        [(transformation["metricName"], value, transformation.get("unit") or "None")],
        dict(_dimensions(transformation, line or {})),
        moment=event["timestamp"] / 1000,
    )


def _value(described: str, line: Line) -> float | None:
    """Return a number, or the one in a field, or None if there is no number in the field."""
    found = patterns.value_at(line, described) if described.startswith("$") else described
    try:
        number = float(found) if found is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _dimensions(transformation: Mapping[str, Any], line: Line) -> Iterator[tuple[str, str]]:
    """Yield the dimensions that the line has the fields of."""
    for name, selector in (transformation.get("dimensions") or {}).items():
        value = patterns.value_at(line, selector)
        if value not in {None, ""}:
            yield name, value if isinstance(value, str) else json.dumps(value)
