"""The stack of a target: what Terraform has made there, and how to change it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.exceptions

import pins
from command import ROOT, CommandError, run
from target import SOURCE, Target

# What Terraform makes in its directory, and what speaks of the target's own account.
NOT_MIRRORED = {".terraform", "config.tf", "bootstrap", "terraform.tfvars"}
NAME = "path-to-live"


@dataclass(frozen=True)
class Stack:
    """The root module, initialised for a target by ``prepare``."""

    target: Target

    @property
    def config(self) -> pins.Pins:
        """What the target's config.tf says."""
        return pins.read(self.target.config_file)

    @property
    def stages(self) -> Mapping[str, pins.Pin]:
        """What every stage is pinned to: in a private copy, all to the newest."""
        if self.target.workspace == "default":
            return self.config.stages
        return dict.fromkeys(self.config.stages, pins.Pin(pins.NEWEST, pins.NEWEST))

    @functools.cached_property
    def deployed(self) -> Mapping[str, Any]:
        """The root module's outputs; none where nothing is deployed."""
        return {name: output["value"] for name, output in json.loads(self._terraform("output", "-json")).items()}

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The root module's outputs.

        Raises:
            CommandError: nothing is deployed.
        """
        if "stages" not in self.deployed:
            raise CommandError(f"Nothing is deployed: run 'make build deploy{self.target.make_variables}'")
        return self.deployed

    def stage_url(self, stage: str) -> str:
        """Return where a stage answers, ending in a slash."""
        return self.target.stage_url(self.outputs["api_id"], stage, self.outputs["stages"][stage]["url"])

    def plan(self, *arguments: str) -> Plan:
        """Make a plan and show it.

        Raises:
            CommandError: Terraform refuses it; the reason is in the terminal.
        """
        path = self.target.directory / ".terraform" / "next.tfplan"
        status = self.show("plan", "-compact-warnings", "-detailed-exitcode", f"-out={path}", *arguments)
        if status not in {0, 2}:
            raise CommandError("Terraform made no plan: mend what it says above. Nothing was changed.")
        return Plan(path, json.loads(self._terraform("show", "-json", str(path))))

    def apply(self, plan: Plan) -> None:
        """Apply a plan.

        Raises:
            CommandError: Terraform failed half-way; what it made so far is in its state.
        """
        self.__dict__.pop("deployed", None)
        if plan.changes and self.show("apply", "-compact-warnings", str(plan.path)) != 0:
            raise CommandError("Terraform did not finish: mend what it says above, then run the same command again")

    def refresh(self) -> None:
        """Bring Terraform's state and the outputs up to date with what there is, and change nothing else.

        https://developer.hashicorp.com/terraform/cli/commands/plan#planning-modes

        Raises:
            CommandError: Terraform failed.
        """
        self.__dict__.pop("deployed", None)
        self._terraform("apply", "-refresh-only", "-auto-approve", "-no-color")

    def show(self, *arguments: str) -> int:
        """Run Terraform with its output in the terminal and return its exit status."""
        colour = [] if sys.stdout.isatty() else ["-no-color"]
        return subprocess.run(
            ["terraform", arguments[0], *colour, *arguments[1:]],
            cwd=self.target.directory,
            env=self.target.environment,
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode

    def _terraform(self, *arguments: str) -> str:
        return _terraform(self.target, *arguments)


@dataclass(frozen=True)
class Plan:
    """A saved plan, and what ``terraform show -json`` says of it.

    https://developer.hashicorp.com/terraform/internals/json-format#plan-representation
    """

    path: Path
    content: Mapping[str, Any]

    @property
    def changes(self) -> list[str]:
        """Addresses of the resources that it changes, and names of the outputs."""
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
    """Return the target's stack, ready for plans: credentials, state bucket and providers are there.

    Raises:
        CommandError: one of them is missing. Nothing was changed then.
    """
    bucket = _state_bucket(target)
    if target.endpoint:
        _copy(target)
    _init(target, bucket)
    return Stack(target)


def _state_bucket(target: Target) -> str:
    bucket = bucket_name(target)
    s3 = target.client("s3")
    try:
        # Somebody else's bucket of that name is no place for a state.
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=target.account)
    except botocore.exceptions.ClientError as error:
        if not target.endpoint:
            raise CommandError(
                f"Account {target.account} has no bucket {bucket} for Terraform's state ({error}): "
                "make it with 'make bootstrap', or name another in STATE_BUCKET"
            ) from error
        _begin(target, bucket)
    return bucket


def bucket_name(target: Target) -> str:
    """Return the name of the bucket of the state: STATE_BUCKET, or one per account and region."""
    return os.environ.get("STATE_BUCKET") or f"{NAME}-state-{target.account}-{target.region}"


def _begin(target: Target, bucket: str) -> None:
    """Make the state bucket of an emulator, and begin with what config.tf says, without versions."""
    s3 = target.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": target.region})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    shutil.rmtree(target.directory, ignore_errors=True)


def _copy(target: Target) -> None:
    """Bring an emulator's copy of terraform/ up to date; its pins stay its own."""
    _mirror(SOURCE, target.directory)
    source = pins.read(SOURCE / "config.tf").without_versions()
    if target.config_file.exists():
        own = pins.read(target.config_file)
        source = source.with_gateway_deployments(own.gateway_deployments)
        for stage in source.stages.keys() & own.stages.keys():
            source = source.with_pin(stage, own.stages[stage])
    source.write(target.config_file)
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
    """Run ``terraform init``, unless nothing that it depends on has changed."""
    backend = {"bucket": bucket, "region": target.region}
    if target.endpoint:
        backend["use_path_style"] = "true"
    stamp = target.directory / ".terraform" / "initialised"
    digest = hashlib.sha256(repr([backend, target.endpoint, target.workspace]).encode())
    # These say which modules, providers and backend there are.
    for name in (".terraform.lock.hcl", "terraform.tf", "main.tf"):
        digest.update((target.directory / name).read_bytes())
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    arguments = [f"-backend-config={name}={value}" for name, value in backend.items()]
    _terraform(target, "init", "-reconfigure", "-lockfile=readonly", *arguments, workspace=False)
    if target.workspace != "default":
        _terraform(target, "workspace", "select", "-or-create", target.workspace, workspace=False)
    stamp.write_text(digest.hexdigest())


def _terraform(target: Target, *arguments: str, workspace: bool = True) -> str:
    """Run Terraform in the target's workspace; without it, where it is about to make or delete workspaces itself."""
    environment = {name: value for name, value in target.environment.items() if workspace or name != "TF_WORKSPACE"}
    return run(["terraform", *arguments], cwd=target.directory, env=environment, quiet=True)


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
