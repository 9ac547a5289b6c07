"""What commands do with an execution in progress that cannot be asked, or that waits for approval."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pathtolive import promotion, stack, target
from pathtolive.cli import LostSightError, RefusedError
from pathtolive.release import steering, view
from pathtolive.release.engine import Engine
from pathtolive.release.executions import PROMOTE, ROLLBACK
from pathtolive.release.machine import Machine
from pathtolive.release.settings import Settings
from tests.python.release.test_releases import execution

SETTINGS = Settings("live", "7", steps=())


@pytest.fixture
def here() -> stack.Stack:
    return stack.Stack(target.Target(None, "eu-west-2"))


@pytest.mark.parametrize("what", steering.ACTIONS)
def test_rollback_in_progress_cannot_be_asked(here: stack.Stack, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(Machine, "running", lambda _: execution("RUNNING", kind=ROLLBACK, settings=SETTINGS))
    with pytest.raises(RefusedError, match=f"No release of live is in progress, so there is nothing to {what}"):
        steering.steer(here, "live", what, "because")


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        (SETTINGS, "follow"),
        (dataclasses.replace(SETTINGS, hold=True), "watch"),
        (dataclasses.replace(SETTINGS, bake_seconds=60), "watch"),
    ],
    ids=["seconds", "approval", "bake"],
)
def test_promotion_that_takes_long_is_shown(
    here: stack.Stack, monkeypatch: pytest.MonkeyPatch, settings: Settings, shown: str
) -> None:
    def lost(name: str) -> Any:
        def show(*_: object) -> None:
            raise LostSightError(name)

        return show

    monkeypatch.setattr(Machine, "running", lambda _: execution("RUNNING", kind=PROMOTE, settings=settings))
    monkeypatch.setattr(Machine, "complete", lambda _, given: given)
    for name in ("follow", "watch"):
        monkeypatch.setattr(view, name, lost(name))
    promoted = promotion.Promotion("test", "live", "7", "", "1")
    with pytest.raises(LostSightError, match=shown):
        promotion._move(Engine(here, "live"), promoted, settings, "make promote")
