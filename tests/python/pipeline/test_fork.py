"""From a fork to live: the commands of the README, and the workflow that they start, against an empty account."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pathtolive.demo import clone
from tests import documents, processes
from tests.python.pipeline.rehearsal import empty_account, versions
from tests.python.pipeline.runner import ACCOUNT, REPOSITORY, SKIPPED, SUCCESS, GitHub

GREETING = '"Hello, World!"', '"Good morning, World!"'
# What gh answers about the repository. Its settings are read in test_github_settings.py.
GH = """#!/usr/bin/env bash
case "$*" in
  "api --hostname github.com repos/octocat/hello "*) printf '%s\\n' octocat 583231 hello 1296269 ;;
  *) echo "HTTP 403: Resource not accessible" >&2; exit 1 ;;
esac
"""


def git_settings(values: Mapping[str, str]) -> dict[str, str]:
    """Return the variables from which git reads settings: https://git-scm.com/docs/git-config#ENVIRONMENT."""
    pairs = {
        name: value
        for number, (key, setting) in enumerate(values.items())
        for name, value in ((f"GIT_CONFIG_KEY_{number}", key), (f"GIT_CONFIG_VALUE_{number}", setting))
    }
    return {"GIT_CONFIG_COUNT": str(len(values)), **pairs}


class Terminal:
    """A terminal of someone who has a fork, credentials for an empty account, and gh."""

    def __init__(self, directory: Path, github: GitHub) -> None:
        self.directory, self.github, self.said = directory, github, ""
        tools = directory / "developer-tools"
        tools.mkdir()
        (tools / "gh").write_text(GH)
        (tools / "gh").chmod(0o755)
        self.environment = {
            **github.machine(tools),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **git_settings({**clone.SETTINGS, f"url.{github.origin}.insteadOf": f"https://github.com/{REPOSITORY}"}),
            "GITHUB_TOKEN": "contents=write",
            # A release on local AWS ends 60 times as early, and needs as many requests.
            "RATE": "100",
        }

    @property
    def fork(self) -> Path:
        return self.directory / "hello"

    def type(self, command: str) -> None:
        """Run a command exactly as in the README. It must succeed."""
        directory = self.fork if self.fork.exists() else self.directory
        done = processes.run(["bash", "-ec", command], cwd=directory, env=self.environment, seconds=600)
        self.said = done.stdout
        assert done.returncode == 0, f"{command}\n{self.said}"

    @contextlib.contextmanager
    def typing(self, command: str) -> Iterator[None]:
        """Run a command exactly as in the README, until Ctrl-C."""
        with processes.start(["bash", "-c", command], cwd=self.fork, env=self.environment) as process:
            try:
                yield
            finally:
                processes.interrupt(process, 30)
                assert process.stdout
                self.said = process.stdout.read()


@pytest.fixture(scope="class")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    directory = tmp_path_factory.mktemp("fork")
    with empty_account(directory) as github:
        yield Terminal(directory, github)


@pytest.mark.endpoint
@pytest.mark.long
@pytest.mark.story
class TestFork:
    """Each test types what the README has next."""

    def test_first_commands_prepare_the_account_and_create_every_stage(self, terminal: Terminal) -> None:
        cloned, bootstrap, deploy, again, add, commit, push, *_ = documents.fork_commands()
        terminal.type(cloned)
        clone.link_installed(terminal.fork)
        terminal.type(bootstrap)
        terminal.type(deploy)
        terminal.type(again)
        (api,) = terminal.github.client("apigatewayv2").get_apis()["Items"]
        role = terminal.github.client("iam").get_role_policy(RoleName="path-to-live-deploy-dev", PolicyName="deploy")
        assert api["ApiId"] in str(role["PolicyDocument"])
        for command in (add, commit, push):
            terminal.type(command)
        changed = clone.git("diff", "--name-only", "main~", "main", cwd=terminal.github.origin)
        assert changed.split() == ["terraform/bootstrap.auto.tfvars", "terraform/config.tf"]
        roles = terminal.github.client("iam").get_paginator("list_roles").paginate()
        boundary = f"arn:aws:iam::{ACCOUNT}:policy/path-to-live-boundary"
        service = [
            terminal.github.client("iam").get_role(RoleName=role["RoleName"])["Role"]
            for page in roles
            for role in page["Roles"]
            if role["RoleName"].startswith("path-to-live-live-")
        ]
        assert service
        assert {role["PermissionsBoundary"]["PermissionsBoundaryArn"] for role in service} == {boundary}

    def test_first_push_changes_nothing(self, terminal: Terminal) -> None:
        run = terminal.github.run("path.yml")
        assert run.results() == {
            **dict.fromkeys(["build", "plan", "dev", "test"], SUCCESS),
            **dict.fromkeys(["infrastructure", "live"], SKIPPED),
        }, run.logs()

    def test_change_goes_to_live(self, terminal: Terminal) -> None:
        commit, push, load = documents.fork_commands()[7:]
        routes = terminal.fork / "lambda" / "service" / "routes.py"
        routes.write_text(routes.read_text().replace(*GREETING))
        terminal.type(commit)
        terminal.type(push)
        with terminal.typing(load):
            run = terminal.github.run("path.yml")
        assert run.results() == {
            **dict.fromkeys(["build", "plan", "dev", "test", "live"], SUCCESS),
            "infrastructure": SKIPPED,
        }, run.logs()
        assert versions(terminal.github) == dict.fromkeys(["dev", "test", "live"], "2")
        assert re.search(r"version 1: \d+, version 2: \d+", terminal.said)


def test_commands_from_a_fork_to_live_are_ten() -> None:
    assert len(documents.fork_commands()) == 10
