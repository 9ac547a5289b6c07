"""Delete everything that Terraform has made, and unpin every stage: AWS never uses a version's number again."""

from __future__ import annotations

import argparse
import os
import sys

from pathtolive import progress, stack, target
from pathtolive.cli import CommandError, main


def destroy(here: stack.Stack) -> None:
    """Delete the stack; of an emulator, the state bucket as well, once no workspace needs it.

    Raises:
        CommandError: Terraform fails.
    """
    with progress.step("Delete everything that Terraform created"):
        here.run("destroy", "-auto-approve", "-compact-warnings")
    if here.target.workspace == "default":
        here.config.without_versions().write(here.target.config_file)
    else:
        stack.delete_workspace(here.target)
    if here.target.endpoint:
        stack.delete_state(here.target)


def confirm(here: stack.Stack) -> None:
    """Ask for the function's name before anything on AWS is deleted; CONFIRM may hold it already.

    Raises:
        CommandError: the answer is another.
    """
    name = here.deployed.get("function_name", stack.NAME)
    answer = os.environ.get("CONFIRM")
    if answer is None and sys.stdin.isatty():
        answer = input(f"This deletes {name} with all its versions from account {here.target.account}. Its name: ")
    if answer != name:
        raise CommandError(f"Nothing was deleted: confirm with 'make destroy CONFIRM={name}'")


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
