"""The stack of a target: what Terraform manages there, and how to change it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.exceptions

from pathtolive import config_file, discovery, files, local_aws, locking, progress, terraform_cli
from pathtolive.cli import ROOT, CommandError
from pathtolive.target import SOURCE, Target

# Terraform's own working files, and files that belong to one account.
NOT_MIRRORED = {".terraform", "config.tf", "bootstrap", "terraform.tfvars", terraform_cli.ERRORED}
NAME = "path-to-live"
# As in terraform/terraform.tf.
STATE_KEY = "path-to-live.tfstate"
# Exists only while Terraform plans.
IMPORTS = "imports.tf"


@dataclass(frozen=True)
class Stack:
    """The root module for a target."""

    target: Target

    @functools.cached_property
    def config(self) -> config_file.Pins:
        """The target's config.tf, read once: a command acts on one state of the file."""
        return _config(self.target)

    def write(self, config: config_file.Pins) -> None:
        """Write the target's config.tf."""
        self.target.directory.mkdir(parents=True, exist_ok=True)
        config.write(self.target.config_file)
        self.__dict__["config"] = config

    def hold(self) -> None:
        """Let no other command of this directory change it until this command ends, and forget what was read before.

        Raises:
            CommandError: another command does not end in time.
        """
        locking.hold(self.target.lock_file)
        self.read_config_again()
        self.__dict__.pop("deployed", None)

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

        If the state is lost, they are what AWS has.

        https://developer.hashicorp.com/terraform/language/backend/s3
        """
        s3 = self.target.client("s3")
        try:
            state = json.loads(
                s3.get_object(Bucket=bucket_name(self.target), Key=_state_key(self.target))["Body"].read()
            )
        except (s3.exceptions.NoSuchKey, s3.exceptions.NoSuchBucket):
            state = {"outputs": {}}
        if "stages" in state["outputs"]:
            return {name: output["value"] for name, output in state["outputs"].items()}
        return discovery.outputs(self.target, self.name)

    @property
    def name(self) -> str:
        """The name of the function, and the start of every other name."""
        return NAME if self.target.workspace == "default" else f"{NAME}-{self.target.workspace}"

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
        with progress.step("Plan") as step:
            plan = self._plan(kept)
            if imports := discovery.imports(self.target, self.name, plan.content):
                with self._importing(imports):
                    plan = self._plan(kept)
            step.result = plan.summary
        return plan

    def _plan(self, kept: Mapping[str, config_file.Pin]) -> Plan:
        path = self.target.directory / ".terraform" / "next.tfplan"
        arguments = ["-compact-warnings", "-detailed-exitcode", f"-out={path}", *_variables(kept)]
        try:
            self.change("plan", *arguments, statuses=(0, 2))
        except local_aws.EndedError:
            raise
        except CommandError as error:
            raise CommandError(f"{error}\nNothing was changed.") from error
        return Plan(path, json.loads(self._show("-json", str(path))))

    @contextlib.contextmanager
    def _importing(self, imports: Mapping[str, str]) -> Iterator[None]:
        """Let Terraform import resources that its state lacks, by their addresses and IDs.

        https://developer.hashicorp.com/terraform/language/import
        """
        path = self.target.directory / IMPORTS
        blocks = [
            f"import {{\n  to = {address}\n  id = {json.dumps(identity)}\n}}\n" for address, identity in imports.items()
        ]
        path.write_text("\n".join(blocks))
        try:
            yield
        finally:
            path.unlink()

    def untaint(self, plan: Plan) -> bool:
        """Keep the resources that a plan replaces only because their creation was interrupted, if there are any.

        Most of their names are unique, so that AWS refuses to create another one first. The next plan updates them.

        https://developer.hashicorp.com/terraform/cli/commands/untaint
        """
        tainted = [
            change["address"]
            for change in plan.content.get("resource_changes", [])
            if change.get("action_reason") == "replace_because_tainted"
        ]
        for address in tainted:
            self.change("untaint", address)
        return bool(tainted)

    def apply(self, plan: Plan) -> None:
        """Apply a plan, unless it is empty.

        Raises:
            CommandError: Terraform failed; its state has what it changed before that.
        """
        self.__dict__.pop("deployed", None)
        if plan.changes:
            with progress.step("Apply the plan"):
                try:
                    self.change("apply", "-compact-warnings", str(plan.path))
                except local_aws.EndedError:
                    raise
                except CommandError as error:
                    raise CommandError(f"{error}\nFix the cause, then run the command again.") from error

    def shown(self, plan: Plan) -> str:
        """Return a plan as Terraform shows it, in color on a terminal."""
        return self._show(*([] if sys.stdout.isatty() else ["-no-color"]), str(plan.path)).strip()

    def refresh(self, kept: Mapping[str, config_file.Pin]) -> None:
        """Update Terraform's state and the outputs, and change nothing else.

        ``kept`` are pins that Terraform applies instead of those in config.tf.

        https://developer.hashicorp.com/terraform/cli/commands/plan#planning-modes

        Raises:
            CommandError: Terraform failed.
        """
        self.__dict__.pop("deployed", None)
        with progress.step("Refresh Terraform's state"):
            self.change("apply", "-refresh-only", "-auto-approve", *_variables(kept))

    def initialize(self) -> None:
        """Initialize Terraform, and update an emulator's copy of the root module and of the artifact.

        If Terraform's state is locked, print that the next command of Terraform waits.

        Raises:
            CommandError: providers are missing, or another command of this directory does not end in time.
        """
        self._initialize()
        if lock := self.lock:
            print(f"{lock} Waiting up to {locking.timeout()} for it to end ...", flush=True)

    def _initialize(self) -> None:
        self.hold()
        with progress.step("Prepare Terraform"):
            # A command that was killed while it planned can have left it.
            (self.target.directory / IMPORTS).unlink(missing_ok=True)
            if self.target.endpoint:
                _copy(self)
            _init(self.target, bucket_name(self.target))
            _push_errored_state(self.target)

    def change(self, command: str, *arguments: str, statuses: tuple[int, ...] = (0,)) -> None:
        """Run a command of Terraform that locks the state, and keep its output in a log: see ``terraform_cli.run``.

        Raises:
            CommandError: Terraform failed, or another command holds the lock.
        """
        try:
            _terraform(self.target, command, *locking.arguments(), *arguments, statuses=statuses)
        except terraform_cli.TerraformError as error:
            if locking.REFUSED not in str(error) or (lock := self.lock) is None:
                raise
            raise CommandError(
                f"{lock} Wait for it to end, then run the command again. If it was killed, release the lock with: "
                f"make unlock{self.target.make_variables}"
            ) from error

    @property
    def lock(self) -> locking.Lock | None:
        """The lock of Terraform's state, or None if it is not locked."""
        return locking.held(self.target, bucket_name(self.target), _state_key(self.target))

    def unlock(self, lock: locking.Lock) -> None:
        """Release the lock of Terraform's state.

        https://developer.hashicorp.com/terraform/cli/commands/force-unlock
        """
        self._initialize()
        _terraform(self.target, "force-unlock", "-force", lock.id)

    def _show(self, *arguments: str) -> str:
        return terraform_cli.output("show", *arguments, cwd=self.target.directory, env=self.target.environment)


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
        imported = sum("importing" in change["change"] for change in self.content.get("resource_changes", []))
        if any(counts) or imported:
            summary = "{} to add, {} to change, {} to destroy".format(*counts)
            return f"{imported} to import, {summary}" if imported else summary
        return "only outputs change" if self.changes else "No changes."

    @property
    def changes(self) -> list[str]:
        """The addresses of the resources and outputs that it changes."""
        resources = [
            change["address"]
            for change in self.content.get("resource_changes", [])
            if change["change"]["actions"] not in (["no-op"], ["read"]) or "importing" in change["change"]
        ]
        outputs = [
            f"output.{name}"
            for name, change in self.content.get("output_changes", {}).items()
            if change["actions"] != ["no-op"]
        ]
        return resources + outputs


def prepare(target: Target, *, new_workspace: bool = False) -> Stack:
    """Return the target's stack, ready for Terraform; an emulator's state bucket is created if it is missing.

    ``new_workspace`` is whether a workspace is created if it is missing, too.

    Raises:
        CommandError: credentials, the state bucket, the workspace, or Terraform's providers are missing. Nothing was
            changed.
    """
    print(f"Using {target.description}", flush=True)
    here = Stack(target)
    if not _has_state_bucket(target):
        if not target.endpoint:
            raise CommandError(_missing_bucket(target))
        _begin(here)
    if not new_workspace:
        _verify_workspace(target)
    here.initialize()
    return here


def use(target: Target) -> Stack:
    """Return the target's stack, to change it without Terraform, and print what the command acts on.

    Raises:
        CommandError: credentials or the state bucket are missing.
    """
    here = inspect(target)
    print(f"Using {target.description}", flush=True)
    return here


def inspect(target: Target) -> Stack:
    """Return the target's stack, to read it only: nothing is written on AWS or on this machine.

    Raises:
        CommandError: credentials, the state bucket, or the workspace are missing.
    """
    here = Stack(target)
    if not _has_state_bucket(target) and not here.deployed:
        raise CommandError(_missing_bucket(target))
    _verify_workspace(target)
    return here


def _state_key(target: Target) -> str:
    return STATE_KEY if target.workspace == "default" else f"env:/{target.workspace}/{STATE_KEY}"


def _verify_workspace(target: Target) -> None:
    """Verify that the target's workspace exists: Terraform would create it, even for a name with a typo.

    Raises:
        CommandError: it does not exist.
    """
    if target.workspace == "default":
        return
    try:
        target.client("s3").head_object(Bucket=bucket_name(target), Key=_state_key(target))
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        raise CommandError(
            f"The workspace {target.workspace} does not exist. To create it, with a copy of the service, run: "
            f"make build deploy WORKSPACE={target.workspace}{target.make_variables}"
        ) from error


def _has_state_bucket(target: Target) -> bool:
    """Return whether there is a state bucket.

    Raises:
        CommandError: it belongs to another account.
    """
    bucket = bucket_name(target)
    try:
        target.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=target.account)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
            raise CommandError(
                f"The bucket {bucket} for Terraform's state cannot be used: {error}. Name another in STATE_BUCKET"
            ) from error
        return False
    return True


def _missing_bucket(target: Target) -> str:
    if target.endpoint:
        return f"Nothing is deployed. Run: make build deploy{target.make_variables}"
    return (
        f"Account {target.account} has no bucket {bucket_name(target)} for Terraform's state. Create it with: "
        "make bootstrap\nOr name a bucket of your own in STATE_BUCKET"
    )


def bucket_name(target: Target) -> str:
    """Return the name of the state bucket: STATE_BUCKET, or a name for each account and region."""
    return os.environ.get("STATE_BUCKET") or f"{NAME}-state-{target.account}-{target.region}"


def _begin(here: Stack) -> None:
    """Create the state bucket of an emulator, and delete the pins of an earlier one."""
    target = here.target
    bucket, s3 = bucket_name(target), target.client("s3")
    if not here.deployed:
        shutil.rmtree(target.directory, ignore_errors=True)
    # S3 refuses us-east-1 as a location constraint.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    location = {} if target.region == "us-east-1" else {"LocationConstraint": target.region}
    s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": location} if location else {}))
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def _config(target: Target) -> config_file.Pins:
    """Return the config.tf of a target: an emulator has the stages of the repository, with its own pins."""
    if not target.endpoint:
        return config_file.read(target.config_file)
    source = config_file.read(SOURCE / "config.tf")
    source = source.without_versions()
    if not target.config_file.exists():
        return source
    own = config_file.read(target.config_file)
    layouts = [[(stage, pin.follows) for stage, pin in pins.stages.items()] for pins in (source, own)]
    return own if layouts[0] == layouts[1] else source.with_pins(own)


def _copy(here: Stack) -> None:
    """Update an emulator's copy of terraform/ and of the artifact."""
    target = here.target
    _mirror(SOURCE, target.directory)
    here.write(_config(target))
    built = ROOT / "dist" / "lambda.zip"
    if built.exists():
        files.write(target.artifact, built.read_bytes())


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
            files.write(destination / name, (source / name).read_bytes())


def _init(target: Target, bucket: str) -> None:
    """Run ``terraform init`` if anything that it depends on has changed."""
    backend = {"bucket": bucket, "region": target.region}
    if target.endpoint:
        # Without a limit, Terraform repeats its requests for minutes if local AWS ends.
        backend |= {"use_path_style": "true", "max_retries": "2"}
    stamp = target.directory / ".terraform" / "initialised"
    digest = hashlib.sha256(repr([backend, target.endpoint, target.workspace]).encode())
    # These name the modules, providers, and backend.
    for name in (".terraform.lock.hcl", "terraform.tf", "main.tf"):
        digest.update((target.directory / name).read_bytes())
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    stamp.unlink(missing_ok=True)
    terraform_cli.discard_initialization(target.directory)
    arguments = [f"-backend-config={name}={value}" for name, value in backend.items()]
    _terraform(target, "init", "-reconfigure", "-lockfile=readonly", *arguments, workspace=False)
    if target.workspace != "default":
        _terraform(target, "workspace", "select", "-or-create", target.workspace, workspace=False)
    files.write(stamp, digest.hexdigest().encode())


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


def _terraform(target: Target, *arguments: str, workspace: bool = True, statuses: tuple[int, ...] = (0,)) -> None:
    """Run Terraform in the target's workspace; ``workspace`` is False for commands that create or delete workspaces."""
    environment = {name: value for name, value in target.environment.items() if workspace or name != "TF_WORKSPACE"}
    terraform_cli.run(*arguments, cwd=target.directory, env=environment, statuses=statuses)


def release_locks(target: Target) -> None:
    """Release the locks of the states of an earlier local AWS, which has just been started again with its state."""
    locking.release_all(target, bucket_name(target))


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
