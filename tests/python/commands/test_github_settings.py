"""The settings of a repository on GitHub, which the command reads and changes with gh."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pathtolive import github_settings, questions
from pathtolive.github import Repository

REPOSITORY = Repository(id="1296269", name="hello", owner="octocat", owner_id="583231")
STAGES = ["dev", "test", "live"]
VARIABLES = {"AWS_ACCOUNT_ID": "111122223333", "AWS_REGION": "eu-west-2"}

# A replacement of gh with the part of GitHub's API that the command uses, and a repository in a file.
# https://docs.github.com/en/rest/deployments/environments
# https://docs.github.com/en/rest/deployments/branch-policies
GH = """#!{python}
import json, pathlib, re, sys

path = pathlib.Path({path!r})
repository = json.loads(path.read_text())
arguments = sys.argv[1:]
repository["calls"].append(arguments)


def typed(value):
    return json.loads(value) if re.fullmatch(r"true|false|\\d+", value) else value


def respond(value):
    path.write_text(json.dumps(repository))
    print(json.dumps(value))
    sys.exit()


def fail(message):
    path.write_text(json.dumps(repository))
    sys.exit(message)


if repository["failure"]:
    fail(repository["failure"])
if arguments[:2] == ["variable", "set"]:
    assert arguments[3:5] == ["--repo", "octocat/hello"] and arguments[5] == "--body", arguments
    repository["variables"][arguments[2]] = arguments[6]
    respond(None)
assert arguments.pop(0) == "api"
flags = [argument for argument in arguments if argument in ("--silent", "--paginate", "--slurp")]
arguments = [argument for argument in arguments if argument not in flags]
method = "GET"
if arguments[0] == "--method":
    method, arguments = arguments[1], arguments[2:]
url, fields = arguments[0].removesuffix("?per_page=30"), arguments[1:]
given = [(fields[i], *fields[i + 1].split("=", 1)) for i in range(0, len(fields), 2)]
environments = repository["environments"]
if url == "user":
    respond({{"id": 7, "login": "octocat"}})
prefix = "repos/octocat/hello/"
assert url.startswith(prefix), url
parts = url.removeprefix(prefix).split("/")
if method == "GET" and parts == ["environments"]:
    respond([{{"environments": [dict(body, name=name) for name, body in environments.items()]}}])
if method == "GET" and parts == ["actions", "variables"]:
    found = [{{"name": name, "value": value}} for name, value in repository["variables"].items()]
    respond([{{"variables": found[:1]}}, {{"variables": found[1:]}}])
name = parts[1]
if method == "GET" and parts[2:] == ["deployment-branch-policies"]:
    respond([{{"branch_policies": [{{"name": branch}} for branch in repository["branches"].get(name, [])]}}])
if method == "POST" and parts[2:] == ["deployment-branch-policies"]:
    if not environments[name]["deployment_branch_policy"]["custom_branch_policies"]:
        fail("gh: Not Found (HTTP 404)")
    repository["branches"].setdefault(name, []).append(dict((key, value) for _, key, value in given)["name"])
    respond(None)
assert method == "PUT" and len(parts) == 2, (method, parts)
body, reviewers = {{}}, []
for flag, key, value in given:
    if flag == "-F":
        value = typed(value)
    if key == "reviewers[][type]":
        reviewers.append({{"type": value}})
    elif key == "reviewers[][id]":
        reviewers[-1]["reviewer"] = {{"id": value}}
    else:
        body[key] = value
if not repository["has_environments"]:
    fail("gh: Not Found (HTTP 404)")
if reviewers and not repository["has_reviewers"]:
    fail("gh: Failed to create the environment protection rule. (HTTP 422)")
# A request without a rule removes the rule.
rules = []
if body.get("wait_timer"):
    rules.append({{"type": "wait_timer", "wait_timer": body["wait_timer"]}})
if reviewers:
    review = {{"type": "required_reviewers", "prevent_self_review": body.get("prevent_self_review", False)}}
    rules.append(dict(review, reviewers=reviewers))
policy = {{
    key: body[f"deployment_branch_policy[{{key}}]"] for key in ("protected_branches", "custom_branch_policies")
}}
environments[name] = {{"protection_rules": rules, "deployment_branch_policy": policy}}
respond(None)
"""


class GitHub:
    """A repository, as the replacement of gh reads and writes it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "repository.json"
        self.write(
            {
                "environments": {},
                "variables": {},
                "branches": {},
                "has_environments": True,
                "has_reviewers": True,
                "failure": "",
                "calls": [],
            }
        )
        program = directory / "bin" / "gh"
        program.parent.mkdir()
        program.write_text(GH.format(python=sys.executable, path=str(self.file)))
        program.chmod(0o755)

    def write(self, content: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(content))

    def set(self, **values: Any) -> None:
        self.write(self.content | values)

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.file.read_text())
        return content

    def rules(self, environment: str) -> dict[str, Any]:
        found = self.content["environments"][environment]["protection_rules"]
        return {rule["type"]: rule for rule in found}


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    found = GitHub(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return found


def prepare(*, yes: bool = True, changeable: bool = True) -> list[str]:
    """Run the command, and return the questions that it asks."""
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "yes" if yes else ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "answer", answer)
        github_settings.prepare(REPOSITORY, STAGES, VARIABLES, changeable=changeable)
    return asked


def test_creates_environments_reviewers_branches_and_variables(
    github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare() == ["Make these changes with gh? (y/N) "]
    content = github.content
    assert list(content["environments"]) == ["plan", "infrastructure", "dev", "test", "live"]
    assert content["branches"] == {name: ["main"] for name in content["environments"]}
    assert content["variables"] == VARIABLES
    reviewed = [name for name in content["environments"] if "required_reviewers" in github.rules(name)]
    assert reviewed == ["infrastructure", "live"]
    assert github.rules("live")["required_reviewers"]["reviewers"] == [{"type": "User", "reviewer": {"id": 7}}]
    printed = capsys.readouterr().out
    assert (
        "  - Create the environment live, with you as its required reviewer, to deploy from the branch main\n"
        in printed
    )
    assert "  - Set the variable AWS_ACCOUNT_ID to 111122223333\n" in printed


@pytest.mark.parametrize("has_reviewers", [True, False])
def test_repeated_command_asks_only_for_what_is_missing(
    github: GitHub, capsys: pytest.CaptureFixture[str], has_reviewers: bool
) -> None:
    github.set(has_reviewers=has_reviewers)
    prepare()
    capsys.readouterr()
    asked = prepare()
    printed = capsys.readouterr().out
    assert bool(asked) is not has_reviewers
    assert ("Update the environment live, with you as its required reviewer\n" in printed) is not has_reviewers
    assert "Update the environment dev" not in printed


def test_repeated_command_changes_nothing(github: GitHub, capsys: pytest.CaptureFixture[str]) -> None:
    prepare()
    before = github.content
    assert prepare() == []
    after = github.content
    assert {**after, "calls": []} == {**before, "calls": []}
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("GitHub repository octocat/hello has these settings: plan, infrastructure, dev, test, live")


def test_changes_nothing_without_a_yes(github: GitHub, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(yes=False)
    assert github.content["environments"] == github.content["variables"] == {}
    printed = capsys.readouterr().out
    assert "  - Create the environment dev, to deploy from the branch main\n" in printed
    assert printed.endswith("No settings of GitHub were changed.\n")


def test_asks_only_in_a_terminal(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline that runs the command must not wait, or change settings."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    github_settings.prepare(REPOSITORY, STAGES, VARIABLES, changeable=True)
    assert github.content["environments"] == {}


def test_keeps_other_settings_of_an_environment(github: GitHub, capsys: pytest.CaptureFixture[str]) -> None:
    team = {"type": "Team", "reviewer": {"id": 42}}
    review = {"type": "required_reviewers", "prevent_self_review": True, "reviewers": [team, team | {"type": "User"}]}
    timer = {"type": "wait_timer", "wait_timer": 30}
    protected = {"protected_branches": True, "custom_branch_policies": False}
    custom = {"protected_branches": False, "custom_branch_policies": True}
    github.set(
        environments={
            "live": {"protection_rules": [timer, review], "deployment_branch_policy": None},
            "test": {"protection_rules": [timer], "deployment_branch_policy": protected},
            "dev": {"protection_rules": [], "deployment_branch_policy": custom},
            "infrastructure": {"protection_rules": [], "deployment_branch_policy": protected},
        },
        branches={"dev": ["release/*"]},
    )
    prepare()
    assert github.rules("live") == {"wait_timer": timer, "required_reviewers": review}
    assert github.content["environments"]["live"]["deployment_branch_policy"] == custom
    assert github.content["environments"]["test"]["deployment_branch_policy"] == protected
    assert github.rules("test") == {"wait_timer": timer}
    assert github.content["environments"]["infrastructure"]["deployment_branch_policy"] == protected
    assert "required_reviewers" in github.rules("infrastructure")
    assert github.content["branches"]["dev"] == ["release/*", "main"]
    assert set(github.content["branches"]) == {"plan", "dev", "live"}
    assert "GitHub refused" not in capsys.readouterr().out


def test_changes_a_variable_with_another_value(github: GitHub) -> None:
    github.set(variables={"OTHER": "x", "AWS_ACCOUNT_ID": "999999999999"})
    prepare()
    assert github.content["variables"] == {"OTHER": "x", **VARIABLES}


def test_creates_environments_without_reviewers_if_the_plan_has_none(
    github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    github.set(has_reviewers=False)
    prepare()
    assert list(github.content["environments"]) == ["plan", "infrastructure", "dev", "test", "live"]
    assert github.content["branches"]["live"] == ["main"]
    printed = capsys.readouterr().out
    assert "GitHub refused these changes:\n  - Create the environment infrastructure, with you" in printed
    assert "Releases can wait for approval instead" in printed


def test_names_what_is_missing_if_the_plan_has_no_environments(
    github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    github.set(has_environments=False)
    prepare()
    assert github.content["variables"] == VARIABLES
    printed = capsys.readouterr().out
    assert printed.count("  - Create the environment dev, to deploy from the branch main: ") == 1
    assert "gh: Not Found (HTTP 404)" in printed
    assert "On GitHub Free, there are no environments." in printed
    assert "there are no attestations" in printed


@pytest.mark.parametrize("failure", ["gh: To get started with GitHub CLI, please run:  gh auth login", ""])
def test_prints_what_to_set_by_hand_if_gh_cannot(
    github: GitHub, failure: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if failure:
        github.set(failure=failure)
    else:
        monkeypatch.setenv("PATH", "")
    assert prepare() == []
    printed = capsys.readouterr().out
    assert failure in printed
    assert "  - Under Environments, create: plan, infrastructure, dev, test, live\n" in printed
    assert "  - In the environments infrastructure and live, add required reviewers\n" in printed
    assert "AWS_ACCOUNT_ID = 111122223333, AWS_REGION = eu-west-2\n" in printed
    assert "On GitHub Free, there are no environments." in printed


def test_changes_no_settings_for_local_aws(github: GitHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(changeable=False) == []
    assert github.content["calls"] == []
    assert "Under Environments, create: plan" in capsys.readouterr().out
