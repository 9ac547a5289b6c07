"""Any call of the engine to AWS may fail, for a moment or for good: the alias ends where it should all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.python.release.world import NEW, OLD, Engine, ServiceError, World

Release = Callable[..., Any]
BEFORE_SHIFTING = ["FindVersion", "ReadAlias", "ReadAlarmBefore", "SmokeGreeting", "SmokeBuildInfo"]
SHIFTING = ["SetWeight", "ReadFigures", "ReadAlarm", "PointAtNewVersion"]
ROLLING_BACK = ["ReadWhatIsLeft", "TakeBack"]
TELLING = ["Tell", "TellOfHold", "CannotRollBack"]
# Of Lambda itself: the only ones for which a smoke call is tried again.
MOMENTARY = "Lambda.ServiceException"


def bad(_weight: float) -> tuple[int, int, float]:
    return 100, 50, 20.0


def fails(
    *states: str, until: float = float("inf"), error: str = MOMENTARY
) -> Callable[[str, int], ServiceError | None]:
    """Return the fault of some states that fails all their tries before one."""
    return lambda state, nth: ServiceError(error) if state in states and nth < until else None


def test_every_task_is_among_these(states: dict[str, Any]) -> None:
    tasks = {name for name, state in states.items() if state["Type"] == "Task"}
    assert tasks == {*BEFORE_SHIFTING, *SHIFTING, *ROLLING_BACK, *TELLING}


@pytest.mark.parametrize("state", [*BEFORE_SHIFTING, *SHIFTING, "Tell"])
def test_for_a_moment_changes_nothing(release: Release, world: World, state: str) -> None:
    world.faults = fails(state, until=3)
    assert release().status == "SUCCEEDED"
    assert world.state() == (NEW, {})
    assert [message["Subject"] for message in world.told] == ["live: version 7 released"]


@pytest.mark.parametrize("state", ROLLING_BACK)
def test_for_a_moment_does_not_stop_the_roll_back(release: Release, world: World, state: str) -> None:
    world.figures, world.faults = bad, fails(state, until=3)
    assert release().error == "RolledBack"
    assert world.state() == (OLD, {})
    assert [message["Subject"] for message in world.told] == ["live: version 7 rolled back"]


@pytest.mark.parametrize("state", BEFORE_SHIFTING)
def test_for_good_before_anything_is_shifted_shifts_nothing(release: Release, world: World, state: str) -> None:
    world.faults = fails(state)
    done = release()
    assert (done.error, done.report["outcome"]) == (
        "SmokeTestFailed" if state.startswith("Smoke") else "NotStarted",
        "refused",
    )
    assert f"{state}" in done.report["reason"]
    assert MOMENTARY in done.report["reason"]
    assert (world.shifts(), world.state()) == ([], (OLD, {}))
    assert [message["Subject"] for message in world.told] == ["live: version 7 refused"]


@pytest.mark.parametrize("state", SHIFTING)
def test_for_good_rolls_back(release: Release, world: World, state: str) -> None:
    world.faults = fails(state, error="Lambda.AccessDeniedException")
    done = release()
    assert done.error == "RolledBack"
    assert done.report["reason"] == f"{state} failed: Lambda.AccessDeniedException: because"
    assert world.state() == (OLD, {})
    assert [message["Subject"] for message in world.told] == ["live: version 7 rolled back"]


def test_for_good_at_a_later_step_rolls_back(release: Release, world: World) -> None:
    world.faults = lambda state, nth: ServiceError(MOMENTARY) if state == "SetWeight" and nth > 1 else None
    assert release(steps=[0.1, 0.5]).error == "RolledBack"
    assert world.state() == (OLD, {})


@pytest.mark.parametrize("state", ROLLING_BACK)
def test_roll_back_is_tried_until_it_works_and_shouts_meanwhile(release: Release, world: World, state: str) -> None:
    def faults(entered: str, _nth: int) -> ServiceError | None:
        shouts = [message for message in world.told if message["Subject"] == "live: ROLLBACK FAILED"]
        return ServiceError(MOMENTARY) if entered == state and len(shouts) < 2 else None

    world.figures, world.faults = bad, faults
    assert release().error == "RolledBack"
    assert world.state() == (OLD, {})
    shout, again, told = world.told
    assert shout["Subject"] == again["Subject"] == "live: ROLLBACK FAILED"
    assert f"{MOMENTARY}: because" in shout["Message"]
    assert "aws lambda update-alias --function-name greeter --name live" in shout["Message"]
    assert told["Subject"] == "live: version 7 rolled back"


def test_roll_back_is_tried_on_where_nobody_can_be_told(release: Release, world: World) -> None:
    cannot, silent = fails("TakeBack", until=30), fails("CannotRollBack", "Tell")
    world.figures, world.faults = bad, lambda state, nth: cannot(state, nth) or silent(state, nth)
    assert release().error == "RolledBack"
    assert (world.state(), world.told) == ((OLD, {}), [])


def test_release_is_one_where_nobody_can_be_told(release: Release, world: World) -> None:
    world.faults = fails("Tell")
    assert release().status == "SUCCEEDED"
    assert world.state() == (NEW, {})


def test_hold_goes_on_where_nobody_can_be_told(release: Release, world: World) -> None:
    looks = iter(range(1, 1000))
    world.figures, world.faults = lambda _weight: (5 * next(looks), 0, 20.0), fails("TellOfHold")
    assert release(steps=[0.1], extensions=0, when_inconclusive="hold", bake_seconds=60).status == "SUCCEEDED"


class TestLostAnswer:
    """The call has done its work, and the engine does not hear of it."""

    def test_of_a_shift_rolls_back(self, release: Release, world: World) -> None:
        world.lost_answers = fails("SetWeight", until=2)
        assert release().error == "RolledBack"
        assert world.state() == (OLD, {})

    def test_of_the_last_shift_is_a_release(self, release: Release, world: World) -> None:
        world.lost_answers = fails("PointAtNewVersion", until=2)
        done = release()
        assert (done.status, done.report["outcome"]) == ("SUCCEEDED", "released")
        assert world.state() == (NEW, {})

    def test_of_the_roll_back_is_a_roll_back(self, release: Release, world: World) -> None:
        world.figures, world.lost_answers = bad, fails("TakeBack", until=2)
        assert release().error == "RolledBack"
        assert world.state() == (OLD, {})


FAULTS = st.dictionaries(
    st.sampled_from([*BEFORE_SHIFTING, *SHIFTING, *ROLLING_BACK, *TELLING]), st.integers(1, 14), max_size=4
)


@given(
    faults=FAULTS, lost=FAULTS, errors=st.lists(st.integers(0, 30), min_size=2, max_size=2), calls=st.integers(0, 60)
)
@example(faults={"PointAtNewVersion": 9}, lost={"SetWeight": 1, "TakeBack": 2}, errors=[0, 0], calls=60)
# Each example begins with a world of its own: the fixtures are only those of the state machine.
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_fails_the_alias_ends_at_one_version(
    engine: Engine, world: World, *, faults: dict[str, int], lost: dict[str, int], errors: list[int], calls: int
) -> None:
    world.__init__()  # type: ignore[misc]
    by_weight = {0.1: errors[0], 0.5: errors[1]}
    world.figures = lambda weight: (calls, min(calls, by_weight.get(weight, 0)), 20.0)
    world.faults = lambda state, nth: ServiceError(MOMENTARY) if nth <= faults.get(state, 0) else None
    world.lost_answers = lambda state, nth: ServiceError(MOMENTARY) if nth <= lost.get(state, 0) else None
    done = engine.run({"stage": "live", "version": NEW, "steps": [0.1, 0.5], "bake_seconds": 60, "extensions": 0})
    released = done.report["outcome"] == "released"
    assert done.report["outcome"] in {"released", "rolled back", "refused"}
    assert world.state() == ((NEW if released else OLD), {})
    assert done.status == ("SUCCEEDED" if released else "FAILED")
    if calls < 20 or max(by_weight.values()) > 0.01 * calls:
        assert not released
