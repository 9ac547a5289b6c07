"""The saved queries, which docs/runbook.md names, over the lines that the service and AWS write."""

from __future__ import annotations

import contextlib
import io
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service import telemetry
from service.http import Invocation, Request
from tests.conftest import ROOT
from tests.python.emulator.contract.support import Function
from tests.waiting import eventually

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
DASHBOARD = (ROOT / "terraform" / "modules" / "dashboard" / "main.tf").read_text()
QUERIES = {path.stem: path.read_text() for path in (ROOT / "terraform/modules/dashboard/queries").glob("*.insights")}
Client = Callable[[str], Any]
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def rows(logs: Any, group: str, query: str, complete: Callable[[list[dict[str, str]]], bool]) -> list[dict[str, str]]:
    """Return the rows of a query over the last hour, when they are complete."""

    def found() -> list[dict[str, str]] | None:
        now = int(time.time())
        given = {"logGroupName": group, "startTime": now - 3600, "endTime": now + 60}
        try:
            started = logs.start_query(**given, queryString=query)["queryId"]
        except logs.exceptions.ResourceNotFoundException:
            # The first invocation creates the group.
            return None
        results = logs.get_query_results(queryId=started)["results"]
        shown = [{one["field"]: one["value"] for one in row if one["field"] != "@ptr"} for row in results]
        return shown if complete(shown) else None

    return eventually(found)


def number(expected: int, column: str | None = None) -> Callable[[list[dict[str, str]]], bool]:
    """Return whether there are as many rows as expected, or as many events in a column."""
    return lambda found: expected == (sum(int(row[column]) for row in found) if column else len(found))


@pytest.fixture(scope="module")
def group(client: Client, endpoint: str) -> Iterator[str]:
    """Yield the log group of a function that prints a line of the service: one invocation fails, and one times out."""
    name = f"runbook-{uuid.uuid4().hex[:8]}"
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    function = Function(client, name, role)
    with contextlib.redirect_stdout(io.StringIO()) as line:
        invocation = Invocation("request-1", name, "3", "live", time.perf_counter())
        telemetry.log(invocation, Request("GET", "/", "live", invocation, {}), 500, ValueError("broken"))
    function.create(
        f"""
        import time

        def handler(event, context):
            if event == "wait":
                time.sleep(9)
            print({line.getvalue()!r}, end="")
            raise ValueError("broken")
        """,
        Timeout=1,
    )
    for event in ("fail", "wait"):
        function.call(event)
    yield f"/aws/lambda/{name}"
    client("logs").delete_log_group(logGroupName=f"/aws/lambda/{name}")
    function.api.delete_function(FunctionName=name)
    client("iam").delete_role(RoleName=name)


def test_query_of_errors_finds_exceptions_and_timeouts(client: Client, group: str) -> None:
    timeout, failure = rows(client("logs"), group, QUERIES["errors"], number(2))
    assert "Task timed out after 1.00 seconds" in timeout["@message"]
    assert (failure["stage"], failure["version"], failure["route"]) == ("live", "3", "GET /")
    assert (failure["request_id"], "ValueError: broken" in failure["error"]) == ("request-1", True)


def test_runbook_names_every_saved_query_and_repeats_none() -> None:
    assert set(re.findall(r"\bpath-to-live/([a-z-]+)(?:`|$)", RUNBOOK, re.MULTILINE)) == QUERIES.keys()
    assert not re.search(r"\|\s*(?:stats|sort|limit|filter)\b", RUNBOOK)


def test_runbook_names_widgets_of_the_dashboard() -> None:
    named = re.findall(r"look\s+at\s+(.+?)\s+on\s+the\s+dashboard", RUNBOOK, re.DOTALL)
    widgets = {name for text in named for name in re.findall(r"\*([^*]+)\*", text)}
    assert len(widgets) >= 4
    titles = re.findall(r'title +=\s+"(?:\$\{stage\.name\}: )?([^"]+)"', DASHBOARD)
    assert [name for name in widgets if not any(title.startswith(name) for title in titles)] == []


def test_query_of_durations_has_the_cold_starts(client: Client, group: str) -> None:
    # The two invocations can be in two minutes, the later of which is shown first.
    found = rows(client("logs"), group, QUERIES["durations"], number(2, "invocations"))
    assert sum(int(row["coldStarts"]) for row in found) == 1
    assert float(found[0]["p99"]) >= 1000
    assert 0 < float(found[-1]["coldStartP99"]) < 1000


def test_query_of_errors_by_version_counts_them(client: Client, group: str) -> None:
    assert rows(client("logs"), group, QUERIES["errors-by-version"], number(1)) == [
        {"stage": "live", "version": "3", "route": "GET /", "errors": "1"}
    ]


@contextlib.contextmanager
def written(logs: Any, *lines: dict[str, Any]) -> Iterator[str]:
    """Yield the name of a log group that contains these lines, one a millisecond."""
    name, now = f"runbook-{uuid.uuid4().hex[:8]}", int(time.time() * 1000) - 5000
    logs.create_log_group(logGroupName=name)
    try:
        logs.create_log_stream(logGroupName=name, logStreamName="it")
        events = [{"timestamp": now + i, "message": json.dumps(line)} for i, line in enumerate(lines)]
        logs.put_log_events(logGroupName=name, logStreamName="it", logEvents=events)
        yield name
    finally:
        logs.delete_log_group(logGroupName=name)


def test_query_of_responses_counts_them_by_their_cause(client: Client) -> None:
    # As the format in terraform/modules/stage: API Gateway writes - for a variable without a value.
    common = {"stage": "live", "routeKey": "ANY /"}
    throttled = common | {"status": "500", "lambdaStatus": "429", "lambdaErrorMessage": "Rate Exceeded"}
    failed = common | {"status": "502", "lambdaStatus": "200", "lambdaErrorMessage": "-"}
    sound = common | {"status": "200", "lambdaStatus": "200", "lambdaErrorMessage": "-"}
    with written(client("logs"), failed, throttled, sound, throttled) as name:
        found = rows(client("logs"), name, QUERIES["responses"], number(2))
    assert found == [throttled | {"responses": "2"}, failed | {"responses": "1"}]


def test_query_of_releases_shows_their_ends_with_the_reasons(client: Client) -> None:
    # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
    prefix = "arn:aws:states:eu-west-2:000000000000:execution:path-to-live-release:"
    good, bad = "live-release-8-20261124T080000Z-1a2b", "live-release-9-20261124T090000Z-3c4d"
    succeeded = json.dumps({"outcome": "succeeded", "reason": "Release completed."}, separators=(",", ":"))
    failed = json.dumps({"outcome": "rolled back", "reason": "12 of 640 invocations failed"})
    lines = (
        ("ExecutionStarted", good, {"input": "{}"}),
        ("PassStateEntered", good, {"name": "ReadInput"}),
        ("ExecutionSucceeded", good, {"output": succeeded}),
        ("ExecutionFailed", bad, {"error": "RolledBack", "cause": failed}),
    )
    events = [{"type": kind, "details": details, "execution_arn": prefix + name} for kind, name, details in lines]
    with written(client("logs"), *events) as name:
        found = rows(client("logs"), name, QUERIES["releases"], number(3))
    assert [{key: value for key, value in row.items() if key != "@timestamp"} for row in found] == [
        {
            "execution": bad,
            "event": "Failed",
            "details.error": "RolledBack",
            "reason": "12 of 640 invocations failed",
        },
        {"execution": good, "event": "Succeeded", "reason": "Release completed."},
        {"execution": good, "event": "Started"},
    ]
