"""What a job does on its stage: nothing if the stage has its version, or a newer one."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from pathtolive import remote, stages, standing, status, versions
from pathtolive.cli import CommandError
from pathtolive.demo import clone
from pathtolive.stages import Active
from tests.python.pipeline.test_remote import Origin


@pytest.fixture
def here() -> mock.Mock:
    return mock.Mock()


@pytest.mark.parametrize(
    ("active", "expected"),
    [
        (Active("6", {}, "2"), standing.DONE),
        (Active("6", {}, "1"), standing.NEEDED),
        (Active("5", {}, "2"), standing.NEEDED),
        (Active("5", {"6": 0.1}, "2"), standing.NEEDED),
        (Active("6", {"5": 0.1}, "2"), standing.NEEDED),
        (Active("10", {}, "2"), standing.SUPERSEDED),
    ],
    ids=["same", "other routes", "older", "in progress", "weights left", "newer"],
)
def test_stage_with_a_pin_needs_newer_versions(
    here: mock.Mock, monkeypatch: pytest.MonkeyPatch, active: Active, expected: str
) -> None:
    monkeypatch.setattr(stages, "active", lambda _: {"test": active})
    monkeypatch.setattr(versions, "refuse_other_code", lambda *_: None)
    found = standing.of_version(here, "test", "6", "2")
    assert found.state == expected
    assert f"version {active.version}" in found.sentence


def test_version_of_another_artifact_is_refused(
    here: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here.target.artifact = tmp_path / "lambda.zip"
    here.target.artifact.write_bytes(b"ours")
    here.outputs = {"function_name": "path-to-live"}
    here.target.client.return_value.get_function_configuration.return_value = {"CodeSha256": "theirs"}
    monkeypatch.setattr(stages, "active", lambda _: {"test": Active("5", {}, "1")})
    with pytest.raises(CommandError, match="Version 6 was published from another artifact: its CodeSha256 is theirs"):
        standing.of_version(here, "test", "6", "1")


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Origin:
    origin = Origin(tmp_path)
    monkeypatch.setattr(remote, "ROOT", origin.job)
    return origin


@pytest.mark.parametrize("newer", [True, False])
def test_stage_that_follows_main_is_superseded_by_a_descendant(
    here: mock.Mock, origin: Origin, monkeypatch: pytest.MonkeyPatch, *, newer: bool
) -> None:
    ours = clone.git("rev-parse", "HEAD", cwd=origin.job)
    theirs = origin.push({"README.md": "two"})
    built, runs = (ours, theirs) if newer else (theirs, ours)
    monkeypatch.setattr(stages, "active", lambda _: {"dev": Active("6", {}, "newest")})
    monkeypatch.setattr(standing, "revision", lambda _: built)
    monkeypatch.setattr(status, "revision", lambda *_: runs)
    found = standing.of_artifact(here, "dev")
    assert found.state == (standing.SUPERSEDED if newer else standing.NEEDED)
    assert (f"dev runs version 6 of commit {runs[:7]}, which is newer" in found.sentence) is newer


@pytest.mark.parametrize(
    ("file", "state"),
    [
        ("terraform/main.tf", standing.SUPERSEDED),
        ("terraform/config.tf", standing.NEEDED),
        ("README.md", standing.NEEDED),
    ],
)
def test_infrastructure_is_superseded_by_a_newer_change_of_it(origin: Origin, file: str, state: str) -> None:
    origin.push({file: "# changed\n"})
    assert standing.of_infrastructure().state == state
