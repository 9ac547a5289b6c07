"""Requests of the engine to AWS that fail, temporarily or permanently: the alias ends at the right version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import examples
from tests.python.release.conftest import SHORT
from tests.python.release.world import BASELINE, NEW, Engine, Minute, ServiceError, World

Release = Callable[..., Any]
BEFORE_SHIFTING = [
    "ReadFreeze",
    "ReadRejected",
    "FindVersion",
    "ReadAlias",
    "FindBaseline",
    "ReadAlarmBefore",
    "InvokeVersion",
]
SHIFTING = ["SetWeight", "ReadMetrics", "ReadAlarm", "ShiftAllTraffic"]
ROLLING_BACK = ["ReadWeights", "RemoveWeights"]
# Not even a permanent fault of these changes the outcome.
OPTIONAL = ["ListRejected", "NotifyOfApproval", "ReadRequest", "Reject"]
NOTIFYING = ["Notify", "NotifyOfHold", "NotifyOfFailedRollback"]
# An error of the Lambda service. The smoke test is retried only for such errors.
TEMPORARY = "Lambda.ServiceException"


def failing(_weight: float) -> list[Minute]:
    return [Minute(new_errors=50)] * 3


def fails(
    *states: str, until: float = float("inf"), error: str = TEMPORARY
) -> Callable[[str, int], ServiceError | None]:
    """Return faults of some states: every attempt before ``until`` fails."""
    return lambda state, nth: ServiceError(error) if state in states and nth < until else None


def test_every_task_is_in_one_of_the_lists(states: dict[str, Any]) -> None:
    tasks = {name for name, state in states.items() if state["Type"] == "Task"}
    # Only the rollback of an execution that ended runs FindSetter.
    assert tasks == {*BEFORE_SHIFTING, *SHIFTING, *ROLLING_BACK, *NOTIFYING, *OPTIONAL, "FindSetter"}


@pytest.mark.parametrize("state", [*BEFORE_SHIFTING, *SHIFTING, "Notify"])
def test_temporary_fault_changes_nothing(release: Release, world: World, state: str) -> None:
    world.faults = fails(state, until=3)
    assert release().status == "SUCCEEDED"
    assert world.state() == (NEW, {})
    assert [message["Subject"] for message in world.notifications] == ["live: release of version 7 succeeded"]


@pytest.mark.parametrize("state", ROLLING_BACK)
def test_temporary_fault_does_not_stop_the_rollback(release: Release, world: World, state: str) -> None:
    world.metrics, world.faults = failing, fails(state, until=3)
    assert release().error == "RolledBack"
    assert world.state() == (BASELINE, {})
    assert [message["Subject"] for message in world.notifications] == ["live: release of version 7 rolled back"]


@pytest.mark.parametrize("state", BEFORE_SHIFTING)
def test_permanent_fault_before_the_first_step_is_refused(release: Release, world: World, state: str) -> None:
    world.faults = fails(state)
    done = release()
    assert (done.error, done.report["outcome"]) == (
        "SmokeTestFailed" if state == "InvokeVersion" else "NotStarted",
        "refused",
    )
    assert ("GET /" if state == "InvokeVersion" else state) in done.report["reason"]
    assert TEMPORARY in done.report["reason"]
    assert (world.shifts(), world.state()) == ([], (BASELINE, {}))
    assert [message["Subject"] for message in world.notifications] == ["live: release of version 7 refused"]


@pytest.mark.parametrize("state", SHIFTING)
def test_permanent_fault_rolls_back(release: Release, world: World, state: str) -> None:
    world.faults = fails(state, error="Lambda.AccessDeniedException")
    done = release()
    assert done.error == "RolledBack"
    assert done.report["reason"] == f"{state} failed: Lambda.AccessDeniedException: because"
    assert world.state() == (BASELINE, {})
    assert [message["Subject"] for message in world.notifications] == ["live: release of version 7 rolled back"]


def test_permanent_fault_at_a_later_step_rolls_back(release: Release, world: World) -> None:
    world.faults = lambda state, nth: ServiceError(TEMPORARY) if state == "SetWeight" and nth > 1 else None
    assert release(steps=[0.1, 0.5]).error == "RolledBack"
    assert world.state() == (BASELINE, {})


@pytest.mark.parametrize("state", ROLLING_BACK)
def test_rollback_is_retried_until_it_succeeds_and_publishes_each_failure(
    release: Release, world: World, state: str
) -> None:
    def faults(entered: str, _nth: int) -> ServiceError | None:
        failures = [message for message in world.notifications if message["Subject"] == "live: ROLLBACK FAILED"]
        return ServiceError(TEMPORARY) if entered == state and len(failures) < 2 else None

    world.metrics, world.faults = failing, faults
    assert release().error == "RolledBack"
    assert world.state() == (BASELINE, {})
    first, second, last = world.notifications
    assert first["Subject"] == second["Subject"] == "live: ROLLBACK FAILED"
    assert f"{TEMPORARY}: because" in first["Message"]
    assert "aws lambda update-alias --function-name greeter --name live" in first["Message"]
    assert "\n\nExecution: https://console.aws.amazon.com/states/home?region=eu-west-2#/v2/" in first["Message"]
    assert last["Subject"] == "live: release of version 7 rolled back"


def test_rollback_is_retried_if_sns_fails(release: Release, world: World) -> None:
    rollback, notifications = fails("RemoveWeights", until=30), fails("NotifyOfFailedRollback", "Notify")
    world.metrics, world.faults = failing, lambda state, nth: rollback(state, nth) or notifications(state, nth)
    assert release().error == "RolledBack"
    assert (world.state(), world.notifications) == ((BASELINE, {}), [])


@pytest.mark.parametrize("state", ["Notify", "ReadRequest"])
def test_release_succeeds_if_nobody_can_read_or_write_about_it(release: Release, world: World, state: str) -> None:
    world.faults = fails(state)
    assert release().status == "SUCCEEDED"
    assert world.state() == (NEW, {})


def test_hold_continues_if_sns_fails(release: Release, world: World) -> None:
    readings = iter(range(1, 1000))
    world.metrics = lambda _weight: [Minute(new_invocations=20)] * next(readings)
    world.faults = fails("NotifyOfHold")
    assert release(steps=[0.1], max_extensions=0, on_inconclusive="hold").status == "SUCCEEDED"


class TestLostResponse:
    """AWS does the work of a request, but the response is lost."""

    def test_of_a_step_rolls_back(self, release: Release, world: World) -> None:
        world.lost_responses = fails("SetWeight", until=2)
        assert release().error == "RolledBack"
        assert world.state() == (BASELINE, {})

    def test_of_the_last_update_succeeds(self, release: Release, world: World) -> None:
        world.lost_responses = fails("ShiftAllTraffic", until=2)
        done = release()
        assert (done.status, done.report["outcome"]) == ("SUCCEEDED", "succeeded")
        assert world.state() == (NEW, {})

    def test_of_the_rollback_is_a_rollback(self, release: Release, world: World) -> None:
        world.metrics, world.lost_responses = failing, fails("RemoveWeights", until=2)
        assert release().error == "RolledBack"
        assert world.state() == (BASELINE, {})


FAULTS = st.dictionaries(
    st.sampled_from([*BEFORE_SHIFTING, *SHIFTING, *ROLLING_BACK, *NOTIFYING, *OPTIONAL]), st.integers(1, 14), max_size=4
)


@given(
    faults=FAULTS,
    lost=FAULTS,
    errors=st.lists(st.integers(0, 30), min_size=3, max_size=3),
    invocations=st.integers(0, 60),
)
@example(faults={"ShiftAllTraffic": 9}, lost={"SetWeight": 1, "RemoveWeights": 2}, errors=[0, 0, 0], invocations=60)
# The state machine is a fixture, but each example starts with a new world.
@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_alias_ends_at_one_version_after_any_faults(
    engine: Engine, world: World, *, faults: dict[str, int], lost: dict[str, int], errors: list[int], invocations: int
) -> None:
    world.__init__()  # type: ignore[misc]
    by_weight = dict(zip([0.1, 0.5, 1], errors, strict=True))
    world.metrics = lambda weight: (
        [Minute(new_invocations=invocations, new_errors=min(invocations, by_weight.get(weight, 0)))] * 3
    )
    world.faults = lambda state, nth: ServiceError(TEMPORARY) if nth <= faults.get(state, 0) else None
    world.lost_responses = lambda state, nth: ServiceError(TEMPORARY) if nth <= lost.get(state, 0) else None
    done = engine.run({"version": NEW, "steps": [0.1, 0.5], "max_extensions": 0, **SHORT})
    succeeded = done.report["outcome"] == "succeeded"
    assert done.report["outcome"] in {"succeeded", "rolled back", "refused"}
    assert world.state() == ((NEW if succeeded else BASELINE), {})
    assert done.status == ("SUCCEEDED" if succeeded else "FAILED")
    if 3 * invocations < 50 or max(errors[:2]) > 0.01 * invocations:
        assert not succeeded
