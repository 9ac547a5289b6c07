"""Terraform in the directory and the workspace of a target."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pathtolive import files, terraform_cli
from pathtolive.cli import CommandError
from pathtolive.target import Target


def run(target: Target, *arguments: str, workspace: bool = True, statuses: tuple[int, ...] = (0,)) -> int:
    """Run Terraform in the target's workspace, and return its exit status: see ``terraform_cli.run``.

    ``workspace`` is False for commands that create or delete workspaces.
    """
    environment = {name: value for name, value in target.environment.items() if workspace or name != "TF_WORKSPACE"}
    return terraform_cli.run(*arguments, cwd=target.directory, env=environment, statuses=statuses)


def initialize(target: Target, bucket: str) -> None:
    """Run ``terraform init`` if anything that it depends on has changed."""
    backend = {"bucket": bucket, "region": target.region}
    if target.endpoint:
        # Without a limit, Terraform repeats its requests for minutes if local AWS ends.
        backend |= {"use_path_style": "true", "max_retries": "2"}
    stamp = _stamp(target)
    digest = hashlib.sha256(repr([backend, target.endpoint, target.workspace]).encode())
    # These name the modules, providers, and backend.
    for name in (".terraform.lock.hcl", "terraform.tf", "main.tf"):
        digest.update((target.directory / name).read_bytes())
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    stamp.unlink(missing_ok=True)
    terraform_cli.discard_initialization(target.directory)
    arguments = [f"-backend-config={name}={value}" for name, value in backend.items()]
    run(target, "init", "-reconfigure", "-lockfile=readonly", *arguments, workspace=False)
    if target.workspace != "default":
        run(target, "workspace", "select", "-or-create", target.workspace, workspace=False)
    files.write(stamp, digest.hexdigest().encode())


def push_errored_state(target: Target) -> None:
    """Push the state that an earlier apply could not save, so that what it changed is not forgotten.

    https://developer.hashicorp.com/terraform/cli/state/recover#recover-from-state-write-errors
    """
    path = target.directory / terraform_cli.ERRORED
    if not path.exists():
        return
    try:
        run(target, "state", "push", str(path))
    except CommandError as error:
        raise CommandError(
            f"{error}\n{path} has changes of an earlier apply that Terraform's state lacks. Compare it with 'terraform "
            "state pull', then push it with -force, or delete it."
        ) from error
    path.unlink()


def delete(target: Target) -> None:
    """Delete the target's workspace, which must be empty."""
    run(target, "workspace", "select", "default", workspace=False)
    run(target, "workspace", "delete", target.workspace, workspace=False)
    _stamp(target).unlink()


def _stamp(target: Target) -> Path:
    """Return the file that says what ``terraform init`` was run for."""
    return target.directory / ".terraform" / "initialized"
