"""Delete everything that Terraform created, and unpin every stage: AWS does not reuse version numbers."""

from __future__ import annotations

import argparse
import os
import sys

from pathtolive import progress, stack, state, target, workspaces
from pathtolive.cli import CommandError, main
from pathtolive.target import NAME


def destroy(here: stack.Stack) -> None:
    """Delete the stack and, on an emulator, the state bucket once no workspace needs it.

    Raises:
        CommandError: Terraform fails.
    """
    with progress.step("Delete everything that Terraform created"):
        here.change("destroy", "-auto-approve", "-compact-warnings")
    if here.target.workspace == "default":
        here.write(here.config.without_versions())
    else:
        workspaces.delete(here.target)
    if here.target.endpoint:
        state.delete_bucket(here.target)


def confirm(here: stack.Stack) -> None:
    """Ask for the function's name before anything on AWS is deleted, unless CONFIRM has it.

    Raises:
        CommandError: the name is wrong.
    """
    name = here.deployed.get("function_name", NAME)
    answer = os.environ.get("CONFIRM")
    if answer is None and sys.stdin.isatty():
        answer = input(
            f"This deletes {name} with all its versions from account {here.target.account}. Type its name to confirm: "
        )
    if answer != name:
        raise CommandError(f"Nothing was deleted. To confirm, run: make destroy CONFIRM={name}")


def command() -> int:
    """Return 0 if everything is deleted."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    here = stack.prepare(target.from_environment())
    if here.target.endpoint is None:
        confirm(here)
    destroy(here)
    return 0


if __name__ == "__main__":
    main(command)
