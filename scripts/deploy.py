"""Apply Terraform, pin the stages that are not pinned yet, and see that every stage answers."""

from __future__ import annotations

import argparse

import botocore.exceptions

import pins
import recording
import smoke
import stack
import status
import target
from command import CommandError, main


def deploy(here: stack.Stack) -> None:
    """Bring the stack up to date.

    Raises:
        CommandError: there is no artifact, a pin names a version that does not exist, a release would be undone or
            disturbed, Terraform fails, or a stage does not answer.
    """
    if not here.target.artifact.exists():
        raise CommandError("There is no artifact: run 'make build' first")
    _refuse_missing_versions(here)
    recording.refuse_to_undo(here, here.stages)
    plan = here.plan()
    recording.refuse_weights(here, plan)
    if plan.changes:
        here.apply(plan)
    pin(here)
    for stage in here.stages:
        smoke.check(here.stage_url(stage))


def pin(here: stack.Stack) -> None:
    """Pin each stage that is not pinned to the version that it runs; of a workspace, config.tf does not speak."""
    if here.target.workspace != "default":
        return
    before = after = here.config
    for stage, unpinned in before.stages.items():
        if unpinned.function_version is None:
            version = here.outputs["stages"][stage]["function_version"]
            after = after.with_pin(stage, pins.Pin(version, unpinned.gateway_deployment))
            print(f"Pinned {stage} to version {version} in {here.target.config_file}")
    if after != before:
        after.write(here.target.config_file)


def _refuse_missing_versions(here: stack.Stack) -> None:
    """Find a pin to a version that does not exist, even where newer ones do, before anything is changed."""
    for stage, pin in here.stages.items():
        if pin.function_version in {None, pins.NEWEST}:
            continue
        try:
            here.target.client("lambda").get_function(
                FunctionName=here.deployed.get("function_name", stack.NAME), Qualifier=pin.function_version
            )
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise CommandError(f"Lambda does not say whether the pins exist: {error}") from error
            raise CommandError(
                f"Stage {stage} is pinned to version {pin.function_version}, which does not exist: pin it to one that "
                f"does in {here.target.config_file}, or remove its function_version to start at the newest"
            ) from error


def command() -> int:
    """Return 0 where everything is deployed and answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", help="refuse to start unless config.tf has this stage")
    options = parser.parse_args()
    here = stack.prepare(target.from_environment())
    if options.stage:
        here.config.stage(options.stage)
    deploy(here)
    status.show(here)
    return 0


if __name__ == "__main__":
    main(command)
