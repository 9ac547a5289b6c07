"""The stack of a target: what Terraform manages there, and how to change it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.exceptions

from pathtolive import config_file, progress, terraform_cli
from pathtolive.cli import ROOT, CommandError
from pathtolive.target import SOURCE, Target

# Terraform's own working files, and files that belong to one account.
NOT_MIRRORED = {".terraform", "config.tf", "bootstrap", "terraform.tfvars", terraform_cli.ERRORED}
NAME = "path-to-live"
# As in terraform/terraform.tf.
STATE_KEY = "path-to-live.tfstate"


@dataclass(frozen=True)
class Stack:
    """The root module for a target: ``prepare`` initializes it, ``inspect`` only reads it."""

    target: Target

    @functools.cached_property
    def config(self) -> config_file.Pins:
        """The target's config.tf, read once: a command acts on one state of the file."""
        return config_file.read(self.target.config_file) if self.target.config_file.exists() else _config(self.target)

    def write(self, config: config_file.Pins) -> None:
        """Write the target's config.tf."""
        config.write(self.target.config_file)
        self.__dict__["config"] = config

    def read_config_again(self) -> None:
        """Read config.tf again when it is next needed: somebody may have edited it during a release."""
        self.__dict__.pop("config", None)

    @property
    def stages(self) -> Mapping[str, config_file.Pin]:
        """The pin of each stage. In a private workspace, every stage follows the newest."""
        if self.target.workspace == "default":
            return self.config.stages
        return dict.fromkeys(self.config.stages, config_file.Pin(config_file.NEWEST, config_file.NEWEST))

    @functools.cached_property
    def deployed(self) -> Mapping[str, Any]:
        """The outputs of the root module in Terraform's state; empty if nothing is deployed.

        https://developer.hashicorp.com/terraform/language/backend/s3
        """
        workspace = self.target.workspace
        key = STATE_KEY if workspace == "default" else f"env:/{workspace}/{STATE_KEY}"
        s3 = self.target.client("s3")
        try:
            state = s3.get_object(Bucket=bucket_name(self.target), Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return {}
        return {name: output["value"] for name, output in json.loads(state)["outputs"].items()}

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The root module's outputs.

        Raises:
            CommandError: nothing is deployed.
        """
        if "stages" not in self.deployed:
            raise CommandError(f"Nothing is deployed. Run: make build deploy{self.target.make_variables}")
        return self.deployed

    def stage_url(self, stage: str) -> str:
        """Return the URL of a stage, with a slash at its end."""
        return self.target.stage_url(self.outputs["api_id"], stage, self.outputs["stages"][stage]["url"])

    def plan(self, kept: Mapping[str, config_file.Pin]) -> Plan:
        """Create a plan; ``kept`` are pins that Terraform applies instead of those in config.tf.

        Raises:
            CommandError: Terraform cannot create it; the message has Terraform's errors.
        """
        path = self.target.directory / ".terraform" / "next.tfplan"
        arguments = ["-compact-warnings", "-detailed-exitcode", f"-out={path}", *_variables(kept)]
        with progress.step("Plan") as step:
            try:
                self.run("plan", *arguments, statuses=(0, 2))
            except CommandError as error:
                raise CommandError(f"{error}\nNothing was changed.") from error
            plan = Plan(path, json.loads(self._terraform("show", "-json", str(path))))
            step.result = plan.summary
        return plan

    def apply(self, plan: Plan) -> None:
        """Apply a plan, unless it is empty.

        Raises:
            CommandError: Terraform failed; its state has what it changed before that.
        """
        self.__dict__.pop("deployed", None)
        if plan.changes:
            with progress.step("Apply the plan"):
                try:
                    self.run("apply", "-compact-warnings", str(plan.path))
                except CommandError as error:
                    raise CommandError(f"{error}\nFix the cause, then run the command again.") from error

    def shown(self, plan: Plan) -> str:
        """Return a plan as Terraform shows it, in color on a terminal."""
        return self._terraform("show", *([] if sys.stdout.isatty() else ["-no-color"]), str(plan.path)).strip()

    def refresh(self, kept: Mapping[str, config_file.Pin]) -> None:
        """Update Terraform's state and the outputs, and change nothing else.

        ``kept`` are pins that Terraform applies instead of those in config.tf.

        https://developer.hashicorp.com/terraform/cli/commands/plan#planning-modes

        Raises:
            CommandError: Terraform failed.
        """
        self.__dict__.pop("deployed", None)
        with progress.step("Refresh Terraform's state"):
            self.run("apply", "-refresh-only", "-auto-approve", *_variables(kept))

    def run(self, *arguments: str, statuses: tuple[int, ...] = (0,)) -> int:
        """Run Terraform and keep its output in a log: see ``terraform_cli.run``."""
        return terraform_cli.run(*arguments, cwd=self.target.directory, env=self.target.environment, statuses=statuses)

    def _terraform(self, *arguments: str) -> str:
        return _terraform(self.target, *arguments)


@dataclass(frozen=True)
class Plan:
    """A saved plan, and the output of ``terraform show -json`` for it.

    https://developer.hashicorp.com/terraform/internals/json-format#plan-representation
    """

    path: Path
    content: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """The numbers of resources to add, change, and destroy."""
        actions = [change["change"]["actions"] for change in self.content.get("resource_changes", [])]
        counts = [sum(action in each for each in actions) for action in ("create", "update", "delete")]
        if any(counts):
            return "{} to add, {} to change, {} to destroy".format(*counts)
        return "only outputs change" if self.changes else "No changes."

    @property
    def changes(self) -> list[str]:
        """The addresses of the resources and outputs that it changes."""
        resources = [
            change["address"]
            for change in self.content.get("resource_changes", [])
            if change["change"]["actions"] not in (["no-op"], ["read"])
        ]
        outputs = [
            f"output.{name}"
            for name, change in self.content.get("output_changes", {}).items()
            if change["actions"] != ["no-op"]
        ]
        return resources + outputs


def prepare(target: Target) -> Stack:
    """Return the target's stack, ready to be changed; an emulator's state bucket is created if it is missing.

    Raises:
        CommandError: credentials, the state bucket, or Terraform's providers are missing. Nothing was changed.
    """
    print(f"Using {target.description}", flush=True)
    if not _has_state_bucket(target):
        _begin(target)
    return _initialised(target)


def prepare_plan(target: Target) -> Stack:
    """Return the target's stack, ready for a plan: only Terraform's own working files are written.

    Raises:
        CommandError: as ``prepare``, or nothing is deployed on an emulator.
    """
    inspect(target)
    return _initialised(target)


def inspect(target: Target) -> Stack:
    """Return the target's stack, to read it only: nothing is written on AWS or on this machine.

    Raises:
        CommandError: credentials or the state bucket are missing.
    """
    if not _has_state_bucket(target):
        raise CommandError(f"Nothing is deployed. Run: make build deploy{target.make_variables}")
    return Stack(target)


def _has_state_bucket(target: Target) -> bool:
    """Return whether there is a state bucket.

    Raises:
        CommandError: AWS has none, or it belongs to another account.
    """
    bucket = bucket_name(target)
    try:
        target.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=target.account)
    except botocore.exceptions.ClientError as error:
        if not target.endpoint:
            raise CommandError(
                f"Account {target.account} has no bucket {bucket} for Terraform's state ({error}). "
                "Create it with: make bootstrap\nOr name a bucket of your own in STATE_BUCKET"
            ) from error
        return False
    return True


def _initialised(target: Target) -> Stack:
    here = Stack(target)
    with progress.step("Prepare Terraform"):
        if target.endpoint:
            _copy(here)
        _init(target, bucket_name(target))
        _push_errored_state(target)
    return here


def bucket_name(target: Target) -> str:
    """Return the name of the state bucket: STATE_BUCKET, or a name for each account and region."""
    return os.environ.get("STATE_BUCKET") or f"{NAME}-state-{target.account}-{target.region}"


def _begin(target: Target) -> None:
    """Create the state bucket of an emulator, and delete the pins of an earlier one."""
    bucket, s3 = bucket_name(target), target.client("s3")
    # S3 refuses us-east-1 as a location constraint.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    location = {} if target.region == "us-east-1" else {"LocationConstraint": target.region}
    s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": location} if location else {}))
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    shutil.rmtree(target.directory, ignore_errors=True)


def _config(target: Target) -> config_file.Pins:
    """Return the config.tf of a target: an emulator has the stages of the repository, with its own pins."""
    source = config_file.read(SOURCE / "config.tf")
    if not target.endpoint:
        return source
    source = source.without_versions()
    if target.config_file.exists():
        own = config_file.read(target.config_file)
        source = source.with_gateway_deployments(own.gateway_deployments)
        for stage in source.stages.keys() & own.stages.keys():
            source = source.with_pin(stage, own.stages[stage])
    return source


def _copy(here: Stack) -> None:
    """Update an emulator's copy of terraform/ and of the artifact."""
    target = here.target
    _mirror(SOURCE, target.directory)
    here.write(_config(target))
    built = ROOT / "dist" / "lambda.zip"
    if built.exists():
        target.artifact.parent.mkdir(exist_ok=True)
        shutil.copyfile(built, target.artifact)


def _mirror(source: Path, destination: Path) -> None:
    destination.mkdir(parents=True, exist_ok=True)
    wanted = {path.name for path in source.iterdir()} - NOT_MIRRORED
    for path in destination.iterdir():
        if path.name not in wanted | NOT_MIRRORED:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in wanted:
        if (source / name).is_dir():
            _mirror(source / name, destination / name)
        else:
            shutil.copyfile(source / name, destination / name)


def _init(target: Target, bucket: str) -> None:
    """Run ``terraform init`` if anything that it depends on has changed."""
    backend = {"bucket": bucket, "region": target.region}
    if target.endpoint:
        backend |= {"use_path_style": "true", "max_retries": "1"}
    stamp = target.directory / ".terraform" / "initialised"
    digest = hashlib.sha256(repr([backend, target.endpoint, target.workspace]).encode())
    # These name the modules, providers, and backend.
    for name in (".terraform.lock.hcl", "terraform.tf", "main.tf"):
        digest.update((target.directory / name).read_bytes())
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    arguments = [f"-backend-config={name}={value}" for name, value in backend.items()]
    _terraform(target, "init", "-reconfigure", "-lockfile=readonly", *arguments, workspace=False)
    if target.workspace != "default":
        _terraform(target, "workspace", "select", "-or-create", target.workspace, workspace=False)
    stamp.write_text(digest.hexdigest())


def _push_errored_state(target: Target) -> None:
    """Push the state that an earlier apply could not save, so that what it changed is not forgotten.

    https://developer.hashicorp.com/terraform/cli/state/recover#recover-from-state-write-errors
    """
    path = target.directory / terraform_cli.ERRORED
    if not path.exists():
        return
    try:
        _terraform(target, "state", "push", str(path))
    except CommandError as error:
        raise CommandError(
            f"{error}\n{path} has changes of an earlier apply that Terraform's state lacks. Compare it with 'terraform "
            "state pull', then push it with -force, or delete it."
        ) from error
    path.unlink()


def _variables(kept: Mapping[str, config_file.Pin]) -> list[str]:
    """Return Terraform's arguments for the variable ``pins``."""
    given = {stage: dataclasses.asdict(pin) for stage, pin in kept.items()}
    return [f"-var=pins={json.dumps(given)}"] if given else []


def _terraform(target: Target, *arguments: str, workspace: bool = True) -> str:
    """Run Terraform in the target's workspace; ``workspace`` is False for commands that create or delete workspaces."""
    environment = {name: value for name, value in target.environment.items() if workspace or name != "TF_WORKSPACE"}
    return terraform_cli.output(*arguments, cwd=target.directory, env=environment)


def delete_workspace(target: Target) -> None:
    """Delete the target's workspace, which must be empty."""
    _terraform(target, "workspace", "select", "default", workspace=False)
    _terraform(target, "workspace", "delete", target.workspace, workspace=False)
    (target.directory / ".terraform" / "initialised").unlink()


def delete_state(target: Target) -> None:
    """Delete the state bucket of an emulator, unless a state in it still has resources."""
    s3 = target.client("s3")
    bucket = bucket_name(target)
    for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        if json.loads(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())["resources"]:
            return
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
    s3.delete_bucket(Bucket=bucket)
