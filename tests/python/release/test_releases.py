from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.stub import ANY, Stubber
from hypothesis import given
from hypothesis import strategies as st

import history
from pathtolive import stack, target
from pathtolive.cli import CommandError, LostSightError, RefusedError
from pathtolive.release import view
from pathtolive.release.engine import Engine
from pathtolive.release.executions import (
    MAX_NAME,
    NAME,
    PROMOTE,
    RELEASE,
    ROLLBACK,
    SUCCEEDED,
    Execution,
    Past,
    Report,
    active_versions,
    brief,
    execution_name,
    previous_version,
    read_input,
    read_report,
    summarize,
)
from pathtolive.release.metrics import Metrics, read
from pathtolive.release.rollback import refuse_repetition
from pathtolive.release.settings import Settings, percents, read_settings, share, shares
from pathtolive.release.weights import abort, remove_weights

NOON = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)
LATER = NOON + datetime.timedelta(hours=5)
COUNTS = {"invocations": 100, "failed": 9, "baseline_invocations": 900, "baseline_failed": 1, "worst_minute": {}}
NOTHING = {"errors": dict.fromkeys(COUNTS, 0), "slow": dict.fromkeys(COUNTS, 0)}
REPORT: dict[str, Any] = {
    "outcome": "rolled back",
    "stage": "live",
    "from": "1",
    "to": "2",
    "reason": "9 of 100 invocations failed.",
    "weight": 0.1,
    "metrics": {"errors": COUNTS, "slow": COUNTS | {"failed": 0}},
    "odds": 250.5,
    "release": "live-release-2-20261124T120000Z-1a2b",
}


KINDS = (RELEASE, PROMOTE, ROLLBACK)
ENDED = ("refused", "aborted", "timed out", "failed")


def past(kind: str, from_version: str | None, to_version: str, outcome: str = SUCCEEDED) -> Past:
    return Past("name", kind, from_version, to_version, NOON, NOON, outcome, "")


def execution(status: str, **fields: Any) -> Execution:
    values: dict[str, Any] = {
        "arn": "arn",
        "name": "live-release-2-20261124T120000Z-1a2b",
        "kind": RELEASE,
        "settings": Settings("live", "2"),
        "rolls_back": None,
        "status": status,
        "started": NOON,
        "ended": NOON,
        "report": None,
        "cause": "",
    }
    return Execution(**values | fields)


def rolled_back(outcome: str, version: str, reason: str) -> Execution:
    """Return the rollback of an execution that ended."""
    report = Report(outcome, version, "2", reason, "live-release-2-20261124T120000Z-1a2b")
    return execution("SUCCEEDED", name="by-the-rule", rolls_back=report.release, report=report, ended=LATER)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", ["live", "pre-release-1", "a-promote-2-b"])
def test_execution_name_has_stage_kind_and_version(kind: str, stage: str) -> None:
    name = execution_name(kind, stage, "12", NOON)
    assert re.fullmatch(rf"{stage}-{kind}-12-20261124T120000Z-[0-9a-f]{{4}}", name)
    match = NAME.fullmatch(name)
    assert match
    assert (match["stage"], match["kind"], match["version"]) == (stage, kind, "12")


def test_execution_names_of_a_second_differ() -> None:
    assert len({execution_name("release", "live", "1", NOON) for _ in range(20)}) > 1


def test_execution_name_is_as_long_as_aws_allows() -> None:
    room = MAX_NAME - len(execution_name("rollback", "", "123", NOON))
    assert len(execution_name("rollback", "s" * room, "123", NOON)) == 80
    with pytest.raises(RefusedError, match="is too long"):
        execution_name("rollback", "s" * (room + 1), "123", NOON)


@pytest.mark.parametrize(
    ("text", "expected"), [("10", 0.1), ("2.5%", 0.025), (" 57 ", 0.57), ("0", 0.0), ("100", 1.0), ("0.01", 0.0001)]
)
def test_share_reads_a_percentage(text: str, expected: float) -> None:
    assert share(text) == expected


@pytest.mark.parametrize("text", ["", "ten", "-1", "101", "NaN", "Infinity"])
def test_share_refuses_other_texts(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a percentage|from 0 to 100"):
        share(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("10,50", (0.1, 0.5)), ("1, 5%,25", (0.01, 0.05, 0.25)), ("10,100", (0.1,)), ("100", ())]
)
def test_shares_are_steps_that_end_at_100(text: str, expected: tuple[float, ...]) -> None:
    assert shares(text) == expected


@pytest.mark.parametrize("text", ["50,10", "10,10", "0,50", "10,,50", "10;50", "0.001"])
def test_shares_refuse_percentages_that_do_not_increase(text: str) -> None:
    with pytest.raises(ValueError, match=r"increasing percentages|not a percentage"):
        shares(text)


@given(st.integers(1, 10000))
def test_share_reads_percents(hundredths: int) -> None:
    expected = hundredths / 10000
    assert share(percents(expected)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (300, "5 min"), (3570, "1 h 0 min"), (5400, "1 h 30 min")]
)
def test_duration_as_text(seconds: float, text: str) -> None:
    assert view.duration(seconds) == text


def test_description_has_the_metrics_of_both_versions() -> None:
    given = Settings("live", "2", (0.1, 0.5), max_error_rate=0.01, max_p99_ms=500)
    assert view.describe(given, 0.5, Metrics(2000, 3), "1", Metrics(2100, 0)) == (
        "step 2 of 2, 50 % to version 2: 3 of 2,000 invocations of version 2 failed; "
        "0 of 2,100 invocations of version 1 failed"
    )
    assert view.describe(given, 1, Metrics(9, 0, 1), "1", Metrics()).endswith("failed; 1 took longer than 500 ms")
    assert view.describe(given, 1, Metrics(), "1", Metrics()).startswith("bake, 100 % to version 2: 0 of 0 invocations")
    assert view.describe(given, 0, Metrics(), "1", Metrics()).startswith("0 % to version 2: 0 of 0 invocations")


def test_metrics_are_those_that_the_machine_analyzes() -> None:
    dimensions = {"Resource": "greeter:live", "ExecutedVersion": "{version}"}
    measured = [
        {"id": name, "namespace": "it", "name": name.upper(), "dimensions": dimensions, "statistic": statistic}
        for name, statistic in (
            ("invocations", "Sum"),
            ("errors", "Sum"),
            ("errors_0", "Sum"),
            ("slow", "TC({max_p99_ms}:)"),
        )
    ]
    asked: list[Any] = []

    class CloudWatch:
        def get_metric_data(self, **given: Any) -> Any:
            asked.extend(given["MetricDataQueries"])
            values = {"invocations": [50.0, 60.0], "errors": [1.0], "errors_0": [2.0, 3.0], "slow": []}
            return {"MetricDataResults": [{"Id": query["Id"], "Values": values[query["Id"]]} for query in asked]}

    given = Settings("live", "2", max_p99_ms=500.0)
    assert read(CloudWatch(), measured, given, "1", datetime.datetime.now(datetime.UTC)) == Metrics(110, 6, 0)
    assert [query["MetricStat"]["Stat"] for query in asked] == ["Sum", "Sum", "Sum", "TC(500:)"]
    assert asked[2]["MetricStat"]["Metric"] == {
        "Namespace": "it",
        "MetricName": "ERRORS_0",
        "Dimensions": [{"Name": "Resource", "Value": "greeter:live"}, {"Name": "ExecutedVersion", "Value": "1"}],
    }


def test_settings_leave_the_defaults_to_the_machine() -> None:
    given = read_settings({"stage": "live", "version": "2", "steps": [0.1], "min_invocations": None, "mine": 1})
    assert given.input == {"stage": "live", "version": "2", "steps": (0.1,)}
    assert Settings("live", "2", steps=(), smoke_test=False).input == {
        "stage": "live",
        "version": "2",
        "steps": (),
        "smoke_test": False,
    }


def test_report_is_read() -> None:
    assert read_report(json.dumps(REPORT)) == Report(
        "rolled back",
        "1",
        "2",
        "9 of 100 invocations failed.",
        "live-release-2-20261124T120000Z-1a2b",
        REPORT["metrics"],
        250.5,
    )


@pytest.mark.parametrize("changes", [{"metrics": NOTHING}, {"metrics": {}}])
def test_report_without_invocations_has_no_figures(changes: dict[str, Any]) -> None:
    report = read_report(json.dumps(REPORT | changes))
    assert report
    assert (report.outcome, report.metrics, report.odds) == ("rolled back", None, None)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "aborted by a@b", "{", "[]", '"text"', "{}", '{"outcome": "succeeded"}'),
        *(json.dumps(REPORT | {"metrics": metrics}) for metrics in ([9], {"invocations": 9})),
    ],
)
def test_report_is_none_for_other_texts(text: str | None) -> None:
    assert read_report(text) is None


def test_input_of_a_release_has_its_settings() -> None:
    assert read_input('{"version": "7"}') == ({"version": "7"}, None)


@pytest.mark.parametrize("text", ["[]", "", "{", "null", "7"])
def test_other_input_has_no_settings(text: str) -> None:
    assert read_input(text) == ({}, None)


def test_input_of_a_rollback_names_the_execution_that_ended() -> None:
    assert read_input('{"rolls_back": "first", "status": "ABORTED"}') == ({}, "first")


def test_summary_has_the_report() -> None:
    report = read_report(json.dumps(REPORT))
    summary = summarize(execution("FAILED", report=report, cause="RolledBack: {}"), None)
    assert (summary.outcome, summary.from_version, summary.reason) == (
        "rolled back",
        "1",
        "9 of 100 invocations failed.",
    )


@pytest.mark.parametrize(
    ("status", "outcome"), [("RUNNING", "in progress"), ("ABORTED", "aborted"), ("TIMED_OUT", "timed out")]
)
def test_summary_without_a_report(status: str, outcome: str) -> None:
    summary = summarize(execution(status, cause="aborted by a@b"), None)
    assert (summary.outcome, summary.reason) == (outcome, "aborted by a@b")
    assert (summary.from_version, summary.to_version) == (None, "2")


def test_summary_of_an_aborted_release_with_its_rollback() -> None:
    rollback = rolled_back("rolled back", "1", "The release ended: ABORTED.")
    summary = summarize(execution("ABORTED", cause="aborted by a@b"), rollback)
    assert (summary.outcome, summary.reason, summary.from_version) == ("aborted", "aborted by a@b", "1")
    assert (summary.ended, summary.returned) == (NOON, LATER)


def test_summary_of_a_release_that_succeeded_before_it_was_aborted() -> None:
    rollback = rolled_back("succeeded", "2", "All traffic had been shifted when the release ended.")
    assert summarize(execution("ABORTED"), rollback).outcome == "succeeded"


def test_summary_of_a_runtime_error() -> None:
    rollback = rolled_back("rolled back", "1", "The release ended: FAILED.")
    summary = summarize(execution("FAILED", cause="States.Runtime: oh"), rollback)
    assert (summary.outcome, summary.reason) == ("rolled back", "States.Runtime: oh")


def test_summary_of_a_release_that_people_aborted_through_the_machine() -> None:
    report = read_report(json.dumps(REPORT | {"outcome": "aborted", "reason": "Aborted by a@b."}))
    summary = summarize(execution("FAILED", report=report, cause="Aborted: {}"), None)
    assert (summary.outcome, summary.word, summary.reason) == ("aborted", "aborted", "Aborted by a@b.")
    assert (summary.from_version, summary.metrics, summary.odds) == ("1", REPORT["metrics"], 250.5)


@pytest.mark.parametrize(
    ("one", "word", "shown"),
    [
        (past("release", "6", "7"), "released", "green"),
        (past("promote", "6", "7"), "promoted", "green"),
        (past("rollback", "7", "4"), "rolled back to 4", "yellow"),
        (past("release", "4", "7", "rolled back"), "rolled back to 4", "yellow"),
        (past("promote", "4", "7", "rolled back"), "rolled back to 4", "yellow"),
        (past("release", None, "7", "rolled back"), "rolled back", "yellow"),
        # A rollback that fails changes nothing.
        (past("rollback", "7", "4", "rolled back"), "failed", "red"),
        (past("release", "6", "7", "in progress"), "in progress", "yellow"),
        *((past(kind, "6", "7", outcome), outcome, "red") for kind in KINDS for outcome in ENDED),
    ],
)
def test_history_has_a_word_and_a_color_for_each_outcome(one: Past, word: str, shown: str) -> None:
    assert (one.word, history.color(one.word)) == (word, shown)


@pytest.mark.parametrize(("terminal", "color"), [("xterm", "\x1b[32m"), ("dumb", "")])
def test_history_shows_the_words(
    terminal: str, color: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": terminal, "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)
    history.show([past("release", "6", "7"), past("rollback", "7", "6")])
    released, rolled_back = capsys.readouterr().out.splitlines()[-2:]
    assert f"{color}released" in released
    assert "succeeded" not in released + rolled_back
    assert "rolled back to 6" in rolled_back


def test_history_is_a_table_in_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    history.show([dataclasses.replace(past("rollback", "104", "103"), reason="Rollback completed. " * 3)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["when", "what", "from", "to", "took", "outcome", "reason"]
    assert "rolled back" in lines[2]
    assert max(map(len, lines)) <= 80


def test_json_keeps_the_outcome_and_has_the_figures() -> None:
    report = read_report(json.dumps(REPORT))
    found = history.as_json(summarize(execution("FAILED", report=report), None))
    assert json.loads(json.dumps(found)) == {
        "name": "live-release-2-20261124T120000Z-1a2b",
        "kind": "release",
        "from": "1",
        "to": "2",
        "started": "2026-11-24T12:00:00+00:00",
        "ended": "2026-11-24T12:00:00+00:00",
        "seconds": 0,
        "outcome": "rolled back",
        "reason": "9 of 100 invocations failed.",
        "metrics": REPORT["metrics"],
        "odds": 250.5,
    }
    running = history.as_json(summarize(execution("RUNNING", ended=None), None))
    assert [running[name] for name in ("outcome", "ended", "metrics", "odds")] == ["in progress", None, None, None]


def previous(*one: Past, active: str) -> str | None:
    return previous_version(active_versions(one), active)


def test_previous_version_is_that_before_the_last_release() -> None:
    assert previous(past("release", "1", "2"), past("promote", "2", "3"), active="3") == "2"


def test_previous_version_is_unknown_without_a_release() -> None:
    assert previous(active="3") is None


def test_failed_releases_do_not_count() -> None:
    assert previous(past("release", "1", "2"), past("release", "2", "3", "rolled back"), active="2") == "1"


def test_two_rollbacks_return_two_versions() -> None:
    made = [past("release", "1", "2"), past("release", "2", "3"), past("rollback", "3", "2")]
    assert previous(*made, active="2") == "1"
    assert previous(*made, past("rollback", "2", "1"), active="1") is None


def test_previous_version_after_a_rollback_and_a_release() -> None:
    made = [past("release", "1", "2"), past("rollback", "2", "1"), past("release", "1", "3")]
    assert previous(*made, active="3") == "1"


def test_previous_version_after_a_change_outside_releases() -> None:
    assert previous(past("release", "1", "2"), active="7") == "2"


def test_rollback_removes_a_version_from_outside_releases() -> None:
    made = [past("release", "1", "2"), past("rollback", "7", "2")]
    assert previous(*made, active="2") == "1"


def test_previous_version_can_come_from_outside_releases() -> None:
    assert previous(past("release", "1", "2"), past("release", "7", "8"), active="8") == "7"


def test_rollback_to_a_named_version_removes_the_versions_after_it() -> None:
    made = [past("release", "1", "2"), past("release", "2", "3"), past("rollback", "3", "1")]
    assert active_versions(made) == ["1"]


def test_rollback_to_a_version_that_is_not_in_the_history() -> None:
    made = [past("release", "1", "2"), past("release", "2", "3"), past("rollback", "3", "9")]
    assert previous(*made, active="9") == "2"


@given(st.lists(st.integers(1, 4).map(str), min_size=1, max_size=8))
def test_rollbacks_return_to_the_first_version(shifts: list[str]) -> None:
    active = "0"
    made: list[Past] = []
    for version in shifts:
        if version != active:
            made.append(past("release", active, version))
            active = version
    ran = [one.from_version for one in made]
    while ran:
        expected = previous(*made, active=active)
        assert expected is not None
        assert expected == ran.pop()
        made.append(past("rollback", active, expected))
        active = expected
    assert previous(*made, active=active) is None


MACHINE = "arn:aws:states:eu-west-2:000000000000:stateMachine:path-to-live-live-release"


@pytest.fixture
def executions() -> Iterator[Stubber]:
    """Yield the responses of Step Functions, in order. Each one must be requested."""
    client = boto3.client("stepfunctions", "eu-west-2", aws_access_key_id="test", aws_secret_access_key="test")  # noqa: S106
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def functions() -> Iterator[Stubber]:
    """Yield the responses of Lambda, in order. Each one must be requested."""
    client = boto3.client("lambda", "eu-west-2", aws_access_key_id="test", aws_secret_access_key="test")  # noqa: S106
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def engine(executions: Stubber, functions: Stubber) -> Engine:
    here = stack.Stack(target.Target(None, "eu-west-2"))
    here.__dict__["deployed"] = {"stages": {"live": {"state_machine_arn": MACHINE}}, "function_name": "path-to-live"}
    engine = Engine(here, "live")
    vars(engine)["poll_seconds"] = 0
    vars(engine.machine)["_client"] = executions.client
    vars(engine.aliases)["_client"] = functions.client
    return engine


def described(name: str, status: str = "SUCCEEDED", **fields: Any) -> dict[str, Any]:
    arn = f"{MACHINE.replace('stateMachine', 'execution')}:{name}"
    common = {"executionArn": arn, "stateMachineArn": MACHINE, "name": name, "status": status, "startDate": NOON}
    return common | ({} if status == "RUNNING" else {"stopDate": NOON}) | fields


def test_wait_for_an_execution_that_aws_does_not_find_yet(engine: Engine, executions: Stubber) -> None:
    began = described("live-release-2-20261124T120000Z-1a2b", "RUNNING", startDate=datetime.datetime.now(datetime.UTC))
    executions.add_response("start_execution", {name: began[name] for name in ("executionArn", "startDate")})
    executions.add_client_error("describe_execution", "ExecutionDoesNotExist")
    executions.add_response(
        "describe_execution",
        described(began["name"], input=json.dumps({"stage": "live", "version": "2"}), output=json.dumps(REPORT)),
    )
    ended = engine.wait(engine.machine.start(RELEASE, Settings("live", "2"), "make release"))
    assert (ended.outcome, ended.to_version) == ("rolled back", "2")


def test_wait_for_an_execution_that_aws_has_deleted_is_an_error(engine: Engine, executions: Stubber) -> None:
    executions.add_client_error("describe_execution", "ExecutionDoesNotExist")
    with pytest.raises(botocore.exceptions.ClientError, match="ExecutionDoesNotExist"):
        engine.wait(execution("RUNNING", started=NOON - datetime.timedelta(days=900)))


def test_past_reads_every_page_and_the_reports_of_rollbacks(engine: Engine, executions: Stubber) -> None:
    names = ["by-the-rule", "live-release-2-20261124T120000Z-1a2b"], ["live-promote-1-20261124T110000Z-1a2b"]
    report = json.dumps(REPORT)
    described_as = {
        names[0][0]: described(names[0][0], input=json.dumps({"rolls_back": "another"}), output=report),
        names[0][1]: described(names[0][1], "ABORTED", input='{"version": "2"}'),
        names[1][0]: described(names[1][0], input='{"version": "1"}', output=json.dumps(REPORT | {"to": "1"})),
    }
    for page, token in zip(names, ("more", None), strict=True):
        listed = [described(name) for name in page]
        expected = {"stateMachineArn": MACHINE} | ({} if token else {"nextToken": "more"})
        executions.add_response(
            "list_executions", {"executions": listed} | ({"nextToken": token} if token else {}), expected
        )
        for name in page:
            executions.add_response("describe_execution", described_as[name])
    release, promotion = engine.past()
    assert (release.name, release.kind, release.outcome, release.from_version) == (names[0][1], RELEASE, "aborted", "1")
    assert (promotion.kind, promotion.to_version, promotion.outcome) == (PROMOTE, "1", "rolled back")


@pytest.mark.parametrize(("limit", "requests"), [(1, 1), (2, 3), (None, 4)])
def test_history_describes_only_the_executions_that_it_shows(
    engine: Engine, executions: Stubber, monkeypatch: pytest.MonkeyPatch, limit: int | None, requests: int
) -> None:
    """The rollback of the aborted release is the exception: it has the version that the traffic returned to."""
    report = json.dumps(REPORT | {"release": "2nd"})
    inputs: dict[str, dict[str, Any]] = {
        "1st": {"input": '{"version": "3"}'},
        "by-the-rule": {"input": '{"rolls_back": "2nd"}', "output": report},
        "2nd": {"input": '{"version": "2"}', "status": "ABORTED"},
        "3rd": {"input": '{"version": "1"}'},
    }
    listed = [described(name) for name in inputs]
    executions.add_response("list_executions", {"executions": listed}, {"stateMachineArn": MACHINE})
    for name in list(inputs)[:requests]:
        executions.add_response("describe_execution", described(name, **inputs[name]))
    asked: list[str] = []
    executions.client.meta.events.register(
        "before-parameter-build.stepfunctions.DescribeExecution",
        lambda params, **_: asked.append(params["executionArn"]),
    )
    monkeypatch.setattr(target.Target, "client", lambda *_: executions.client)
    found = history.history(engine.here, "live", limit)
    assert [one.name for one in found] == ["1st", "2nd", "3rd"][:limit]
    assert len(asked) == requests


def test_running_release_is_not_the_rollback_of_another(engine: Engine, executions: Stubber) -> None:
    inputs = {"by-the-rule": '{"rolls_back": "another"}', "by-hand": '{"version": "3"}'}
    executions.add_response(
        "list_executions",
        {"executions": [described(name, "RUNNING") for name in inputs]},
        {"stateMachineArn": MACHINE, "statusFilter": "RUNNING"},
    )
    for name, text in inputs.items():
        executions.add_response("describe_execution", described(name, "RUNNING", input=text))
    running = engine.machine.running()
    assert running
    assert (running.name, running.settings) == ("by-hand", Settings("live", "3"))


LEFT = "live-release-2-20261124T120000Z-1a2b"
AGAIN = "make rollback STAGE=live"
Interrupted = Callable[[], contextlib.AbstractContextManager[None]]


class Weights:
    """The responses of AWS to a command that removes the weights of an alias."""

    def __init__(self, executions: Stubber, functions: Stubber) -> None:
        self.executions, self.functions = executions, functions

    def alias(self, weights: dict[str, float], description: str = f"Release {LEFT}: 10 % to version 2") -> None:
        routing = {"RoutingConfig": {"AdditionalVersionWeights": weights}} if weights else {}
        answer = {"FunctionVersion": "1", "Description": description, **routing}
        self.functions.add_response("get_alias", answer, {"FunctionName": "path-to-live", "Name": "live"})

    def running(self, *names: str) -> None:
        expected = {"stateMachineArn": MACHINE, "statusFilter": "RUNNING"}
        self.executions.add_response("list_executions", {"executions": [described(name) for name in names]}, expected)
        for name in names:
            self.describe(name, "RUNNING")

    def start(self) -> None:
        # The rule recognizes a rollback by the start of its input.
        expected = {"stateMachineArn": MACHINE, "name": ANY, "input": f'{{"rolls_back": "{LEFT}"}}'}
        began = described("live-rollback-1")
        self.executions.add_response(
            "start_execution", {key: began[key] for key in ("executionArn", "startDate")}, expected
        )

    def describe(self, name: str, status: str = "SUCCEEDED", **report: str) -> None:
        output = {"output": json.dumps(REPORT | report)} if status == "SUCCEEDED" else {}
        given = described(name, status, input=json.dumps({"rolls_back": LEFT}), **output)
        self.executions.add_response("describe_execution", given)


@pytest.fixture
def aws(executions: Stubber, functions: Stubber) -> Weights:
    return Weights(executions, functions)


def test_weights_that_a_release_left_are_removed_by_its_rollback(engine: Engine, aws: Weights) -> None:
    aws.alias({"2": 0.1})
    aws.running()
    aws.start()
    aws.describe("live-rollback-1")
    aws.alias({})
    assert remove_weights(engine, AGAIN) == "1"


def test_without_weights_nothing_is_started(engine: Engine, aws: Weights) -> None:
    aws.alias({})
    assert remove_weights(engine, AGAIN) is None


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Interrupted:
    """Return a function that returns a context in which Ctrl-C interrupts a command that waits."""

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def context() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", interrupt)
            with pytest.raises(LostSightError, match=f"To follow it again, run: {AGAIN}"):
                yield

    return context


def test_interrupted_abortion_continues_with_the_rollback(
    engine: Engine, executions: Stubber, aws: Weights, interrupted: Interrupted
) -> None:
    executions.add_response("stop_execution", {"stopDate": NOON}, {"executionArn": "arn", "cause": ANY})
    with interrupted():
        abort(engine, execution("RUNNING"), AGAIN)
    aws.alias({"2": 0.1})
    aws.running("by-the-rule")
    aws.describe("by-the-rule")
    aws.alias({})
    assert remove_weights(engine, AGAIN) == "1"


def test_interrupted_removal_of_weights_continues(engine: Engine, aws: Weights, interrupted: Interrupted) -> None:
    aws.alias({"2": 0.1})
    aws.running()
    aws.start()
    with interrupted():
        remove_weights(engine, AGAIN)
    aws.alias({"2": 0.1})
    aws.running("live-rollback-1")
    aws.describe("live-rollback-1")
    aws.alias({})
    assert remove_weights(engine, AGAIN) == "1"


@pytest.mark.parametrize(
    "description", ["", "Released by live-release-2", "Release of the kraken: 10 %", "No Release a: 1 %"]
)
def test_weights_that_no_release_has_set_stay(engine: Engine, aws: Weights, description: str) -> None:
    aws.alias({"2": 0.1}, description)
    aws.running()
    aws.running()
    with pytest.raises(RefusedError) as refused:
        remove_weights(engine, AGAIN)
    assert str(refused.value) == (
        "The alias live has weights: version 2 has 10 % of the traffic. No release of live has set them. Remove them "
        "with: aws lambda update-alias --function-name path-to-live --name live --routing-config "
        "AdditionalVersionWeights={}"
    )


def test_weights_that_an_event_removes_meanwhile_are_no_error(engine: Engine, aws: Weights) -> None:
    aws.alias({"2": 0.1})
    aws.running()
    aws.start()
    aws.describe("live-rollback-1", outcome="refused", reason="It left no weights on the alias live.")
    aws.alias({})
    assert remove_weights(engine, AGAIN) == "1"


@pytest.mark.parametrize(
    ("status", "report", "said"),
    [
        (
            "SUCCEEDED",
            {"outcome": "refused", "reason": "another has set them."},
            r"\(refused\): another has set them\.",
        ),
        # Nothing rolls back a rollback, so waiting for that would take minutes.
        ("ABORTED", {}, r"\(aborted\): "),
    ],
)
def test_weights_that_stay_are_an_error(
    engine: Engine, aws: Weights, status: str, report: dict[str, str], said: str
) -> None:
    aws.alias({"2": 0.1})
    aws.running("by-the-rule")
    aws.describe("by-the-rule", status, **report)
    aws.alias({"2": 0.1})
    with pytest.raises(CommandError, match=f"The rollback of live did not succeed {said}") as failed:
        remove_weights(engine, AGAIN)
    assert str(failed.value).endswith("Show the version of each stage with: make status")


def test_release_that_had_shifted_all_traffic_is_not_rolled_back_by_accident(engine: Engine, aws: Weights) -> None:
    aws.alias({"2": 0.1})
    aws.running("by-the-rule")
    aws.describe("by-the-rule", outcome="succeeded", to="2")
    with pytest.raises(
        CommandError, match=rf"{LEFT} succeeded before it was aborted\. To roll back, run: make rollback"
    ):
        remove_weights(engine, AGAIN)


def test_error_names_the_release_that_set_the_weights_and_the_command_that_removes_them(
    engine: Engine, aws: Weights
) -> None:
    aws.running()
    aws.alias({"2": 0.1})
    aws.running()
    with pytest.raises(RefusedError) as refused:
        engine.refuse_weights({"2": 0.1})
    assert str(refused.value) == (
        f"The alias live has weights: version 2 has 10 % of the traffic. {LEFT} has set them, and ended without a "
        "rollback. Return all traffic to version 1 with: make rollback STAGE=live"
    )


def test_error_names_the_rollback_in_progress(engine: Engine, aws: Weights) -> None:
    aws.running("by-the-rule")
    aws.alias({"2": 0.1})
    aws.running("by-the-rule")
    with pytest.raises(RefusedError, match=f"The rollback of {LEFT} is in progress. Follow it with: {AGAIN}$"):
        engine.refuse_weights({"2": 0.1})


@pytest.mark.parametrize("reversed_", [False, True])
def test_history_prefers_the_rollback_that_found_the_weights(
    engine: Engine, executions: Stubber, reversed_: bool
) -> None:
    found: dict[str, Any] = {"input": '{"rolls_back": "2nd"}', "output": json.dumps(REPORT | {"release": "2nd"})}
    refused = found | {"output": json.dumps(REPORT | {"release": "2nd", "outcome": "refused"})}
    rollbacks: dict[str, dict[str, Any]] = {"by-the-rule": found | {"stopDate": LATER}, "by-hand": refused}
    inputs = dict(reversed(rollbacks.items()) if reversed_ else rollbacks) | {"2nd": {"input": '{"version": "2"}'}}
    executions.add_response("list_executions", {"executions": [described(name) for name in inputs]})
    for name, fields in inputs.items():
        status = "FAILED" if name == "2nd" else "SUCCEEDED"
        executions.add_response("describe_execution", described(name, status, **fields))
    (release,) = engine.past()
    assert (release.outcome, release.ended, release.returned) == ("rolled back", NOON, LATER)


def test_rollback_is_not_repeated_soon_after_the_traffic_returned(engine: Engine) -> None:
    """The release ended long before, but its event was lost, and a rollback has just removed its weights."""
    now = datetime.datetime.now(datetime.UTC)
    ended = dataclasses.replace(past("release", "1", "2", "aborted"), ended=now - datetime.timedelta(hours=5))
    refuse_repetition(engine, [ended], "1", "7")
    returned = dataclasses.replace(ended, returned=now)
    with pytest.raises(RefusedError, match=r"live has been running version 1 again since [\d:]{8} \(name aborted\)\. "):
        refuse_repetition(engine, [returned], "1", "7")


TRACE = '{"errorMessage": "division by zero", "errorType": "ZeroDivisionError", "stackTrace": ["  File x, line 1\\n"]}'


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("Release completed.", "Release completed."),
        (f"Smoke test failed: ZeroDivisionError: {TRACE}", "Smoke test failed: ZeroDivisionError: division by zero"),
        ('failed: {"errorMessage"', 'failed: {"errorMessage"'),
        ('failed: {"errorMessage": 5}', "failed: 5"),
    ],
)
def test_reason_is_brief_without_a_stack_trace(reason: str, expected: str) -> None:
    assert brief(reason) == expected
