"""The plan of the dashboard module by itself."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from emulator.cloudwatch.expressions import Series, evaluate
from tests.conftest import ROOT
from tests.terraform import dashboards
from tests.terraform.modules.test_modules import FUNCTION_ARN, Modules, values

PATH = ("dev", "test", "live")
KINDS = ("api_5xx_rate", "duration", "error_rate", "throttles", "total_failure", "unhealthy")
THRESHOLDS = {"api_5xx_rate": 3, "duration": 700, "error_rate": 2}
MACHINES = [f"arn:aws:states:eu-west-2:000000000000:stateMachine:greeter-release-{stage}" for stage in PATH]
QUERIES = {path.stem: path.read_text() for path in (ROOT / "terraform/modules/dashboard/queries").glob("*.insights")}
# Grid rows that a window of 1080 pixels shows.
FIRST_SCREEN = 16


def arn(stage: str, kind: str) -> str:
    return f"arn:aws:cloudwatch:eu-west-2:000000000000:alarm:greeter-{stage}-{kind}"


VARIABLES: dict[str, Any] = {
    "alarms": {
        stage: {kind: {"arn": arn(stage, kind), "threshold": THRESHOLDS.get(kind)} for kind in KINDS} for stage in PATH
    },
    "api_id": "abc",
    "console_url": "https://console.aws.amazon.com",
    "error_responses_metric": {"name": "ErrorResponses", "namespace": "greeter"},
    "function_arn": FUNCTION_ARN,
    "log_group_name": "/aws/lambda/greeter",
    "name": "greeter",
    "releases": [{"log_group_name": "/aws/vendedlogs/states/greeter-release", "state_machine_arn": MACHINES[0]}],
    "runbook": "https://example.com/runbook.md",
    "stages": [
        {"log_group_name": f"/aws/apigateway/greeter/{stage}", "name": stage, "url": f"https://example.com/{stage}/"}
        for stage in PATH
    ],
}


@pytest.fixture(scope="module")
def plan(module: Modules) -> Any:
    return module("dashboard").variables(**VARIABLES).plan()


@pytest.fixture(scope="module")
def widgets(plan: Any) -> list[dict[str, Any]]:
    return body(plan)


def body(plan: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(values(plan, "aws_cloudwatch_dashboard.this")["dashboard_body"])["widgets"]
    return found


def titled(widgets: list[dict[str, Any]], title: str) -> dict[str, Any]:
    (found,) = [widget["properties"] for widget in widgets if widget["properties"].get("title") == title]
    return dict(found)


def saved(plan: Any) -> dict[str, dict[str, Any]]:
    """Return the query definitions by their names."""
    found = [each["values"] for each in plan.resources.values() if each["type"] == "aws_cloudwatch_query_definition"]
    return {definition["name"]: definition for definition in found}


def test_body_has_the_structure_that_aws_describes(widgets: list[dict[str, Any]]) -> None:
    dashboards.check(widgets)


def test_first_screen_has_the_alarms_the_last_stage_and_releases(widgets: list[dict[str, Any]]) -> None:
    shown = [widget for widget in widgets if widget["y"] + widget["height"] <= FIRST_SCREEN]
    assert [widget["properties"].get("title") for widget in sorted(shown, key=lambda each: (each["y"], each["x"]))] == [
        "Alarms: those that fire come first",
        None,
        "live: error rate by version (%)",
        "live: responses of 5xx (%), and their number by version",
        "live: p99 duration by version (ms)",
        "live: invocations by version",
        "Releases, promotions, and rollbacks",
        "Recent releases, promotions, and rollbacks",
    ]


def test_stages_come_from_the_end_of_the_path_to_its_start(widgets: list[dict[str, Any]]) -> None:
    rows = {
        widget["properties"]["title"].partition(":")[0]: widget["y"]
        for widget in widgets
        if widget["properties"].get("title", "").endswith(": invocations by version")
    }
    assert sorted(rows, key=lambda stage: rows[stage]) == ["live", "test", "dev"]


def test_every_alarm_is_shown_and_those_that_fire_come_first(widgets: list[dict[str, Any]]) -> None:
    alarms = titled(widgets, "Alarms: those that fire come first")
    assert set(alarms["alarms"]) == {arn(stage, kind) for stage in PATH for kind in KINDS}
    assert alarms["sortBy"] == "stateUpdatedTimestamp"
    assert widgets[0]["properties"] == alarms
    assert (widgets[0]["x"], widgets[0]["y"]) == (0, 0)


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("error rate by version (%)", "error_rate"),
        ("responses of 5xx (%), and their number by version", "api_5xx_rate"),
        ("p99 duration by version (ms)", "duration"),
    ],
)
@pytest.mark.parametrize("stage", PATH)
def test_limit_is_the_threshold_of_the_alarm(
    widgets: list[dict[str, Any]], *, stage: str, title: str, kind: str
) -> None:
    (limit,) = titled(widgets, f"{stage}: {title}")["annotations"]["horizontal"]
    assert limit["value"] == THRESHOLDS[kind]
    assert f"limit of the alarm {kind.replace('_', '-')} ({THRESHOLDS[kind]} " in limit["label"]


def searched(expression: str) -> tuple[str, str]:
    """Return the terms and the statistic of a search."""
    match = re.fullmatch(r"SEARCH\('(.+)', '(\w+)', 60\)", expression)
    assert match
    return match[1], match[2]


@pytest.mark.parametrize(
    ("title", "metric", "statistic"),
    [
        ("error rate by version (%)", "Errors", "Average"),
        ("p99 duration by version (ms)", "Duration", "p99"),
        ("invocations by version", "Invocations", "Sum"),
    ],
)
def test_metrics_of_versions_are_of_the_alias(
    widgets: list[dict[str, Any]], title: str, metric: str, statistic: str
) -> None:
    search = titled(widgets, f"live: {title}")["metrics"][0][0]
    assert searched(search["expression"]) == (
        "{AWS/Lambda,ExecutedVersion,FunctionName,Resource} "
        f'FunctionName="greeter" Resource="greeter:live" MetricName="{metric}"',
        statistic,
    )
    assert search["label"] == "version ${PROP('Dim.ExecutedVersion')}"


def test_error_rate_is_the_share_of_errors_in_percent(widgets: list[dict[str, Any]]) -> None:
    (hidden,), (rate,) = titled(widgets, "live: error rate by version (%)")["metrics"]
    assert hidden["visible"] is False
    # Lambda publishes 1 or 0 for each invocation: 2 of 50 failed.
    shares = Series(dict(enumerate([2 / 50])), 60)
    (found,) = evaluate(rate["expression"], {hidden["id"]: shares}.__getitem__, lambda _: [], range(1))
    assert list(found.values.values()) == pytest.approx([4])
    assert rate["label"] == ""


def test_5xx_rate_is_of_the_stage_in_percent(widgets: list[dict[str, Any]]) -> None:
    (rate,), *metrics, _ = titled(widgets, "live: responses of 5xx (%), and their number by version")["metrics"]
    counts = {"5xx": 3.0, "Count": 60.0}
    series = {}
    for namespace, name, *dimensions, rendering in metrics:
        assert (namespace, dimensions) == ("AWS/ApiGateway", ["ApiId", "abc", "Stage", "live"])
        assert (rendering["stat"], rendering["visible"]) == ("Sum", False)
        series[rendering["id"]] = Series({0: counts[name]}, 60)
    (found,) = evaluate(rate["expression"], series.__getitem__, lambda _: [], range(1))
    assert list(found.values.values()) == pytest.approx([5])


def test_responses_of_5xx_are_counted_by_version(widgets: list[dict[str, Any]]) -> None:
    metrics = titled(widgets, "live: responses of 5xx (%), and their number by version")["metrics"]
    assert searched(metrics[-1][0]["expression"]) == (
        '{"greeter",alias,version} alias="live" MetricName="ErrorResponses"',
        "Sum",
    )
    assert metrics[-1][0]["yAxis"] == "right"


def test_releases_are_on_the_same_time_axis(widgets: list[dict[str, Any]]) -> None:
    releases = titled(widgets, "Releases, promotions, and rollbacks")
    assert [(*metric[:4], metric[4]["label"]) for metric in releases["metrics"]] == [
        ("AWS/States", f"Executions{event}", "StateMachineArn", MACHINES[0], label)
        for event, label in (
            ("Aborted", "aborted"),
            ("Failed", "rolled back or refused"),
            ("Started", "started"),
            ("Succeeded", "succeeded"),
            ("TimedOut", "timed out"),
        )
    ]


def test_logs_are_shown_by_saved_queries(plan: Any, widgets: list[dict[str, Any]]) -> None:
    shown = {
        title: titled(widgets, title)["query"]
        for title in ("Recent errors", "Recent releases, promotions, and rollbacks")
    }
    assert list(shown.values()) == [
        f"SOURCE '/aws/lambda/greeter' | {saved(plan)['greeter/errors']['query_string']}",
        f"SOURCE '/aws/vendedlogs/states/greeter-release' | {saved(plan)['greeter/releases']['query_string']}",
    ]


def test_text_links_to_the_stages_in_the_order_of_the_path_and_to_the_runbook(widgets: list[dict[str, Any]]) -> None:
    text = widgets[1]["properties"]["markdown"]
    links = dict(re.findall(r"\[([^]]+)\]\(([^)]+)\)", text))
    assert list(links)[:4] == [*PATH, "Runbook"]
    assert links["Runbook"] == "https://example.com/runbook.md"
    assert links["live"] == "https://example.com/live/"
    console = "https://console.aws.amazon.com/states/home?region=eu-west-2#/statemachines/view/"
    assert links["Releases: greeter-release-dev"] == f"{console}{MACHINES[0]}"


def test_dashboard_without_releases_a_runbook_and_a_console(module: Modules) -> None:
    plan = module("dashboard").variables(**VARIABLES | {"releases": [], "runbook": None, "console_url": None}).plan()
    widgets = body(plan)
    dashboards.check(widgets)
    assert not any("elease" in widget["properties"].get("title", "") for widget in widgets)
    assert list(re.findall(r"\[([^]]+)\]\(", widgets[1]["properties"]["markdown"])) == list(PATH)
    assert set(saved(plan)) == {f"greeter/{name}" for name in QUERIES if name != "releases"}


def test_dashboard_has_a_state_machine_for_each_stage(module: Modules) -> None:
    releases = [{"log_group_name": f"/log/{machine[-4:]}", "state_machine_arn": machine} for machine in MACHINES]
    plan = module("dashboard").variables(**VARIABLES | {"releases": releases}).plan()
    widgets = body(plan)
    dashboards.check(widgets)
    assert len(titled(widgets, "Releases, promotions, and rollbacks")["metrics"]) == 15
    assert titled(widgets, "Recent releases, promotions, and rollbacks")["query"].startswith(
        "SOURCE '/log/-dev' | SOURCE '/log/test' | SOURCE '/log/live' | filter"
    )


def test_queries_are_saved_in_a_folder_with_their_logs(plan: Any) -> None:
    found = {name: definition["log_group_names"] for name, definition in saved(plan).items()}
    function = ["/aws/lambda/greeter"]
    assert found == {
        "greeter/durations": function,
        "greeter/errors": function,
        "greeter/errors-by-version": function,
        "greeter/releases": ["/aws/vendedlogs/states/greeter-release"],
        "greeter/responses": [f"/aws/apigateway/greeter/{stage}" for stage in PATH],
    }
    assert {name.partition("/")[2]: each["query_string"] for name, each in saved(plan).items()} == {
        name: query.strip() for name, query in QUERIES.items()
    }
