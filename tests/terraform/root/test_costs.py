"""The table of costs in docs/aws.md has the numbers of a plan with the default settings."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import ROOT


def rows() -> list[list[str]]:
    (section,) = re.findall(r"^## Costs\n(.*?)^## ", (ROOT / "docs" / "aws.md").read_text(), re.MULTILINE | re.DOTALL)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in re.findall(r"^\|.*", section, re.MULTILINE)]


def created(plan: Any, kind: str) -> list[dict[str, Any]]:
    changes = plan.resource_changes.values()
    return [change["change"]["after"] for change in changes if change["type"] == kind and change["mode"] == "managed"]


def watched(alarm: dict[str, Any]) -> int:
    """Return the metrics of an alarm, each of which has a price: an expression has none."""
    return 1 if alarm["metric_name"] else sum(bool(query["metric"]) for query in alarm["metric_query"])


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("composite alarms", "aws_cloudwatch_composite_alarm"),
        ("dashboard", "aws_cloudwatch_dashboard"),
        ("key of the notifications topic", "aws_kms_key"),
    ],
)
def test_costs_have_the_number_of_resources(planned_root: Any, row: str, kind: str) -> None:
    (number,) = (each[1] for each in rows() if row in each[0])
    assert int(number) == len(created(planned_root, kind))


def test_costs_have_the_number_of_alarm_metrics(planned_root: Any) -> None:
    (number,) = (each[1] for each in rows() if "metrics that alarms watch" in each[0])
    assert int(number) == sum(map(watched, created(planned_root, "aws_cloudwatch_metric_alarm")))


def test_costs_add_up() -> None:
    least = most = 0.0
    for what, _, dollars in rows()[2:]:
        if what == "**without traffic**":
            assert dollars == f"**{least:.2f} to {most:.2f}**"
            return
        least += float(dollars.split(" to ")[0])
        most += float(dollars.split(" to ")[-1])
    pytest.fail("the table has no sum")


def test_only_these_metrics_have_a_price(planned_root: Any) -> None:
    """CloudWatch charges for metrics of log filters, and for those of each route.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    """
    assert len(created(planned_root, "aws_cloudwatch_log_metric_filter")) == 1
    stages = created(planned_root, "aws_apigatewayv2_stage")
    assert [stage["default_route_settings"][0]["detailed_metrics_enabled"] for stage in stages] == [False] * 3
