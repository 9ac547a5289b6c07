"""A release that changes the routes of a stage alone, because the stage already runs its version."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from unittest import mock

import pytest

from pathtolive import config_file, promotion, recording, stages
from pathtolive.cli import RefusedError
from pathtolive.release import begin
from pathtolive.release.control import Freeze
from pathtolive.release.engine import Engine
from pathtolive.release.executions import SUCCEEDED, Past
from pathtolive.release.settings import Settings
from pathtolive.stages import Active

NOW = datetime.now(UTC)
LAST = Past("live-release-7-x", "release", "6", "7", NOW, NOW, SUCCEEDED, "Release completed.")


def engine(last: Past | None, freeze: Freeze | None = None) -> mock.Mock:
    found = mock.Mock(stage="live", last=lambda: last)
    found.control.frozen.return_value = freeze
    found.control.frozen_error.return_value = "live is frozen by ann"
    found.refuse_frozen = functools.partial(Engine.refuse_frozen, found)
    return found


def test_routes_belong_to_the_release_of_the_version() -> None:
    assert begin._routes_alone(engine(LAST), Settings("live", "7"), "7") is LAST


@pytest.mark.parametrize(
    "last", [None, Past("live-release-6-x", "release", "5", "6", NOW, NOW, SUCCEEDED, "Completed.")]
)
def test_routes_change_without_a_release_of_the_version(last: Past | None) -> None:
    ended = begin._routes_alone(engine(last), Settings("live", "7"), "7")
    assert (ended.outcome, ended.to_version) == (SUCCEEDED, "7")
    assert ended.reason == "live runs version 7. Only its routes change."


def test_frozen_stage_keeps_its_routes() -> None:
    frozen = engine(LAST, Freeze("", "ann", "holidays"))
    with pytest.raises(RefusedError, match="live is frozen by ann"):
        begin._routes_alone(frozen, Settings("live", "7"), "7")
    permitted = Settings("live", "7", ignore_freeze_reason="a fix")
    assert begin._routes_alone(frozen, permitted, "7") is LAST


@pytest.mark.parametrize(
    ("reason", "unrecorded", "refused"),
    [(None, None, True), ("a fix", None, False), (None, LAST, False)],
    ids=["frozen", "with a reason", "interrupted before the freeze"],
)
def test_promotion_of_routes_alone_heeds_a_freeze(
    monkeypatch: pytest.MonkeyPatch, reason: str | None, unrecorded: Past | None, refused: bool
) -> None:
    frozen = engine(LAST, Freeze("", "ann", "holidays"))
    frozen.unrecorded.return_value = unrecorded
    promoted = promotion.Promotion("test", "live", "7", "", "3")
    record = mock.Mock()
    monkeypatch.setattr(promotion, "Engine", lambda *_: frozen)
    monkeypatch.setattr(promotion, "_promotion", lambda *_: promoted)
    monkeypatch.setattr(promotion, "_check", lambda *_: None)
    monkeypatch.setattr(stages, "active", lambda _: {"live": Active("7", {}, "2")})
    monkeypatch.setattr(recording, "record", record)
    here = mock.Mock()
    here.config.stage.return_value = config_file.Pin("7", "2")
    here.target.make_variables = ""
    settings = Settings("live", "7", ignore_freeze_reason=reason)
    if refused:
        with pytest.raises(RefusedError, match="live is frozen by ann"):
            promotion.promote(here, "test", "live", settings)
    else:
        promotion.promote(here, "test", "live", settings)
    assert record.called is not refused
