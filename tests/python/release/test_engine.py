"""The alias, the report, and the notification after a release, in every case of docs/releases.md."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType

from pathtolive.release.aliases import Alias
from pathtolive.release.executions import read_report
from tests.conftest import ROOT
from tests.python.release.world import BASELINE, CONFIGURATION, NEW, Engine, Minute, ServiceError, World, response

Release = Callable[..., Any]
State = tuple[str, dict[str, float]]
# Notifications link to executions in the console.
EXECUTIONS = "https://console.aws.amazon.com/states/home?region=eu-west-2#/v2/executions/details/"
SHIFTED: State = (NEW, {})
UNSHIFTED: State = (BASELINE, {})


def test_definition_passes_the_linter(definition: str) -> None:
    problems = Linter.validate(definition, Config(ignored_problem_types=[ProblemType.FLOAT]))
    assert problems == []


def test_every_task_is_retried_and_caught(states: dict[str, Any]) -> None:
    tasks = {name: state for name, state in states.items() if state["Type"] == "Task"}
    assert len(tasks) == 21
    for name, task in tasks.items():
        assert task["Retry"], name
        assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name


class TestSucceeded:
    def test_shifts_in_steps_then_all_traffic(self, release: Release, world: World) -> None:
        done = release(steps=[0.1, 0.5])
        assert done.status == "SUCCEEDED"
        assert world.shifts() == [0.1, 0.5, 1, NEW]
        assert world.state() == SHIFTED

    def test_returns_a_report_and_publishes_it(self, release: Release, world: World) -> None:
        done = release()
        expected = {
            "outcome": "succeeded",
            "stage": "live",
            "from": BASELINE,
            "to": NEW,
            "reason": "Release completed. 0 of 300 invocations of version 7 failed with all traffic.",
        }
        assert {key: done.report[key] for key in expected} == expected
        (message,) = world.notifications
        assert message["Subject"] == "live: release of version 7 succeeded"
        assert "From version: 6" in message["Message"]
        assert "Last analysis: 0 of 300 invocations of version 7 failed with all traffic.\n" in message["Message"]
        assert message["Message"].endswith(f":{done.name}")
        assert f"\nExecution: {EXECUTIONS}arn:aws:states:" in message["Message"]

    def test_report_has_the_figures_of_the_last_analysis(self, release: Release, world: World) -> None:
        succeeded = read_report(json.dumps(release().report))
        world.firing = True
        refused = read_report(json.dumps(release(version=BASELINE).report))
        assert succeeded
        assert refused
        assert succeeded.metrics
        assert (succeeded.metrics["errors"]["invocations"], succeeded.odds) == (300, 1)
        assert (refused.outcome, refused.metrics, refused.odds) == ("refused", None, None)

    def test_reads_the_metrics_of_both_versions_and_of_no_other(self, release: Release, world: World) -> None:
        release()
        found = {
            query["Id"]: (metric["Namespace"], metric["MetricName"], query["MetricStat"]["Stat"], dimensions)
            for query in world.queries[0]["MetricDataQueries"]
            for metric in [query["MetricStat"]["Metric"]]
            for dimensions in [{each["Name"]: each["Value"] for each in metric["Dimensions"]}]
        }
        expected: dict[str, Any] = {}
        for id_, version in (("new", NEW), ("baseline", BASELINE)):
            of_lambda = {"FunctionName": "greeter", "Resource": "greeter:live", "ExecutedVersion": version}
            of_log = {"alias": "live", "version": version}
            expected |= {
                f"{id_}_invocations": ("AWS/Lambda", "Invocations", "Sum", of_lambda),
                f"{id_}_errors": ("AWS/Lambda", "Errors", "Sum", of_lambda),
                f"{id_}_slow": ("AWS/Lambda", "Duration", "TC(1000:)", of_lambda),
                f"{id_}_errors_0": ("greeter", "Answered", "Sum", of_log),
            }
        assert found == expected

    def test_reads_metrics_once_a_minute_when_the_first_minute_is_complete(
        self, release: Release, world: World
    ) -> None:
        release(steps=[0.5], step_seconds=180, bake_seconds=0)
        actions = [action for action, _ in world.requests]
        assert actions[actions.index("updateAlias") :].count("describeAlarms") == 4
        assert actions.count("getMetricData") == 3

    def test_reads_no_minute_that_can_be_incomplete(self, release: Release, world: World) -> None:
        release(steps=[0.5], step_seconds=120, bake_seconds=0, metrics_delay_seconds=90)
        looks = [action for action, _ in world.requests if action in {"describeAlarms", "getMetricData"}]
        # One look before the release, and three until the first minute is complete.
        assert looks == [*["describeAlarms"] * 5, "getMetricData", "describeAlarms", "getMetricData"]
        first, second = world.queries
        assert first["StartTime"] == second["StartTime"] < first["EndTime"] < second["EndTime"]

    def test_bakes_with_all_traffic(self, release: Release, world: World) -> None:
        release(steps=[0.5], bake_seconds=180)
        assert world.shifts() == [0.5, 1, NEW]
        assert [action for action, _ in world.requests].count("getMetricData") == 1 + 3

    def test_bakes_fifteen_minutes_unless_it_is_told_otherwise(self, engine: Engine, world: World) -> None:
        engine.run({"version": NEW, "steps": [0.5], "step_seconds": 60})
        assert [action for action, _ in world.requests].count("getMetricData") == 1 + 15

    def test_costs_as_many_transitions_as_the_documents_say(self, engine: Engine) -> None:
        """https://aws.amazon.com/step-functions/pricing/."""
        # An emulator does not delay metrics.
        arn = engine.start({"version": NEW, "metrics_delay_seconds": 60})
        engine.end(arn)
        entered = sum(event["type"].endswith("StateEntered") for event in engine.history(arn))
        assert f"| {entered} transitions |" in (ROOT / "docs" / "aws.md").read_text()

    def test_promotion_bakes_if_it_is_told_to(self, release: Release, world: World) -> None:
        assert release(steps=[], bake_seconds=60).status == "SUCCEEDED"
        assert world.shifts() == [1, NEW]

    def test_invokes_the_new_version_before_it_gets_traffic(self, release: Release, world: World) -> None:
        release()
        actions = [action for action, _ in world.requests]
        first, second = (given for action, given in world.requests if action == "invoke")
        assert actions.index("updateAlias") > max(i for i, action in enumerate(actions) if action == "invoke")
        assert [first["Payload"]["rawPath"], second["Payload"]["rawPath"]] == ["/live/", "/live/build-info"]
        assert {first["Qualifier"], second["Qualifier"]} == {NEW}

    def test_smoke_test_sends_requests_that_the_service_supports(
        self, release: Release, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import handler  # noqa: PLC0415
        from service import routes  # noqa: PLC0415

        class Context:
            aws_request_id = "id"
            function_name = "greeter"
            function_version = NEW
            invoked_function_arn = f"arn:aws:lambda:eu-west-2:000000000000:function:greeter:{NEW}"

        monkeypatch.setattr(routes, "BUILD_INFO", {"long": "0" * 40})
        payloads: list[Any] = []

        def responses(path: str, version: str) -> Any:
            payload = [given for action, given in world.requests if action == "invoke"][-1]["Payload"]
            payloads.append(handler.handler(payload, Context()))
            return payloads[-1]

        world.responses = responses
        assert release().status == "SUCCEEDED"
        assert [payload["statusCode"] for payload in payloads] == [200, 200]
        assert json.loads(payloads[1]["body"])["stage"] == "live"

    def test_without_steps_shifts_all_traffic_in_one_step_and_ignores_alarms(
        self, engine: Engine, world: World
    ) -> None:
        world.firing = True
        assert engine.run({"version": NEW, "steps": []}).status == "SUCCEEDED"
        assert world.shifts() == [NEW]
        assert world.state() == SHIFTED

    def test_without_smoke_test_invokes_nothing(self, release: Release, world: World) -> None:
        assert release(steps=[], bake_seconds=0, smoke_test=False).status == "SUCCEEDED"
        assert "invoke" not in {action for action, _ in world.requests}

    @pytest.mark.parametrize(("smoke_test", "action"), [(True, "promotion"), (False, "rollback")])
    def test_promotion_and_rollback_have_their_own_words_and_no_analysis(
        self, release: Release, world: World, smoke_test: bool, action: str
    ) -> None:
        done = release(steps=[], bake_seconds=0, smoke_test=smoke_test)
        assert done.report["reason"] == f"{action.capitalize()} completed."
        (message,) = world.notifications
        assert message["Subject"] == f"live: {action} to version 7 succeeded"
        assert "analysis" not in message["Message"]

    def test_accepts_an_artifact_without_build_info(self, release: Release, world: World) -> None:
        text = {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": "No build info available"}
        world.responses = lambda path, version: text
        assert release().status == "SUCCEEDED"


def refused(done: Any, world: World, error: str) -> str:
    """Verify that a release was refused without an update, and that it was published; return the reason."""
    assert (done.status, done.error, done.report["outcome"]) == ("FAILED", error, "refused")
    assert world.shifts() == []
    assert [message["Subject"].endswith("refused") for message in world.notifications] == [True]
    reason: str = done.report["reason"]
    assert reason in world.notifications[0]["Message"]
    return reason


class TestRefused:
    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ({}, "version must be a version number."),
            ({"detail": {"input": "not json"}}, "unknown setting: detail; version must be a version number."),
            ([], "the input must be an object"),
            ("live", "the input must be an object"),
            ({"stage": "test", "version": NEW}, "stage must be live, the stage of this state machine."),
            ({"stage": None, "version": NEW}, "stage must be live, the stage of this state machine."),
            ({"version": 7}, "version must be a version number, as a string."),
            ({"version": "$LATEST"}, "version must be a version number."),
            ({"version": NEW, "step": [0.1]}, "unknown setting: step."),
            ({"version": NEW, "steps": 0.1}, "steps must be a list of increasing weights"),
            ({"version": NEW, "steps": [0.5, 0.1]}, "steps must be a list of increasing weights"),
            ({"version": NEW, "steps": [0.5, 0.5]}, "steps must be a list of increasing weights"),
            ({"version": NEW, "steps": [0]}, "steps must be a list of increasing weights"),
            ({"version": NEW, "steps": [1]}, "steps must be a list of increasing weights"),
            ({"version": NEW, "steps": ["0.1"]}, "steps must be a list of increasing weights"),
            (
                {"version": NEW, "step_seconds": 0},
                "step_seconds must be a multiple of 60, up to 43200.",
            ),
            (
                {"version": NEW, "step_seconds": 1.5},
                "step_seconds must be a multiple of 60, up to 43200.",
            ),
            ({"version": NEW, "step_seconds": 90}, "step_seconds must be a multiple of 60"),
            ({"version": NEW, "bake_seconds": 30}, "bake_seconds must be 0 or a multiple of 60"),
            ({"version": NEW, "bake_seconds": "long"}, "bake_seconds must be 0 or a multiple of 60"),
            ({"version": NEW, "metrics_delay_seconds": -1}, "metrics_delay_seconds must be a whole"),
            ({"version": NEW, "steps": [None]}, "steps must be a list of increasing weights"),
            ({"version": "7\n"}, "version must be a version number."),
            ({"version": "7 8"}, "version must be a version number."),
            ({"version": NEW, "max_error_rate": 2}, "max_error_rate must be a number from 0 to 1."),
            ({"version": NEW, "max_error_rate": "1%"}, "max_error_rate must be a number from 0 to 1."),
            ({"version": NEW, "max_p99_ms": 0}, "max_p99_ms must be a number from 1 to 900000."),
            (
                {"version": NEW, "min_invocations": 0},
                "min_invocations must be a whole number of at least 1.",
            ),
            (
                {"version": NEW, "max_extensions": -1},
                "max_extensions must be a whole number from 0 to 100.",
            ),
            (
                {"version": NEW, "on_inconclusive": "go"},
                "on_inconclusive must be rollback, promote",
            ),
            (
                {"version": NEW, "ignore_alarms_reason": True},
                "ignore_alarms_reason must be a string.",
            ),
            ({"version": NEW, "smoke_test": "no"}, "smoke_test must be true or false."),
            (
                {"version": NEW, "step_seconds": 12_000, "steps": [0.1, 0.5]},
                "with these steps, step_seconds, max_extensions, bake_seconds, and metrics_delay_seconds, the release "
                "could take as long as its timeout (43200 seconds).",
            ),
        ],
    )
    def test_invalid_input(self, engine: Engine, world: World, given: Any, reason: str) -> None:
        done = engine.run(given)
        assert reason in refused(done, world, "InvalidInput")
        assert [action for action, _ in world.requests] == ["publish"]

    def test_reason_has_every_problem(self, engine: Engine, world: World) -> None:
        done = engine.run({"version": NEW, "min_invocations": None, "smoke_test": None})
        assert refused(done, world, "InvalidInput") == (
            "min_invocations must be a whole number of at least 1; smoke_test must be true or false."
        )

    def test_version_that_does_not_exist(self, release: Release, world: World) -> None:
        del world.versions[NEW]
        assert refused(release(), world, "NoSuchVersion") == "Version 7 of greeter does not exist."

    def test_version_that_the_stage_already_runs(self, engine: Engine, world: World) -> None:
        done = engine.run({"version": BASELINE})
        assert refused(done, world, "AlreadyRunning") == "live already runs version 6."

    @pytest.mark.parametrize(
        ("changed", "named"),
        [
            ({"Role": "another"}, f"execution roles ({CONFIGURATION['Role']} and another)"),
            ({"DeadLetterConfig": {"TargetArn": "queue"}}, "dead-letter queues (none and queue)"),
            (
                {"Role": "another", "DeadLetterConfig": {"TargetArn": "queue"}},
                f"execution roles ({CONFIGURATION['Role']} and another) and dead-letter queues (none and queue)",
            ),
        ],
    )
    @pytest.mark.parametrize("steps", [[0.1], []])
    def test_versions_that_cannot_share_an_alias(
        self, release: Release, world: World, changed: Any, named: str, steps: list[float]
    ) -> None:
        world.versions[NEW] = CONFIGURATION | changed
        assert refused(release(steps=steps), world, "IncompatibleVersions") == (
            f"Versions 6 and 7 of greeter have different {named}, so live cannot send traffic to both. To shift all "
            'traffic in one step, run make promote without BAKE_SECONDS, or start this state machine with "steps": [].'
        )
        assert "invoke" not in {action for action, _ in world.requests}

    def test_versions_that_cannot_share_an_alias_are_promoted(self, engine: Engine, world: World) -> None:
        world.versions[NEW] = {"Role": "another"}
        assert engine.run({"version": NEW, "steps": []}).status == "SUCCEEDED"

    def test_release_in_progress(self, release: Release, world: World) -> None:
        world.change(RoutingConfig={"AdditionalVersionWeights": {"5": 0.1}})
        assert "live sends traffic to versions 6 and 5" in refused(release(), world, "ReleaseInProgress")
        assert world.state() == (BASELINE, {"5": 0.1})

    def test_alarm_that_already_fires(self, release: Release, world: World) -> None:
        world.firing = True
        reason = refused(release(), world, "AlarmFiring")
        assert "The alarm greeter-live-unhealthy fires (the error rate is too high)" in reason
        assert "ignore_alarms_reason" in reason

    @pytest.mark.parametrize("path", ["/live/", "/live/build-info"])
    def test_smoke_test_that_returns_an_error(self, release: Release, world: World, path: str) -> None:
        world.responses = lambda asked, version: {"statusCode": 500} if asked == path else response(asked, version)
        assert '{"statusCode":500}' in refused(release(), world, "SmokeTestFailed")

    @pytest.mark.parametrize("path", ["/live/", "/live/build-info"])
    def test_smoke_test_that_raises(self, release: Release, world: World, path: str) -> None:
        def responses(asked: str, version: str) -> Any:
            if asked == path:
                raise ServiceError("ValueError", '{"errorMessage": "broken"}')
            return response(asked, version)

        world.responses = responses
        assert 'ValueError: {"errorMessage": "broken"}' in refused(release(), world, "SmokeTestFailed")

    def test_smoke_test_that_reaches_another_version(self, release: Release, world: World) -> None:
        world.responses = lambda path, _version: response(path, BASELINE)
        reason = refused(release(), world, "SmokeTestFailed")
        assert reason.startswith("Smoke test of version 7 failed: GET /build-info returned {")
        assert reason.endswith(" instead of function.version = 7")

    @pytest.mark.parametrize("body", ["[]", '"text"', "{}", '{"function": 1}', "not JSON"])
    def test_smoke_test_that_returns_other_json(self, release: Release, world: World, body: str) -> None:
        headers = {"content-type": "application/json; charset=utf-8"}
        world.responses = lambda _path, _version: {"statusCode": 200, "headers": headers, "body": body}
        refused(release(), world, "SmokeTestFailed")

    @pytest.mark.parametrize("found", ["Hello, World!", None, 7, [], {}, {"statusCode": "200"}])
    def test_smoke_test_that_does_not_return_an_http_response(self, release: Release, world: World, found: Any) -> None:
        world.responses = lambda _path, _version: found
        assert " instead of status 200" in refused(release(), world, "SmokeTestFailed")


class TestSmokeTests:
    """The smoke tests are a list given to the module."""

    @pytest.fixture
    def smoke(self, stepfunctions: Any, definition: str, engine: Engine) -> Callable[..., Any]:
        """Return a function that promotes the new version with other smoke tests."""
        content = json.loads(definition)
        default = {"json": {}, "path": "/", "route_key": "ANY /", "status": 200, "text": ""}

        def run(*tests: Any) -> Any:
            content["States"]["ReadInput"]["Assign"]["smoke_tests"] = [default | each for each in tests]
            return Engine(stepfunctions, json.dumps(content)).run({"version": NEW, "steps": []})

        return run

    def test_none(self, smoke: Callable[..., Any], world: World) -> None:
        assert smoke().status == "SUCCEEDED"
        assert "invoke" not in {action for action, _ in world.requests}

    def test_many_in_order(self, smoke: Callable[..., Any], world: World) -> None:
        assert smoke({}, {"path": "/b", "route_key": "GET /{letter}"}, {"path": "/c"}).status == "SUCCEEDED"
        asked = [given["Payload"] for action, given in world.requests if action == "invoke"]
        assert [(each["rawPath"], each["routeKey"]) for each in asked] == [
            ("/live/", "ANY /"),
            ("/live/b", "GET /{letter}"),
            ("/live/c", "ANY /"),
        ]

    def test_first_that_fails_is_the_last(self, smoke: Callable[..., Any], world: World) -> None:
        assert smoke({"status": 404}, {}).error == "SmokeTestFailed"
        assert [action for action, _ in world.requests].count("invoke") == 1

    @pytest.mark.parametrize(
        ("test", "succeeds"),
        [
            ({"status": 404}, False),
            ({"text": "Hello"}, True),
            ({"text": "World {version}"}, False),
            ({"text": "Bye"}, False),
            ({"status": 204, "text": "Hello"}, False),
            ({"json": {"a": "1"}}, True),
        ],
    )
    def test_of_a_text(self, smoke: Callable[..., Any], world: World, test: Any, succeeds: bool) -> None:
        if test.get("status") == 204:
            world.responses = lambda _path, _version: {"statusCode": 204}
        assert (smoke(test).status == "SUCCEEDED") is succeeds

    @pytest.mark.parametrize(
        ("expected", "succeeds"),
        [
            ({"a": "1", "b.c": "{version}"}, True),
            ({"a": "1", "b.c": "8"}, False),
            ({"b.c.d": "7"}, False),
            ({"b.d": "7"}, False),
            ({"d": "true"}, True),
        ],
    )
    def test_of_json(self, smoke: Callable[..., Any], world: World, expected: dict[str, str], succeeds: bool) -> None:
        body = json.dumps({"a": 1, "b": {"c": NEW}, "d": True})
        headers = {"Content-Type": "application/json"}
        world.responses = lambda _path, _version: {"statusCode": 200, "headers": headers, "body": body}
        assert (smoke({"json": expected}).status == "SUCCEEDED") is succeeds


def rolled_back(done: Any, world: World) -> str:
    """Verify that a release was rolled back without weights, and that it was published; return the reason."""
    assert (done.status, done.error, done.report["outcome"]) == ("FAILED", "RolledBack", "rolled back")
    assert world.state() == UNSHIFTED
    assert world.notifications[-1]["Subject"] == "live: release of version 7 rolled back"
    reason: str = done.report["reason"]
    assert reason in world.notifications[-1]["Message"]
    return reason


class TestRolledBack:
    def test_more_failures_than_the_baseline_at_the_first_step(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_errors=10, baseline_invocations=900, baseline_errors=3)] * 3
        assert rolled_back(release(steps=[0.1, 0.5]), world) == (
            "30 of 300 invocations of version 7 failed, and 9 of 2,700 of version 6 at 10 % of the traffic. "
            "Odds of 1,000,000 to 1 that version 7 fails more often (limit 1 %)."
        )
        assert world.shifts() == [0.1, "removed"]

    def test_more_failures_at_a_later_step(self, release: Release, world: World) -> None:
        world.metrics = lambda weight: [Minute(new_errors=20 if weight == 0.5 else 0)] * 3
        assert "60 of 300 invocations of version 7 failed" in rolled_back(release(steps=[0.1, 0.5]), world)
        assert world.shifts() == [0.1, 0.5, "removed"]

    def test_failures_that_were_answered(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_errors=3, new_errors_0=7)] * 3
        assert "30 of 300 invocations of version 7 failed" in rolled_back(release(), world)

    def test_immediately_and_not_at_the_end_of_the_step(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_errors=10)] * 3
        rolled_back(release(step_seconds=3600), world)
        assert len(world.queries) == 1

    def test_more_slow_invocations_than_the_baseline(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_slow=10)] * 4
        reason = rolled_back(release(max_p99_ms=1500), world)
        assert reason.startswith(
            "30 of 300 invocations of version 7 took longer than 1500 ms, and 0 of 300 of version 6"
        )
        assert "version 7 is slow more often (limit 1 %)" in reason

    def test_alarm_that_fires_during_a_step(self, release: Release, world: World) -> None:
        def before(action: str, nth: int) -> None:
            world.firing = action == "describeAlarms" and nth == 3

        world.before = before
        assert rolled_back(release(), world) == "The alarm greeter-live-unhealthy fires: the error rate is too high"

    def test_too_few_invocations_after_the_extensions(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_invocations=3)]
        assert rolled_back(release(max_extensions=2), world) == (
            "Inconclusive: too few invocations of version 7: 3 at 10 % of the traffic, "
            "but the analysis of a step needs 50."
        )
        assert len(world.queries) == 3

    def test_no_invocations(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: []
        assert rolled_back(release(), world).startswith("Inconclusive: too few invocations of version 7: 0 at 10 %")

    def test_both_versions_over_the_limit(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_errors=2, baseline_errors=2)] * 3
        assert rolled_back(release(), world) == (
            "Inconclusive: both versions exceed the limit of 1 %: 6 of 300 invocations of version 7 failed, "
            "and 6 of 300 of version 6 at 10 % of the traffic."
        )

    def test_failures_that_may_be_chance(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_errors=1), Minute(new_errors=2), Minute(new_errors=1)]
        reason = rolled_back(release(), world)
        assert reason.startswith(
            "Inconclusive: version 7 may be the cause of more failures, but that is not certain: 4 of"
        )

    def test_failures_of_a_single_minute(self, release: Release, world: World) -> None:
        """A burst in one minute can have another cause, such as a dependency that was down."""
        world.metrics = lambda _weight: [Minute(new_errors=30), Minute(), Minute()]
        assert rolled_back(release(), world).startswith("Inconclusive: version 7 may be the cause")


class TestBake:
    def test_failures_that_begin_with_all_traffic(self, release: Release, world: World) -> None:
        world.metrics = lambda weight: [Minute(new_errors=10 if weight == 1 else 0)] * 3
        assert rolled_back(release(), world) == (
            "30 of 300 invocations of version 7 failed with all traffic. That is at least 5.91 % (limit 1 %)."
        )
        assert world.shifts() == [0.1, 0.5, 1, "removed"]

    def test_slow_invocations_that_begin_with_all_traffic(self, release: Release, world: World) -> None:
        world.metrics = lambda weight: [Minute(new_slow=10 if weight == 1 else 0)] * 3
        assert rolled_back(release(), world).startswith(
            "30 of 300 invocations of version 7 took longer than 1000 ms with"
        )

    def test_alarm_that_fires(self, release: Release, world: World) -> None:
        def before(action: str, nth: int) -> None:
            world.firing = world.weights().get(NEW) == 1

        world.before = before
        assert rolled_back(release(), world).startswith("The alarm greeter-live-unhealthy fires")

    def test_failures_of_a_single_minute_do_not_roll_back(self, release: Release, world: World) -> None:
        world.metrics = lambda weight: [Minute(new_errors=30 if weight == 1 else 0), Minute(), Minute()]
        assert release().status == "SUCCEEDED"

    def test_repair_of_a_part_does_not_roll_back(self, release: Release, world: World) -> None:
        """The new version fails more often than its limit, but less often than the previous version did."""
        world.metrics = lambda weight: [Minute(new_errors=5, baseline_errors=40 if weight < 1 else 0)] * 3
        assert release().status == "SUCCEEDED"

    def test_alarm_that_already_fires_refuses_a_promotion(self, release: Release, world: World) -> None:
        world.firing = True
        assert release(steps=[], bake_seconds=60).error == "AlarmFiring"
        assert world.shifts() == []

    def test_failures_of_a_promotion(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_errors=10)] * 3
        done = release(steps=[], bake_seconds=60)
        assert (done.error, world.state()) == ("RolledBack", UNSHIFTED)

    def test_alias_changed_outside(self, release: Release, world: World) -> None:
        def before(action: str, count: int) -> None:
            if action == "getMetricData" and world.weights().get(NEW) == 1:
                world.change(RoutingConfig={"AdditionalVersionWeights": {}})

        world.before = before
        assert rolled_back(release(), world) == "The alias live was changed outside this release."


class TestSucceedsInSpiteOfFailures:
    @pytest.mark.parametrize(
        "minute",
        [
            Minute(new_errors=1, baseline_errors=1),
            Minute(baseline_errors=50),
            Minute(new_errors=5, baseline_errors=40),
            Minute(new_slow=1, baseline_slow=1),
            Minute(new_slow=5, baseline_slow=40),
        ],
        ids=["at the limit", "baseline fails", "repaired in part", "slow at the limit", "faster"],
    )
    def test_of_both_versions(self, release: Release, world: World, minute: Minute) -> None:
        world.metrics = lambda _weight: [minute] * 3
        assert release().status == "SUCCEEDED"

    def test_slow_first_minute(self, release: Release, world: World) -> None:
        """New execution environments start cold."""
        world.metrics = lambda _weight: [Minute(new_slow=100), *[Minute()] * 3]
        assert "took longer" in rolled_back(release(steps=[0.1, 0.5]), world)
        assert world.shifts() == [0.1, 0.5, "removed"]


class TestInconclusive:
    def test_succeeds_with_enough_invocations_after_an_extension(self, release: Release, world: World) -> None:
        readings = iter(range(1, 1000))
        world.metrics = lambda _weight: [Minute(new_invocations=30)] * next(readings)
        assert release(steps=[0.1], max_extensions=2).status == "SUCCEEDED"

    def test_promote_continues(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: []
        assert release(on_inconclusive="promote").status == "SUCCEEDED"
        assert world.state() == SHIFTED

    def test_hold_publishes_once_and_waits_for_enough_invocations(self, release: Release, world: World) -> None:
        readings = iter(range(1, 1000))
        world.metrics = lambda _weight: [Minute(new_invocations=30)] * next(readings)
        done = release(steps=[0.1], max_extensions=0, on_inconclusive="hold")
        assert done.status == "SUCCEEDED"
        assert [message["Subject"] for message in world.notifications] == [
            "live: release of version 7 on hold",
            "live: release of version 7 succeeded",
        ]
        assert "too few invocations of version 7: 30 at 10 %" in world.notifications[0]["Message"]


class TestAlarmWithAnotherCause:
    """An alarm that fires because of the previous version too is not blamed on the new one."""

    @pytest.fixture(autouse=True)
    def _fails(self, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_errors=5, baseline_errors=5)] * 3

        def before(action: str, nth: int) -> None:
            world.firing = action == "describeAlarms" and nth > 1 and bool(world.queries)

        world.before = before

    def test_holds_the_step_and_publishes_once(self, release: Release, world: World) -> None:
        reason = rolled_back(release(step_seconds=240, max_extensions=0), world)
        assert reason.startswith(
            "Inconclusive: the alarm greeter-live-unhealthy fires, but not because of version 7: 15 of 300"
        )
        assert len(world.queries) == 4
        assert [message["Subject"] for message in world.notifications] == [
            "live: release of version 7 on hold",
            "live: release of version 7 rolled back",
        ]


class TestIgnoredAlarms:
    def test_do_not_block_the_fix(self, release: Release, world: World) -> None:
        world.firing = True
        done = release(ignore_alarms_reason="7 fixes it")
        assert done.status == "SUCCEEDED"
        assert world.state() == SHIFTED
        assert done.report["reason"].endswith(" Alarms were ignored: 7 fixes it.")

    def test_do_not_prevent_the_analysis(self, release: Release, world: World) -> None:
        world.firing = True
        world.metrics = lambda _weight: [Minute(new_errors=50)] * 3
        assert "150 of 300 invocations of version 7 failed" in rolled_back(
            release(ignore_alarms_reason="7 fixes it"), world
        )


class TestChangedOutside:
    """The alias changes during the release."""

    @staticmethod
    def at(world: World, nth: int, change: Callable[[], None]) -> None:
        def before(action: str, count: int) -> None:
            if action == "getMetricData" and count == nth:
                change()

        world.before = before

    def test_weights_removed(self, release: Release, world: World) -> None:
        self.at(world, 1, lambda: world.change(RoutingConfig={"AdditionalVersionWeights": {}}))
        assert rolled_back(release(), world) == "The alias live was changed outside this release."

    def test_another_version(self, release: Release, world: World) -> None:
        self.at(world, 1, lambda: world.change(FunctionVersion="5"))
        done = release()
        assert (done.error, world.state()) == ("RolledBack", ("5", {}))
        assert done.report["from"] == "5"

    def test_another_release(self, release: Release, world: World) -> None:
        """The rollback removes only the weights of its own release."""
        weights = {"AdditionalVersionWeights": {NEW: 0.2}}
        self.at(world, 1, lambda: world.change(RoutingConfig=weights, Description="Release another: 20 % to version 7"))
        done = release()
        assert (done.error, world.state()) == ("RolledBack", (BASELINE, {NEW: 0.2}))

    def test_at_the_last_step(self, release: Release, world: World) -> None:
        self.at(world, 2, world.change)
        assert rolled_back(release(steps=[0.1, 0.5]), world).startswith("The alias live was changed")

    def test_before_the_first_step(self, release: Release, world: World) -> None:
        def before(action: str, count: int) -> None:
            if action == "invoke" and count == 1:
                world.change(
                    RoutingConfig={"AdditionalVersionWeights": {NEW: 0.2}}, Description="Release another: 20 %"
                )

        world.before = before
        done = release()
        assert (done.error, world.state()) == ("RolledBack", (BASELINE, {NEW: 0.2}))

    def test_during_the_rollback(self, release: Release, world: World) -> None:
        world.metrics = lambda _weight: [Minute(new_errors=50)] * 3

        def before(action: str, count: int) -> None:
            if action == "updateAlias" and count == 2:
                world.change()

        world.before = before
        rolled_back(release(), world)
        assert len(world.notifications) == 1

    def test_alias_deleted(self, release: Release, world: World) -> None:
        def before(action: str, count: int) -> None:
            if action == "getMetricData":
                world.aliases.pop("live", None)
                raise ServiceError("CloudWatch.InternalServiceException")

        world.before = before
        done = release()
        assert (done.error, "live" in world.aliases) == ("RolledBack", False)
        assert world.notifications


class TestEnded:
    """An execution that was aborted or timed out runs no more states. A rule starts another one, which rolls back."""

    STEP = {"version": NEW, "step_seconds": 36_000, "steps": [0.1], "max_extensions": 0}  # noqa: RUF012

    @pytest.fixture
    def aborted(self, engine: Engine, world: World) -> str:
        """Return the name of a release that was aborted at its first step."""
        name = f"live-release-{uuid.uuid4().hex[:8]}"
        arn = engine.start(self.STEP, name)
        while not world.weights():
            time.sleep(0.001)
        engine.stop(arn)
        assert engine.end(arn).status == "ABORTED"
        assert world.state() == (BASELINE, {NEW: 0.1})
        return name

    def test_its_weights_are_removed(self, engine: Engine, world: World, aborted: str) -> None:
        done = engine.run({"rolls_back": aborted, "status": "ABORTED"})
        expected = {"outcome": "rolled back", "release": aborted, "stage": "live", "from": BASELINE, "to": NEW}
        assert (done.status, done.report) == ("SUCCEEDED", done.report | expected)
        assert world.state() == UNSHIFTED
        (message,) = world.notifications
        assert message["Subject"] == "live: release of version 7 rolled back"
        assert f"{aborted} ended with status ABORTED. The weights of {aborted} were removed." in message["Message"]

    def test_alias_names_it_for_make_rollback(self, engine: Engine, world: World, aborted: str) -> None:
        assert Alias(*world.state(), world.aliases["live"]["Description"]).setter == aborted
        engine.run({"rolls_back": aborted})
        assert Alias(*world.state(), world.aliases["live"]["Description"]).setter is None
        assert world.state() == UNSHIFTED

    @pytest.mark.parametrize("name", ["another", ""])
    def test_weights_of_a_release_whose_event_was_lost_are_removed(
        self, engine: Engine, world: World, aborted: str, name: str
    ) -> None:
        done = engine.run({"rolls_back": name, "status": "ABORTED"})
        assert (done.status, done.report["outcome"], done.report["release"]) == ("SUCCEEDED", "rolled back", aborted)
        assert world.state() == UNSHIFTED

    def test_weights_of_a_release_in_progress_stay(self, engine: Engine, world: World) -> None:
        weights = {NEW: 0.5}
        world.change(
            RoutingConfig={"AdditionalVersionWeights": weights}, Description="Release later: 50 % to version 7"
        )
        world.running = {"later"}
        done = engine.run({"rolls_back": "late", "status": "TIMED_OUT"})
        assert (done.status, done.report["outcome"], world.state()) == ("SUCCEEDED", "refused", (BASELINE, weights))
        assert done.report["reason"] == (
            "late ended with status TIMED_OUT. later, which is in progress, has set the weights of live, so they were "
            "not removed."
        )
        assert world.notifications[0]["Subject"] == "live: nothing to roll back"

    @pytest.mark.parametrize("description", ["", "An alias", "Release", "Release of the kraken: 50 %"])
    def test_weights_that_no_release_has_set_stay(self, engine: Engine, world: World, description: str) -> None:
        weights = {"5": 0.5}
        world.change(RoutingConfig={"AdditionalVersionWeights": weights}, Description=description)
        done = engine.run({"rolls_back": "late", "status": "ABORTED"})
        assert done.report["reason"].endswith("The weights of the alias live were not set by a release.")
        assert (done.status, world.state(), world.shifts()) == ("SUCCEEDED", (BASELINE, weights), [])

    def test_a_release_that_had_shifted_all_traffic_stays(self, engine: Engine, world: World) -> None:
        world.change(FunctionVersion=NEW, Description="Released by live-release")
        done = engine.run({"rolls_back": "live-release", "status": "ABORTED"})
        assert (done.report["outcome"], done.report["to"], world.state()) == ("succeeded", NEW, SHIFTED)

    def test_an_execution_that_had_set_no_weights_changes_nothing(self, engine: Engine, world: World) -> None:
        done = engine.run({"rolls_back": "x", "status": "FAILED"})
        assert (done.status, done.report["outcome"]) == ("SUCCEEDED", "refused")
        assert done.report["reason"] == "x ended with status FAILED. It left no weights on the alias live."
        assert world.shifts() == []

    @pytest.mark.parametrize("status", [None, 7, {}, ...])
    @pytest.mark.parametrize("name", [None, 7, [], {"detail": {}}])
    def test_rolls_back_whatever_the_event_was(
        self, engine: Engine, world: World, aborted: str, name: Any, status: Any
    ) -> None:
        given = {"rolls_back": name, "more": 1} | ({} if status is ... else {"status": status})
        done = engine.run(given)
        assert (done.status, done.report["release"], world.state()) == ("SUCCEEDED", aborted, UNSHIFTED)
        assert done.report["reason"].startswith("An execution ended. ")

    def test_fault_while_it_looks_for_the_release_is_retried(self, engine: Engine, world: World, aborted: str) -> None:
        world.faults = lambda state, nth: (
            ServiceError("Sfn.SfnException") if state == "FindSetter" and nth < 20 else None
        )
        done = engine.run({"rolls_back": "another", "status": "ABORTED"})
        assert (done.report["release"], world.state()) == (aborted, UNSHIFTED)
        assert [message["Subject"] for message in world.notifications] == [
            "live: ROLLBACK FAILED",
            "live: release of version 7 rolled back",
        ]

    def test_a_timeout_is_rolled_back_too(
        self, stepfunctions: Any, definition: str, engine: Engine, world: World
    ) -> None:
        short = json.dumps(json.loads(definition) | {"TimeoutSeconds": 2000})
        timed_out = Engine(stepfunctions, short).run(self.STEP, "live-release")
        assert (timed_out.status, world.state()) == ("TIMED_OUT", (BASELINE, {NEW: 0.1}))
        assert engine.run({"rolls_back": "live-release", "status": "TIMED_OUT"}).status == "SUCCEEDED"
        assert world.state() == UNSHIFTED
