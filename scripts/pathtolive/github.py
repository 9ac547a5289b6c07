"""Repositories on GitHub, and their IDs."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from pathtolive.cli import CommandError, run

# The issuer of the tokens of GitHub Actions: https://docs.github.com/en/actions/reference/security/oidc
ISSUER = "token.actions.githubusercontent.com"
# The IDs as in a token's subject: https://docs.github.com/en/actions/reference/security/oidc#immutable-subject-claims
# No name ends in .git, the end of a URL to clone: https://github.com/github/docs/issues/44518
REPOSITORY = re.compile(
    r"(?P<owner>[A-Za-z0-9_-]+)(@(?P<owner_id>[0-9]+))?/"
    r"(?P<name>(?![.]{1,2}(@|$))[A-Za-z0-9._-]+(?<![.]git))(@(?P<id>[0-9]+))?"
)


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub, with the fields of the variable ``github_repository`` of terraform/bootstrap."""

    id: str
    name: str
    owner: str
    owner_id: str

    def __str__(self) -> str:
        return f"{self.owner}@{self.owner_id}/{self.name}@{self.id}"


@dataclass(frozen=True)
class Given:
    """The repository and the IDs that a user gives, each of them None if it is not given."""

    repository: str | None = None
    owner_id: str | None = None
    id: str | None = None

    def identified(self, repository: str) -> Repository:
        """Return a repository with its IDs: those in its name, those that are given, or those that GitHub has.

        Raises:
            CommandError: the name is not that of a repository, the IDs contradict each other, or gh cannot read them.
        """
        match = REPOSITORY.fullmatch(repository)
        if match is None:
            raise CommandError(
                f"{repository} is not a GitHub repository. Use GITHUB_REPOSITORY=owner/name, "
                "or GITHUB_REPOSITORY=owner@123/name@456 with the IDs of owner and repository"
            )
        owner_id = _same("GITHUB_REPOSITORY_OWNER_ID", self.owner_id, repository, match["owner_id"])
        repository_id = _same("GITHUB_REPOSITORY_ID", self.id, repository, match["id"])
        if owner_id and repository_id:
            return Repository(id=repository_id, name=match["name"], owner=match["owner"], owner_id=owner_id)
        asked = _read_repository(match["owner"], match["name"])
        _same("GITHUB_REPOSITORY_OWNER_ID", owner_id, "GitHub", asked.owner_id)
        _same("GITHUB_REPOSITORY_ID", repository_id, "GitHub", asked.id)
        return asked


def _same(variable: str, given: str | None, source: str, found: str | None) -> str | None:
    if given and found and given != found:
        raise CommandError(f"{variable} is {given}, but {source} has the ID {found}. Remove the wrong one")
    return given or found


def _read_repository(owner: str, name: str) -> Repository:
    """Read the name and the IDs of a repository: https://docs.github.com/en/rest/repos/repos#get-a-repository."""
    path = f"repos/{owner}/{name}"
    remedies = (
        "Install gh (https://cli.github.com), log in with 'gh auth login', and run the command again. "
        "Or give the IDs:\n"
        f"  make bootstrap GITHUB_REPOSITORY={owner}/{name} GITHUB_REPOSITORY_OWNER_ID=... GITHUB_REPOSITORY_ID=...\n"
        "They are owner.id and id in the response of:\n"
        f"  curl https://api.github.com/{path}"
    )
    if shutil.which("gh") is None:
        raise CommandError(f"The GitHub IDs of {owner}/{name} are unknown, and gh is not installed.\n{remedies}")
    query = ".owner.login, .owner.id, .name, .id"
    try:
        answer = run(["gh", "api", "--hostname", "github.com", path, "--jq", query], quiet=True).split()
    except CommandError as error:
        raise CommandError(f"The GitHub IDs of {owner}/{name} are unknown: {error}\n{remedies}") from error
    asked = Repository(owner=answer[0], owner_id=answer[1], name=answer[2], id=answer[3])
    # GitHub redirects from the previous name of a repository. The subject of a token has the new one, in GitHub's case.
    if f"{asked.owner}/{asked.name}".lower() != f"{owner}/{name}".lower():
        raise CommandError(
            f"{owner}/{name} is now {asked.owner}/{asked.name}. If that is the repository you mean, run: "
            f"make bootstrap GITHUB_REPOSITORY={asked.owner}/{asked.name}"
        )
    return asked
