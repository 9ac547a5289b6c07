"""What a job does on its stage: nothing if the stage has its version, or a newer one."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from pathtolive import remote, stages, standing, status, versions
from pathtolive.cli import CommandError
from pathtolive.demo import clone
from pathtolive.stages import Active
from tests.python.pipeline.test_remote import CONFIG, Origin, pinned


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
    reject(monkeypatch, "4")
    found = standing.of_version(here, "test", "6", "2")
    assert found.state == expected
    assert f"version {active.version}" in found.sentence


def reject(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(standing, "Control", lambda *_: mock.Mock(rejected=lambda: {version}))


def test_version_that_was_rolled_back_needs_a_reason(here: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "active", lambda _: {"test": Active("5", {}, "1")})
    monkeypatch.setattr(versions, "refuse_other_code", lambda *_: None)
    reject(monkeypatch, "6")
    found = standing.of_version(here, "test", "6", "1")
    assert found.state == standing.REJECTED
    assert found.sentence.startswith("Rejected: version 6 was rolled back from test. Push a fix")
    assert standing.of_version(here, "test", "6", "1", reason="the database was down").state == standing.NEEDED


def test_version_is_a_number(here: mock.Mock) -> None:
    with pytest.raises(CommandError, match="VERSION=newest is not a version number"):
        standing.of_version(here, "test", "newest", "1")


def test_missing_artifact_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"There is no artifact\. Build it with: make build"):
        standing.revision(tmp_path / "lambda.zip")


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


def test_main_that_cannot_be_read_is_an_error(here: mock.Mock, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "active", lambda _: {"dev": Active("6", {}, "newest")})
    monkeypatch.setattr(standing, "revision", lambda _: "a" * 40)
    monkeypatch.setattr(status, "revision", lambda *_: "b" * 40)
    assert standing.of_artifact(here, "dev").state == standing.NEEDED
    origin.path.rename(origin.path.with_name("elsewhere"))
    with pytest.raises(CommandError, match="does not appear to be a git repository"):
        standing.of_artifact(here, "dev")


def test_stage_that_follows_main_is_superseded_by_newer_infrastructure(here: mock.Mock, origin: Origin) -> None:
    origin.push({"terraform/main.tf": "# changed\n"})
    found = standing.of_artifact(here, "dev")
    assert (found.state, "newer change of the infrastructure" in found.sentence) == (standing.SUPERSEDED, True)


def test_infrastructure_is_superseded_by_other_stages_but_not_by_pins(origin: Origin) -> None:
    origin.push({"terraform/config.tf": pinned("test", "2").text})
    assert standing.of_infrastructure().state == standing.NEEDED
    test = next(line for line in CONFIG.splitlines() if "test =" in line)
    origin.push({"terraform/config.tf": CONFIG.replace(test, f"{test}\n{test.replace('test', 'qa')}")})
    assert standing.of_infrastructure().sentence == "Superseded: main has other stages in config.tf"


@pytest.mark.parametrize(
    ("file", "state"),
    [
        ("terraform/main.tf", standing.SUPERSEDED),
        ("README.md", standing.NEEDED),
    ],
)
def test_infrastructure_is_superseded_by_a_newer_change_of_it(origin: Origin, file: str, state: str) -> None:
    origin.push({file: "# changed\n"})
    assert standing.of_infrastructure().state == state
