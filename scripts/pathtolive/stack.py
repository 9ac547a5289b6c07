"""The stack of a target: what Terraform manages there, and how to change it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pathtolive import (
    config_file,
    discovery,
    local_aws,
    locking,
    progress,
    root_module,
    state,
    terraform_cli,
    workspaces,
)
from pathtolive.cli import CommandError
from pathtolive.plans import Plan
from pathtolive.target import NAME, Target

# Exists only while Terraform plans.
IMPORTS = "imports.tf"


@dataclass(frozen=True)
class Stack:
    """The root module for a target."""

    target: Target

    @functools.cached_property
    def config(self) -> config_file.Pins:
        """The target's config.tf, read once: a command acts on one state of the file."""
        return root_module.config(self.target)

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
        """
        found = state.outputs(self.target) or {}
        return found if "stages" in found else discovery.outputs(self.target, self.name)

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
        """Return the URL of a stage, with a slash at its end.

        Raises:
            CommandError: it is not deployed.
        """
        deployed = self.outputs["stages"]
        if stage not in deployed:
            raise CommandError(
                f"{stage} is not deployed. Deploy it with: make build deploy{self.target.make_variables}"
            )
        return self.target.stage_url(self.outputs["api_id"], stage, deployed[stage]["url"])

    @property
    def following(self) -> list[str]:
        """The stages that follow the newest version."""
        return [stage for stage, pin in self.stages.items() if pin.function_version == config_file.NEWEST]

    def logs_command(self, stage: str) -> str:
        """Return the command that prints the log of a stage."""
        return f"make logs STAGE={stage}{self.target.make_variables}"

    def plan(self, kept: Mapping[str, config_file.Pin], *, code: bool = True) -> Plan:
        """Create a plan; ``kept`` are pins that Terraform applies instead of those in config.tf.

        Without ``code``, an existing function keeps its code.

        Raises:
            CommandError: Terraform cannot create it; the message has Terraform's errors.
        """
        with progress.step("Plan") as step:
            variables = [*_variables(kept), *([] if code else ["-var=update_code=false"])]
            plan = self._plan(variables)
            if imports := discovery.imports(self.target, self.name, plan.content):
                with self._importing(imports):
                    plan = self._plan(variables)
            step.result = plan.summary
        return plan

    def _plan(self, variables: list[str]) -> Plan:
        path = self.target.directory / ".terraform" / "next.tfplan"
        arguments = ["-compact-warnings", "-detailed-exitcode", f"-out={path}", *variables]
        try:
            status = self.change("plan", *arguments, statuses=(0, 2))
        except local_aws.EndedError:
            raise
        except CommandError as error:
            raise CommandError(f"{error}\nNothing was changed.") from error
        # Only a plan with changes is worth another start of Terraform and its provider.
        # https://developer.hashicorp.com/terraform/cli/commands/plan#detailed-exitcode
        return Plan(path, json.loads(self._show("-json", str(path))) if status else {})

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
        if lock := state.lock(self.target):
            print(f"{lock} Waiting up to {locking.timeout()} for it to end ...", flush=True)

    def _initialize(self) -> None:
        self.hold()
        with progress.step("Prepare Terraform"):
            # A command that was killed while it planned can have left it.
            (self.target.directory / IMPORTS).unlink(missing_ok=True)
            if self.target.endpoint:
                root_module.copy(self.target)
                self.write(root_module.config(self.target))
            workspaces.initialize(self.target, state.bucket_name(self.target))
            workspaces.push_errored_state(self.target)

    def change(self, command: str, *arguments: str, statuses: tuple[int, ...] = (0,)) -> int:
        """Run a command of Terraform that locks the state, and return its exit status: see ``terraform_cli.run``.

        Raises:
            CommandError: Terraform failed, or another command holds the lock.
        """
        try:
            return workspaces.run(self.target, command, *locking.arguments(), *arguments, statuses=statuses)
        except terraform_cli.TerraformError as error:
            if locking.REFUSED not in str(error) or (lock := state.lock(self.target)) is None:
                raise
            raise CommandError(
                f"{lock} Wait for it to end, then run the command again. If it was killed, release the lock with: "
                f"make unlock{self.target.make_variables}"
            ) from error

    def unlock(self, lock: locking.Lock) -> None:
        """Release the lock of Terraform's state.

        https://developer.hashicorp.com/terraform/cli/commands/force-unlock
        """
        self._initialize()
        workspaces.run(self.target, "force-unlock", "-force", lock.id)

    def _show(self, *arguments: str) -> str:
        return terraform_cli.output("show", *arguments, cwd=self.target.directory, env=self.target.environment)


def prepare(target: Target, *, new_workspace: bool = False) -> Stack:
    """Return the target's stack, ready for Terraform; an emulator's state bucket is created if it is missing.

    ``new_workspace`` is whether a workspace is created if it is missing, too.

    Raises:
        CommandError: credentials, the state bucket, the workspace, or Terraform's providers are missing. Nothing was
            changed.
    """
    print(f"Using {target.description}", flush=True)
    here = Stack(target)
    if not state.has_bucket(target):
        if not target.endpoint:
            raise CommandError(state.missing_bucket(target))
        if not here.deployed:
            # The pins of an earlier emulator.
            shutil.rmtree(target.directory, ignore_errors=True)
        state.create_bucket(target)
    if not new_workspace:
        state.verify_workspace(target)
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
    if not state.has_bucket(target) and not here.deployed:
        raise CommandError(state.missing_bucket(target))
    state.verify_workspace(target)
    return here


def _variables(kept: Mapping[str, config_file.Pin]) -> list[str]:
    """Return Terraform's arguments for the variable ``pins``."""
    given = {stage: dataclasses.asdict(pin) for stage, pin in kept.items()}
    return [f"-var=pins={json.dumps(given)}"] if given else []
