"""Make what an AWS account needs once: the bucket of Terraform's state, and the role that GitHub deploys with."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import botocore.exceptions

import stack
import target
from command import LOCAL, CommandError, main, run

SOURCE = target.SOURCE / "bootstrap"
BUCKET = "aws_s3_bucket.state"
LOCAL_BACKEND = 'terraform {\n  backend "local" {}\n}\n'


def bootstrap(to: target.Target, github_repository: str | None) -> None:
    """Make or update bucket and role; the state of this lies in the bucket itself.

    The bucket comes to be with a state on this machine, which then moves into it. Interrupted before that, the next
    run goes on from there. A bucket that is there already is taken over, and a role stays until another repository
    is named.

    Raises:
        CommandError: Terraform failed; run again once its reason is mended.
    """
    directory = LOCAL / "bootstrap" / f"{to.account}-{to.region}"
    directory.mkdir(parents=True, exist_ok=True)
    for path in SOURCE.iterdir():
        if path.is_file() and (path.suffix == ".tf" or path.name == ".terraform.lock.hcl"):
            shutil.copyfile(path, directory / path.name)
    override, moved = directory / "backend_override.tf", directory / "terraform.tfstate"
    bucket = stack.bucket_name(to)
    if not _exists(to, bucket) or moved.exists():
        override.write_text(LOCAL_BACKEND)
        _terraform(to, directory, "init", "-reconfigure", "-lockfile=readonly", show=False)
        _apply(to, directory, github_repository)
        override.unlink()
        _init(to, directory, bucket, "-migrate-state", "-force-copy")
        moved.unlink()
        moved.with_suffix(".tfstate.backup").unlink(missing_ok=True)
    else:
        override.unlink(missing_ok=True)
        _init(to, directory, bucket, "-reconfigure")
        if BUCKET not in _resources(to, directory):
            _terraform(to, directory, "import", BUCKET, bucket, show=False)
        _apply(to, directory, github_repository)
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
    _terraform(to, directory, "init", "-lockfile=readonly", *arguments, *given, show=False)


def _apply(to: target.Target, directory: Path, github_repository: str | None) -> None:
    repository = github_repository or _outputs(to, directory).get("github_repository")
    given = [f"-var=github_repository={repository}"] if repository else []
    _terraform(to, directory, "apply", "-auto-approve", "-compact-warnings", *given, show=True)


def _resources(to: target.Target, directory: Path) -> set[str]:
    state = json.loads(_terraform(to, directory, "show", "-json", show=False))
    return {resource["address"] for resource in state.get("values", {}).get("root_module", {}).get("resources", [])}


def _outputs(to: target.Target, directory: Path) -> dict[str, Any]:
    outputs = json.loads(_terraform(to, directory, "output", "-json", show=False))
    return {name: output["value"] for name, output in outputs.items()}


def _terraform(to: target.Target, directory: Path, *arguments: str, show: bool) -> str:
    # A workspace is for copies of the service; there is one bucket.
    environment = {name: value for name, value in to.environment.items() if name != "TF_WORKSPACE"}
    colour = ["-no-color"] if arguments[0] in {"apply", "init"} and not sys.stdout.isatty() else []
    return run(["terraform", arguments[0], *colour, *arguments[1:]], cwd=directory, env=environment, quiet=not show)


def command() -> int:
    """Return 0 where everything is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--github-repository", metavar="OWNER/NAME", help="make a role for its workflows")
    options = parser.parse_args()
    if os.environ.get("STATE_BUCKET"):
        raise CommandError("STATE_BUCKET names a bucket of your own, which this would not make: unset it")
    bootstrap(target.from_environment(), options.github_repository)
    return 0


if __name__ == "__main__":
    main(command)
