"""Local AWS refuses metric filters that it cannot evaluate, and names the reason."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

Client = Callable[[str], Any]


@pytest.mark.parametrize(
    ("pattern", "given", "named"),
    [
        ("ERROR", {}, "unstructured patterns"),
        ('"status 500"', {}, "unstructured patterns"),
        ("%ERROR%", {}, "unstructured patterns"),
        ("[ip, user, status = 5*]", {}, "space-delimited patterns"),
        ("{ $.message = %error% }", {}, "regular expressions"),
        ("{ $.items[*].id = 1 }", {}, "wildcards in property selectors"),
        ("{ $.*.id = 1 }", {}, "wildcards in property selectors"),
        ("{ $.error EXISTS }", {}, "EXISTS without NOT, for which AWS documents `= *`,"),
        ("", {"applyOnTransformedLogs": True}, "applyOnTransformedLogs"),
        ("", {"emitSystemFieldDimensions": ["@aws.account"]}, "emitSystemFieldDimensions"),
        ("", {"fieldSelectionCriteria": '@aws.region = "eu-west-2"'}, "fieldSelectionCriteria"),
    ],
)
def test_metric_filter_that_is_not_supported_is_refused(
    client: Client, pattern: str, given: dict[str, Any], named: str
) -> None:
    logs, group = client("logs"), f"it-{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=group)
    transformation = {"metricName": "m", "metricNamespace": "N", "metricValue": "1"}
    with pytest.raises(logs.exceptions.InvalidParameterException) as refused:
        logs.put_metric_filter(
            logGroupName=group,
            filterName="m",
            filterPattern=pattern,
            metricTransformations=[transformation],
            **given,
        )
    logs.delete_log_group(logGroupName=group)
    assert refused.value.response["Error"]["Message"] == f"Local AWS does not support {named} in metric filters."


def test_metric_filter_ignores_quoted_text(client: Client) -> None:
    text = '{ $.message = "%x% [*] $.a EXISTS" }'
    assert client("logs").test_metric_filter(filterPattern=text, logEventMessages=["{}"])["matches"] == []
