"""The actions of the workflows, and their updates."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
DEPENDABOT = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())
USES = re.compile(
    r"^\s*(?:- )?uses: (?P<action>[\w.-]+/[\w./-]+)@(?P<ref>\S+) # v(?P<version>[0-9]+[.][0-9]+[.][0-9]+)$"
)

# The first major version whose action.yml says "using: node24". GitHub removes Node 20 from its runners.
# https://github.blog/changelog/2025-09-19-deprecation-of-node-20-on-github-actions-runners/
FIRST_ON_NODE_24 = {
    # https://github.com/actions/attest/blob/v4.1.1/action.yml
    "actions/attest": 4,
    # https://github.com/actions/checkout/blob/v5.0.0/action.yml
    "actions/checkout": 5,
    # https://github.com/actions/download-artifact/blob/v8.0.1/action.yml
    "actions/download-artifact": 8,
    # https://github.com/actions/setup-python/blob/v6.0.0/action.yml
    "actions/setup-python": 6,
    # https://github.com/actions/upload-artifact/blob/v7.0.0/action.yml
    "actions/upload-artifact": 7,
    # https://github.com/aws-actions/configure-aws-credentials/blob/v6.0.0/action.yml
    "aws-actions/configure-aws-credentials": 6,
    # https://github.com/github/codeql-action/blob/v4.37.3/init/action.yml
    "github/codeql-action/analyze": 4,
    "github/codeql-action/init": 4,
    # https://github.com/hashicorp/setup-terraform/blob/v4.0.0/action.yml
    "hashicorp/setup-terraform": 4,
}

# The places where Dependabot looks for the manifests and lock files of each ecosystem.
# https://docs.github.com/en/code-security/reference/supply-chain-security/dependabot-options-reference#directories-or-directory--
MANIFESTS = {
    "github-actions": [".github/workflows/*.yml", ".github/workflows/*.yaml", "action.yml", "action.yaml"],
    "pip": ["pyproject.toml", "*requirements*.txt", "*requirements*.in", "Pipfile", "poetry.lock", "uv.lock"],
    "terraform": ["terraform.tf", "versions.tf", ".terraform.lock.hcl"],
}
COOLDOWN_DAYS = 5
# The other ecosystems support only default-days. GitHub refuses the file if it has more.
SEMANTIC_COOLDOWN = {"pip"}


def used(node: Any) -> Iterator[str]:
    """Yield the actions and reusable workflows of a workflow, as GitHub reads them."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "uses":
                yield value
            else:
                yield from used(value)
    elif isinstance(node, list):
        for item in node:
            yield from used(item)


def pinned(workflow: Path) -> list[re.Match[str]]:
    return [match for line in workflow.read_text().splitlines() if (match := USES.match(line))]


def manifests(ecosystem: str) -> set[str]:
    """Return the directories with a manifest of an ecosystem, in the format of dependabot.yml."""
    listed = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, text=True
    )
    paths = [PurePosixPath(name) for name in filter(None, listed.split("\0"))]
    found = [path for path in paths if any(path.match(pattern) for pattern in MANIFESTS[ecosystem])]
    # For workflows, the value is the root of the repository.
    parents = {"" if str(path.parent) in {".", ".github/workflows"} else str(path.parent) for path in found}
    return {f"/{parent}" for parent in parents}


def directories(update: dict[str, Any]) -> list[str]:
    given: list[str] = update["directories"] if "directories" in update else [update["directory"]]
    return given


def covers(pattern: str, directory: str) -> bool:
    """Match as Dependabot does: a star stands for one part of a path."""
    parts, wanted = directory.strip("/").split("/"), pattern.strip("/").split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def updates(ecosystem: str) -> list[dict[str, Any]]:
    return [update for update in DEPENDABOT["updates"] if update["package-ecosystem"] == ecosystem]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_pins_every_action_by_commit_and_names_its_version(workflow: Path) -> None:
    actions = list(used(yaml.safe_load(workflow.read_text())))
    assert actions
    assert [f"{match['action']}@{match['ref']}" for match in pinned(workflow)] == actions
    for match in pinned(workflow):
        assert re.fullmatch(r"[0-9a-f]{40}", match["ref"]), match["action"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_runs_every_action_on_node_24(workflow: Path) -> None:
    for match in pinned(workflow):
        assert match["action"] in FIRST_ON_NODE_24, "read its action.yml, and add it to the table"
        assert int(match["version"].split(".")[0]) >= FIRST_ON_NODE_24[match["action"]], match["action"]


def test_workflows_have_one_version_of_an_action() -> None:
    pins = {(match["action"], match["ref"], match["version"]) for path in WORKFLOWS for match in pinned(path)}
    assert len(pins) == len({action for action, _, _ in pins})


def test_dependabot_covers_the_three_ecosystems() -> None:
    assert DEPENDABOT["version"] == 2
    assert sorted(update["package-ecosystem"] for update in DEPENDABOT["updates"]) == sorted(MANIFESTS)


@pytest.mark.parametrize("ecosystem", MANIFESTS)
def test_dependabot_covers_every_directory(ecosystem: str) -> None:
    given = [pattern for update in updates(ecosystem) for pattern in directories(update)]
    found = manifests(ecosystem)
    assert found
    for directory in found:
        assert any(covers(pattern, directory) for pattern in given), directory
    for pattern in given:
        assert any(covers(pattern, directory) for directory in found), f"{pattern} stands for no directory"


@pytest.mark.parametrize("ecosystem", MANIFESTS)
def test_dependabot_waits_before_it_proposes_a_version(ecosystem: str) -> None:
    for update in updates(ecosystem):
        cooldown = update["cooldown"]
        # Between 1 and 90 days:
        # https://docs.github.com/en/code-security/tutorials/secure-your-dependencies/optimizing-pr-creation-version-updates
        assert all(COOLDOWN_DAYS <= days <= 90 for days in cooldown.values())
        assert "default-days" in cooldown
        if ecosystem not in SEMANTIC_COOLDOWN:
            assert set(cooldown) == {"default-days"}


@pytest.mark.parametrize("ecosystem", MANIFESTS)
def test_dependabot_groups_its_pull_requests(ecosystem: str) -> None:
    for update in updates(ecosystem):
        assert update["schedule"]["interval"] == "weekly"
        (group,) = update["groups"].values()
        # A group without patterns includes every dependency.
        assert group.get("patterns", ["*"]) == ["*"]
        assert not {"exclude-patterns", "update-types", "dependency-type"} & set(group)
        if len(directories(update)) > 1:
            assert group["group-by"] == "dependency-name"


def test_yaml_passes_the_linter() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_grants_permissions_by_job_and_with_a_reason(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text())
    assert content["permissions"] == {}
    lines = workflow.read_text().splitlines()
    for name, job in content["jobs"].items():
        assert job["permissions"], name
    granted = [line for line in lines if re.fullmatch(r" {6}[a-z-]+: (read|write)( #.*)?", line)]
    assert len(granted) == sum(len(job["permissions"]) for job in content["jobs"].values())
    assert all(re.search(r" # to \w+", line) for line in granted)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_persists_no_credentials_and_runs_no_long_script(workflow: Path) -> None:
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
            assert step.get("run", "").count("\n") <= 4
            assert "${{" not in step.get("run", "")


def test_actions_of_one_repository_have_one_version() -> None:
    """CodeQL refuses to analyze with another version than the one that it was initialized with."""
    pins = {("/".join(m["action"].split("/")[:2]), m["ref"]) for path in WORKFLOWS for m in pinned(path)}
    assert len(pins) == len({repository for repository, _ in pins})
