from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from pathtolive import stack, target
from pathtolive.cli import RefusedError
from pathtolive.release import view
from pathtolive.release.engine import Engine
from pathtolive.release.executions import (
    MAX_NAME,
    NAME,
    PROMOTE,
    RELEASE,
    RELEASED,
    ROLLBACK,
    Execution,
    Figures,
    Past,
    Report,
    active_versions,
    execution_name,
    origin,
    previous_version,
    read_report,
    summarize,
)
from pathtolive.release.settings import Settings, percents, read_settings, share, shares

NOON = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)
REPORT = {
    "outcome": "rolled back",
    "stage": "live",
    "from": "1",
    "to": "2",
    "reason": "9 of 100 calls failed.",
    "weight": 0.1,
    "figures": {"calls": 100, "errors": 9},
    "release": "live-release-2-20261124T120000Z-1a2b",
}


def past(kind: str, from_version: str | None, to_version: str, outcome: str = RELEASED) -> Past:
    return Past("name", kind, from_version, to_version, NOON, NOON, outcome, "")


def execution(status: str, **fields: Any) -> Execution:
    values: dict[str, Any] = {
        "arn": "arn",
        "name": "live-release-2-20261124T120000Z-1a2b",
        "kind": RELEASE,
        "settings": Settings("live", "2"),
        "takes_back": None,
        "status": status,
        "started": NOON,
        "ended": NOON,
        "report": None,
        "cause": "",
    }
    return Execution(**values | fields)


@pytest.mark.parametrize("kind", [RELEASE, PROMOTE, ROLLBACK])
@pytest.mark.parametrize("stage", ["live", "pre-release-1", "a-promote-2-b"])
def test_execution_name_tells_what_it_does(kind: str, stage: str) -> None:
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
    with pytest.raises(RefusedError, match="too long a name"):
        execution_name("rollback", "s" * (room + 1), "123", NOON)


@pytest.mark.parametrize(
    ("text", "expected"), [("10", 0.1), ("2.5%", 0.025), (" 57 ", 0.57), ("0", 0.0), ("100", 1.0), ("0.01", 0.0001)]
)
def test_share_is_percents(text: str, expected: float) -> None:
    assert share(text) == expected


@pytest.mark.parametrize("text", ["", "ten", "-1", "101", "NaN", "Infinity"])
def test_share_refuses_what_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match=r"percents|from 0 to 100"):
        share(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("10,50", (0.1, 0.5)), ("1, 5%,25", (0.01, 0.05, 0.25)), ("10,100", (0.1,)), ("100", ())]
)
def test_shares_are_steps_that_end_at_100(text: str, expected: tuple[float, ...]) -> None:
    assert shares(text) == expected


@pytest.mark.parametrize("text", ["50,10", "10,10", "0,50", "10,,50", "10;50", "0.001"])
def test_shares_refuse_what_does_not_grow(text: str) -> None:
    with pytest.raises(ValueError, match=r"grow|percents"):
        shares(text)


@given(st.integers(1, 10000))
def test_percents_are_read_back(hundredths: int) -> None:
    expected = hundredths / 10000
    assert share(percents(expected)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (99, "99 s"), (300, "5 min"), (3570, "1 h 0 min"), (5400, "1 h 30 min")]
)
def test_duration_is_as_people_say_it(seconds: float, said: str) -> None:
    assert view.duration(seconds) == said


def test_description_sets_figures_against_their_limits() -> None:
    given = Settings("live", "2", (0.1, 0.5), max_error_rate=0.01, max_p99_ms=500)
    said = view.describe(given, 0.5, Figures(200, 3, 12.4))
    expected = "step 2 of 2, 50 % to version 2: 200 calls, 3 failed (1.5 %, at most 1 %), p99 12 ms (at most 500 ms)"
    assert said == expected
    assert view.describe(given, 0.0, Figures()).startswith("0 % to version 2: 0 calls")


def test_settings_leave_the_defaults_to_the_machine() -> None:
    given = read_settings({"stage": "live", "version": "2", "steps": [0.1], "min_calls": None, "mine": 1})
    assert given.input == {"stage": "live", "version": "2", "steps": (0.1,)}
    assert Settings("live", "2", steps=(), smoke_test=False).input == {
        "stage": "live",
        "version": "2",
        "steps": (),
        "smoke_test": False,
    }


def test_report_is_read() -> None:
    assert read_report(json.dumps(REPORT)) == Report(
        "rolled back", "1", "2", "9 of 100 calls failed.", "live-release-2-20261124T120000Z-1a2b"
    )


@pytest.mark.parametrize("text", [None, "", "aborted by a@b", "{", "[]", '"text"', "{}", '{"outcome": "released"}'])
def test_report_is_none_where_there_is_none(text: str | None) -> None:
    assert read_report(text) is None


def test_origin_of_a_release_is_its_own_input() -> None:
    assert origin('{"stage": "live"}', "name") == ({"stage": "live"}, "name", None)
    assert origin("[]", "name") == ({}, "name", None)
    assert origin("", "name") == ({}, "name", None)


def test_origin_of_a_roll_back_is_in_the_event_that_started_it() -> None:
    event = json.dumps({"detail": {"name": "first", "input": '{"stage": "live"}'}})
    assert origin(event, "second") == ({"stage": "live"}, "first", "first")
    again = json.dumps({"detail": {"name": "second", "input": event}})
    assert origin(again, "third") == ({"stage": "live"}, "first", "first")


def test_told_as_the_machine_reports_it() -> None:
    report = read_report(json.dumps(REPORT))
    told = summarize(execution("FAILED", report=report, cause="RolledBack: {}"), None)
    assert (told.outcome, told.from_version, told.reason) == ("rolled back", "1", "9 of 100 calls failed.")


@pytest.mark.parametrize(
    ("status", "outcome"), [("RUNNING", "under way"), ("ABORTED", "aborted"), ("TIMED_OUT", "timed out")]
)
def test_told_of_what_ended_by_force_or_has_not(status: str, outcome: str) -> None:
    told = summarize(execution(status, cause="aborted by a@b"), None)
    assert (told.outcome, told.reason, told.from_version, told.to_version) == (outcome, "aborted by a@b", None, "2")


def test_told_of_an_abortion_with_the_roll_back_of_it() -> None:
    taken_back = Report("rolled back", "1", "2", "The release ended: ABORTED.", "name")
    told = summarize(execution("ABORTED", cause="aborted by a@b"), taken_back)
    assert (told.outcome, told.reason, told.from_version) == ("aborted", "aborted by a@b", "1")


def test_told_of_an_abortion_that_came_too_late() -> None:
    taken_back = Report("released", "2", "2", "All traffic had been shifted when the release ended.", "name")
    assert summarize(execution("ABORTED"), taken_back).outcome == "released"


def test_told_of_a_failure_of_the_machine_itself() -> None:
    taken_back = Report("rolled back", "1", "2", "The release ended: FAILED.", "name")
    told = summarize(execution("FAILED", cause="States.Runtime: oh"), taken_back)
    assert (told.outcome, told.reason) == ("rolled back", "States.Runtime: oh")


def before(*one: Past, runs: str) -> str | None:
    return previous_version(active_versions(one), runs)


def test_before_is_what_the_last_release_came_from() -> None:
    assert before(past("release", "1", "2"), past("promote", "2", "3"), runs="3") == "2"


def test_before_is_not_known_without_a_release() -> None:
    assert before(runs="3") is None


def test_before_counts_no_release_that_did_not_get_there() -> None:
    assert before(past("release", "1", "2"), past("release", "2", "3", "rolled back"), runs="2") == "1"


def test_two_roll_backs_go_back_two_versions() -> None:
    made = [past("release", "1", "2"), past("release", "2", "3"), past("rollback", "3", "2")]
    assert before(*made, runs="2") == "1"
    assert before(*made, past("rollback", "2", "1"), runs="1") is None


def test_a_release_after_a_roll_back_goes_back_to_what_ran_before_it() -> None:
    made = [past("release", "1", "2"), past("rollback", "2", "1"), past("release", "1", "3")]
    assert before(*made, runs="3") == "1"


def test_before_an_edit_by_hand_is_the_top() -> None:
    assert before(past("release", "1", "2"), runs="7") == "2"


def test_a_roll_back_after_an_edit_by_hand_takes_that_off() -> None:
    made = [past("release", "1", "2"), past("rollback", "7", "2")]
    assert before(*made, runs="2") == "1"


def test_a_release_after_an_edit_by_hand_stands_on_it() -> None:
    assert before(past("release", "1", "2"), past("release", "7", "8"), runs="8") == "7"


def test_a_roll_back_to_a_version_by_name_takes_all_above_off() -> None:
    made = [past("release", "1", "2"), past("release", "2", "3"), past("rollback", "3", "1")]
    assert active_versions(made) == ["1"]


def test_a_roll_back_to_another_version_stands_on_what_ran_before() -> None:
    made = [past("release", "1", "2"), past("release", "2", "3"), past("rollback", "3", "9")]
    assert before(*made, runs="9") == "2"


@given(st.lists(st.integers(1, 4).map(str), min_size=1, max_size=8))
def test_roll_backs_go_all_the_way_back(shifts: list[str]) -> None:
    runs = "0"
    made: list[Past] = []
    for version in shifts:
        if version != runs:
            made.append(past("release", runs, version))
            runs = version
    ran = [one.from_version for one in made]
    while ran:
        previous = before(*made, runs=runs)
        assert previous is not None
        assert previous == ran.pop()
        made.append(past("rollback", runs, previous))
        runs = previous
    assert before(*made, runs=runs) is None


MACHINE = "arn:aws:states:eu-west-2:000000000000:stateMachine:path-to-live-release"


@pytest.fixture
def executions() -> Iterator[Stubber]:
    """Give the answers of Step Functions, in order: every one must be asked for."""
    client = boto3.client("stepfunctions", "eu-west-2", aws_access_key_id="test", aws_secret_access_key="test")  # noqa: S106
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def engine(executions: Stubber) -> Engine:
    here = stack.Stack(target.Target(None, "eu-west-2"))
    here.__dict__["deployed"] = {"stages": {}, "release_state_machine_arn": MACHINE, "function_name": "path-to-live"}
    engine = Engine(here)
    engine.__dict__.update(_executions=executions.client, poll_seconds=0)
    return engine


def described(name: str, status: str = "SUCCEEDED", **fields: Any) -> dict[str, Any]:
    arn = f"{MACHINE.replace('stateMachine', 'execution')}:{name}"
    common = {"executionArn": arn, "stateMachineArn": MACHINE, "name": name, "status": status, "startDate": NOON}
    return common | ({} if status == "RUNNING" else {"stopDate": NOON}) | fields


def test_wait_for_what_aws_does_not_know_yet(engine: Engine, executions: Stubber) -> None:
    began = described("live-release-2-20261124T120000Z-1a2b", "RUNNING", startDate=datetime.datetime.now(datetime.UTC))
    executions.add_response("start_execution", {name: began[name] for name in ("executionArn", "startDate")})
    executions.add_client_error("describe_execution", "ExecutionDoesNotExist")
    executions.add_response(
        "describe_execution",
        described(began["name"], input=json.dumps({"stage": "live", "version": "2"}), output=json.dumps(REPORT)),
    )
    ended = engine.wait(engine.start(RELEASE, Settings("live", "2")))
    assert (ended.outcome, ended.to_version) == ("rolled back", "2")


def test_wait_for_what_aws_has_forgotten_is_an_error(engine: Engine, executions: Stubber) -> None:
    executions.add_client_error("describe_execution", "ExecutionDoesNotExist")
    with pytest.raises(botocore.exceptions.ClientError, match="ExecutionDoesNotExist"):
        engine.wait(execution("RUNNING", started=NOON - datetime.timedelta(days=900)))


def test_past_reads_every_page_and_asks_for_no_other_stage(engine: Engine, executions: Stubber) -> None:
    mine, other = "live-promote-2-20261124T120000Z-1a2b", "test-promote-2-20261124T110000Z-1a2b"
    for names, token in ([other, mine], "more"), ([other, "by-hand"], None):
        listed = [
            {key: value for key, value in described(name).items() if key not in {"input", "output"}} for name in names
        ]
        expected = {"stateMachineArn": MACHINE} | ({} if token else {"nextToken": "more"})
        executions.add_response(
            "list_executions", {"executions": listed} | ({"nextToken": token} if token else {}), expected
        )
        if token:
            executions.add_response(
                "describe_execution",
                described(
                    mine,
                    input=json.dumps({"stage": "live", "version": "2", "steps": []}),
                    output=json.dumps(REPORT | {"outcome": "released"}),
                ),
            )
    executions.add_response("describe_execution", described("by-hand", input='{"stage": "test", "version": "2"}'))
    (found,) = engine.past("live")
    assert (found.name, found.kind, found.from_version, found.outcome) == (mine, "promote", "1", "released")


def test_under_way_takes_names_from_the_list_and_no_roll_back(engine: Engine, executions: Stubber) -> None:
    names = ["live-release-2-20261124T120000Z-1a2b", "by-hand", "by-the-rule"]
    executions.add_response(
        "list_executions",
        {"executions": [described(name, "RUNNING") for name in names]},
        {"stateMachineArn": MACHINE, "statusFilter": "RUNNING"},
    )
    by_hand = json.dumps({"stage": "test", "version": "3"})
    event = json.dumps({"detail": {"name": "dev-release-4-20261124T120000Z-1a2b", "input": '{"stage": "dev"}'}})
    executions.add_response("describe_execution", described("by-hand", "RUNNING", input=by_hand))
    executions.add_response("describe_execution", described("by-the-rule", "RUNNING", input=event))
    assert engine.under_way() == {"live": names[0], "test": "by-hand"}
