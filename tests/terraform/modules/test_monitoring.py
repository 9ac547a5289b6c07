"""The plan of the monitoring module by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from emulator.cloudwatch.expressions import Series, evaluate
from tests.conftest import ROOT
from tests.python.emulator.contract.alarms import bound
from tests.terraform.modules.test_modules import FUNCTION_ARN, Modules, values

STAGES = ("live", "test")
RATES = ("error_rate", "api_5xx_rate")
TWO_OF_THREE = (*RATES, "duration", "throttles")
METRIC_ALARMS = (*TWO_OF_THREE, "total_failure")
# All counts of little traffic, and some of much.
COUNTS = [(errors, total) for total in range(1, 121) for errors in range(total + 1)]
COUNTS += [(2, 700), (3, 1000), (50, 1000), (180_000, 6_000_000), (6_000_000, 6_000_000)]
TOPIC = "arn:aws:sns:eu-west-2:000000000000:greeter-alerts"

DASHBOARD = "https://console.amazonaws.cn/cloudwatch/home?region=eu-west-2#dashboards:name=greeter"
VARIABLES: dict[str, Any] = {
    "alarms": {
        "api_5xx_rate_percent": 3,
        "duration_p99_milliseconds": 700,
        "error_rate_percent": 2,
        "throttles": 4,
    },
    "api_id": "abc",
    "console_url": "https://console.amazonaws.cn",
    "function_arn": FUNCTION_ARN,
    "log_group_name": "/aws/lambda/greeter",
    "name": "greeter",
    "runbook": "https://example.com/runbook.md",
    "stages": STAGES,
    "topic_arn": TOPIC,
}


@pytest.fixture(scope="module")
def plan(module: Modules) -> Any:
    return module("monitoring").variables(**VARIABLES).plan()


def alarm(plan: Any, kind: str, stage: str = "live") -> dict[str, Any]:
    return values(plan, f'aws_cloudwatch_metric_alarm.{kind}["{stage}"]')


def queries(metric_alarm: dict[str, Any]) -> dict[str, Any]:
    return {query["id"]: query for query in metric_alarm["metric_query"]}


def evaluated(metric_alarm: dict[str, Any], counts: Sequence[tuple[int, int]]) -> list[float]:
    """Return the values of an alarm for numbers of errors and invocations, one for each pair."""
    series = {
        name: Series(dict(enumerate(map(float, numbers))), 60)
        for name, numbers in zip(("errors", "total"), zip(*counts, strict=True), strict=True)
    }
    expression = queries(metric_alarm)["rate"]["expression"]
    (found,) = evaluate(expression, series.__getitem__, lambda _: [], range(len(counts)))
    return list(found.values.values())


def headings() -> set[str]:
    """Return the anchors that GitHub generates for the runbook's headings."""
    text = (ROOT / "docs" / "runbook.md").read_text()
    return {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("kind", ["error_rate", "total_failure"])
def test_error_rate_and_total_failure_are_of_the_alias(plan: Any, kind: str) -> None:
    found = queries(alarm(plan, kind))
    for query, metric in (("errors", "Errors"), ("total", "Invocations")):
        (given,) = found[query]["metric"]
        assert (given["namespace"], given["metric_name"], given["stat"]) == ("AWS/Lambda", metric, "Sum")
        assert given["dimensions"] == {"FunctionName": "greeter", "Resource": "greeter:live"}


def test_5xx_rate_is_of_the_stage(plan: Any) -> None:
    found = queries(alarm(plan, "api_5xx_rate"))
    for query, metric in (("errors", "5xx"), ("total", "Count")):
        (given,) = found[query]["metric"]
        assert (given["namespace"], given["metric_name"], given["stat"]) == ("AWS/ApiGateway", metric, "Sum")
        assert given["dimensions"] == {"ApiId": "abc", "Stage": "live"}


@pytest.mark.parametrize(("kind", "threshold"), [("error_rate", 2), ("api_5xx_rate", 3)])
def test_rate_fires_if_its_lower_bound_is_above_the_threshold(plan: Any, kind: str, threshold: float) -> None:
    found = alarm(plan, kind)
    assert (found["comparison_operator"], found["threshold"]) == ("GreaterThanThreshold", threshold)
    assert [query["id"] for query in found["metric_query"] if query["return_data"]] == ["rate"]
    bounds = [100 * bound(errors, total) if errors >= 2 else 0 for errors, total in COUNTS]
    assert evaluated(found, COUNTS) == pytest.approx(bounds)


@pytest.mark.parametrize("kind", RATES)
def test_rate_does_not_depend_on_the_precedence_of_powers(plan: Any, kind: str) -> None:
    expression = queries(alarm(plan, kind))["rate"]["expression"]
    assert len(re.findall(r"\(\([^^]+\) \^ 0\.5\)", expression)) == expression.count("^") == 1


def test_total_failure_fires_if_each_of_at_least_three_invocations_failed(plan: Any) -> None:
    found = alarm(plan, "total_failure")
    assert (found["comparison_operator"], found["treat_missing_data"]) == (
        "GreaterThanOrEqualToThreshold",
        "notBreaching",
    )
    assert (found["evaluation_periods"], found["datapoints_to_alarm"]) == (1, 1)
    assert {query["metric"][0]["period"] for query in found["metric_query"] if query["metric"]} == {300}
    assert [query["id"] for query in found["metric_query"] if query["return_data"]] == ["rate"]
    fires = [value >= found["threshold"] for value in evaluated(found, COUNTS)]
    assert fires == [errors == total >= 3 for errors, total in COUNTS]


def test_duration_is_p99_of_the_alias(plan: Any) -> None:
    found = alarm(plan, "duration")
    assert (found["metric_name"], found["extended_statistic"], found["threshold"]) == ("Duration", "p99", 700)
    assert found["dimensions"] == {"FunctionName": "greeter", "Resource": "greeter:live"}
    assert found["evaluate_low_sample_count_percentiles"] == "ignore"


def test_throttles_are_of_the_alias(plan: Any) -> None:
    found = alarm(plan, "throttles")
    assert (found["metric_name"], found["statistic"], found["threshold"]) == ("Throttles", "Sum", 4)
    assert found["comparison_operator"] == "GreaterThanOrEqualToThreshold"
    assert found["dimensions"] == {"FunctionName": "greeter", "Resource": "greeter:live"}


@pytest.mark.parametrize("kind", TWO_OF_THREE)
@pytest.mark.parametrize("stage", STAGES)
def test_alarm_needs_two_of_three_periods_that_breach_and_ignores_missing_data(
    plan: Any, kind: str, stage: str
) -> None:
    found = alarm(plan, kind, stage)
    assert (found["evaluation_periods"], found["datapoints_to_alarm"]) == (3, 2)
    assert found["treat_missing_data"] == "notBreaching"
    periods = {query["metric"][0]["period"] for query in found["metric_query"] if query["metric"]}
    assert (periods or {found["period"]}) == {60}


@pytest.mark.parametrize("kind", METRIC_ALARMS)
def test_alarm_links_to_its_heading_in_the_runbook(plan: Any, kind: str) -> None:
    heading = kind.replace("_", "-")
    assert f". Runbook: https://example.com/runbook.md#{heading} " in alarm(plan, kind)["alarm_description"]
    assert heading in headings()


@pytest.mark.parametrize("kind", METRIC_ALARMS)
def test_alarm_links_to_the_dashboard_in_the_console(plan: Any, kind: str) -> None:
    assert alarm(plan, kind)["alarm_description"].endswith(f" Dashboard: {DASHBOARD}")


def test_alarm_without_a_runbook_and_a_console_has_no_links(module: Modules) -> None:
    plan = module("monitoring").variables(**VARIABLES | {"runbook": None, "console_url": None}).plan()
    assert alarm(plan, "throttles")["alarm_description"] == (
        "Lambda throttles invocations in the stage live: concurrency is at its limit."
    )


def test_composite_alarm_combines_every_alarm_of_its_stage(plan: Any) -> None:
    found = values(plan, 'aws_cloudwatch_composite_alarm.unhealthy["live"]')
    assert found["alarm_name"] == "greeter-live-unhealthy"
    assert found["alarm_rule"] == (
        'ALARM("greeter-live-error-rate") OR ALARM("greeter-live-total-failure") OR '
        'ALARM("greeter-live-duration") OR ALARM("greeter-live-throttles") OR ALARM("greeter-live-api-5xx-rate")'
    )
    assert found["alarm_description"] == (
        "The stage live is unhealthy: at least one of its alarms fires. "
        f"Runbook: https://example.com/runbook.md#unhealthy Dashboard: {DASHBOARD}"
    )
    assert "unhealthy" in headings()


def test_composite_alarm_alone_notifies_the_topic(plan: Any) -> None:
    composite = values(plan, 'aws_cloudwatch_composite_alarm.unhealthy["live"]')
    assert composite["alarm_actions"] == composite["ok_actions"] == [TOPIC]
    for kind in METRIC_ALARMS:
        assert not alarm(plan, kind)["alarm_actions"]
