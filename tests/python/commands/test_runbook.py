"""The queries of docs/runbook.md and of the dashboard, over the lines that the service and AWS write."""

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
DASHBOARD = (ROOT / "terraform" / "modules" / "monitoring" / "dashboard.tf").read_text()
# The blocks without a language are queries.
ERRORS, DURATIONS, RESPONSES = re.findall(r"^```\n((?:fields|filter) .+)\n```$", RUNBOOK, re.MULTILINE)
(COUNTS,) = re.findall(r"^query='(.+)'$", RUNBOOK, re.MULTILINE)
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
    timeout, failure = rows(client("logs"), group, ERRORS, number(2))
    assert "Task timed out after 1.00 seconds" in timeout["@message"]
    assert (failure["stage"], failure["version"], failure["route"]) == ("live", "3", "GET /")
    assert (failure["request_id"], "ValueError: broken" in failure["error"]) == ("request-1", True)


def test_query_of_the_dashboard_is_that_of_the_runbook() -> None:
    (query,) = re.findall(r"SOURCE '\$\{var\.log_group_name\}' \| (.+)\"$", DASHBOARD, re.MULTILINE)
    assert query.replace("\\\\", "\\") == ERRORS


def test_query_of_durations_has_the_cold_starts(client: Client, group: str) -> None:
    # The two invocations can be in two minutes, the later of which is shown first.
    found = rows(client("logs"), group, DURATIONS, number(2, "invocations"))
    assert sum(int(row["coldStarts"]) for row in found) == 1
    assert float(found[0]["p99"]) >= 1000
    assert 0 < float(found[-1]["coldStartP99"]) < 1000


def test_query_in_a_terminal_counts_the_errors(client: Client, group: str) -> None:
    assert rows(client("logs"), group, COUNTS, number(1)) == [
        {"stage": "live", "version": "3", "route": "GET /", "errors": "1"}
    ]


def test_query_of_responses_counts_them_by_their_cause(client: Client) -> None:
    logs, name = client("logs"), f"runbook-{uuid.uuid4().hex[:8]}"
    # As the format in terraform/modules/stage: API Gateway writes - for a variable without a value.
    throttled = {"status": "500", "routeKey": "ANY /", "lambdaStatus": "429", "lambdaErrorMessage": "Rate Exceeded"}
    failed = {"status": "502", "routeKey": "ANY /", "lambdaStatus": "200", "lambdaErrorMessage": "-"}
    sound = {"status": "200", "routeKey": "ANY /", "lambdaStatus": "200", "lambdaErrorMessage": "-"}
    now = int(time.time() * 1000) - 5000
    logs.create_log_group(logGroupName=name)
    try:
        logs.create_log_stream(logGroupName=name, logStreamName="it")
        events = [{"timestamp": now, "message": json.dumps(line)} for line in (failed, throttled, sound, throttled)]
        logs.put_log_events(logGroupName=name, logStreamName="it", logEvents=events)
        assert rows(logs, name, RESPONSES, number(2)) == [throttled | {"responses": "2"}, failed | {"responses": "1"}]
    finally:
        logs.delete_log_group(logGroupName=name)
