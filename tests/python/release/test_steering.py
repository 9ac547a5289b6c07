"""What people ask of releases by the parameters of a stage: freezes, versions that were rolled back, and requests."""

from __future__ import annotations

import datetime
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.python.release.conftest import SHORT
from tests.python.release.world import BASELINE, NEW, Engine, Minute, ServiceError, World

Release = Callable[..., Any]
NAME = "live-release-7"
FROZEN = {"until": "2999-12-31T08:00Z", "by": "ann@laptop", "reason": "Christmas"}
ROLLED_BACK = {"version": NEW, "at": "2026-11-24T08:00Z", "by": "live-release-6", "reason": "3 of 50 failed."}


def failing(_weight: float) -> list[Minute]:
    return [Minute(new_errors=50)] * 3


def ask(world: World, *asked: Mapping[str, Any]) -> None:
    """Change the parameter before each look: the first request before the first look, and so on; {} for none."""
    looks = iter(asked)
    reads = 0

    def before(action: str, _nth: int) -> None:
        nonlocal reads
        if action == "getParameter" and world.requests[-1][1]["Name"].endswith("/control"):
            reads += 1
            if reads > 1 and (request := next(looks, None)):
                world.control = {"request": {"release": NAME, "by": "ann", "reason": "because", **request}}

    world.before = before


def looks_at(world: World) -> list[float]:
    """Return the weights of the looks, in order."""
    weight, found = 0.0, []
    for action, given in world.requests:
        if action == "updateAlias":
            weight = given["RoutingConfig"]["AdditionalVersionWeights"].get(NEW, 0.0)
        if action == "describeAlarms" and weight:
            found.append(weight)
    return found


class TestFrozen:
    def test_refuses_releases_and_promotions(self, release: Release, world: World) -> None:
        world.control = {"frozen": FROZEN}
        expected = (
            "live is frozen by ann@laptop until 2999-12-31T08:00Z: Christmas. To release nevertheless, set "
            "ignore_freeze_reason."
        )
        settings: dict[str, Any]
        for settings in ({}, {"steps": []}, {"ignore_rejection_reason": "because"}):
            done = release(**settings)
            assert (done.error, done.report["outcome"], done.report["reason"]) == ("Frozen", "refused", expected)
            assert world.notifications[-1]["Message"].startswith(expected)
        assert world.state() == (BASELINE, {})

    def test_never_refuses_a_rollback(self, engine: Engine, world: World) -> None:
        world.control, world.rejected = {"frozen": FROZEN}, [ROLLED_BACK]
        assert engine.run({"version": NEW, "steps": [], "smoke_test": False}).status == "SUCCEEDED"
        assert world.state() == (NEW, {})

    @pytest.mark.parametrize("control", ["not JSON", ""])
    def test_rollback_needs_no_parameter(self, engine: Engine, world: World, control: str) -> None:
        world.control = control
        assert engine.run({"version": NEW, "steps": [], "smoke_test": False}).status == "SUCCEEDED"

    def test_is_ignored_with_a_reason_that_is_recorded(self, release: Release, world: World) -> None:
        world.control = {"frozen": FROZEN}
        done = release(ignore_freeze_reason="repairs the checkout")
        assert done.status == "SUCCEEDED"
        assert done.report["reason"].endswith(" The freeze was ignored: repairs the checkout.")

    @pytest.mark.parametrize(
        "frozen", [None, False, {"until": "2026-01-01T00:00Z"}, {"until": "2026-01-01T00:00:59Z", "reason": "x"}]
    )
    def test_ends(self, release: Release, world: World, frozen: Any) -> None:
        world.control = {"frozen": frozen}
        assert release().status == "SUCCEEDED"

    @pytest.mark.parametrize(
        ("frozen", "reason"),
        [
            (True, "live is frozen. To release"),
            ({}, "live is frozen. To release"),
            ("until Christmas", "live is frozen. To release"),
            ({"reason": "Christmas"}, "live is frozen: Christmas. To release"),
            ({"until": "2026-01-01"}, "live is frozen until 2026-01-01. To release"),
            (
                {"until": "2026-01-01T00:00+01:00", "reason": 7},
                "live is frozen until 2026-01-01T00:00+01:00. To release",
            ),
        ],
    )
    def test_without_a_readable_end_stays(self, release: Release, world: World, frozen: Any, reason: str) -> None:
        world.control = {"frozen": frozen}
        done = release()
        assert done.error == "Frozen"
        assert done.report["reason"].startswith(reason)

    def test_lasts_until_its_minute_begins(self, release: Release, world: World) -> None:
        now = datetime.datetime.now(datetime.UTC)
        for minutes, error in ((2, "Frozen"), (0, None)):
            until = now + datetime.timedelta(minutes=minutes)
            world.control = {"frozen": {"until": f"{until:%Y-%m-%dT%H:%M}Z"}}
            assert release().error == error

    @pytest.mark.parametrize("control", ["not JSON", ""])
    def test_unreadable_parameter_refuses(self, release: Release, world: World, control: str) -> None:
        world.control = control
        done = release()
        assert done.error == "NotStarted"
        assert done.report["reason"].startswith("ReadFreeze failed: States.QueryEvaluationError")

    @pytest.mark.parametrize("control", [[], "[]", "7", "null", {"frozen": None, "request": None}])
    def test_parameter_without_a_freeze(self, release: Release, world: World, control: Any) -> None:
        world.control = control
        assert release().status == "SUCCEEDED"


class TestRejected:
    def test_refuses_releases_and_promotions(self, release: Release, world: World) -> None:
        world.rejected = [{**ROLLED_BACK, "version": "5"}, ROLLED_BACK]
        expected = (
            "Version 7 was rolled back from live at 2026-11-24T08:00Z (live-release-6): 3 of 50 failed.\nTo release it "
            "nevertheless, set ignore_rejection_reason."
        )
        settings: dict[str, Any]
        for settings in ({}, {"steps": []}, {"ignore_freeze_reason": "because"}):
            done = release(**settings)
            assert (done.error, done.report["outcome"], done.report["reason"]) == (
                "RejectedVersion",
                "refused",
                expected,
            )
        assert world.state() == (BASELINE, {})

    @pytest.mark.parametrize("rejected", [[], "[]", "null", "7", [7, None, "7"], [{"version": "5"}]])
    def test_other_versions_are_released(self, release: Release, world: World, rejected: Any) -> None:
        world.rejected = rejected
        assert release().status == "SUCCEEDED"

    def test_is_released_with_a_reason_that_is_recorded(self, release: Release, world: World) -> None:
        other = {**ROLLED_BACK, "version": "5"}
        world.rejected = [ROLLED_BACK, other]
        done = release(ignore_rejection_reason="the database works again")
        assert done.report["reason"].endswith(
            " The earlier rollback of this version was ignored: the database works again."
        )
        assert world.rejected == [other]

    def test_last_one_leaves_a_list(self, release: Release, world: World) -> None:
        world.rejected = [ROLLED_BACK]
        release(ignore_rejection_reason="because")
        assert world.rejected == []

    def test_version_that_a_release_rolled_back(self, release: Release, world: World) -> None:
        world.metrics = failing
        done = release()
        (one,) = world.rejected
        assert (one["version"], one["by"]) == (NEW, done.name)
        assert done.report["reason"].startswith(one["reason"][:100])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", one["at"])
        world.metrics = lambda _weight: [Minute()] * 3
        assert release().error == "RejectedVersion"

    def test_version_that_is_rolled_back_again_is_listed_once(self, release: Release, world: World) -> None:
        world.metrics, world.rejected = failing, [{**ROLLED_BACK, "version": "5"}, ROLLED_BACK]
        done = release(ignore_rejection_reason="because")
        assert [(one["version"], one["by"]) for one in world.rejected] == [(NEW, done.name), ("5", "live-release-6")]

    def test_five_at_most_in_four_kilobytes(self, release: Release, world: World) -> None:
        world.rejected = [{**ROLLED_BACK, "version": str(version)} for version in range(100, 106)]
        # Each of these characters has more than one byte in UTF-8 or two in JSON.
        world.firing = False
        world.metrics = lambda _weight: [Minute(new_errors=1)] * 3
        world.before = lambda action, nth: setattr(world, "firing", action == "describeAlarms" and nth > 1)
        release()
        assert [one["version"] for one in world.rejected] == [NEW, "100", "101", "102", "103"]
        assert all(len(one["reason"]) <= 200 for one in world.rejected)

    def test_version_that_make_rollback_left(self, engine: Engine, world: World) -> None:
        world.rejected = [ROLLED_BACK]
        done = engine.run({"version": NEW, "steps": [], "smoke_test": False})
        (one,) = world.rejected
        assert (one["version"], one["by"], one["reason"]) == (BASELINE, done.name, "Rollback completed.")

    def test_version_of_an_execution_that_ended(self, engine: Engine, world: World) -> None:
        world.change(
            Description="Release owner: 10 % to version 7", RoutingConfig={"AdditionalVersionWeights": {NEW: 0.1}}
        )
        engine.run({"rolls_back": "owner", "status": "ABORTED"})
        (one,) = world.rejected
        assert (one["version"], one["by"]) == (NEW, "owner")
        assert one["reason"] == "owner ended with status ABORTED."

    @pytest.mark.parametrize("settings", [{}, {"steps": []}], ids=["release", "promotion"])
    def test_success_writes_nothing(self, release: Release, world: World, settings: dict[str, Any]) -> None:
        release(**settings)
        assert "putParameter" not in [action for action, _ in world.requests]

    @pytest.mark.parametrize("rejected", ["not JSON", ""])
    def test_unreadable_list_is_written_anew(self, engine: Engine, world: World, rejected: str) -> None:
        world.rejected = rejected
        engine.run({"version": NEW, "steps": [], "smoke_test": False})
        assert [one["version"] for one in world.rejected] == [BASELINE]

    @pytest.mark.parametrize("state", ["ListRejected", "Reject"])
    def test_list_that_cannot_be_written_changes_no_rollback(self, release: Release, world: World, state: str) -> None:
        world.metrics = failing
        world.faults = lambda entered, _nth: ServiceError("Ssm.SsmException") if entered == state else None
        assert release().error == "RolledBack"
        assert world.state() == (BASELINE, {})
        assert world.notifications[-1]["Subject"] == "live: release of version 7 rolled back"


class TestRequests:
    LONG: Mapping[str, Any] = {"version": NEW, "steps": [0.1, 0.5], **SHORT, "step_seconds": 300}

    def test_skip_ends_the_step(self, engine: Engine, world: World) -> None:
        ask(world, {}, {"do": "skip"})
        done = engine.run(self.LONG, NAME)
        assert done.status == "SUCCEEDED"
        # The second look skips the rest of the first step only.
        assert looks_at(world) == [0.1] * 2 + [0.5] * 6 + [1.0] * 2
        assert done.report["requests"] == ["skip at 10 % by ann: because"]

    def test_skip_needs_no_metrics(self, engine: Engine, world: World) -> None:
        world.metrics = lambda _weight: []
        ask(world, {"do": "skip"}, {"do": "skip", "at": "second"}, {"do": "skip", "at": "third"})
        assert engine.run(self.LONG, NAME).status == "SUCCEEDED"
        assert looks_at(world) == [0.1, 0.5, 1.0]

    def test_skip_does_not_release_a_bad_version(self, engine: Engine, world: World) -> None:
        world.metrics = failing
        ask(world, {}, {"do": "skip"})
        assert engine.run(self.LONG, NAME).error == "RolledBack"
        assert looks_at(world) == [0.1] * 2

    def test_skip_ends_the_bake(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "skip"})
        done = engine.run({"version": NEW, "steps": [], "bake_seconds": 300}, NAME)
        assert (done.status, looks_at(world)) == ("SUCCEEDED", [1.0])

    def test_hold_keeps_the_weight_until_it_is_resumed(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "hold"}, *[{}] * 9, {"do": "resume"})
        done = engine.run(self.LONG, NAME)
        assert done.status == "SUCCEEDED"
        assert looks_at(world) == [0.1] * 11 + [0.5] * 6 + [1.0] * 2
        assert done.report["requests"] == ["hold at 10 % by ann: because", "resume at 10 % by ann: because"]
        held, ended = world.notifications
        assert held["Subject"] == "live: release of version 7 on hold"
        assert held["Message"].startswith(
            "Held by ann: because.\n\nThe release keeps this weight until it is resumed, or the analysis fails."
        )
        assert "To continue now, run: make release STAGE=live DO=resume REASON=..." in held["Message"]
        requests = " Actions: hold at 10 % by ann: because; resume at 10 % by ann: because."
        assert done.report["reason"].endswith(requests)
        assert f"{requests}\n\nStage: live" in ended["Message"]

    def test_longest_hold_stays_below_the_limit_of_events(self, engine: Engine, world: World, definition: str) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html."""
        ask(world, {"do": "hold"}, *[{}] * 8, {"do": "abort"})
        arn = engine.start(self.LONG, NAME)
        engine.end(arn)
        events = engine.history(arn)
        looks = [i for i, event in enumerate(events) if event["type"] == "WaitStateEntered"]
        longest = max(end - begin for begin, end in itertools.pairwise(looks))
        machine = json.loads(definition)
        most = machine["TimeoutSeconds"] / machine["States"]["Wait"]["Seconds"]
        assert longest > 20
        assert len(events) + most * longest < 25_000

    def test_hold_that_is_resumed_early_changes_nothing(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "hold"}, {"do": "resume"})
        engine.run(self.LONG, NAME)
        assert looks_at(world) == [0.1] * 6 + [0.5] * 6 + [1.0] * 2

    def test_hold_that_is_skipped_ends(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "hold"}, {}, {"do": "skip"})
        engine.run(self.LONG, NAME)
        assert looks_at(world) == [0.1] * 3 + [0.5] * 6 + [1.0] * 2

    def test_each_hold_is_published(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "hold"}, {}, {"do": "resume"}, {"do": "hold", "at": "again"}, {"do": "resume", "at": "again"})
        engine.run(self.LONG, NAME)
        assert [one["Subject"] for one in world.notifications].count("live: release of version 7 on hold") == 2

    def test_held_release_rolls_back_if_the_version_is_bad(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "hold"})
        world.metrics = lambda _weight: failing(0) if len(looks_at(world)) > 8 else [Minute()] * 3
        assert engine.run(self.LONG, NAME).error == "RolledBack"
        assert world.state() == (BASELINE, {})

    def test_inconclusive_hold_uses_no_extension(self, engine: Engine, world: World) -> None:
        """After the hold, the step is extended by its whole length."""
        world.metrics = lambda _weight: []
        ask(world, {"do": "hold"}, *[{}] * 9, {"do": "resume"})
        done = engine.run({**self.LONG, "max_extensions": 1}, NAME)
        assert (done.error, looks_at(world)) == ("RolledBack", [0.1] * (11 + 5))

    def test_abort_rolls_back(self, engine: Engine, world: World) -> None:
        ask(world, {}, {"do": "abort"})
        done = engine.run(self.LONG, NAME)
        assert (done.error, done.report["outcome"], done.report["reason"]) == (
            "Aborted",
            "aborted",
            "Aborted by ann: because.",
        )
        assert world.state() == (BASELINE, {})
        assert [one["version"] for one in world.rejected] == [NEW]
        assert world.notifications[-1]["Subject"] == "live: release of version 7 aborted"

    @pytest.mark.parametrize(
        "request_",
        [
            {"do": "skip", "release": "live-release-6"},
            {"do": "skip", "release": None},
            {"do": "stop"},
            {"do": None},
            {"do": ["abort"]},
        ],
    )
    def test_others_are_ignored(self, engine: Engine, world: World, request_: dict[str, Any]) -> None:
        ask(world, request_)
        done = engine.run(self.LONG, NAME)
        assert (done.status, done.report["requests"]) == ("SUCCEEDED", [])
        assert looks_at(world) == [0.1] * 6 + [0.5] * 6 + [1.0] * 2

    @pytest.mark.parametrize("control", ["not JSON", "", "7", "null", '{"request": null}', '{"request": [[]]}'])
    def test_unreadable_parameter_changes_nothing(self, engine: Engine, world: World, control: str) -> None:
        def before(action: str, nth: int) -> None:
            if action == "getParameter" and nth > 2:
                world.control = control

        world.before = before
        assert engine.run(self.LONG, NAME).status == "SUCCEEDED"

    @pytest.mark.parametrize("error", ["Ssm.SsmException", "Ssm.ParameterNotFoundException"])
    def test_is_done_once_even_if_the_parameter_cannot_be_read_later(
        self, engine: Engine, world: World, error: str
    ) -> None:
        ask(world, {"do": "skip"})
        # The second look reads nothing, and the third one the same request as the first.
        world.faults = lambda state, nth: (
            ServiceError(error)
            if state == "ReadRequest" and 1 < nth <= (7 if error == "Ssm.SsmException" else 2)
            else None
        )
        engine.run(self.LONG, NAME)
        assert looks_at(world) == [0.1] + [0.5] * 6 + [1.0] * 2

    def test_unreadable_who_and_why_are_left_out(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "skip", "by": 7, "reason": None})
        assert engine.run(self.LONG, NAME).report["requests"] == ["skip at 10 %"]

    def test_last_ten_are_kept(self, engine: Engine, world: World) -> None:
        wanted = [{"do": "hold" if i % 2 else "resume", "reason": f"{i} {'x' * 900}"} for i in range(12)]
        ask(world, *wanted, {"do": "abort"})
        done = engine.run(self.LONG, NAME)
        assert len(done.report["requests"]) == 10
        assert all(len(one) < 300 for one in done.report["requests"])


class TestApproval:
    """A release that waits for approval before its first step."""

    HOLD: Mapping[str, Any] = {"version": NEW, "steps": [0.5], **SHORT, "hold": True}

    @pytest.mark.parametrize("do", ["resume", "skip"])
    def test_starts_when_it_is_resumed(self, engine: Engine, world: World, do: str) -> None:
        ask(world, {}, {}, {"do": do})
        done = engine.run(self.HOLD, NAME)
        assert (done.status, looks_at(world)) == ("SUCCEEDED", [0.5, 0.5, 1.0, 1.0])
        assert done.report["requests"] == [f"{do} at 0 % by ann: because"]
        waits, _ = world.notifications
        assert waits["Subject"] == "live: release of version 7 is waiting for approval"
        assert "make release STAGE=live DO=resume REASON=" in waits["Message"]

    def test_checks_everything_again(self, engine: Engine, world: World) -> None:
        ask(world, {}, {"do": "resume"})
        engine.run(self.HOLD, NAME)
        actions = [action for action, _ in world.requests]
        assert (actions.count("invoke"), actions.count("getAlias"), actions.count("describeAlarms")) == (4, 2, 2 + 4)

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (lambda world: setattr(world, "firing", True), "AlarmFiring"),
            (lambda world: setattr(world, "rejected", [ROLLED_BACK]), "RejectedVersion"),
            (lambda world: world.change(FunctionVersion=NEW), "AlreadyRunning"),
            (lambda world: world.change(RoutingConfig={"AdditionalVersionWeights": {"5": 0.1}}), "ReleaseInProgress"),
        ],
    )
    def test_is_refused_if_the_stage_has_changed(
        self, engine: Engine, world: World, change: Callable[[World], None], error: str
    ) -> None:
        ask(world, {}, {"do": "resume"})
        asked = world.before

        def before(action: str, nth: int) -> None:
            asked(action, nth)
            if action == "publish" and nth == 1:
                change(world)

        world.before = before
        done = engine.run(self.HOLD, NAME)
        assert (done.error, world.shifts()) == (error, [])

    def test_abort_changes_nothing(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "abort"})
        done = engine.run(self.HOLD, NAME)
        assert (done.error, world.shifts(), world.rejected) == ("Aborted", [], [])

    def test_hold_waits_on(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "hold"}, {}, {"do": "resume"})
        done = engine.run(self.HOLD, NAME)
        assert (done.status, looks_at(world)) == ("SUCCEEDED", [0.5, 0.5, 1.0, 1.0])

    def test_promotion_waits_and_rollback_does_not(self, engine: Engine, world: World) -> None:
        ask(world, {"do": "resume"})
        assert engine.run({"version": NEW, "steps": [], "hold": True}, NAME).report["requests"] != []
        world.before = lambda _action, _nth: None
        back = {"version": BASELINE, "steps": [], "smoke_test": False, "hold": True}
        assert engine.run(back).status == "SUCCEEDED"
        assert world.state() == (BASELINE, {})

    def test_starts_without_sns(self, engine: Engine, world: World) -> None:
        world.faults = lambda state, _nth: ServiceError("Sns.SnsException") if state == "NotifyOfApproval" else None
        ask(world, {"do": "resume"})
        assert engine.run(self.HOLD, NAME).status == "SUCCEEDED"
