"""What an AWS account needs once: the bucket of Terraform's state, and the role that GitHub Actions deploys with."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import botocore.exceptions

from pathtolive import state, target, terraform_cli
from pathtolive.cli import LOCAL, CommandError, run

SOURCE = target.SOURCE / "bootstrap"
BUCKET = "aws_s3_bucket.state"
LOCAL_BACKEND = 'terraform {\n  backend "local" {}\n}\n'
# The ids as in a token's subject: https://docs.github.com/en/actions/reference/security/oidc#immutable-subject-claims
# No name ends in .git, the end of a URL to clone: https://github.com/github/docs/issues/44518
REPOSITORY = re.compile(
    r"(?P<owner>[A-Za-z0-9_-]+)(@(?P<owner_id>[0-9]+))?/"
    r"(?P<name>(?![.]{1,2}(@|$))[A-Za-z0-9._-]+(?<![.]git))(@(?P<id>[0-9]+))?"
)


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub, as the variable ``github_repository`` of terraform/bootstrap has it."""

    id: str
    name: str
    owner: str
    owner_id: str

    def __str__(self) -> str:
        return f"{self.owner}@{self.owner_id}/{self.name}@{self.id}"


@dataclass(frozen=True)
class Given:
    """What the user says of the repository; None where the user says nothing."""

    repository: str | None = None
    owner_id: str | None = None
    id: str | None = None

    def identified(self, repository: str) -> Repository:
        """Return a repository with its ids: those in its name, those that are given, or those that GitHub has.

        Raises:
            CommandError: it is no repository, the ids contradict each other, or GitHub cannot be asked.
        """
        match = REPOSITORY.fullmatch(repository)
        if match is None:
            raise CommandError(
                f"{repository} is not a GitHub repository. Use GITHUB_REPOSITORY=owner/name, "
                "or GITHUB_REPOSITORY=owner@123/name@456 with the ids of owner and repository"
            )
        owner_id = _same("GITHUB_REPOSITORY_OWNER_ID", self.owner_id, repository, match["owner_id"])
        repository_id = _same("GITHUB_REPOSITORY_ID", self.id, repository, match["id"])
        if owner_id and repository_id:
            return Repository(id=repository_id, name=match["name"], owner=match["owner"], owner_id=owner_id)
        asked = _ask_github(match["owner"], match["name"])
        _same("GITHUB_REPOSITORY_OWNER_ID", owner_id, "GitHub", asked.owner_id)
        _same("GITHUB_REPOSITORY_ID", repository_id, "GitHub", asked.id)
        return asked


def _same(variable: str, given: str | None, source: str, found: str | None) -> str | None:
    if given and found and given != found:
        raise CommandError(f"{variable} is {given}, but {source} has the id {found}. Remove the wrong one")
    return given or found


def _ask_github(owner: str, name: str) -> Repository:
    """Return what GitHub knows of a repository: https://docs.github.com/en/rest/repos/repos#get-a-repository."""
    path = f"repos/{owner}/{name}"
    remedies = (
        "Install gh (https://cli.github.com), log in with 'gh auth login', and run the command again. "
        "Or give the ids:\n"
        f"  make bootstrap GITHUB_REPOSITORY={owner}/{name} GITHUB_REPOSITORY_OWNER_ID=... GITHUB_REPOSITORY_ID=...\n"
        "They are owner.id and id in the answer of:\n"
        f"  curl https://api.github.com/{path}"
    )
    if shutil.which("gh") is None:
        raise CommandError(f"The GitHub ids of {owner}/{name} are unknown, and gh is not installed.\n{remedies}")
    query = ".owner.login, .owner.id, .name, .id"
    try:
        answer = run(["gh", "api", "--hostname", "github.com", path, "--jq", query], quiet=True).split()
    except CommandError as error:
        raise CommandError(f"The GitHub ids of {owner}/{name} are unknown: {error}\n{remedies}") from error
    asked = Repository(owner=answer[0], owner_id=answer[1], name=answer[2], id=answer[3])
    # GitHub answers for the old name of a repository, too. The subject of a token has the new one, in GitHub's case.
    if f"{asked.owner}/{asked.name}".lower() != f"{owner}/{name}".lower():
        raise CommandError(
            f"{owner}/{name} is now {asked.owner}/{asked.name}. If that is the repository you mean, run: "
            f"make bootstrap GITHUB_REPOSITORY={asked.owner}/{asked.name}"
        )
    return asked


def bootstrap(to: target.Target, given: Given) -> None:
    """Make or update bucket and role; the state of this lies in the bucket itself.

    The bucket comes to be with a state on this machine, which then moves into it. Interrupted before that, the next
    run continues from there. A bucket that is there already is taken over, and a role stays until another repository
    is named.

    Raises:
        CommandError: Terraform failed, or the repository's ids are unknown. Fix the cause, then run it again.
    """
    bucket = state.bucket_name(to)
    # Flushed, as Terraform writes to the same terminal.
    print(f"Account {to.account}, region {to.region}: preparing the state bucket {bucket}", flush=True)
    repository = given.identified(given.repository) if given.repository else None
    directory = LOCAL / "bootstrap" / f"{to.account}-{to.region}"
    directory.mkdir(parents=True, exist_ok=True)
    for path in SOURCE.iterdir():
        if path.is_file() and (path.suffix == ".tf" or path.name == ".terraform.lock.hcl"):
            shutil.copyfile(path, directory / path.name)
    override, moved = directory / "backend_override.tf", directory / "terraform.tfstate"
    if not _exists(to, bucket) or moved.exists():
        override.write_text(LOCAL_BACKEND)
        terraform_cli.discard_initialization(directory)
        _terraform(to, directory, "init", "-reconfigure", "-lockfile=readonly")
        _apply(to, directory, given, repository)
        override.unlink()
        _init(to, directory, bucket, "-migrate-state", "-force-copy")
        moved.unlink()
        moved.with_suffix(".tfstate.backup").unlink(missing_ok=True)
    else:
        override.unlink(missing_ok=True)
        terraform_cli.discard_initialization(directory)
        _init(to, directory, bucket, "-reconfigure")
        if BUCKET not in _resources(to, directory):
            _terraform(to, directory, "import", BUCKET, bucket)
        _apply(to, directory, given, repository)
    outputs = _outputs(to, directory)
    print(f"Terraform's state goes to the bucket {outputs['state_bucket']}")
    if role := outputs.get("deploy_role_arn"):
        print(f"GitHub Actions deploys with {role}: make it the repository's variable AWS_DEPLOY_ROLE")


def _exists(to: target.Target, bucket: str) -> bool:
    try:
        to.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=to.account)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "404":
            return False
        raise CommandError(f"The bucket {bucket} exists, but not for account {to.account}: {error}") from error
    return True


def _init(to: target.Target, directory: Path, bucket: str, *arguments: str) -> None:
    backend = {"bucket": bucket, "region": to.region} | ({"use_path_style": "true"} if to.endpoint else {})
    given = [f"-backend-config={name}={value}" for name, value in backend.items()]
    _terraform(to, directory, "init", "-lockfile=readonly", *arguments, *given)


def _apply(to: target.Target, directory: Path, given: Given, repository: Repository | None) -> None:
    repository = repository or _kept(_outputs(to, directory).get("github_repository"), given)
    variables = []
    if repository:
        print(f"GitHub repository {repository}: preparing its deploy role", flush=True)
        variables = [f"-var=github_repository={json.dumps(asdict(repository))}"]
    _terraform(to, directory, "apply", "-auto-approve", "-compact-warnings", *variables, shown=True)


def _kept(output: Any, given: Given) -> Repository | None:
    """Return the repository of the state, with its ids; older states have no ids."""
    if not output:
        return None
    return given.identified(output if isinstance(output, str) else str(Repository(**output)))


def _resources(to: target.Target, directory: Path) -> set[str]:
    state = json.loads(_read(to, directory, "show"))
    return {resource["address"] for resource in state.get("values", {}).get("root_module", {}).get("resources", [])}


def _outputs(to: target.Target, directory: Path) -> dict[str, Any]:
    outputs = json.loads(_read(to, directory, "output"))
    return {name: output["value"] for name, output in outputs.items()}


def _read(to: target.Target, directory: Path, command: str) -> str:
    return run(["terraform", command, "-json"], cwd=directory, env=_environment(to), quiet=True)


def _terraform(to: target.Target, directory: Path, *arguments: str, shown: bool = False) -> None:
    terraform_cli.run(*arguments, cwd=directory, env=_environment(to), shown=shown)


def _environment(to: target.Target) -> dict[str, str]:
    # A workspace is for copies of the service; there is one bucket.
    return {name: value for name, value in to.environment.items() if name != "TF_WORKSPACE"}
