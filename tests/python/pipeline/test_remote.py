"""Pins reach main without a race, and nothing else changes there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pathtolive import config_file, remote
from pathtolive.cli import CommandError
from pathtolive.demo import clone

CONFIG = """locals {
  gateway_deployments = ["1"]

  stages = {
    dev  = { function_version = "newest", gateway_deployment = "newest" }
    test = { function_version = "1", gateway_deployment = "1" } # tested
    live = { function_version = "1", gateway_deployment = "1" }
  }
}
"""


class Origin:
    """A repository, a clone with a job in it, and a second one in which other people work."""

    def __init__(self, directory: Path) -> None:
        self.path, self.job, self.others = directory / "origin.git", directory / "job", directory / "others"
        clone.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.path), cwd=directory)
        clone.git("clone", "--quiet", str(self.path), str(self.others), cwd=directory)
        clone.git("checkout", "--quiet", "-B", "main", cwd=self.others)
        (self.others / "terraform").mkdir()
        self.push({"terraform/config.tf": CONFIG, "README.md": "one"})
        clone.git("clone", "--quiet", str(self.path), str(self.job), cwd=directory)

    def push(self, files: dict[str, str]) -> str:
        clone.git("fetch", "--quiet", "origin", cwd=self.others)
        if clone.git("branch", "--remotes", cwd=self.others):
            clone.git("reset", "--quiet", "--hard", "origin/main", cwd=self.others)
        for name, text in files.items():
            (self.others / name).write_text(text)
        clone.git("add", "--all", cwd=self.others)
        clone.git("commit", "--quiet", "--message", "Change", cwd=self.others)
        clone.git("push", "--quiet", "origin", "main", cwd=self.others)
        return clone.git("rev-parse", "HEAD", cwd=self.others)

    def show(self, name: str, branch: str = "main") -> str:
        return clone.git("show", f"{branch}:{name}", cwd=self.path)

    def refuse(self, message: str, when: str = "true") -> None:
        hook = self.path / "hooks" / "pre-receive"
        hook.write_text(f"#!/bin/sh\nread -r old new ref\nif {when}; then echo '{message}' >&2; exit 1; fi\n")
        hook.chmod(0o755)


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Origin:
    origin = Origin(tmp_path)
    monkeypatch.setattr(remote, "ROOT", origin.job)
    return origin


def pinned(stage: str, version: str, text: str = CONFIG) -> config_file.Pins:
    return config_file.Pins(text, "config.tf").with_pin(stage, config_file.Pin(version, "1"))


def test_pin_is_pushed(origin: Origin) -> None:
    assert remote.push_pins("test", pinned("test", "2")).place == "main"
    assert origin.show("terraform/config.tf") == pinned("test", "2").text.strip()
    assert clone.git("log", "-1", "--format=%s", "main", cwd=origin.path) == "Pin test to version 2, routes 1"
    assert clone.git("status", "--porcelain", cwd=origin.job) == ""


def test_pin_that_main_has_is_not_pushed_again(origin: Origin) -> None:
    remote.push_pins("test", pinned("test", "2"))
    before = clone.git("rev-parse", "main", cwd=origin.path)
    assert remote.push_pins("test", pinned("test", "2")).place == "unchanged"
    assert clone.git("rev-parse", "main", cwd=origin.path) == before


def test_what_others_pushed_meanwhile_stays(origin: Origin) -> None:
    origin.push({"README.md": "two", "terraform/config.tf": pinned("live", "7").text})
    remote.push_pins("test", pinned("test", "2"))
    assert origin.show("README.md") == "two"
    assert origin.show("terraform/config.tf") == pinned("test", "2", pinned("live", "7").text).text.strip()


def test_active_version_is_recorded_also_if_the_job_started_from_it(origin: Origin) -> None:
    origin.push({"terraform/config.tf": pinned("live", "7").text})
    remote.push_pins("live", pinned("live", "1"))
    assert origin.show("terraform/config.tf") == CONFIG.strip()


def test_pin_of_another_stage_does_not_replace_a_newer_one(origin: Origin) -> None:
    origin.push({"terraform/config.tf": pinned("live", "7").text})
    remote.push_pins("test", pinned("live", "6", pinned("test", "2").text))
    assert 'live = { function_version = "7"' in origin.show("terraform/config.tf")


def test_push_is_repeated_when_main_moves_in_between(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    push, moves = remote._push, iter(["two", "three"])

    def late(commit: str, branch: str, *options: str) -> None:
        if text := next(moves, None):
            origin.push({"README.md": text})
        push(commit, branch, *options)

    monkeypatch.setattr(remote, "_push", late)
    assert remote.push_pins("test", pinned("test", "2")).place == "main"
    assert origin.show("README.md") == "three"
    assert 'test = { function_version = "2"' in origin.show("terraform/config.tf")


def test_push_is_refused_after_too_many_moves(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    push = remote._push
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    monkeypatch.setattr(
        remote,
        "_push",
        lambda *given: (origin.push({"README.md": given[0]}), push(*given)),
    )
    with pytest.raises(CommandError, match="main moved 2 times"):
        remote.push_pins("test", pinned("test", "2"))


@pytest.fixture
def opened(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Protect main, and return the pull requests that are opened."""
    opened, url = list[tuple[str, ...]](), "https://github.com/octocat/hello/pull/1"

    def gh(*arguments: str) -> str:
        if arguments[1] == "create":
            opened.append(arguments)
            return url
        return json.dumps([{"url": url, "isCrossRepository": False}] if opened else [])

    monkeypatch.setattr(remote, "_gh", gh)
    origin.refuse("error: GH006: Protected branch update failed", '[ "$ref" = refs/heads/main ]')
    return opened


def test_pins_of_a_protected_main_become_one_pull_request(origin: Origin, opened: list[tuple[str, ...]]) -> None:
    assert remote.push_pins("live", pinned("live", "2")).place == "pull request"
    remote.push_pins("test", pinned("test", "3"))
    pushed = remote.push_pins("live", pinned("live", "3"))
    assert pushed.sentence.endswith("https://github.com/octocat/hello/pull/1")
    assert len(opened) == 1
    proposed = pinned("test", "3", pinned("live", "3").text)
    assert origin.show("terraform/config.tf", "pins") == proposed.text.strip()
    assert origin.show("terraform/config.tf") == CONFIG.strip()


def test_pull_request_keeps_no_pin_that_a_rollback_took_back(origin: Origin, opened: list[tuple[str, ...]]) -> None:
    remote.push_pins("live", pinned("live", "2"))
    remote.push_pins("test", pinned("test", "2"))
    remote.push_pins("live", pinned("live", "1"))
    assert origin.show("terraform/config.tf", "pins") == pinned("test", "2").text.strip()
    assert remote.push_pins("test", pinned("test", "1")).place == "unchanged"
    assert "pins" not in clone.git("branch", "--list", cwd=origin.path)
    assert len(opened) == 1


@pytest.mark.usefixtures("opened")
def test_pull_request_keeps_what_somebody_changed_on_main(origin: Origin) -> None:
    remote.push_pins("test", pinned("test", "2"))
    (origin.path / "hooks" / "pre-receive").unlink()
    origin.push({"terraform/config.tf": pinned("test", "9").text})
    origin.refuse("error: GH006: Protected branch update failed", '[ "$ref" = refs/heads/main ]')
    remote.push_pins("live", pinned("live", "3"))
    assert origin.show("terraform/config.tf", "pins") == pinned("live", "3", pinned("test", "9").text).text.strip()


@pytest.mark.usefixtures("opened")
def test_pull_request_keeps_its_pins_after_main_was_merged_into_it(origin: Origin) -> None:
    """https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/proposing-changes-to-your-work-with-pull-requests/keeping-your-pull-request-in-sync-with-the-base-branch."""
    remote.push_pins("test", pinned("test", "2"))
    (origin.path / "hooks" / "pre-receive").unlink()
    origin.push({"README.md": "two"})
    clone.git("fetch", "--quiet", "origin", cwd=origin.others)
    clone.git("checkout", "--quiet", "-B", "pins", "origin/pins", cwd=origin.others)
    clone.git("merge", "--quiet", "--no-edit", "origin/main", cwd=origin.others)
    clone.git("push", "--quiet", "origin", "pins", cwd=origin.others)
    clone.git("checkout", "--quiet", "main", cwd=origin.others)
    origin.refuse("error: GH006: Protected branch update failed", '[ "$ref" = refs/heads/main ]')
    remote.push_pins("live", pinned("live", "3"))
    proposed = pinned("live", "3", pinned("test", "2").text)
    assert origin.show("terraform/config.tf", "pins") == proposed.text.strip()


@pytest.mark.usefixtures("opened")
def test_pull_request_with_the_same_pins_is_not_pushed_again(origin: Origin) -> None:
    remote.push_pins("test", pinned("test", "2"))
    before = clone.git("rev-parse", "pins", cwd=origin.path)
    assert remote.push_pins("test", pinned("test", "2")).place == "pull request"
    assert clone.git("rev-parse", "pins", cwd=origin.path) == before


def test_branch_of_a_closed_pull_request_does_not_count(origin: Origin, opened: list[tuple[str, ...]]) -> None:
    remote.push_pins("test", pinned("test", "2"))
    opened.clear()
    remote.push_pins("live", pinned("live", "3"))
    assert origin.show("terraform/config.tf", "pins") == pinned("live", "3").text.strip()


@pytest.mark.parametrize(("foreign", "number"), [(True, 10), (False, 9)])
def test_pull_request_of_a_fork_is_not_the_one_with_the_pins(
    origin: Origin, monkeypatch: pytest.MonkeyPatch, *, foreign: bool, number: int
) -> None:
    listed = json.dumps([{"url": "https://github.com/octocat/hello/pull/9", "isCrossRepository": foreign}])
    created = "https://github.com/octocat/hello/pull/10"
    monkeypatch.setattr(remote, "_gh", lambda *given: created if given[1] == "create" else listed)
    origin.refuse("error: GH006: Protected branch update failed", '[ "$ref" = refs/heads/main ]')
    assert remote.push_pins("test", pinned("test", "2")).sentence.endswith(f"/pull/{number}")


def test_other_refusals_are_errors(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_gh", lambda *_: "[]")
    origin.refuse("the disk is full")
    with pytest.raises(CommandError, match="the disk is full"):
        remote.push_pins("test", pinned("test", "2"))


def test_token_is_no_part_of_an_error(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret-token")
    with pytest.raises(CommandError) as refused:
        remote.git("fetch", "no-such-remote")
    assert "secret-token" not in str(refused.value)
