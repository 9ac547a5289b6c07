"""The environments and variables of a repository on GitHub, which the workflows and the roles of an account need."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pathtolive import questions
from pathtolive.cli import CommandError, run
from pathtolive.github import Repository

BRANCH = "main"
PLAN, INFRASTRUCTURE = "plan", "infrastructure"

# https://docs.github.com/en/actions/how-tos/deploy/configure-and-manage-deployments/manage-environments
# https://docs.github.com/en/actions/how-tos/secure-your-work/use-artifact-attestations/use-artifact-attestations
LIMITS = """\
In private repositories, some GitHub subscriptions lack some of these features:
  - Without GitHub Enterprise, environments have no required reviewers. Releases can wait for approval instead: set
    hold = true for the stage in the variable releases, in terraform/terraform.tfvars.
  - On GitHub Free, there are no environments. Workflows can then assume only the role plan, in pull requests: deploy
    from a computer, with the same commands.
  - Without GitHub Enterprise Cloud, there are no attestations. The proof is the SHA-256 of the artifact, which Lambda
    shows, in Base64, as the CodeSha256 of each version."""


@dataclass(frozen=True)
class Change:
    """A setting, as text for people, and the commands of gh that change it.

    ``fallback`` replaces the first command on plans of GitHub that lack a part of the setting.
    """

    text: str
    commands: tuple[tuple[str, ...], ...]
    fallback: tuple[str, ...] = ()


def prepare(
    repository: Repository,
    stages: Sequence[str],
    variables: Mapping[str, str],
    *,
    changeable: bool,
) -> None:
    """Print the settings that a repository lacks, and change them if someone says yes.

    ``changeable`` is whether gh can read and change them.
    """
    slug = f"{repository.owner}/{repository.name}"
    wanted = [*environments(stages), *variables]
    if changeable and shutil.which("gh"):
        try:
            changes = missing(slug, stages, variables)
        except CommandError as error:
            print(f"\ngh cannot read the settings of GitHub: {error}")
        else:
            if changes:
                _offer(slug, changes)
            else:
                print(f"GitHub repository {slug} has these settings: {', '.join(wanted)}")
            return
    print(f"\nIn the settings of the GitHub repository {slug}:")
    for line in instructions(stages, variables):
        print(f"  - {line}")
    print(LIMITS)


def environments(stages: Sequence[str]) -> dict[str, bool]:
    """Return the environments, and whether each needs reviewers: the last stage serves the clients."""
    return {PLAN: False, INFRASTRUCTURE: True} | {stage: stage == stages[-1] for stage in stages}


def instructions(stages: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Return what to set by hand."""
    wanted = environments(stages)
    reviewed = [name for name, needed in wanted.items() if needed]
    return [
        "Under Secrets and variables > Actions > Variables, create: "
        + ", ".join(f"{name} = {value}" for name, value in variables.items()),
        f"Under Environments, create: {', '.join(wanted)}",
        f"In each environment, under Deployment branches and tags, select the branch {BRANCH} only",
        f"In the environments {' and '.join(reviewed)}, add required reviewers",
    ]


def missing(slug: str, stages: Sequence[str], variables: Mapping[str, str]) -> list[Change]:
    """Return the changes that a repository needs.

    Raises:
        CommandError: gh failed.
    """
    found = {each["name"]: each for each in _list(f"repos/{slug}/environments", "environments")}
    known = {each["name"]: each["value"] for each in _list(f"repos/{slug}/actions/variables", "variables")}
    changes = []
    for name, reviewed in environments(stages).items():
        if change := _of_environment(slug, name, found.get(name), reviewed=reviewed):
            changes.append(change)
    for name, value in variables.items():
        if known.get(name) != value:
            set_variable = ("variable", "set", name, "--repo", slug, "--body", value)
            changes.append(Change(f"Set the variable {name} to {value}", (set_variable,)))
    return changes


def _of_environment(slug: str, name: str, found: Mapping[str, Any] | None, *, reviewed: bool) -> Change | None:
    """Return the change of an environment, which keeps its other settings, or None if it needs none.

    https://docs.github.com/en/rest/deployments/environments#create-or-update-an-environment
    https://docs.github.com/en/rest/deployments/branch-policies
    """
    path = f"repos/{slug}/environments/{name}"
    rules = {rule["type"]: rule for rule in (found or {}).get("protection_rules", [])}
    policy = (found or {}).get("deployment_branch_policy")
    update = ("api", "--silent", "--method", "PUT", path, *_policy_fields(policy), *_other_fields(rules))
    commands: list[tuple[str, ...]] = []
    fallback: tuple[str, ...] = ()
    text = [f"{'Create' if found is None else 'Update'} the environment {name}"]
    if reviewed and "required_reviewers" not in rules:
        # Whoever runs this command can name others later.
        commands.append((*update, "-F", "reviewers[][type]=User", "-F", f"reviewers[][id]={_user()}"))
        fallback = update
        text.append("with you as its required reviewer")
    elif policy is None:
        commands.append(update)
    branches = f"{path}/deployment-branch-policies"
    custom = policy is None or policy["custom_branch_policies"]
    known = _list(branches, "branch_policies") if policy and custom else []
    if custom and BRANCH not in {each["name"] for each in known}:
        commands.append(("api", "--silent", "--method", "POST", branches, "-f", f"name={BRANCH}"))
        text.append(f"to deploy from the branch {BRANCH}")
    return Change(", ".join(text), tuple(commands), fallback) if commands else None


def _policy_fields(policy: Mapping[str, bool] | None) -> tuple[str, ...]:
    """Return the fields of the deployment branches, which stay as they are if there is a rule."""
    rule = policy or {"protected_branches": False, "custom_branch_policies": True}
    return tuple(
        part
        for key in ("protected_branches", "custom_branch_policies")
        for part in ("-F", f"deployment_branch_policy[{key}]={json.dumps(rule[key])}")
    )


def _other_fields(rules: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the fields of the wait timer and the reviewers, because a request without them would remove them."""
    fields: list[str] = []
    if timer := rules.get("wait_timer"):
        fields += ["-F", f"wait_timer={timer['wait_timer']}"]
    if reviewers := rules.get("required_reviewers"):
        fields += ["-F", f"prevent_self_review={json.dumps(reviewers.get('prevent_self_review', False))}"]
        for each in reviewers["reviewers"]:
            fields += ["-F", f"reviewers[][type]={each['type']}", "-F", f"reviewers[][id]={each['reviewer']['id']}"]
    return tuple(fields)


def _offer(slug: str, changes: Sequence[Change]) -> None:
    """Print changes, and make them if someone says yes."""
    print(f"\nGitHub repository {slug} needs these changes:")
    for change in changes:
        print(f"  - {change.text}")
    if not questions.confirmed("Make these changes with gh?"):
        print(LIMITS)
        print("No settings on GitHub were changed. To change them, run make bootstrap again, or change them by hand.")
        return
    refused = []
    for change in changes:
        try:
            _change(change)
        except CommandError as error:
            refused.append(f"{change.text}: {error}")
    if refused:
        print("\nGitHub refused at least a part of these changes:")
        for line in refused:
            print(f"  - {line}")
        print(LIMITS)


def _change(change: Change) -> None:
    """Make a change as far as GitHub allows it.

    Raises:
        CommandError: GitHub refused a part of it.
    """
    first, *others = change.commands
    refused = None
    try:
        _gh(*first)
    except CommandError as error:
        if not change.fallback:
            raise
        refused = error
        _gh(*change.fallback)
    for arguments in others:
        _gh(*arguments)
    if refused:
        raise refused


def _user() -> int:
    user: int = json.loads(_gh("api", "user"))["id"]
    return user


def _list(path: str, key: str) -> list[dict[str, Any]]:
    """Return all items of a list, from pages of 30, which every list allows.

    https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
    """
    pages = json.loads(_gh("api", "--paginate", "--slurp", f"{path}?per_page=30"))
    return [item for page in pages for item in page[key]]


def _gh(*arguments: str) -> str:
    return run(["gh", *arguments], quiet=True)
