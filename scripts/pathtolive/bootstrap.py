"""Prepare an AWS account: Terraform's state bucket, the permissions boundary, and the roles of GitHub Actions."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import botocore.exceptions

from pathtolive import files, github, github_settings, root_module, state, target, terraform_cli
from pathtolive.cli import LOCAL, CommandError, run
from pathtolive.github import Given, Repository
from pathtolive.target import NAME

SOURCE = target.SOURCE / "bootstrap"
BUCKET = "aws_s3_bucket.state"
LOCAL_BACKEND = 'terraform {\n  backend "local" {}\n}\n'


def bootstrap(to: target.Target, given: Given) -> None:
    """Create or update the resources of terraform/bootstrap, tell Terraform of them, and print what to set in GitHub.

    Their state is in the bucket. The first run creates the bucket with a state on this machine, and then moves the
    state into it. If it is interrupted before that, the next run continues. If the state is lost, what exists is
    imported. Without a repository, the one of the previous run is kept.

    Raises:
        CommandError: Terraform failed, or the repository's IDs are unknown. Fix the cause, then run the command again.
    """
    bucket = state.bucket_name(to)
    # Flushed, because Terraform writes to the same terminal.
    print(f"Account {to.account}, region {to.region}: preparing the state bucket {bucket}", flush=True)
    repository = given.identified(given.repository) if given.repository else None
    boundary = _boundary(to)
    directory = _copy(to)
    override, moved = directory / "backend_override.tf", directory / "terraform.tfstate"
    stages = list(root_module.config(to).stages)
    exists = _exists(to, bucket)
    new = not exists or moved.exists()
    terraform_cli.discard_initialization(directory)
    if new:
        override.write_text(LOCAL_BACKEND)
        _terraform(to, directory, "init", "-reconfigure", "-lockfile=readonly")
    else:
        _init(to, directory, bucket, "-reconfigure")
    variables = _variables(to, directory, given, repository, stages)
    if BUCKET not in _resources(to, directory):
        existing = ({BUCKET: bucket} if exists else {}) | _existing(to, boundary, stages)
        created = _created(to, directory, variables) if existing else set()
        blocks = [
            f"import {{\n  to = {address}\n  id = {json.dumps(name)}\n}}\n"
            for address, name in existing.items()
            if address in created
        ]
        (directory / "imports.tf").write_text("\n".join(blocks))
    _terraform(to, directory, "apply", "-auto-approve", "-compact-warnings", *variables, shown=True)
    if new:
        override.unlink()
        _init(to, directory, bucket, "-migrate-state", "-force-copy")
        moved.unlink()
        moved.with_suffix(".tfstate.backup").unlink(missing_ok=True)
    _report(to, _outputs(to, directory), stages)


def _copy(to: target.Target) -> Path:
    """Copy terraform/bootstrap into a directory of the account and Region, and return it."""
    directory = LOCAL / "bootstrap" / f"{to.account}-{to.region}"
    directory.mkdir(parents=True, exist_ok=True)
    # Files that an earlier run left would be a part of the configuration.
    for path in [*directory.glob("*.tf"), *directory.glob("*.tfvars")]:
        path.unlink()
    # The variables belong to one account on AWS.
    copied = {".tf", ".hcl"} if to.endpoint else {".tf", ".hcl", ".tfvars"}
    for path in SOURCE.iterdir():
        if path.is_file() and path.suffix in copied:
            shutil.copyfile(path, directory / path.name)
    return directory


def _report(to: target.Target, outputs: dict[str, Any], stages: list[str]) -> None:
    """Print what Terraform created, and what remains to be set."""
    print(f"\nTerraform's state goes to the bucket {outputs['state_bucket']}")
    _write_settings(to, outputs)
    if found := outputs.get("github_repository"):
        print(f"\nGitHub Actions can assume the roles {', '.join(outputs['role_names'])}")
        variables = {"AWS_ACCOUNT_ID": to.account, "AWS_REGION": to.region}
        github_settings.prepare(Repository(**found), stages, variables, changeable=to.endpoint is None)


def _write_settings(to: target.Target, outputs: dict[str, Any]) -> None:
    """Write the variables of the service that name what was created, except for those that terraform.tfvars sets.

    Terraform loads the file by itself: https://developer.hashicorp.com/terraform/language/values/variables
    """
    own = target.SOURCE / "terraform.tfvars"
    text = own.read_text() if own.exists() else ""
    values = {
        "permissions_boundary_arn": outputs["permissions_boundary_arn"],
        "kms_key_arn": outputs.get("topic_key_arn"),
    }
    values = {
        name: value for name, value in values.items() if value and not re.search(rf"^\s*{name}\s*=", text, re.MULTILINE)
    }
    width = max(map(len, values), default=0)
    lines = [f'{name:<{width}} = "{value}"' for name, value in values.items()]
    written = f"terraform/{root_module.BOOTSTRAPPED}"
    if to.endpoint:
        # The service on an emulator can outlive the account: it starts empty if its data are lost.
        print(f"\nOn AWS, this command also writes {written}:", *lines, sep="\n  ")
        return
    path = target.SOURCE / root_module.BOOTSTRAPPED
    if not lines:
        path.unlink(missing_ok=True)
        return
    files.write(path, "\n".join(["# Written by make bootstrap.", *lines, ""]).encode())
    print(f"\nWrote {written}. Commit this file. It sets these variables of the service:", *lines, sep="\n  ")


def _exists(to: target.Target, bucket: str) -> bool:
    try:
        to.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=to.account)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "404":
            return False
        raise CommandError(
            f"Account {to.account} cannot access the bucket {bucket}: {error}\nUse credentials that can read it. If "
            "another account owns the bucket, use another Region"
        ) from error
    return True


def _boundary(to: target.Target) -> str | None:
    """Return the ARN of the account's permissions boundary, or None if there is none.

    Raises:
        CommandError: the account is prepared for another Region.
    """
    iam = to.client("iam")
    boundary = f"arn:{iam.meta.partition}:iam::{to.account}:policy/{NAME}-boundary"
    if (found := _found(iam.get_policy, PolicyArn=boundary)) is None:
        return None
    description: str = found["Policy"].get("Description", "")
    if not description.endswith(f" in {to.region}"):
        raise CommandError(
            f"Account {to.account} is already prepared for another Region: {description}. IAM has no Regions, so an "
            "account can have only one copy of the roles. Use that Region, or another account"
        )
    return boundary


def _existing(to: target.Target, boundary: str | None, stages: list[str]) -> dict[str, str]:
    """Return the import IDs of resources other than the bucket that exist although the state lacks them, by address.

    The other resources are created again without an error. https://developer.hashicorp.com/terraform/language/import
    """
    if boundary is None:
        return {}
    existing = {"aws_iam_policy.boundary": boundary}
    iam, kms = to.client("iam"), to.client("kms")
    account, key_alias = boundary.partition(":policy/")[0], f"alias/{NAME}-topic"
    for name in ("domains", "infrastructure", "read"):
        policy = f"{account}:policy/{NAME}-{name}"
        if _found(iam.get_policy, PolicyArn=policy):
            existing[f"aws_iam_policy.{name}[0]"] = policy
    roles = (github_settings.PLAN, github_settings.INFRASTRUCTURE, *(f"deploy-{stage}" for stage in stages))
    for name in roles:
        if _found(iam.get_role, RoleName=f"{NAME}-{name}"):
            existing[f"aws_iam_role.github[{json.dumps(name)}]"] = f"{NAME}-{name}"
    provider = f"{account}:oidc-provider/{github.ISSUER}"
    if _found(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=provider):
        existing["aws_iam_openid_connect_provider.github[0]"] = provider
    if key := _found(kms.describe_key, KeyId=key_alias):
        existing |= {"aws_kms_key.topic[0]": key["KeyMetadata"]["KeyId"], "aws_kms_alias.topic[0]": key_alias}
    return existing


def _found(read: Callable[..., dict[str, Any]], **identity: str) -> dict[str, Any] | None:
    """Return the response to a request for a resource, or None if the resource does not exist."""
    try:
        return read(**identity)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchEntity", "NotFoundException"}:
            raise
        return None


def _init(to: target.Target, directory: Path, bucket: str, *arguments: str) -> None:
    backend = {"bucket": bucket, "region": to.region} | ({"use_path_style": "true"} if to.endpoint else {})
    given = [f"-backend-config={name}={value}" for name, value in backend.items()]
    _terraform(to, directory, "init", "-lockfile=readonly", *arguments, *given)


def _created(to: target.Target, directory: Path, variables: list[str]) -> set[str]:
    """Return the addresses of the resources that Terraform would create: not every variable creates them all."""
    _terraform(to, directory, "plan", "-out=plan", *variables)
    changes = json.loads(_read(to, directory, "show", "plan"))["resource_changes"]
    return {change["address"] for change in changes if change["change"]["actions"] == ["create"]}


def _variables(
    to: target.Target, directory: Path, given: Given, repository: Repository | None, stages: list[str]
) -> list[str]:
    repository = repository or _kept(_outputs(to, directory).get("github_repository"), given)
    variables = [f"-var=stages={json.dumps(stages)}"]
    # Known after the first deployment.
    if api_id := (state.outputs(to) or {}).get("api_id"):
        variables.append(f"-var=api_id={api_id}")
    if repository:
        print(f"GitHub repository {repository}: preparing its roles", flush=True)
        variables.append(f"-var=github_repository={json.dumps(asdict(repository))}")
    return variables


def _kept(output: Any, given: Given) -> Repository | None:
    """Return the repository in the state, with its IDs, which older states lack."""
    if not output:
        return None
    return given.identified(output if isinstance(output, str) else str(Repository(**output)))


def _resources(to: target.Target, directory: Path) -> set[str]:
    shown = json.loads(_read(to, directory, "show"))
    return {resource["address"] for resource in shown.get("values", {}).get("root_module", {}).get("resources", [])}


def _outputs(to: target.Target, directory: Path) -> dict[str, Any]:
    """Return the outputs, of which Terraform leaves out those that are null."""
    outputs = json.loads(_read(to, directory, "output"))
    return {name: output["value"] for name, output in outputs.items()}


def _read(to: target.Target, directory: Path, command: str, *arguments: str) -> str:
    return run(["terraform", command, "-json", *arguments], cwd=directory, env=_environment(to), quiet=True)


def _terraform(to: target.Target, directory: Path, *arguments: str, shown: bool = False) -> None:
    terraform_cli.run(*arguments, cwd=directory, env=_environment(to), shown=shown)


def _environment(to: target.Target) -> dict[str, str]:
    # Workspaces are copies of the service. An account has one bucket.
    return {name: value for name, value in to.environment.items() if name != "TF_WORKSPACE"}
